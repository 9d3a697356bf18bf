"""What is done at random to a training image: the dice. The pixels are moved in `fcn.input.stream`.
Imports no framework.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Le

from fcn.errors import UserError
from fcn.spec.bounds import CHECKED


@dataclass(frozen=True)
class Augment:
    """Random changes to training images, all off by default: the paper found that mirroring and
    jitter gained nothing.

    They are made in this order. What comes into view from outside an image has the mean colour and
    counts as void.

    Attributes:
        scale: least and greatest factor on both sides; any between is as likely. Images are
            interpolated (bilinear, and averaged where they shrink), labels take the nearest
            pixel's. (1, 1) is off.
        mirror: left and right are exchanged, in every other image.
        jitter: pixels by which an image moves at most, up or down and left or right; the paper
            tried 32. 0 is off.
        crop: side of the window that is kept, in pixels; a side that is shorter stays as it is. 0
            is off.
    """

    __pydantic_config__ = CHECKED

    scale: tuple[Annotated[float, Gt(0), Le(16)], ...] = (1.0, 1.0)
    mirror: bool = False
    jitter: Annotated[int, Ge(0), Le(4096)] = 0
    crop: Annotated[int, Ge(0), Le(16_384)] = 0

    def __post_init__(self) -> None:
        """Raises UserError for values that mean nothing."""
        if len(self.scale) != 2 or not 0 < self.scale[0] <= self.scale[1]:
            raise UserError(
                "scale: expected the least and the greatest factor, above 0; got "
                f"{list(self.scale)}"
            )


OFF = Augment()


def moves(augment: Augment, sizes: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """Throws the dice for every image of an epoch. Those of one image depend on (seed, epoch, its
    number) alone.

    Args:
        augment: what may happen.
        sizes: (images, 2), height and width of each.
        seed: any number from 0 on.
        epoch: number of the epoch, from 0 on.

    Returns:
        int32 (images, 7), a row per image: the height and width that it is scaled to; 1 if it is
        then mirrored, else 0; top and left of the window that is cut from it after a border of
        `augment.jitter` pixels was put around it; the window's height and width. With everything
        off that is the whole image: (H, W, 0, 0, 0, H, W).

    Example:
        >>> sizes = np.array([[375, 500]])
        >>> moves(OFF, sizes, seed=0, epoch=0).tolist()
        [[375, 500, 0, 0, 0, 375, 500]]
        >>> moves(Augment(crop=321), sizes, seed=0, epoch=0)[0, -2:].tolist()
        [321, 321]
    """
    dice = np.random.default_rng([seed, epoch]).random((len(sizes), 6))
    least, greatest = augment.scale
    scaled = np.maximum(1, np.rint(sizes * (least + (greatest - least) * dice[:, :1])))
    mirrored = augment.mirror * (dice[:, 1:2] < 0.5)
    window = np.minimum(scaled, augment.crop) if augment.crop else scaled
    place = np.floor(dice[:, 2:4] * (2 * augment.jitter + 1)) + np.floor(
        dice[:, 4:6] * (scaled - window + 1)
    )
    return np.concatenate([scaled, mirrored, place, window], axis=1).astype(np.int32)
