"""Scores near the boundaries of objects: in bands ("trimaps") around them, as a curve over the
band's width.
"""

from collections.abc import Iterator

import numpy as np
from scipy import ndimage

from fcn.score import metrics
from fcn.spec import VOID

WIDEST = 40
"""Pixels of the widest band; beyond it the curves of the literature are flat."""
NARROW = 5
"""Pixels of the band whose mean IU stands among the scores as `boundary_iu`."""


def rings(truth: np.ndarray) -> np.ndarray:
    """How far every pixel is from a boundary.

    A pixel is on the boundary if one of its four neighbours has another label, void being a label
    of its own. So the void border that VOC draws around objects is surrounded by boundary on both
    sides, as in DeepLab's trimap, and data without void have boundaries too. The frame of the image
    is none.

    Args:
        truth: integers (H, W), 255 being void.

    Returns:
        uint8 (H, W): n where the Euclidean distance to the nearest boundary pixel is at least n - 1
            and below n pixels,
        for n = 1 (on the boundary itself) to `WIDEST`; 0 farther away, and everywhere if there is
        no boundary.

    Source: Kohli, Ladicky, Torr, "Robust Higher Order Potentials for Enforcing Label Consistency",
    IJCV 2009, section 5; Kraehenbuehl, Koltun, arXiv:1210.5644, section 4; for void: Chen et al.,
    arXiv:1412.7062, section 5.
    """
    edge = np.zeros(truth.shape, bool)
    for one, other in (
        ((slice(1, None),), (slice(-1),)),
        ((..., slice(1, None)), (..., slice(-1))),
    ):
        differs = truth[one] != truth[other]
        edge[one] |= differs
        edge[other] |= differs
    if not edge.any():
        return np.zeros(truth.shape, np.uint8)
    number = np.floor(ndimage.distance_transform_edt(~edge)) + 1
    return np.where(number > WIDEST, 0, number).astype(np.uint8)


def confusion(truth: np.ndarray, prediction: np.ndarray, classes: int) -> np.ndarray:
    """Counts the pixels of one image by their ring; void is left out.

    Args:
        truth: integers (H, W), 0..classes-1, or 255 for void.
        prediction: integers (H, W), 0..classes-1.
        classes: how many there are.

    Returns:
        int64 (WIDEST + 1, classes, classes), [ring, truth, prediction]. Added up over the rings it
        is `metrics.confusion`.

    Raises:
        ValueError: see `metrics.confusion`.
    """
    metrics.check(truth, prediction, classes)
    valid = truth != VOID
    ring, true, predicted = (x[valid].astype(np.int64) for x in (rings(truth), truth, prediction))
    shape = (WIDEST + 1, classes, classes)
    return np.bincount(
        (ring * classes + true) * classes + predicted, minlength=np.prod(shape)
    ).reshape(shape)


def curve(histogram: np.ndarray) -> Iterator[tuple[int, float, float]]:
    """Scores in the band of every width.

    Args:
        histogram: `confusion` added up over the images of a set.

    Yields:
        (width, mean IU, pixel accuracy): of the pixels less than `width` from a boundary pixel,
        width = 1..WIDEST. Widths at which the band has no valid pixel are left out.
    """
    for width, band in enumerate(histogram[1:].cumsum(0), 1):
        if band.any():
            scores = metrics.scores(band)
            yield width, scores["mean_iu"], scores["pixel_accuracy"]
