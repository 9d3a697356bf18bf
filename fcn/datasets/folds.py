"""All labelled images in k parts: each is validated on once, while the others are trained on."""

import hashlib
import re
from dataclasses import replace

from fcn.datasets.names import origin
from fcn.datasets.pairs import Listing
from fcn.errors import UserError

_FOLD = re.compile(r"([1-9]\d*)/([1-9]\d*)")


def numbers(text: str) -> tuple[int, int]:
    """The number of a fold, from 1 on, and how many there are.

    Example:
        >>> numbers("2/5")
        (2, 5)

    Raises:
        UserError: no such text.
    """
    found = _FOLD.fullmatch(text)
    if not found or int(found[1]) > int(found[2]) or int(found[2]) < 2:
        raise UserError(f"--fold: expected a number of a fold such as 2/5, got {text!r}")
    return int(found[1]), int(found[2])


def fold(listing: Listing, number: int, of: int, seed: int) -> Listing:
    """The same data set with another validation set, and all that is left as its training set.

    The order is drawn as `stems.draw` does, so a new image changes the place of no other one. What
    a tool has made of one image, by its name, comes into one part.

    Args:
        listing: its training and validation images are taken together.
        number: of the fold, from 1 on.
        of: how many there are.
        seed: of the order.

    Raises:
        UserError: fewer images than folds.
    """
    pairs = [pair for found in listing.splits.values() for pair in found]
    origins = {origin(pair.id) for pair in pairs}
    if len(origins) < of:
        raise UserError(f"--k: expected at most {len(origins)}, the number of images, got {of}")
    order = sorted(origins, key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest())
    held = set(order[number - 1 :: of])
    divided = {
        "train": [pair for pair in pairs if origin(pair.id) not in held],
        "val": [pair for pair in pairs if origin(pair.id) in held],
    }
    return replace(listing, splits=divided)
