"""A model scored on examples in memory: the four scores of the paper as one object."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from fcn.score import metrics


class _Spec(Protocol):
    @property
    def classes(self) -> tuple[str, ...]: ...


class Model(Protocol):
    """What can be scored: `fcn.load` gives one, and so is anything with these two."""

    @property
    def spec(self) -> _Spec:
        """Whose `classes` are the names of the classes."""

    def predict(self, image: np.ndarray, /) -> Any:
        """From uint8 RGB (H, W, 3) to something whose `labels` are uint8 (H, W)."""


@dataclass(frozen=True)
class Scores:
    """The scores of a model on a set of images.

    Attributes:
        histogram: int64 (C, C), pixels by true class (rows) and predicted class (columns), added up
            over all images.
        classes: their names.

    Example:
        >>> scores = Scores(np.array([[3, 1], [0, 4]]), ("background", "cat"))
        >>> scores.pixel_accuracy, scores.class_iu
        (0.875, {'background': 0.75, 'cat': 0.8})
        >>> round(scores.mean_iu, 3)
        0.775
    """

    histogram: np.ndarray
    classes: tuple[str, ...]

    def all(self) -> dict[str, float]:
        """The four scores by name, 0..1; see `fcn.score.metrics.scores`."""
        return metrics.scores(self.histogram)

    @property
    def pixel_accuracy(self) -> float:
        """The share of the pixels that is predicted right, 0..1."""
        return self.all()["pixel_accuracy"]

    @property
    def mean_accuracy(self) -> float:
        """The mean over the classes of the share of their pixels that is predicted right, 0..1."""
        return self.all()["mean_accuracy"]

    @property
    def mean_iu(self) -> float:
        """The mean over the classes of intersection over union, 0..1: what papers compare."""
        return self.all()["mean_iu"]

    @property
    def frequency_weighted_iu(self) -> float:
        """The same, each class weighing as many pixels as it has, 0..1."""
        return self.all()["frequency_weighted_iu"]

    @property
    def class_iu(self) -> dict[str, float]:
        """Intersection over union by class, 0..1; without classes that occur nowhere."""
        values = zip(self.classes, metrics.class_iu(self.histogram).tolist(), strict=True)
        return {name: value for name, value in values if not np.isnan(value)}


def evaluate(model: Model, examples: Iterable[tuple[np.ndarray, np.ndarray]]) -> Scores:
    """Scores a model on whole images at their own size.

    Args:
        model: as `fcn.load` gives it.
        examples: (image, label) pairs, uint8 RGB (H, W, 3) and uint8 (H, W) with 255 for void, as
            `fcn.datasets.open(...).examples("val")` gives them.

    Returns:
        The scores of all images together: pixels are counted over the whole set, never averaged
        over images.

    Raises:
        ValueError: a label of another size than its image, or a value that is no class.

    Source: section 5 of the CVPR paper, "Metrics"; `score.py` of shelhamer/fcn.berkeleyvision.org.

    Example:
        >>> from types import SimpleNamespace
        >>> class AllCat:  # anything that has classes and predicts
        ...     spec = SimpleNamespace(classes=("background", "cat"))
        ...     def predict(self, image):
        ...         return SimpleNamespace(labels=np.ones(image.shape[:2], np.uint8))
        >>> image, label = np.zeros((2, 2, 3), np.uint8), np.array([[0, 1], [1, 255]], np.uint8)
        >>> evaluate(AllCat(), [(image, label)]).mean_accuracy
        0.5
    """
    classes = model.spec.classes
    histogram = np.zeros((len(classes), len(classes)), np.int64)
    for image, label in examples:
        histogram += metrics.confusion(label, model.predict(image).labels, len(classes))
    return Scores(histogram, classes)
