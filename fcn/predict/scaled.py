"""A picture's classes, and how sure a net is of each pixel, computed at a size that is chosen.

A net has learned from pictures of one size, PASCAL VOC's of at most 500 pixels a side. In a
photograph of a telephone things are eight times as large as it knows them. Reduced to what it
learned from, the photograph is answered in a fraction of the time, and its things have sizes that
the net knows.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from fcn.predict.predictor import Predictor

SIDE = 500
"""Pixels of the longer side of PASCAL VOC's photographs."""
_BAND = 512
"""Rows of a picture whose probabilities are in memory at a time while they are enlarged."""


@dataclass(frozen=True)
class Segmented:
    """What is said of a picture.

    Attributes:
        labels: uint8 (H, W), the class of each of its pixels.
        sure: uint8 (H, W), the probability of that class in percent.
        computed: (width, height) in pixels at which the net saw it.
    """

    labels: np.ndarray
    sure: np.ndarray
    computed: tuple[int, int]


def size(width: int, height: int, side: int | None) -> tuple[int, int]:
    """The (width, height) at which a picture is computed.

    Args:
        width: of the picture.
        height: of the picture.
        side: pixels that the longer side may have; None: any.

    Example:
        >>> size(4000, 3000, 500), size(200, 100, 500), size(4000, 3000, None)
        ((500, 375), (200, 100), (4000, 3000))
    """
    if side is None or max(width, height) <= side:
        return width, height
    scale = side / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def reduced(image: np.ndarray, side: int | None) -> np.ndarray:
    """A picture, uint8 (H, W, 3), at the size at which it is computed: see `size`."""
    wanted = size(image.shape[1], image.shape[0], side)
    if wanted == (image.shape[1], image.shape[0]):
        return image
    return np.asarray(Image.fromarray(image).resize(wanted, reducing_gap=2.0))


def steps(
    net: "Predictor", image: np.ndarray, side: int | None = SIDE
) -> Generator[tuple[int, int], None, Segmented]:
    """Segments a picture a tile at a time; at its own size, no more is kept than two bytes a pixel.

    Args:
        net: predicts.
        image: uint8 RGB (H, W, 3).
        side: see `size`.

    Yields:
        (tiles done, tiles in all) after each.

    Raises:
        UserError: no such array, or too much for the device's memory.
    """
    height, width = image.shape[:2]
    computed = size(width, height, side)
    if computed != (width, height):
        found = yield from net.steps(reduced(image, side), probabilities=True)
        assert found.probabilities is not None
        return Segmented(*enlarged(found.probabilities, (width, height)), computed)
    labels, sure = np.empty((height, width), np.uint8), np.empty((height, width), np.uint8)
    tiles = net.tiles(width, height)
    for number, part in enumerate(net.parts(image, probabilities=True), 1):
        assert part.probabilities is not None
        labels[part.place] = part.labels
        sure[part.place] = _percent(part.probabilities.max(axis=-1))
        yield number, tiles
    return Segmented(labels, sure, computed)


def enlarged(probabilities: np.ndarray, wanted: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Classes of a picture from the probabilities of a smaller one, which are enlarged bilinearly.

    Args:
        probabilities: float32 (h, w, C). Only classes that are the likeliest somewhere are looked
            at.
        wanted: (width, height).

    Returns:
        The likeliest class of each pixel, uint8 (H, W), where two are as likely the lower one; and
        its probability in percent, uint8 (H, W).

    Example:
        >>> labels, sure = enlarged(np.float32([[[1, 0], [0, 1]]]), (4, 1))
        >>> labels, sure
        (array([[0, 0, 1, 1]], dtype=uint8), array([[100,  75,  75, 100]], dtype=uint8))
    """
    width, height = wanted
    rows, columns = probabilities.shape[:2]
    values = np.unique(probabilities.argmax(axis=-1)).tolist()
    planes = [Image.fromarray(np.ascontiguousarray(probabilities[..., value])) for value in values]
    labels, sure = np.empty((height, width), np.uint8), np.empty((height, width), np.uint8)
    for top in range(0, height, _BAND):
        end = min(top + _BAND, height)
        box = (0, top * rows / height, columns, end * rows / height)
        best = np.full((end - top, width), -1, np.float32)
        for value, plane in zip(values, planes, strict=True):
            band = plane.resize((width, end - top), Image.Resampling.BILINEAR, box)
            found = np.asarray(band)
            likelier = found > best
            labels[top:end][likelier] = value
            np.maximum(best, found, out=best)
        sure[top:end] = _percent(best)
    return labels, sure


def _percent(probabilities: np.ndarray) -> np.ndarray:
    return np.asarray(np.rint(100 * probabilities), np.uint8)
