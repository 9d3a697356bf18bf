"""Images and their truth as a protocol shows them to the net."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from PIL import Image

from fcn.spec import VOID, Protocol


def shown(
    protocol: Protocol, image: np.ndarray, truth: np.ndarray, colour: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """An image and its truth as a protocol wants them, see `Protocol.shorter` and
    `Protocol.window`.

    Args:
        protocol: which.
        image: uint8 RGB (H, W, 3).
        truth: uint8 (H, W).
        colour: uint8 (3,), the mean in RGB.

    Returns:
        uint8 (h, w, 3) and uint8 (h, w).
    """
    if protocol.shorter:
        size = resized(truth.shape[1], truth.shape[0], protocol.shorter)
        image = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))
        truth = np.asarray(Image.fromarray(truth).resize(size, Image.Resampling.NEAREST))
    if protocol.window:
        square = (protocol.window, protocol.window)
        there, here = zip(*(_middle(protocol.window, side) for side in truth.shape), strict=True)
        whole, label = np.broadcast_to(colour, (*square, 3)).copy(), np.full(square, VOID, np.uint8)
        whole[there], label[there] = image[here], truth[here]
        image, truth = whole, label
    return image, truth


def resized(width: int, height: int, shorter: int) -> tuple[int, int]:
    """(width, height) with a shorter side of `shorter` pixels; the longer one is rounded down, as
    torchvision does.

    Args:
        width: in pixels.
        height: in pixels.
        shorter: pixels of the shorter side that comes out.

    Example:
        >>> resized(500, 375, 256)
        (341, 256)
    """
    short, long = sorted((width, height))
    longer = shorter * long // short
    return (shorter, longer) if width <= height else (longer, shorter)


def views(
    examples: Iterable[dict[str, Any]], protocol: Protocol, colour: np.ndarray
) -> Iterator[dict[str, Any]]:
    """Examples, batches of one `image` and `label` each, as a protocol wants them; see `shown`."""
    for batch in examples:
        image, truth = shown(
            protocol, np.asarray(batch["image"])[0], np.asarray(batch["label"])[0], colour
        )
        yield {**batch, "image": image[None], "label": truth[None]}


def _middle(window: int, side: int) -> tuple[slice, slice]:
    """Where the middle of a side lies in the window, and what of the side is seen there."""
    length = min(window, side)
    there, here = (window - length) // 2, (side - length) // 2
    return slice(there, there + length), slice(here, here + length)
