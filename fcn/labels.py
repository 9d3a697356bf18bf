"""Label images: the VOC palette, and reading a file into class indices without fooling oneself."""

import io
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from fcn.errors import UserError
from fcn.metrics import VOID


def palette() -> np.ndarray:
    """The VOC colour map: uint8 (256, 3), RGB by class index; 255 (void) is (224, 224, 192).

    The bits of the index are dealt out to red, green and blue, highest bit of the colour first (VOCcolormap of the
    development kit).
    """
    index = np.arange(256)
    colours = np.zeros((256, 3), np.uint8)
    for bit in range(8):
        for channel in range(3):
            colours[:, channel] |= ((index >> (3 * bit + channel)) & 1).astype(np.uint8) << (7 - bit)
    return colours


def to_image(labels: np.ndarray) -> Image.Image:
    """A palette image of uint8 labels (H, W): the index is the class, as in VOC's files."""
    image = Image.fromarray(labels.astype(np.uint8))
    image.putpalette(palette().reshape(-1).tolist())
    return image


def read(path: Path, classes: int, image_size: tuple[int, int] | None = None) -> np.ndarray:
    """Reads a label file into class indices.

    Args:
        path: a palette or 8-bit grey PNG whose values are the classes.
        classes: values 0..classes-1 and 255 (void) are allowed.
        image_size: (width, height) of the image it belongs to, checked if given.

    Returns:
        uint8 (H, W).

    Raises:
        UserError: not an image; RGB colours instead of indices; other size than the image; a value out of range.
    """
    try:
        with Image.open(path) as image:
            mode, size = image.mode, image.size
            labels = np.asarray(image) if mode in ("P", "L") else None
    except FileNotFoundError as error:
        raise UserError(f"{path}: the label is missing") from error
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise UserError(f"{path}: expected a PNG label, but it cannot be read: {error}") from error
    if labels is None:
        raise UserError(
            f"{path}: expected a palette or 8-bit grey image whose values are class indices, got mode {mode}. "
            "Colours must be turned back into indices first."
        )
    if image_size is not None and size != image_size:
        raise UserError(f"{path}: the label is {size[0]}x{size[1]} pixels, its image {image_size[0]}x{image_size[1]}")
    wrong = sorted(set(np.unique(labels).tolist()) - set(range(classes)) - {VOID})
    if wrong:
        pixels = int(np.isin(labels, wrong).sum())
        raise UserError(
            f"{path}: label values {wrong} in {pixels} pixels, expected 0..{classes - 1} and {VOID} (void). "
            "Is this the right data set, and does `classes` name all of its classes?"
        )
    return labels


def encode(labels: np.ndarray) -> bytes:
    """Grey PNG of uint8 labels (H, W). Grey, since TensorFlow would expand a palette to RGB when it decodes."""
    buffer = io.BytesIO()
    Image.fromarray(labels).save(buffer, "PNG")
    return buffer.getvalue()
