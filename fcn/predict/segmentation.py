"""What a net makes of one image: the class of every pixel, and how to look at it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from fcn.pixels import visualize
from fcn.spec import palette

OPACITY = 0.6
"""Of an overlay's colours, unless asked for."""


@dataclass(frozen=True)
class Segmentation:
    """An image and the class of each of its pixels.

    Attributes:
        labels: uint8 (H, W), the class of every pixel; where two score the same, the lower one.
        probabilities: float32 (H, W, C), 0..1, the softmax of the scores; None unless asked for.
        image: uint8 RGB (H, W, 3), upright, as the net saw it.
        classes: their names, by label value.

    Example:
        >>> import numpy as np
        >>> grey = np.full((2, 4, 3), 128, np.uint8)
        >>> found = Segmentation(np.uint8([[0, 0, 0, 1]] * 2), None, grey, ("background", "cat"))
        >>> found.shares()
        {'background': 0.75, 'cat': 0.25}
        >>> found.overlay().size  # width, height
        (4, 2)
        >>> found.overlay(opacity=1).getpixel((3, 0))  # the cat, in its colour
        (128, 0, 0)
        >>> found.legend(width=300).width
        300
    """

    labels: np.ndarray
    probabilities: np.ndarray | None
    image: np.ndarray
    classes: Sequence[str]

    def overlay(self, opacity: float = OPACITY) -> Image.Image:
        """The image with its classes painted over it; a class 0 called "background" is not.

        Args:
            opacity: of the colours, 0..1.

        Returns:
            An RGB image of the same size.
        """
        painted = visualize.overlay(self.image, self.labels, self.classes, opacity)
        return Image.fromarray(painted)

    def legend(self, width: int = 500) -> Image.Image:
        """The names and colours of the classes that `overlay` paints.

        Args:
            width: of the picture, in pixels.

        Returns:
            An RGB image on white, as high as it needs to be.
        """
        values = visualize.painted([self.labels], self.classes)
        return visualize.legend(self.classes, values, width)

    def explained(self) -> Image.Image:
        """The overlay above its legend, in letters that suit its size: an RGB image."""
        return visualize.explained(self.image, self.labels, self.classes, OPACITY)

    def shares(self) -> dict[str, float]:
        """The part of the pixels, 0..1, of each class that occurs, the largest first."""
        return {row["name"]: row["share"] for row in shares(self.labels, self.classes)}


def shares(found: np.ndarray, classes: Sequence[str]) -> list[dict[str, Any]]:
    """The classes that occur, most pixels first: `value`, `name`, `share` (0..1) and `colour`
    (#rrggbb).
    """
    counts, table = np.bincount(found.ravel(), minlength=len(classes)), palette()
    return [
        {
            "value": int(value),
            "name": classes[value],
            "share": round(float(counts[value] / found.size), 6),
            "colour": "#" + bytes(table[value]).hex(),
        }
        for value in np.argsort(-counts, kind="stable")
        if counts[value]
    ]
