"""Labels drawn from outlines and run lengths, one over the other."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from pycocotools import mask  # type: ignore[import-untyped]

from fcn.errors import UserError

Region = list[list[float]] | dict[str, Any]
"""Polygons (x, y, x, y, ...) in pixels that belong to one object, or run lengths as COCO has them.
"""


def drawn(width: int, height: int, regions: Iterable[tuple[Region, int]], where: str) -> np.ndarray:
    """Paints regions over each other: what is last lies on top.

    Args:
        width: of the image, in pixels.
        height: likewise.
        regions: and the label value of each.
        where: whose they are, for messages.

    Returns:
        uint8 (H, W), 0 where nothing was painted.

    Raises:
        UserError: what is no outline and no run lengths, or those of another size.
    """
    label = np.zeros((height, width), np.uint8, order="F")
    for region, value in regions:
        try:
            runs = region
            if not isinstance(region, dict) or not isinstance(region["counts"], (str, bytes)):
                runs = mask.frPyObjects(region, height, width)
            rle: Any = mask.merge(runs) if isinstance(runs, list) else runs
            size = [int(side) for side in rle["size"]]
            painted = mask.decode(rle) if size == [height, width] else None
            left, top, wide, high = (round(side) for side in mask.toBbox(rle))
        except Exception as error:  # of any kind: it is C that reads what somebody wrote
            raise UserError(f"{where}: expected polygons or run lengths, but: {error}") from error
        if painted is None:
            raise UserError(
                f"{where}: run lengths of {size[1]}x{size[0]} pixels, the image has "
                f"{width}x{height}"
            )
        part = np.s_[top : top + high, left : left + wide]
        label[part][painted[part] > 0] = value
    return np.ascontiguousarray(label)


def box(left: float, top: float, right: float, bottom: float) -> Region:
    """The outline of a box."""
    return [[left, top, right, top, right, bottom, left, bottom]]
