"""Labels for photographs: the predictor, its files, export, serving, submission."""

from fcn.predict.predictor import Predictor

__all__ = ["Predictor"]
