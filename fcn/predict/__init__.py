"""Labels for photographs: the predictor, its files, export, serving, submission."""

from fcn.predict.own_door import OwnDoor, origins

__all__ = ["OwnDoor", "origins"]
