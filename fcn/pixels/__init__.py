"""Photographs and label files become arrays, and arrays become pictures."""

from fcn.pixels.images import Header
from fcn.pixels.labels import Stored, stored

__all__ = ["Header", "Stored", "stored"]
