"""Files that are either complete or absent: digests, atomic replacement, JSON, arrays without pickles."""

import contextlib
import csv
import hashlib
import json
import math
import os
import shutil
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fcn.errors import UserError

# First bytes -> what a person calls it. `sniff` looks here only; a tar has its mark at byte 257 instead.
_MAGIC = (
    (b"\x1f\x8b", "a gzip archive"),
    (b"PK\x03\x04", "a zip archive (also .npz, .keras)"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"\x93NUMPY", "a .npy array"),
    (b"MATLAB 5.0", "a MATLAB-5 file"),
    (b"MATLAB 7.3", "a MATLAB-7.3 file"),
    (b"version https://git-lfs", "a git-lfs pointer, not the file it points to"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\x00", "an xz archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (b"%PDF-", "a PDF document"),
    (b"<?xml", "an XML document"),
)

_MOST_ARRAYS, _DEFLATED = 2**35, 1032
"""Bytes that the arrays of a file may have together; how many times its size a packed one becomes."""
_BROKEN = (
    EOFError, LookupError, MemoryError, NotImplementedError, OSError, OverflowError, RecursionError, RuntimeError,
    SyntaxError, TypeError, ValueError, struct.error, tokenize.TokenError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What zipfile and numpy raise on a damaged file, depending on where they stumble."""


def digest(path: str | os.PathLike[str], algorithm: str = "sha256") -> str:
    """Hexadecimal digest of the file `path`, read in pieces; `algorithm` as in `hashlib` (md5, sha1, sha256, ...)."""
    with open(path, "rb") as file:
        # Said to be no security matter, or md5, which old archives are published with, is refused on hardened systems.
        return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()


def sniff(path: str | os.PathLike[str]) -> str:
    """Say in a few words what the file `path` is, going by its first bytes, never by its name; for error messages.

    Returns e.g. "an HTML page", "a git-lfs pointer, ...", "a tar archive", "empty", or "of unknown type (starts with
    ...)".
    """
    with open(path, "rb") as file:
        return sniff_bytes(file.read(1024))


def sniff_bytes(head: bytes) -> str:
    """The same of a file's first bytes, 1024 or all of them."""
    head = head[:1024]
    if not head:
        return "empty"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<body")) or b"<html" in text:
        return "an HTML page"
    if head[257:262] == b"ustar":
        return "a tar archive"
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    return f"of unknown type (starts with {head[:16]!r})"


def _remove(path: Path) -> None:
    """Remove a file, a link or a whole directory; absent is fine."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`, with the same suffixes; write a file or a directory there.

    When the block ends well, what was written takes the place of `path` (a file, a link or a directory, existing or
    not); when it raises, KeyboardInterrupt included, it is removed and `path` stays as it was. Parents are created. The
    temporary name depends on `path` alone, so what a killed process left is cleared by the next one: only one process
    may write a `path` at a time.

    Raises FileNotFoundError if nothing was written.
    """
    path = Path(path)
    temporary, former = path.with_name(f".part-{path.name}"), path.with_name(f".former-{path.name}")
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove(temporary)
    if former.exists() and not os.path.lexists(path):
        os.replace(former, path)  # killed between the two renames below
    _remove(former)
    try:
        yield temporary
        # A directory can be renamed onto an empty directory only, a file onto none, so an existing one steps aside.
        if os.path.lexists(temporary) and path.is_dir():
            os.replace(path, former)
        os.replace(temporary, path)
    except BaseException:
        if former.exists() and not os.path.lexists(path):
            os.replace(former, path)
        _remove(temporary)
        raise
    _remove(former)


def write_json(path: str | os.PathLike[str], obj: Any) -> None:
    """Write `obj` as JSON: keys in their own order, indented by 2, with a final newline.

    Raises ValueError for NaN and infinities, which JSON does not have.
    """
    text = json.dumps(obj, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_csv(path: str | os.PathLike[str], header: Sequence[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write a CSV file: UTF-8, a line per row, each ended by a newline alone, on every system."""
    with replacing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def save_arrays(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], compressed: bool = False) -> None:
    """Write `arrays` as an `.npz` in the mapping's order; the same arrays give the same bytes every time.

    `compressed`: whether to deflate them, which takes time and gains nothing of float32 weights.

    Raises TypeError for arrays of Python objects, which could only be pickled.
    """
    # In C order: savez keeps whatever memory order an array happens to have, and that is not part of its value.
    plain = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    for name, array in plain.items():
        if array.dtype.hasobject:
            raise TypeError(f"array {name!r} holds Python objects ({array.dtype}): only numbers can be saved")
    with replacing(path) as temporary, open(temporary, "wb") as file:
        (np.savez_compressed if compressed else np.savez)(file, **plain)  # type: ignore[arg-type]


def load_arrays(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Read every array of an `.npz`, in the file's order, without unpickling anything.

    Each array's header is held against the bytes that the file has for it before memory is asked for.

    Raises UserError, naming the file and what it is, if it is missing, no `.npz`, truncated, damaged or pickled; or if it
    holds anything but finite real numbers.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: wanted an .npz file of arrays, but there is no such file")
    try:
        with open(path, "rb") as file, zipfile.ZipFile(file) as archive:
            # np.load would try to unpickle whatever has no known first bytes, and names no file in its errors.
            _check_members(archive)
        with np.load(path, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files}
        for name, array in found.items():
            # Without a second array; NaN is the least and the largest of all that it stands among.
            if array.size and not np.isfinite([array.min(), array.max()]).all():
                raise ValueError(f"{name} holds NaN or infinity")
        return found
    except _BROKEN as error:
        kind = "a file that cannot be read"
        with contextlib.suppress(OSError):
            kind = sniff(path)
        hint = "it is truncated, damaged or pickled" if "zip" in kind else f"it is {kind}"
        raise UserError(
            f"{path}: wanted an .npz file of plain arrays, but {hint} ({path.stat().st_size} bytes; {error}). "
            "Remove the file and let the stage that makes it run again."
        ) from error


def _check_members(archive: zipfile.ZipFile) -> None:
    """Raises ValueError for a member that is no array of real numbers, or not of the size it claims."""
    members = archive.infolist()
    if sum(member.file_size for member in members) > _MOST_ARRAYS:
        raise ValueError(f"its arrays would have more than {_MOST_ARRAYS} bytes")
    if len({member.filename for member in members}) < len(members):
        raise ValueError("an array stands there twice")
    for member in members:
        if member.file_size > _DEFLATED * max(member.compress_size, 1):
            raise ValueError(f"{member.filename} claims {member.file_size} bytes, packed into {member.compress_size}")
        with archive.open(member) as file:
            version = np.lib.format.read_magic(file)
            if version not in ((1, 0), (2, 0)):
                raise ValueError(f"{member.filename} has a header of version {version}")
            first = version == (1, 0)
            read = np.lib.format.read_array_header_1_0 if first else np.lib.format.read_array_header_2_0
            shape, _, dtype = read(file)
            if dtype.kind not in "iuf" or dtype.itemsize > 8:
                pickled = ", which would have to be pickled" * dtype.hasobject
                raise ValueError(f"{member.filename} holds {str(dtype)[:60]}{pickled}, and no real numbers")
            size = math.prod(shape) * dtype.itemsize
            left = member.file_size - file.tell()
            if min(shape, default=0) < 0 or size != left:
                raise ValueError(f"{member.filename} claims {str(shape)[:60]}, {size} bytes, and has {left}")
