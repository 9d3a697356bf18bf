"""What a service does around a net: pictures from outside in, within limits; class maps, overlays and shares out."""

import base64
import binascii
import io
import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image

from fcn import images, labels, visualize
from fcn.errors import UserError

MAX_BYTES = 50_000_000
"""Of a picture's file."""
MAX_PIXELS = 25_000_000
"""Of a picture, or of all pictures of one request: at full width two CPU cores take minutes for so many."""
OPACITY = 0.6
"""Of an overlay's colours, unless asked for."""
FORMATS = ("JPEG", "MPO", "PNG", "WEBP")
"""Pillow's names. Nothing else is decoded: of its many formats some run other programs."""


def read(data: bytes, name: str, pixels: int = MAX_PIXELS) -> np.ndarray:
    """Reads a picture that comes from anybody: what it says of itself is checked before its pixels are decoded.

    Args:
        data: a file; what it is is told from its first bytes.
        name: what messages call it.
        pixels: at most so many.

    Returns:
        uint8 RGB (H, W, 3), upright, see `images.read`.

    Raises:
        UserError: no picture, a damaged one, another format, or too large.
    """
    if len(data) > MAX_BYTES:
        raise UserError(f"{name}: {len(data) / 1e6:.0f} MB; {MAX_BYTES / 1e6:.0f} MB are allowed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # these limits are tighter
        return images.decode(data, name, pixels, FORMATS)


def decode(text: Any, name: str, pixels: int = MAX_PIXELS) -> np.ndarray:
    """A picture from base64; white space and a leading `data:image/png;base64,` are fine.

    Args:
        text: the base64 of a JPEG, PNG or WebP file.
        name: what messages call it.
        pixels: at most so many.

    Returns:
        uint8 RGB (H, W, 3).

    Raises:
        UserError: not text, empty, no base64, or see `read`.
    """
    if not isinstance(text, str):
        raise UserError(f"{name}: expected the base64 of a JPEG or PNG file as text, got {type(text).__name__}")
    plain = re.sub(r"^\s*data:[^,]{0,100};base64,|\s", "", text)
    if not plain:
        raise UserError(f"{name}: expected the base64 of a JPEG or PNG file, got an empty text")
    try:
        data = base64.b64decode(plain, validate=True)
    except (binascii.Error, ValueError) as error:
        raise UserError(f"{name}: expected the base64 of a JPEG or PNG file, but this is no base64 ({error})") from error
    return read(data, name, pixels)


def answer(image: np.ndarray, found: np.ndarray, classes: Sequence[str], opacity: float = OPACITY) -> dict[str, Any]:
    """What a client gets of one picture, as plain data.

    Args:
        image: uint8 RGB (H, W, 3).
        found: uint8 labels (H, W).
        classes: their names.
        opacity: of the overlay's colours, 0..1.

    Returns:
        `width` and `height` in pixels; `labels`, base64 of a palette PNG whose values are the classes; `overlay`, base64 of an
        RGB PNG; `classes`, see `shares`.
    """
    return {
        "width": image.shape[1],
        "height": image.shape[0],
        "labels": base64.b64encode(png(labels.to_image(found))).decode(),
        "overlay": base64.b64encode(png(Image.fromarray(visualize.overlay(image, found, classes, opacity)))).decode(),
        "classes": shares(found, classes),
    }


def answers(
    texts: Sequence[Any], predict: Callable[[np.ndarray], np.ndarray], classes: Sequence[str], opacity: float
) -> list[dict[str, Any]]:
    """Answers one request. All its pictures are read before the net runs: one bad picture refuses all of it at once.

    Args:
        texts: base64 of one picture each; together they may have `MAX_PIXELS`.
        predict: uint8 RGB (H, W, 3) -> uint8 labels (H, W).
        classes: names.
        opacity: of the overlays' colours, 0..1.

    Returns:
        For each picture what `answer` says.

    Raises:
        UserError: no picture, a bad one (by its number, from 0), too many pixels, or an opacity beyond 0..1.
    """
    if not len(texts):
        raise UserError("image: expected at least one picture, got none")
    if not 0 <= opacity <= 1:
        raise UserError(f"opacity: expected a number of 0..1, got {opacity}")
    left, read_images = MAX_PIXELS, []
    for number, text in enumerate(texts):
        read_images.append(decode(text, f"image {number}", left))
        left -= read_images[-1].shape[0] * read_images[-1].shape[1]
    return [answer(image, predict(image), classes, opacity) for image in read_images]


def shares(found: np.ndarray, classes: Sequence[str]) -> list[dict[str, Any]]:
    """The classes that occur, most pixels first: `value`, `name`, `share` (0..1) and `colour` (#rrggbb)."""
    counts, table = np.bincount(found.ravel(), minlength=len(classes)), labels.palette()
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


def png(picture: Image.Image) -> bytes:
    """A picture as the bytes of a PNG file."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)  # of a photograph little is left to compress: this takes a fifth of the time
    return buffer.getvalue()
