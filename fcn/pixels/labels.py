"""Label images: reading a file into class indices without fooling oneself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from fcn.errors import UserError
from fcn.pixels import images, matfile
from fcn.spec import VOID, VOID_COLOUR, Colour, palette

_NOTHING = -1
_SHOWN = 3
_MANY = 20


_VOC = palette()


_VOC = palette()


def to_image(labels: np.ndarray) -> Image.Image:
    """A palette image of uint8 labels (H, W): the index is the class, as in VOC's files."""
    image = Image.fromarray(labels.astype(np.uint8))
    image.putpalette(palette().reshape(-1).tolist())
    return image


@dataclass(frozen=True)
class Stored:
    """A label file's pixels as they are stored.

    Attributes:
        kind: "palette" (indices), "grey", "bits" (0 and 1), "numbers" (16 bits, or from a .mat) or
            "rgb" (0xRRGGBB).
        format: Pillow's name of the file's format, or "MAT".
        mode: Pillow's, or "GTcls" of a .mat file.
        pixels: int32 (H, W).
        palette: int32 (256,), 0xRRGGBB by index, if `kind` is "palette".
        transparent: so many pixels are not opaque (their colours count all the same).
        top: the sample that is white in "grey" and "bits": 1, 3, 15 or 255.
    """

    kind: str
    format: str
    mode: str
    pixels: np.ndarray
    palette: np.ndarray | None = None
    transparent: int = 0
    top: int = 255

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)."""
        return self.pixels.shape[1], self.pixels.shape[0]

    def values(self, keys: np.ndarray) -> np.ndarray | None:
        """The numbers that stored pixels stand for; None if they are colours, at least one of which
        is no grey.

        Args:
            keys: int32, some of `pixels`.
        """
        if self.kind != "rgb":
            return keys
        red, green, blue = keys >> 16, keys >> 8 & 255, keys & 255
        return blue if np.array_equal(red, green) and np.array_equal(green, blue) else None

    def colours(self, keys: np.ndarray) -> np.ndarray | None:
        """The colours (0xRRGGBB) that stored pixels are shown in; None for numbers, which have
        none.

        Args:
            keys: int32, some of `pixels`.
        """
        if self.kind == "palette":
            assert self.palette is not None
            return np.asarray(self.palette[keys])
        if self.kind in ("grey", "bits"):
            return keys * (255 // self.top * 0x010101)
        return keys if self.kind == "rgb" else None


def stored(path: Path, draw: Callable[[], np.ndarray] | None = None) -> Stored:
    """Reads the pixels of a label file of any kind, as they were written.

    Where Pillow changes them, they are changed back: it multiplies grey of 1, 2 and 4 bits up to
    255, and inverts a TIFF whose white is 0. What a decoder takes away or leaves open is refused.

    Args:
        path: a picture of one of `images.MASKS`, or a .mat of SBD.
        draw: see `datasets.pairs.Pair`; then nothing is read here.

    Returns:
        The pixels and how they are stored.

    Raises:
        UserError: missing, no picture or .mat of SBD, truncated; floating point numbers, several
            frames, a mark of EXIF that would turn it, or 16 bits per colour.
    """
    if draw is not None:
        return Stored("palette", "PNG", "P", draw().astype(np.int32), _codes(_VOC))
    if path.suffix == ".mat":
        return Stored("numbers", "MAT", "GTcls", matfile.segmentation(path).astype(np.int32))
    with images.opened(path, images.MASKS, noun="label") as image:
        file, mode, raw = str(image.format), image.mode, _raw_mode(image)
        if mode == "F":
            raise UserError(
                f"{path}: expected a label of whole numbers or colours, got {file} of "
                "mode F (floating point)"
            )
        frames: int = getattr(image, "n_frames", 1)
        if frames > 1:
            raise UserError(
                f"{path}: expected a label of one frame, got {frames}: save the right one alone"
            )
        if raw.endswith(";16B") and mode != "I;16":
            raise UserError(
                f"{path}: expected a label of 8 bits per colour, got 16, half of which its decoder "
                "drops: save it with 8 (magick IN -depth 8 OUT)"
            )
        orientation = image.getexif().get(images.ORIENTATION, 1)
        if orientation in range(2, 9):
            raise UserError(
                f"{path}: expected a label without an EXIF mark, got orientation {orientation}: "
                "viewers turn it, and whoever reads its pixels does not. Remove the mark "
                "(exiftool -Orientation= LABEL), or turn the pixels"
            )
        transparent = 0
        if image.has_transparency_data:
            transparent = int(np.count_nonzero(np.asarray(image.convert("RGBA"))[..., 3] < 255))
        if mode == "P":
            flat = np.array(image.getpalette("RGB") or [0, 0, 0], np.int32).reshape(-1, 3)
            palette = np.zeros(256, np.int32)
            palette[: len(flat)] = flat @ [1 << 16, 1 << 8, 1]
            return Stored(
                "palette", file, mode, np.asarray(image).astype(np.int32), palette, transparent
            )
        if mode in ("1", "L", "LA"):
            kind = "bits" if mode == "1" else "grey"
            pixels, top = _samples(image, mode, raw)
            return Stored(kind, file, mode, pixels, transparent=transparent, top=top)
        if mode.startswith("I"):
            return Stored("numbers", file, mode, np.asarray(image).astype(np.int32))
        colour = np.asarray(image.convert("RGB")).astype(np.int32)
        return Stored("rgb", file, mode, colour @ [1 << 16, 1 << 8, 1], transparent=transparent)


def _raw_mode(image: Image.Image) -> str:
    """What Pillow calls the samples of the file, such as "L;4" for grey of 4 bits."""
    tiles = getattr(image, "tile", None)
    arguments = tiles[0].args if tiles else ""
    return str(arguments[0] if isinstance(arguments, tuple) else arguments)


def _samples(image: Image.Image, mode: str, raw: str) -> tuple[np.ndarray, int]:
    """Grey or black and white as the samples of the file, int32 (H, W), and the sample that is
    white.
    """
    values = np.asarray(image.getchannel("L") if mode == "LA" else image).astype(np.int32)
    bits = raw.partition(";")[2]
    top = 1 if mode == "1" else {"2": 3, "4": 15}.get(bits[:1], 255)
    values = values if mode == "1" else values // (255 // top)
    return (top - values if "I" in bits else values), top


@dataclass(frozen=True)
class Encoding:
    """How a label file says its classes.

    Attributes:
        values: makes of what is stored (and of a table of colours) uint8 (H, W); the path is for
            messages.
        first: the value of class 0.
        void: the value of void; None: there is none.
    """

    values: Callable[[Path, Stored, Sequence[Colour]], np.ndarray]
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
        path: what `encoding` says: a palette or grey PNG whose values are the classes ("indices",
            255 is void), or one more than the classes ("ade20k", 0 is void); a MATLAB file of SBD
            ("sbd", no void); an image of colours ("colours", VOC's (224, 224, 192) is void).
        classes: how many there are, 1..255.
        image_size: (width, height) of the image it belongs to, checked if given.
        encoding: a key of `ENCODINGS`.
        colours: for "colours", (red, green, blue), 0..255, of each class.

    Returns:
        uint8 (H, W): 0..classes-1, and 255 for void.

    Raises:
        UserError: missing, unreadable or of another kind; other size than the image; a value or
            colour that is no class.
    """
    return classes_of(path, stored(path), classes, image_size, encoding, colours)


def classes_of(
    path: Path,
    found: Stored,
    classes: int,
    image_size: tuple[int, int] | None,
    encoding: str,
    colours: Sequence[Colour],
) -> np.ndarray:
    """Does what `read` does with a file that has been read.

    Args:
        path: of the file, for messages.
        found: what `stored` gives of it.
        classes: see `read`.
        image_size: see `read`.
        encoding: see `read`.
        colours: see `read`.

    Returns:
        uint8 (H, W): 0..classes-1, and 255 for void.

    Raises:
        UserError: see `read`.
    """
    if encoding not in ENCODINGS:
        raise UserError(
            f"{path}: expected one of the encodings {', '.join(ENCODINGS)}; got {encoding}"
        )
    if found.format not in ("PNG", "MAT"):
        raise UserError(
            f"{path}: expected a PNG label, got {found.format}: save it as PNG, as "
            "--convert of the doctor does"
        )
    kind, size = ENCODINGS[encoding], found.size
    values = kind.values(path, found, colours)
    if image_size is not None and size != tuple(image_size):
        raise UserError(
            f"{path}: the label is {size[0]}x{size[1]} pixels, its image "
            f"{image_size[0]}x{image_size[1]}"
        )
    meaning = np.full(256, _NOTHING, np.int16)
    meaning[kind.first : kind.first + classes] = np.arange(classes)
    if kind.void is not None:
        meaning[kind.void] = VOID
    # Comparing whole arrays is several times faster than counting, and nearly always all that is
    # needed.
    outside = (values < kind.first) | (values >= kind.first + classes)
    if kind.void is not None:
        outside &= values != kind.void
    if outside.any():
        counts = np.bincount(values[outside], minlength=256)
        wrong = np.flatnonzero(counts).tolist()
        expected = f"{kind.first}..{kind.first + classes - 1}" + (
            f" and {kind.void} (void)" if kind.void is not None else ""
        )
        raise UserError(
            f"{path}: label values {wrong} in {int(counts[wrong].sum())} pixels, expected "
            f"{expected}. Is this the right data set, and does `classes` name all of its classes?"
        )
    return values if kind.first == 0 else meaning.astype(np.uint8)[values]


def _indices(path: Path, found: Stored, _colours: Sequence[Colour]) -> np.ndarray:
    if found.kind not in ("palette", "grey", "bits") or found.mode == "LA":
        advice = (
            "Save it with 8 bits."
            if found.kind == "numbers"
            else ("Colours must be turned back into indices first.")
        )
        raise UserError(
            f"{path}: expected a palette or 8-bit grey image whose values are class indices, got "
            f"mode {found.mode}. {advice}"
        )
    return found.pixels.astype(np.uint8)


def _sbd(path: Path, found: Stored, _colours: Sequence[Colour]) -> np.ndarray:
    if found.format != "MAT":
        raise UserError(f"{path}: expected a .mat label of SBD, got {found.format}")
    return found.pixels.astype(np.uint8)


def _by_colour(path: Path, found: Stored, colours: Sequence[Colour]) -> np.ndarray:
    """The classes of an image of colours, uint8 (H, W)."""
    codes = found.colours(found.pixels)
    if codes is None or found.mode not in ("RGB", "RGBA", "P", "L", "1"):
        raise UserError(
            f"{path}: expected an image of the colours of the classes, got mode {found.mode}"
        )
    if found.transparent:
        raise UserError(
            f"{path}: {found.transparent} pixels are transparent, which is no colour: save the "
            "mask without transparency"
        )
    table = _codes(np.array([*colours, VOID_COLOUR], np.uint8).reshape(-1, 3))
    order = np.argsort(table, kind="stable")
    nearest = np.minimum(np.searchsorted(table, codes, sorter=order), len(table) - 1)
    classes = order[nearest]
    unknown = table[classes] != codes
    if unknown.any():
        raise UserError(f"{path}: {_unknown_colours(codes[unknown], table)}")
    return np.where(classes == len(colours), VOID, classes).astype(np.uint8)


def _codes(colours: np.ndarray) -> np.ndarray:
    """Colours, uint8 (..., 3), as numbers 0xrrggbb."""
    wide = colours.astype(np.int32)
    return np.asarray(wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2])


def _unknown_colours(unknown: np.ndarray, table: np.ndarray) -> str:
    """Words on pixels (N,) whose codes are not in the table: how many, which colours, and the
    nearest known ones.
    """
    codes, counts = np.unique(unknown, return_counts=True)
    known = np.stack([table >> 16, table >> 8 & 255, table & 255], 1)
    lines = []
    for which in np.argsort(-counts, kind="stable")[:_SHOWN]:
        code = int(codes[which])
        distance = ((known - [code >> 16, code >> 8 & 255, code & 255]) ** 2).sum(1)
        nearest = int(np.argmin(distance))
        name = f"class {nearest}" if nearest < len(table) - 1 else "void"
        lines.append(
            f"#{code:06x} ({int(counts[which])} pixels; nearest is "
            f"#{int(table[nearest]):06x}, {name})"
        )
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
