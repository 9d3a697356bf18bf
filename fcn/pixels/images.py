"""Reading a picture of any kind into RGB, as a viewer would show it, or saying why not."""

import contextlib
import io
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from pillow_heif import register_heif_opener

from fcn.errors import UserError
from fcn.io import files

register_heif_opener()  # HEIC, which telephones write

ORIENTATION = 0x0112
"""The EXIF tag: 1 is upright, 5 to 8 lie on their side."""
PHOTOGRAPHS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "JPEG2000", "AVIF", "HEIF", "PPM")
"""Pillow's names of the formats that are read as photographs; MPO, a camera's JPEG with a second
picture, is a JPEG here.

Of Pillow's other formats some run programs: EPS starts Ghostscript.
"""
MASKS = ("PNG", "BMP", "GIF", "TIFF", "WEBP", "JPEG")
"""The formats that are opened as labels; `labels.read` takes PNG alone, the doctor says what to do
about the others.
"""
SIDE = 16_384
"""The longest side of a picture in a data set or sent to a server, in pixels: 200-megapixel
photographs have less.
"""

MEGAPIXELS = 200
"""The largest picture that is read, unless `allow` says otherwise: telephones make such."""

# Pillow raises beyond twice its bound, and warns from there on.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


def allow(megapixels: float) -> None:
    """Says how large the pictures may be that this process reads; nothing larger is decoded."""
    Image.MAX_IMAGE_PIXELS = round(megapixels * 1e6 / 2)


allow(MEGAPIXELS)

LISTED = "Replace it or take it off the list."
"""What to do about a picture of a data set that cannot be read."""

Refusal = Callable[[int, int], str]
"""Width and height, as the file states them -> why the picture is not to be decoded; "" if it may
be.
"""


def _allowed() -> float:
    return 2 * (Image.MAX_IMAGE_PIXELS or 0) / 1e6


def longest(width: int, height: int) -> str:
    """The `Refusal` of pictures with a side of more than `SIDE` pixels."""
    if max(width, height) <= SIDE:
        return ""
    return (
        f"{width}x{height} pixels; sides of at most {SIDE:,} are allowed: cut it into pieces "
        "or make it smaller"
    )


@dataclass(frozen=True)
class Header:
    """What a picture's file says of itself.

    Attributes:
        format: Pillow's name: JPEG, MPO (a camera's JPEG with a second picture behind the first),
            PNG, TIFF, ...
        mode: Pillow's: RGB, L, P, CMYK, I;16, ...
        size: (width, height) in pixels as `read` gives it, upright.
        orientation: EXIF's mark 1..8; 1, upright, if there is none.
        stored: (width, height) as the pixels lie in the file, which is what a reader without EXIF
            sees.
    """

    format: str
    mode: str
    size: tuple[int, int]
    orientation: int
    stored: tuple[int, int]

    @property
    def plain_jpeg(self) -> bool:
        """Any decoder of JPEGs gives what `read` gives: baseline colours or grey, upright."""
        return (
            self.format in ("JPEG", "MPO") and self.mode in ("RGB", "L") and self.orientation == 1
        )


def header(path: Path, refusal: Refusal | None = None) -> Header:
    """Reads a picture's header only, but a PNG as a whole, since its EXIF may stand behind the
    pixels.

    Raises:
        UserError: no such file, no picture, or see `refusal` of `opened`.
    """
    with opened(path, refusal=refusal) as image:
        return _header(image)


def read(path: Path, refusal: Refusal | None = None) -> np.ndarray:
    """Reads a picture of any of Pillow's modes.

    Grey and palette become RGB; transparency is laid on white; CMYK is converted without a colour
    profile, its inks inverted as Adobe writes them; of 16 bits the upper 8 are kept (full scale is
    65535); of several frames the first; EXIF's orientation is carried out.

    Args:
        path: of one of the `PHOTOGRAPHS`; which one is told from its first bytes.
        refusal: see `opened`.

    Returns:
        uint8 RGB (H, W, 3).

    Raises:
        UserError: no such file, no picture, a truncated one, or pixels without a known scale
            (float, 32 bits).
    """
    with opened(path, refusal=refusal) as image:
        return _rgb(image, str(path))


def decode(
    data: bytes,
    name: str = "the data",
    formats: Sequence[str] = PHOTOGRAPHS,
    refusal: Refusal | None = None,
    remedy: str = LISTED,
) -> np.ndarray:
    """Reads a picture from memory, as `read` does from a file.

    Args:
        data: a whole JPEG, PNG, TIFF, WebP, ... file.
        name: what messages call it.
        formats: Pillow's names of those that are taken.
        refusal: see `opened`.
        remedy: what to do about one that cannot be read.

    Returns:
        uint8 RGB (H, W, 3).

    Raises:
        UserError: see `read`; another format; a refused size.
    """
    explained = _explained(name, lambda: files.sniff_bytes(data), formats, remedy=remedy)
    with explained, _checked(io.BytesIO(data), name, formats, refusal) as image:
        return _rgb(image, name)


def _rgb(image: Image.Image, name: str) -> np.ndarray:
    found = _header(image)
    upright = ImageOps.exif_transpose(image)
    if found.mode.startswith("I;16"):
        grey = (np.asarray(upright) >> 8).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if found.mode in ("I", "F"):
        raise UserError(
            f"{name}: expected a picture of 8 or 16 bits, got {found.format} of mode {found.mode} "
            "(32 bits), whose white is unknown. Save it with 8 bits per channel."
        )
    if upright.has_transparency_data:
        seen = upright.convert("RGBA")
        white = Image.new("RGBA", seen.size, "white")
        upright = Image.alpha_composite(white, seen)
    return np.array(upright.convert("RGB"))


def _header(image: Image.Image) -> Header:
    orientation = image.getexif().get(ORIENTATION, 1)
    orientation = orientation if orientation in range(1, 9) else 1
    width, height = image.size
    turned = (height, width) if orientation >= 5 else (width, height)
    if image.format == "TIFF":  # Pillow has swapped the sides already
        return Header("TIFF", image.mode, (width, height), orientation, turned)
    return Header(str(image.format), image.mode, turned, orientation, (width, height))


@contextlib.contextmanager
def opened(
    path: Path,
    formats: Sequence[str] = PHOTOGRAPHS,
    refusal: Refusal | None = None,
    noun: str = "picture",
) -> Iterator[Image.Image]:
    """Opens a picture as Pillow does, while errors that only come up when its pixels are read
    become a `UserError`, too.

    Args:
        path: a regular file: a FIFO or a device is not opened, since it may never end.
        formats: Pillow's names of those that are taken; the code of the others is not run.
        refusal: is asked before anything is decoded.
        noun: what messages call it.

    Raises:
        UserError: no such file, no picture of these formats, one that ends too early, or a refused
            size.
    """
    with _explained(str(path), lambda: files.sniff(path), formats, noun):
        if not path.exists():
            raise FileNotFoundError
        if not path.is_file():
            what = "a folder" if path.is_dir() else "no regular file"
            raise UserError(
                f"{path}: expected a {noun}, but it cannot be read: it is not a file ({what}). "
                f"{LISTED}"
            )
        with open(path, "rb") as file, _checked(file, str(path), formats, refusal) as image:
            yield image


@contextlib.contextmanager
def _checked(
    file: IO[bytes],
    name: str,
    formats: Sequence[str],
    refusal: Refusal | None,
) -> Iterator[Image.Image]:
    with Image.open(file, formats=tuple(formats)) as image:
        why = refusal(*image.size) if refusal else ""
        if why:
            raise UserError(f"{name}: {why}")
        yield image


@contextlib.contextmanager
def _explained(
    name: str,
    kind: Callable[[], str],
    formats: Sequence[str],
    noun: str = "picture",
    remedy: str = LISTED,
) -> Iterator[None]:
    """Turns what Pillow raises into a `UserError` that says what `name` is instead of a picture."""
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(f"{name}: the {noun} is missing") from error
    except Image.DecompressionBombError as error:
        pixels = int(re.findall(r"\d+", str(error))[0]) / 1e6
        raise UserError(
            f"{name}: a {noun} of {pixels:,.1f} megapixels; at most {_allowed():,.0f} are allowed: "
            "cut it into pieces, make it smaller, or allow more (`fcn predict --megapixels`)"
        ) from error
    except Exception as error:  # of any kind: Pillow's decoders raise what comes up in them
        why: object = str(error) or type(error).__name__
        if isinstance(error, UnidentifiedImageError):
            # Pillow says the object's address, which is another one every time.
            why = f"none of the formats {', '.join(formats)}"
        try:
            what = kind()
        except OSError:
            what = "a file that cannot be read"
        raise UserError(
            f"{name}: expected a {noun}, but it cannot be read: it is {what} ({why}). {remedy}"
        ) from error
