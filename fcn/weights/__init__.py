"""Published classifiers, from any container, become our arrays; every weight is accounted for."""

from fcn.weights.conversion import Layers, convert

__all__ = ["Layers", "convert"]
