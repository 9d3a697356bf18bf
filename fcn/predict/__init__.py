"""Labels for photographs: the predictor, its files, export, serving, submission."""

from fcn.predict.own_door import OwnDoor
from fcn.predict.predictor import Predictor

__all__ = ["OwnDoor", "Predictor"]
