"""A photograph that EXIF turns onto the same size: was its label drawn upright, or on the pixels as
they lie in the file?
"""

from collections.abc import Callable

import numpy as np

from fcn.pixels import Header

UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[:, ::-1],
    7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
    8: lambda a: a.swapaxes(0, 1)[::-1],
}
"""What turns stored pixels (H, W) upright, by EXIF's mark."""

CLEARLY = 1.2
"""How much stronger the image must change along the label's edges than along those of the label
turned otherwise.
"""


def unclear(header: Header, image: np.ndarray, label: np.ndarray) -> str:
    """Words on a label of which it cannot be told that it was drawn on the upright image; "" if
    there is no doubt.

    Where the sides tell it, there is none: of another size, a label is refused anyway.

    Args:
        header: of the image.
        image: uint8 RGB (H, W, 3), upright.
        label: values of its label (H, W).
    """
    if header.orientation == 1 or header.size != header.stored or label.shape != image.shape[:2]:
        return ""
    turned = UPRIGHT[header.orientation](label)
    if np.array_equal(turned, label):
        return ""
    grey = image.mean(axis=2)
    upright, stored = _along_edges(grey, label), _along_edges(grey, turned)
    if upright > CLEARLY * stored:
        return ""
    found = "fit either way"
    if stored > CLEARLY * upright:
        found = "follow the pixels as they lie in the file"
    return f"EXIF orientation {header.orientation} keeps the size, and the label's edges {found}"


def _along_edges(grey: np.ndarray, label: np.ndarray) -> float:
    """How much neighbouring pixels differ on average where the label changes."""
    total, count = 0.0, 0
    for axis in (0, 1):
        edges = np.diff(label.astype(np.int32), axis=axis) != 0
        total += float(np.abs(np.diff(grey, axis=axis))[edges].sum())
        count += int(np.count_nonzero(edges))
    return total / max(count, 1)
