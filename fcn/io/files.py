"""Files that are either complete or absent: digests, atomic replacement, JSON, arrays without
pickles.
"""

import contextlib
import csv
import hashlib
import json
import math
import os
import shutil
import stat
import struct
import tempfile
import tokenize
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fcn.errors import UserError, shown, words

# First bytes -> what a person calls it. `sniff` looks here only; a tar has its mark at byte 257
# instead.
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
"""Bytes that the arrays of a file may have together; how many times its size a packed one becomes.
"""
BROKEN = (
    EOFError, LookupError, MemoryError, NotImplementedError, OSError, OverflowError,
    RecursionError, RuntimeError,
    SyntaxError, TypeError, ValueError, struct.error, tokenize.TokenError, zipfile.BadZipFile,
    zlib.error,
)  # fmt: skip
"""What zipfile and numpy raise on a damaged file, depending on where they stumble."""


def walk(top: Path) -> Iterator[Path]:
    """All that is no folder below a folder, in the order of names; hidden names are left out.

    Links are followed, but into no folder that has been seen.

    Args:
        top: the folder.

    Yields:
        Paths that begin with `top`.
    """
    seen: set[str] = set()
    for folder, below, names in os.walk(top, followlinks=True):
        real = os.path.realpath(folder)
        below[:] = (
            [] if real in seen else sorted(name for name in below if not name.startswith("."))
        )
        if real not in seen:
            yield from (Path(folder, name) for name in sorted(names) if not name.startswith("."))
        seen.add(real)


def links(top: Path) -> list[Path]:
    """The links below a folder, without what is behind them.

    Args:
        top: the folder.
    """
    found = (
        Path(folder, name)
        for folder, below, names in os.walk(top)
        for name in sorted(below + names)
    )
    return [path for path in found if path.is_symlink()]


def digest(path: str | os.PathLike[str], algorithm: str = "sha256") -> str:
    """Hexadecimal digest of a file, read in pieces.

    Args:
        path: of the file.
        algorithm: as in `hashlib`: md5, sha1, sha256, ...
    """
    with open(path, "rb") as file:
        # Said to be no security matter, or md5, which old archives are published with, is refused
        # on hardened systems.
        return hashlib.file_digest(
            file, lambda: hashlib.new(algorithm, usedforsecurity=False)
        ).hexdigest()


def sniff(path: str | os.PathLike[str]) -> str:
    """Says in a few words what a file is, by its first bytes, never by its name; for messages.

    Args:
        path: of the file.

    Returns:
        Such as "an HTML page", "a git-lfs pointer, ...", "a tar archive", "empty", or "of unknown
        type (starts with ...)".
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


PART, FORMER = ".fcn-part-", ".fcn-former-"
"""How the names begin under which something new is written, and something old steps aside, beside
what is replaced.

What bears such a name was left by a process of this program that was killed. Nothing else beside a
target is ever removed.
"""

Mark = tuple[str, str]
"""By what a folder is known that this program made: the name of a file in it, and a text in that
file's beginning."""

_HEAD = 2**16
"""Bytes of a file in which its mark is looked for."""


def check_file(path: str | os.PathLike[str], option: str = "") -> None:
    """Ask whether a file may be written to `path`, before the work begins whose result goes there;
    changes nothing.

    Args:
        path: of a file, which need not exist; nor need its folder.
        option: by which the user named it, for the message.

    Raises:
        UserError: see `replacing_file`; also if this program's own output goes there, or if no file
            can be made there.
    """
    with _told(path, option, "a file"):
        target = _file(path, follow=True)
        for stream in (1, 2):
            with contextlib.suppress(OSError):  # closed
                if os.path.samestat(os.fstat(stream), target.stat()):
                    raise _Refusal("this program's own output goes there")
        _try(target)


def check_folder(path: str | os.PathLike[str], mark: Mark | None = None, option: str = "") -> None:
    """Ask whether a folder may be written to `path`, before the work begins whose result goes
    there; changes nothing.

    Args:
        path: of a folder, which need not exist; nor need the one that it is in.
        mark: see `replacing_folder`.
        option: by which the user named it, for the message.

    Raises:
        UserError: see `replacing_folder`; also if no folder can be made there.
    """
    with _told(path, option, "a folder"):
        _try(_folder(path, mark))


@contextlib.contextmanager
def replacing_file(path: str | os.PathLike[str], follow: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `path`, with the same suffixes; write a file there.

    When the block ends well, the file takes the place of `path`; when it raises, KeyboardInterrupt
    included, it is removed and `path` stays as it was. Parents are created. The temporary name
    depends on `path` alone, so what a killed process left is cleared by the next one: only one
    process may write a `path` at a time.

    Args:
        path: nothing, or a regular file. Of a symbolic link, what it leads to is replaced, and the
            link stays.
        follow: False replaces a link itself.

    Raises:
        UserError: there is a folder, a device, a pipe or a loop of links, or a link to a file that
            is write-protected, as those of DVC's cache are. Nothing is changed then.
        FileNotFoundError: nothing was written.
    """
    with _told(path, "", "a file"):
        target = _file(path, follow)
    temporary = target.with_name(PART + target.name)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary.unlink(missing_ok=True)
    try:
        yield temporary
        with _told(path, "", "a file"):
            _file(path, follow)  # what came there meanwhile is nobody's to delete either
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def replacing_folder(path: str | os.PathLike[str], mark: Mark | None = None) -> Iterator[Path]:
    """Yield a temporary path beside `path`; make a folder there.

    It takes the place of `path` as `replacing_file` says it of a file.

    Args:
        path: nothing, an empty folder, or one that bears the `mark`. Of a symbolic link, what it
            leads to is replaced.
        mark: of what the block writes, by which the next time knows it.

    Raises:
        UserError: there is a file, or a folder with files that this program did not make; or it is
            the current folder, or one that the current one is in. Nothing is changed then.
        FileNotFoundError: nothing was written.
    """
    target = Path(os.path.realpath(path))
    temporary, former = (target.parent / f"{start}{target.name}" for start in (PART, FORMER))
    with _told(path, "", "a folder"):
        if former.is_dir() and not os.path.lexists(target):
            os.replace(former, target)  # killed between the two renames below
        _folder(path, mark)
    target.parent.mkdir(parents=True, exist_ok=True)
    for left in (temporary, former):
        if left.is_dir():
            shutil.rmtree(left)
    try:
        yield temporary
        # A directory can be renamed onto an empty directory only, so an existing one steps aside.
        if temporary.is_dir() and target.is_dir():
            with _told(path, "", "a folder"):
                _folder(path, mark)
            os.replace(target, former)
        os.replace(temporary, target)
    except BaseException:
        if former.is_dir() and not os.path.lexists(target):
            os.replace(former, target)
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    shutil.rmtree(former, ignore_errors=True)


class _Refusal(Exception):
    """Why nothing may be written, in words that follow a "but"."""


@contextlib.contextmanager
def _told(path: str | os.PathLike[str], option: str, wanted: str) -> Iterator[None]:
    """Makes a refusal, ours or the system's, the sentence about `path` and the `option` that named
    it.
    """
    try:
        yield
    except (_Refusal, OSError) as error:
        place = f"{option}: {shown(path)}" if option else shown(path)
        why = words(error) if isinstance(error, OSError) else error
        raise UserError(
            f"{place}: expected a place to write {wanted} to, but {why}; nothing was changed. "
            "Name another path, or move away what is there."
        ) from None


def _file(path: str | os.PathLike[str], follow: bool) -> Path:
    """Where the file is to be written."""
    linked = os.path.islink(path)
    if linked and not follow:
        return Path(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
    target, mode = _led_to(path)
    if mode is not None and not stat.S_ISREG(mode):
        raise _Refusal(f"{_kind(mode)} is there")
    if linked and mode is not None and not mode & 0o222:
        raise _Refusal(
            f"it is a link to {shown(target)}, which is write-protected, as DVC's cache is"
        )
    return target


def _folder(path: str | os.PathLike[str], mark: Mark | None) -> Path:
    """Where the folder is to be made."""
    target, mode = _led_to(path)
    if mode is not None and not stat.S_ISDIR(mode):
        raise _Refusal(f"{_kind(mode)} is there")
    if Path(os.path.realpath(".")).is_relative_to(target):
        raise _Refusal("it is the current folder, or one that the current one is in")
    if mode is not None and any(target.iterdir()) and not _bears(target, mark):
        why = (
            (f"that this program did not make (it has no {mark[0]} of ours)")
            if mark
            else "with files in it"
        )
        raise _Refusal(f"a folder {why} is there")
    return target


def _led_to(path: str | os.PathLike[str]) -> tuple[Path, int | None]:
    """The path without links, and the mode of what is there, None for nothing."""
    target = Path(os.path.realpath(path))
    if target.is_relative_to("/proc"):  # where among others /dev/stdout leads to
        raise _Refusal("it is no place on a disk")
    try:
        return target, os.lstat(target).st_mode
    except FileNotFoundError:
        return target, None


def _kind(mode: int) -> str:
    kinds = {
        stat.S_IFDIR: "a folder",
        stat.S_IFREG: "a file",
        stat.S_IFLNK: "a loop of symbolic links",
    }
    kinds |= {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device")


def _bears(folder: Path, mark: Mark | None) -> bool:
    if mark is None:
        return False
    name, text = mark
    if not (folder / name).is_file():
        return False
    with open(folder / name, "rb") as file:
        return text.encode() in file.read(_HEAD)


def _try(target: Path) -> None:
    """Makes a file without a name in the folder that is there already, and looks whether the
    longest name is too long.
    """
    parent = next(parent for parent in (*target.parents, target) if os.path.isdir(parent))
    with contextlib.suppress(FileNotFoundError):
        os.lstat(target.parent / f"{FORMER}{target.name}")
    try:
        with tempfile.TemporaryFile(dir=parent):
            pass
    except OSError as error:
        raise _Refusal(f"nothing can be made in {shown(parent)}: {error.strerror}") from None


def write_json(path: str | os.PathLike[str], obj: Any) -> None:
    """Write `obj` as JSON: keys in their own order, indented by 2, with a final newline.

    Raises ValueError for NaN and infinities, which JSON does not have.
    """
    text = json.dumps(obj, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    with replacing_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_csv(
    path: str | os.PathLike[str], header: Sequence[str], rows: Iterable[Iterable[Any]]
) -> None:
    """Write a CSV file: UTF-8, a line per row, each ended by a newline alone, on every system."""
    with (
        replacing_file(path) as temporary,
        open(temporary, "w", newline="", encoding="utf-8") as file,
    ):
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


class _Plain:
    """An array in C order that is made when it is written, and gone after that.

    `savez` keeps whatever memory order an array happens to have, and that is not part of its value.
    """

    def __init__(self, name: str, array: Any) -> None:
        self.name, self.array = name, array

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        array = np.asarray(self.array, order="C")
        if array.dtype.hasobject:
            raise TypeError(
                f"array {self.name!r} holds Python objects ({array.dtype}): only "
                "numbers can be saved"
            )
        return array


def save_arrays(
    path: str | os.PathLike[str], arrays: Mapping[str, Any], compressed: bool = False
) -> None:
    """Write `arrays` as an `.npz` in the mapping's order; the same arrays give the same bytes every
    time.

    They may be variables: each becomes an array when its turn comes, so that no more than one is
    copied at a time.

    `compressed`: whether to deflate them, which takes time and gains nothing of float32 weights.

    Raises TypeError for arrays of Python objects, which could only be pickled.
    """
    plain = {name: _Plain(name, array) for name, array in arrays.items()}
    with replacing_file(path) as temporary, open(temporary, "wb") as file:
        (np.savez_compressed if compressed else np.savez)(file, **plain)  # type: ignore[arg-type]


class Arrays(Mapping[str, np.ndarray]):
    """The arrays of an open `.npz`, each read when it is asked for: memory holds one at a time.

    Nothing is unpickled. Each array's header is held against the bytes that the file has for it
    before memory is asked for.

    Raises UserError, naming the file and what it is, if it is missing, no `.npz`, truncated,
    damaged or pickled; or if an array that is asked for holds anything but finite real numbers.

    Attributes:
        headers: shape and dtype of every array, by name.

    Example:
        >>> with Arrays("fcn/pretrained/voc20/weights.npz") as arrays:
        ...     arrays["conv1_1/bias"].shape
        (64,)
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Opens the file."""
        self._path = Path(path)
        if not self._path.is_file():
            raise UserError(f"{path}: wanted an .npz file of arrays, but there is no such file")
        with self._told():
            with open(self._path, "rb") as file, zipfile.ZipFile(file) as archive:
                # np.load would try to unpickle whatever has no known first bytes, and names no file
                # in its errors.
                self.headers = _headers(archive)
            self._file = np.load(self._path, allow_pickle=False)

    def __getitem__(self, name: str) -> np.ndarray:
        """Reads one."""
        if name not in self._file.files:
            raise KeyError(name)
        with self._told():
            array: np.ndarray = self._file[name]
            # Without a second array; NaN is the least and the largest of all that it stands among.
            if array.size and not np.isfinite([array.min(), array.max()]).all():
                raise ValueError(f"{name} holds NaN or infinity")
            return array

    def __iter__(self) -> Iterator[str]:
        """The names, in the file's order."""
        return iter(self._file.files)

    def __len__(self) -> int:
        """How many."""
        return len(self._file.files)

    def __enter__(self) -> "Arrays":
        """For `with`, which closes the file."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the file."""
        self._file.close()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except BROKEN as error:
            path, kind = self._path, "a file that cannot be read"
            with contextlib.suppress(OSError):
                kind = sniff(path)
            hint = "it is truncated, damaged or pickled" if "zip" in kind else f"it is {kind}"
            raise UserError(
                f"{path}: wanted an .npz file of plain arrays, but {hint} ({path.stat().st_size} "
                f"bytes; {shown(error)}). Remove the file and let the stage that makes it run "
                "again."
            ) from error


def load_arrays(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Read every array of an `.npz`, in the file's order; see `Arrays`, also for what is raised."""
    with Arrays(path) as arrays:
        return dict(arrays)


def _headers(archive: zipfile.ZipFile) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """Shape and type of every array.

    Raises ValueError for a member that is no array of real numbers, or not of the size it claims.
    """
    members, found = archive.infolist(), {}
    if sum(member.file_size for member in members) > _MOST_ARRAYS:
        raise ValueError(f"its arrays would have more than {_MOST_ARRAYS} bytes")
    if len({member.filename for member in members}) < len(members):
        raise ValueError("an array stands there twice")
    for member in members:
        if member.file_size > _DEFLATED * max(member.compress_size, 1):
            raise ValueError(
                f"{member.filename} claims {member.file_size} bytes, packed into "
                f"{member.compress_size}"
            )
        with archive.open(member) as file:
            version = np.lib.format.read_magic(file)
            if version not in ((1, 0), (2, 0)):
                raise ValueError(f"{member.filename} has a header of version {version}")
            first = version == (1, 0)
            read = (
                np.lib.format.read_array_header_1_0
                if first
                else np.lib.format.read_array_header_2_0
            )
            shape, _, dtype = read(file)
            if dtype.kind not in "iuf" or dtype.itemsize > 8:
                pickled = ", which would have to be pickled" * dtype.hasobject
                raise ValueError(
                    f"{member.filename} holds {str(dtype)[:60]}{pickled}, and no real numbers"
                )
            size = math.prod(shape) * dtype.itemsize
            left = member.file_size - file.tell()
            if min(shape, default=0) < 0 or size != left:
                raise ValueError(
                    f"{member.filename} claims {str(shape)[:60]}, {size} bytes, and has {left}"
                )
            found[member.filename.removesuffix(".npy")] = shape, dtype
    return found
