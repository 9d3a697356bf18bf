"""What a tar, a zip or a folder holds, member by member and in one form."""

import contextlib
import functools
import os
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from fcn.io.disk import link_or_copy
from fcn.io.files import sniff

_LONG = 2**20
"""Bytes: no name, link or list of attributes in a tar's header is longer; tarfile reads such as a
whole into memory.
"""
_TEXTS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


@dataclass(frozen=True)
class Member:
    """One thing that an archive holds.

    Attributes:
        name: as it stands there, with "/" between its parts; nobody has checked it.
        kind: "file", "folder", or "other" (a link, a device), which cannot be saved.
        size: bytes, unpacked.
        position: bytes of the archive, as it lies on the disk, that come before it (of a folder: in
            the files before it).
        save: writes the content to a path that does not exist yet, in a folder that does.
    """

    name: str
    kind: str
    size: int
    position: int
    save: Callable[[Path], object]


@contextlib.contextmanager
def opened(path: Path) -> Iterator[list[Member] | Iterator[Member]]:
    """Open a folder, a zip or a tar (plain, gzip, bzip2, xz), told apart by the first bytes.

    Yields a list where the archive says beforehand what it holds; an iterator for a compressed tar,
    whose members can be saved only while it stands at them. Either is to be read to its end, where
    a compressed tar keeps its checksum.

    Raises tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, RuntimeError
    (encrypted), NotImplementedError (unknown compression), EOFError or OSError for what cannot be
    read, also from the members and their `save`.
    """
    if path.is_dir():
        yield list(_folder(path))
    elif sniff(path).startswith(("a zip", "an empty zip")):
        with zipfile.ZipFile(path) as archive:
            yield [_zipped(archive, info) for info in archive.infolist()]
    else:
        with (
            open(path, "rb") as file,
            tarfile.open(fileobj=file, mode="r:*", tarinfo=_StrictInfo) as tar,
        ):
            plain = tar.fileobj is file
            yield list(_tarred(tar, file, plain)) if plain else _tarred(tar, file, plain)


def _folder(top: Path) -> Iterator[Member]:
    """Everything below `top`, in order of names; links are followed, but into no folder twice.
    Files are saved as links or copies.
    """

    def fail(error: OSError) -> None:
        raise error

    position = 0
    seen: set[str] = set()
    for folder, folders, names in os.walk(top, onerror=fail, followlinks=True):
        real = os.path.realpath(folder)
        folders[:] = [] if real in seen else sorted(folders)
        for name in [] if real in seen else sorted(names):
            path = Path(folder, name)
            status = path.stat() if path.exists() else path.lstat()
            kind = "file" if stat.S_ISREG(status.st_mode) else "other"
            save = functools.partial(link_or_copy, path.resolve())
            yield Member(path.relative_to(top).as_posix(), kind, status.st_size, position, save)
            position += status.st_size
        seen.add(real)


def _zipped(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    # 0: made on a system without such rights
    kinds = {0: "file", stat.S_IFREG: "file", stat.S_IFDIR: "folder"}
    kind = "folder" if info.is_dir() else kinds.get(stat.S_IFMT(info.external_attr >> 16), "other")
    save = functools.partial(_write, lambda: archive.open(info))
    return Member(info.filename, kind, info.file_size, info.header_offset, save)


def _tarred(tar: tarfile.TarFile, file: IO[bytes], plain: bool) -> Iterator[Member]:
    for info in tar:
        kind = "folder" if info.isdir() else "file" if info.isreg() else "other"
        position = info.offset_data if plain else file.tell()
        yield Member(
            info.name,
            kind,
            info.size,
            position,
            functools.partial(_write, functools.partial(_content, tar, info)),
        )
    while not plain and tar.fileobj and tar.fileobj.read(2**20):
        pass  # to the very end, where gzip and xz keep the checksum of it all


def _content(tar: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    content = tar.extractfile(info)
    assert content is not None, "only files are saved"
    return content


def _write(content: Callable[[], IO[bytes]], to: Path) -> None:
    with content() as source, open(to, "wb") as file:
        shutil.copyfileobj(source, file, 2**20)


class _StrictInfo(tarfile.TarInfo):
    """A header that is cut off, garbled or absurd is an error; tarfile takes it for the end, or
    believes it.
    """

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str | None, errors: str) -> "_StrictInfo":
        info = super().frombuf(buf, encoding, errors)  # type: ignore[arg-type]
        if info.size < 0 or (info.type in _TEXTS and info.size > _LONG):
            raise tarfile.ReadError(f"a header says {info.size} bytes of {info.name!r}")
        return info

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> "_StrictInfo":
        start = archive.offset
        try:
            info = super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"bad header at byte {archive.offset}: {error}") from error
        # Attributes (pax) may overwrite the size with a negative one: tarfile would come by here
        # for ever (CVE-2025-8194).
        if info.size < 0 or archive.offset <= start:
            raise tarfile.ReadError(f"a header says {info.size} bytes of {info.name!r}")
        return info
