"""Label images: the VOC palette, and reading a file into class indices without fooling oneself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from fcn.datasets import matfile
from fcn.errors import UserError
from fcn.metrics import VOID

Colour = tuple[int, int, int]
"""Red, green, blue, 0..255."""

VOID_COLOUR: Colour = (224, 224, 192)
"""VOC's colour of void, which stands for void in all masks of colours."""

_NOTHING = -1
_SHOWN = 3
_MANY = 20


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


@dataclass(frozen=True)
class Encoding:
    """How a label file says its classes.

    Attributes:
        values: reads a file (and a table of colours) into uint8 (H, W).
        first: the value of class 0.
        void: the value of void; None: there is none.
    """

    values: Callable[[Path, Sequence[Colour]], np.ndarray]
    first: int
    void: int | None


def read(
    path: Path,
    classes: int,
    image_size: tuple[int, int] | None = None,
    encoding: str = "indices",
    colours: Sequence[Colour] = (),
) -> np.ndarray:
    """Reads a label file into class indices.

    Args:
        path: what `encoding` says: a palette or 8-bit grey PNG whose values are the classes ("indices", 255 is void), or
            one more than the classes ("ade20k", 0 is void); a MATLAB file of SBD ("sbd", no void); an image of colours
            ("colours", VOC's (224, 224, 192) is void).
        classes: how many there are, 1..255.
        image_size: (width, height) of the image it belongs to, checked if given.
        encoding: a key of `ENCODINGS`.
        colours: for "colours", (red, green, blue), 0..255, of each class.

    Returns:
        uint8 (H, W): 0..classes-1, and 255 for void.

    Raises:
        UserError: missing, unreadable or of another kind; other size than the image; a value or colour that is no class.
    """
    if encoding not in ENCODINGS:
        raise UserError(f"{path}: expected one of the encodings {', '.join(ENCODINGS)}; got {encoding}")
    kind = ENCODINGS[encoding]
    values = kind.values(path, colours)
    size = (values.shape[1], values.shape[0])
    if image_size is not None and size != tuple(image_size):
        raise UserError(f"{path}: the label is {size[0]}x{size[1]} pixels, its image {image_size[0]}x{image_size[1]}")
    meaning = np.full(256, _NOTHING, np.int16)
    meaning[kind.first : kind.first + classes] = np.arange(classes)
    if kind.void is not None:
        meaning[kind.void] = VOID
    # Comparing whole arrays is several times faster than counting, and nearly always all that is needed.
    outside = (values < kind.first) | (values >= kind.first + classes)
    if kind.void is not None:
        outside &= values != kind.void
    if outside.any():
        counts = np.bincount(values[outside], minlength=256)
        wrong = np.flatnonzero(counts).tolist()
        expected = f"{kind.first}..{kind.first + classes - 1}" + (f" and {kind.void} (void)" if kind.void is not None else "")
        raise UserError(
            f"{path}: label values {wrong} in {int(counts[wrong].sum())} pixels, expected {expected}. Is this the right data "
            "set, and does `classes` name all of its classes?"
        )
    return values if kind.first == 0 else meaning.astype(np.uint8)[values]


def _load(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            image.load()
            return image
    except FileNotFoundError as error:
        raise UserError(f"{path}: the label is missing") from error
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(f"{path}: expected a PNG label, but it cannot be read: {error}") from error


def _indices(path: Path, _colours: Sequence[Colour]) -> np.ndarray:
    image = _load(path)
    if image.mode not in ("P", "L"):
        raise UserError(
            f"{path}: expected a palette or 8-bit grey image whose values are class indices, got mode {image.mode}. "
            "Colours must be turned back into indices first."
        )
    return np.asarray(image)


def _sbd(path: Path, _colours: Sequence[Colour]) -> np.ndarray:
    return matfile.segmentation(path)


def _by_colour(path: Path, colours: Sequence[Colour]) -> np.ndarray:
    """The classes of an image of colours, uint8 (H, W)."""
    codes = _codes(_opaque(path))
    table = _codes(np.array([*colours, VOID_COLOUR], np.uint8).reshape(-1, 3))
    order = np.argsort(table, kind="stable")
    found = np.minimum(np.searchsorted(table, codes, sorter=order), len(table) - 1)
    classes = order[found]
    unknown = table[classes] != codes
    if unknown.any():
        raise UserError(f"{path}: {_unknown_colours(codes[unknown], table)}")
    return np.where(classes == len(colours), VOID, classes).astype(np.uint8)


def _opaque(path: Path) -> np.ndarray:
    """The colours of an image, uint8 (H, W, 3)."""
    image = _load(path)
    if image.mode not in ("RGB", "RGBA", "P", "L", "1"):
        raise UserError(f"{path}: expected an image of the colours of the classes, got mode {image.mode}")
    if image.mode == "RGBA" or "transparency" in image.info:
        pixels = np.asarray(image.convert("RGBA"))
        seen_through = int((pixels[..., 3] < 255).sum())
        if seen_through:
            raise UserError(
                f"{path}: {seen_through} pixels are transparent, which is no colour: save the mask without transparency"
            )
        return pixels[..., :3]
    return np.asarray(image.convert("RGB"))


def _codes(colours: np.ndarray) -> np.ndarray:
    """Colours, uint8 (..., 3), as numbers 0xrrggbb."""
    wide = colours.astype(np.int32)
    return np.asarray(wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2])


def _unknown_colours(unknown: np.ndarray, table: np.ndarray) -> str:
    """Words on pixels (N,) whose codes are not in the table: how many, which colours, and the nearest known ones."""
    codes, counts = np.unique(unknown, return_counts=True)
    known = np.stack([table >> 16, table >> 8 & 255, table & 255], 1)
    lines = []
    for which in np.argsort(-counts, kind="stable")[:_SHOWN]:
        code = int(codes[which])
        distance = ((known - [code >> 16, code >> 8 & 255, code & 255]) ** 2).sum(1)
        nearest = int(np.argmin(distance))
        name = f"class {nearest}" if nearest < len(table) - 1 else "void"
        lines.append(f"#{code:06x} ({int(counts[which])} pixels; nearest is #{int(table[nearest]):06x}, {name})")
    more = f" and {len(codes) - _SHOWN} more" if len(codes) > _SHOWN else ""
    advice = (
        "So many colours come from smoothed edges, scaling or JPEG: draw masks without them."
        if len(codes) > _MANY
        else "Is a class missing, or its colour another one?"
    )
    return f"{len(unknown)} pixels have colours of no class: {', '.join(lines)}{more}. {advice}"


ENCODINGS = {
    "indices": Encoding(_indices, 0, VOID),
    "ade20k": Encoding(_indices, 1, 0),
    "sbd": Encoding(_sbd, 0, None),
    "colours": Encoding(_by_colour, 0, VOID),
}
