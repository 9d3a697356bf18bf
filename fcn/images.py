"""Reading a picture of any kind into RGB, as a viewer would show it, or saying why not."""

import contextlib
import io
import struct
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from fcn import files
from fcn.errors import UserError

_ORIENTATION = 0x0112  # the EXIF tag: 1 is upright, 5 to 8 lie on their side
_BROKEN = (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError, EOFError, struct.error)


@dataclass(frozen=True)
class Header:
    """What a picture's file says of itself.

    Attributes:
        format: Pillow's name: JPEG, MPO (a camera's JPEG with a second picture behind the first), PNG, TIFF, ...
        mode: Pillow's: RGB, L, P, CMYK, I;16, ...
        size: (width, height) in pixels as `read` gives it, upright.
        orientation: EXIF's mark 1..8; 1, upright, if there is none.
        stored: (width, height) as the pixels lie in the file, which is what a reader without EXIF sees.
    """

    format: str
    mode: str
    size: tuple[int, int]
    orientation: int
    stored: tuple[int, int]

    @property
    def plain_jpeg(self) -> bool:
        """Any decoder of JPEGs gives what `read` gives: baseline colours or grey, upright."""
        return self.format in ("JPEG", "MPO") and self.mode in ("RGB", "L") and self.orientation == 1


def header(path: Path) -> Header:
    """Reads a picture's header only, but a PNG as a whole, since its EXIF may stand behind the pixels.

    Raises:
        UserError: no such file, or no picture.
    """
    with opened(path) as image:
        return _header(image)


def read(path: Path) -> np.ndarray:
    """Reads a picture of any of Pillow's modes.

    Grey and palette become RGB; transparency is laid on white; CMYK is converted without a colour profile, its inks
    inverted as Adobe writes them; of 16 bits the upper 8 are kept (full scale is 65535); of several frames the first; EXIF's
    orientation is carried out.

    Args:
        path: JPEG, PNG, TIFF, WebP, ... what it is is told from its first bytes.

    Returns:
        uint8 RGB (H, W, 3).

    Raises:
        UserError: no such file, no picture, a truncated one, or pixels without a known scale (float, 32 bits).
    """
    with opened(path) as image:
        return _rgb(image, str(path))


def decode(
    data: bytes, name: str = "the data", pixels: int | None = None, formats: Collection[str] | None = None
) -> np.ndarray:
    """Reads a picture from memory, as `read` does from a file.

    Args:
        data: a whole JPEG, PNG, TIFF, WebP, ... file.
        name: what messages call it.
        pixels: at most so many, by what it says of itself: no others are decoded. None: as many as Pillow takes.
        formats: Pillow's names of those that are taken; None: all.

    Returns:
        uint8 RGB (H, W, 3).

    Raises:
        UserError: see `read`; another format; more pixels.
    """
    with _explained(name, lambda: files.sniff_bytes(data)), Image.open(io.BytesIO(data)) as image:
        if formats is not None and image.format not in formats:
            raise UserError(f"{name}: expected a picture of the formats {', '.join(formats)}; got {image.format}")
        width, height = image.size
        if pixels is not None and width * height > pixels:
            raise UserError(f"{name}: {width}x{height} are {width * height:,} pixels; {pixels:,} are allowed: make it smaller")
        return _rgb(image, name)


def _rgb(image: Image.Image, name: str) -> np.ndarray:
    found = _header(image)
    upright = ImageOps.exif_transpose(image)
    if found.mode.startswith("I;16"):
        grey = (np.asarray(upright) >> 8).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if found.mode in ("I", "F"):
        raise UserError(
            f"{name}: expected a picture of 8 or 16 bits, got {found.format} of mode {found.mode} (32 bits), whose white "
            "is unknown. Save it with 8 bits per channel."
        )
    if upright.has_transparency_data:
        seen = upright.convert("RGBA")
        white = Image.new("RGBA", seen.size, "white")
        upright = Image.alpha_composite(white, seen)
    return np.array(upright.convert("RGB"))


def _header(image: Image.Image) -> Header:
    orientation = image.getexif().get(_ORIENTATION, 1)
    orientation = orientation if orientation in range(1, 9) else 1
    width, height = image.size
    turned = (height, width) if orientation >= 5 else (width, height)
    if image.format == "TIFF":  # Pillow has swapped the sides already
        return Header("TIFF", image.mode, (width, height), orientation, turned)
    return Header(str(image.format), image.mode, turned, orientation, (width, height))


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """Opens a picture as Pillow does, while errors that only come up when its pixels are read become a `UserError`, too.

    Raises:
        UserError: no such file, no picture, or one that ends too early.
    """
    with _explained(str(path), lambda: files.sniff(path) if path.is_file() else "not a file"), Image.open(path) as image:
        yield image


@contextlib.contextmanager
def _explained(name: str, kind: Callable[[], str]) -> Iterator[None]:
    """Turns what Pillow raises into a `UserError` that says what `name` is instead of a picture."""
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(f"{name}: the picture is missing") from error
    except _BROKEN as error:
        # Of what it cannot identify Pillow says the object's address, which is another one every time.
        why = "no format of pictures that is known" if isinstance(error, UnidentifiedImageError) else error
        raise UserError(
            f"{name}: expected a picture, but it cannot be read: it is {kind()} ({why}). Replace it or take it off the list."
        ) from error
