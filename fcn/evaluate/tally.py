"""What is counted of one predicted image, and the tables that it adds up to."""

from collections.abc import Iterator, Sequence
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


def image_rows(
    image: str, histogram: np.ndarray, names: Sequence[str]
) -> Iterator[tuple[str, str, int, int, int]]:
    """The rows of `images.csv` of one image: (image, class, both, truth, prediction), where it is
    in one of the two.
    """
    for name, *counts in zip(
        names, np.diag(histogram), histogram.sum(1), histogram.sum(0), strict=True
    ):
        both, truth, prediction = map(int, counts)
        if truth or prediction:
            yield image, name, both, truth, prediction


def class_rows(
    histogram: np.ndarray, names: Sequence[str]
) -> Iterator[tuple[str, float, float | str]]:
    """The rows of `class_iu.csv`: (class, iu, accuracy). Classes in neither truth nor prediction
    are left out; those that are not in the truth have no accuracy."""
    for name, iu, accuracy in zip(
        names, metrics.class_iu(histogram), metrics.class_accuracy(histogram), strict=True
    ):
        if not np.isnan(iu):
            yield name, round(float(iu), 6), "" if np.isnan(accuracy) else round(float(accuracy), 6)


def confusion_rows(
    histogram: np.ndarray, names: Sequence[str]
) -> Iterator[tuple[str, str, int, float]]:
    """The rows of `confusion.csv`: (truth, prediction, pixels, share of the truth's pixels)."""
    totals = np.maximum(histogram.sum(1), 1)
    for i, truth in enumerate(names):
        for j, prediction in enumerate(names):
            yield (
                truth,
                prediction,
                int(histogram[i, j]),
                round(float(histogram[i, j] / totals[i]), 6),
            )


def boundary_rows(rings: np.ndarray) -> Iterator[tuple[int, float, float]]:
    """The rows of `boundary.csv`: (width, mean_iu, pixel_accuracy)."""
    for width, mean_iu, accuracy in boundary.curve(rings):
        yield width, round(mean_iu, 6), round(accuracy, 6)
