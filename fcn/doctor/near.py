"""Images that are nearly the same: another quality of JPEG, another size, a copy that a tool made
and renamed.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from fcn.datasets import names

SIDE, COARSE = 16, 4
"""Cells of a thumbnail along a side; and of the coarser one that most pairs are told apart by."""
NEAR = 16
"""Of 255: no cell's mean differs by more between copies. Of real VOC images a JPEG of quality 20
differs by 10, one of half the size by 11, and of 193 of them the two that are most alike by 91."""
FLAT = 12
"""Of 255: images whose cells scatter by less than this show too little to be told apart."""


def thumbnail(picture: Image.Image) -> np.ndarray:
    """Mean colours of `SIDE` x `SIDE` cells, uint8 (SIDE, SIDE, 3), and nothing of the picture's
    size.
    """
    small = picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX)
    return np.asarray(small)


def pairs(
    first: Sequence[tuple[str, np.ndarray]],
    second: Sequence[tuple[str, np.ndarray]],
) -> Iterator[tuple[str, str]]:
    """Names of images that are nearly the same, or copies of one by their names.

    Args:
        first: name and `thumbnail` of images.
        second: of others.

    Yields:
        A name of `first` and one of `second`.
    """
    if not first or not second:
        return
    fine = np.stack([each for _, each in first]).astype(np.int16)
    coarse = _coarse(fine)
    origins: dict[str, list[int]] = {}
    for number, (name, _) in enumerate(first):
        origins.setdefault(names.origin(name), []).append(number)
    for name, image in second:
        copies = origins.get(names.origin(name), []) if names.origin(name) != name else []
        here = image.astype(np.int16)
        if here.reshape(-1, 3).std(0).max() > FLAT:
            likely = np.flatnonzero(np.abs(coarse - _coarse(here[None])).max((1, 2, 3)) <= NEAR)
            same = np.abs(fine[likely] - here).max((1, 2, 3)) <= NEAR
            copies = sorted({*copies, *likely[same].tolist()})
        for number in copies:
            yield first[number][0], name


def _coarse(images: np.ndarray) -> np.ndarray:
    cell = SIDE // COARSE
    blocks = images.reshape(len(images), COARSE, cell, COARSE, cell, 3)
    return np.asarray(blocks.mean((2, 4)).astype(np.int16))
