"""The four scores of the paper, all from one histogram of (true, predicted) pixels."""

import numpy as np

from fcn.spec import VOID


def confusion(truth: np.ndarray, prediction: np.ndarray, classes: int) -> np.ndarray:
    """Counts the pixels of one image.

    Args:
        truth: integers (H, W), 0..classes-1, or 255 for void, which is left out.
        prediction: integers (H, W), 0..classes-1.
        classes: how many there are.

    Returns:
        int64 (classes, classes), rows true, columns predicted. Add them up over the images of a
        set.

    Raises:
        ValueError: sizes differ, or a value is out of range.

    Example:
        >>> truth, prediction = np.array([[0, 0], [1, 255]]), np.array([[0, 1], [1, 1]])
        >>> confusion(truth, prediction, 2).tolist()  # the void pixel is not counted
        [[1, 1], [0, 1]]
    """
    check(truth, prediction, classes)
    valid = truth != VOID
    rows, columns = truth[valid].astype(np.int64), prediction[valid].astype(np.int64)
    return np.bincount(classes * rows + columns, minlength=classes**2).reshape(classes, classes)


def check(truth: np.ndarray, prediction: np.ndarray, classes: int) -> None:
    """Raises ValueError for what `confusion` cannot count."""
    if truth.shape != prediction.shape:
        raise ValueError(
            f"truth is {truth.shape}, prediction {prediction.shape}: score at the image's own size"
        )
    valid = truth != VOID
    rows, columns = truth[valid], prediction[valid]
    if rows.size and not (
        min(rows.min(), columns.min()) >= 0 and max(rows.max(), columns.max()) < classes
    ):
        raise ValueError(
            f"labels {rows.min()}..{rows.max()}, predictions {columns.min()}..{columns.max()}, "
            f"classes 0..{classes - 1}"
        )


def class_iu(histogram: np.ndarray) -> np.ndarray:
    """Intersection over union of each class, float64 0..1; NaN where a class is in neither truth
    nor prediction.

    Args:
        histogram: see `scores`.

    Example:
        >>> class_iu(np.array([[3, 1], [0, 4]])).tolist()
        [0.75, 0.8]
    """
    both = np.diag(histogram)
    return _divide(both, histogram.sum(0) + histogram.sum(1) - both)


def class_accuracy(histogram: np.ndarray) -> np.ndarray:
    """Share of each true class's pixels that is predicted right (recall), float64 0..1; NaN where
    the truth lacks a class.

    Args:
        histogram: see `scores`.

    Example:
        >>> class_accuracy(np.array([[3, 1], [0, 4]])).tolist()
        [0.75, 1.0]
    """
    return _divide(np.diag(histogram), histogram.sum(1))


def scores(histogram: np.ndarray) -> dict[str, float]:
    """Pixel accuracy, mean accuracy, mean IU and frequency weighted IU.

    Args:
        histogram: `confusion` added up over all images of the set, never averaged over images or
            batches.

    Returns:
        Four numbers in 0..1. Classes that a mean has no value for (absent from the truth; for IU,
        absent from truth and prediction) are left out of it.

    Raises:
        ValueError: the histogram is empty.

    Source: section 5 of the CVPR paper, "Metrics".

    Example:
        >>> for name, value in scores(np.array([[3, 1], [0, 4]])).items():
        ...     print(f"{name} {value:.3f}")
        pixel_accuracy 0.875
        mean_accuracy 0.875
        mean_iu 0.775
        frequency_weighted_iu 0.775
    """
    if not histogram.any():
        raise ValueError("no valid pixel was scored")
    true, iu = histogram.sum(1), class_iu(histogram)
    frequency = true / true.sum()
    return {
        "pixel_accuracy": float(np.trace(histogram) / histogram.sum()),
        "mean_accuracy": float(np.nanmean(class_accuracy(histogram))),
        "mean_iu": float(np.nanmean(iu)),
        "frequency_weighted_iu": float((frequency[frequency > 0] * iu[frequency > 0]).sum()),
    }


def _divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    quotient = np.full(len(a), np.nan)
    np.divide(a, b, out=quotient, where=b > 0)
    return quotient
