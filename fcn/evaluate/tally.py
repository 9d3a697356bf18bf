"""What is counted of one predicted image, or of many."""

from dataclasses import dataclass

import numpy as np

from fcn.evaluate import boundary, upper_bound
from fcn.score import metrics


@dataclass(frozen=True)
class Tally:
    """Counts of an image, or of many added up.

    Attributes:
        rings: `boundary.confusion`, int64 (rings, classes, classes).
        bound: confusion of the truth with what the stride leaves of it, int64 (classes, classes).
    """

    rings: np.ndarray
    bound: np.ndarray

    @property
    def histogram(self) -> np.ndarray:
        """Confusion of truth and prediction, int64 (classes, classes)."""
        return np.asarray(self.rings.sum(0))

    def add(self, other: "Tally") -> None:
        """Adds another one's counts, in place."""
        np.add(self.rings, other.rings, out=self.rings)
        np.add(self.bound, other.bound, out=self.bound)


def nothing(classes: int) -> Tally:
    """A tally of no image."""
    return Tally(
        np.zeros((boundary.WIDEST + 1, classes, classes), np.int64),
        np.zeros((classes, classes), np.int64),
    )


def count(truth: np.ndarray, prediction: np.ndarray, classes: int, stride: int) -> Tally:
    """Counts one image.

    Args:
        truth: uint8 (H, W), 255 being void.
        prediction: uint8 (H, W).
        classes: how many there are.
        stride: of the net, for the upper bound.
    """
    bound = metrics.confusion(truth, upper_bound.reconstruct(truth, stride), classes)
    return Tally(boundary.confusion(truth, prediction, classes), bound)
