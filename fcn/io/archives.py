"""Taking files out of a tar, a zip or a folder that was made by others, without trusting it."""

import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterable
from pathlib import Path, PurePosixPath

from fcn.errors import UserError
from fcn.io import containers
from fcn.io.containers import Member
from fcn.io.disk import check_space
from fcn.io.files import replacing_folder, sniff

BOMB = 1000
"""No data comes out of an archive at this many times the size of the archive; gzip's and zip's
limit is 1032.
"""
_SMALL = 2**30
"""Bytes that may come out of any archive."""
_MOST = 2**21
"""Members of an archive; ImageNet has 1.3 million. An empty file costs a few bytes of an archive,
and an inode of the disk.
"""
_DEEP, _LONG = 64, 255
"""Folders above a file, and bytes of each part of its name: what can be unpacked here can be
removed again anywhere.
"""
MARK = (".fcn-unpacked", "Unpacked by fcn.archives")
"""A file in each target, by which the next `extract` knows it; see `files.replacing_folder`."""
_JUNK = {".DS_Store", "Thumbs.db", "desktop.ini", "__MACOSX"}
DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    RuntimeError,
    ValueError,
    EOFError,
    OSError,
)
"""What `containers.opened` and its members raise for what cannot be read."""


def below(entries: Collection[str]) -> Callable[[str], bool]:
    """Make the test for what `extract` shall take: the files called one of `entries`, and all below
    folders of these names.

    Entries are written with "/"; "." is everything. Raises UserError for one that is absolute or
    leads outside.
    """
    wanted = {PurePosixPath(entry) for entry in entries}
    for entry in wanted:
        if entry.is_absolute() or ".." in entry.parts:
            raise UserError(
                f"{str(entry)!r}: wanted the name of a file or folder inside of an "
                "archive, relative to its top"
            )
    return lambda name: not wanted.isdisjoint((PurePosixPath(name), *PurePosixPath(name).parents))


def extract(
    archive: str | os.PathLike[str],
    target: str | os.PathLike[str],
    wanted: Callable[[str], bool] = lambda name: True,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Put the regular files that are `wanted` of a tar (plain, gzip, bzip2, xz), zip or folder into
    the directory `target`.

    `target` appears complete, in place of what was unpacked there before, or not at all, and bears
    `MARK`. Owners, times and permissions stay behind, and so does what file managers leave
    everywhere (.DS_Store, Thumbs.db). Files of a folder are hard-linked, or copied where that
    cannot be.

    Args:
        archive: file or folder, not inside `target`, which is replaced. A folder may be a symbolic
            link itself.
        target: directory for the files, under the names that they have in the archive; not there
            yet, empty, or with `MARK`.
        wanted: called with the name of each file ("VOCdevkit/VOC2012/JPEGImages/2007_000027.jpg").
        progress: called before each member with the bytes read so far and their total, as they lie
            on the disk.

    Returns the number of files.

    Raises UserError, naming the archive, if it is none, is truncated, damaged or encrypted, holds
    no wanted file, has a member with an absolute name or one that leads outside, if something
    wanted is a link or a device, has an endless name, or one that this file system does not tell
    from another (`A.jpg`, `a.jpg`), or if it would unpack to more than the disk has room for or a
    true archive can hold. Where sizes are known beforehand (all but compressed tars) nothing has
    been written then.
    """
    archive, target = Path(archive), Path(target)
    if archive.resolve().is_relative_to(target.resolve()):
        raise UserError(f"{archive} lies inside {target}, which would be replaced by its content")
    if not archive.exists():
        raise UserError(f"{archive}: wanted an archive or a folder, but there is no such file")
    size = 0 if archive.is_dir() else archive.stat().st_size
    try:
        with replacing_folder(target, MARK) as temporary, containers.opened(archive) as members:
            temporary.mkdir()
            count = _take(archive, size, members, temporary, wanted, progress)
            (temporary / MARK[0]).write_text(
                f"{MARK[1]}: the next time, this folder is replaced as a whole.\n"
            )
            return count
    except UserError:
        raise
    except DAMAGE as error:
        reason = str(error).partition("\n")[0].rstrip(":") or type(error).__name__
        kind = (
            (f"{size} bytes, {sniff(archive)}")
            if size
            else "a folder"
            if archive.is_dir()
            else "empty"
        )
        raise UserError(
            f"{archive} ({kind}): wanted a complete tar archive, a zip or a folder to unpack into "
            f"{target}, but: {reason}. Remove it, if it is a damaged download, so that it is "
            "fetched again."
        ) from error


def _take(
    archive: Path,
    size: int,
    members: Iterable[Member],
    folder: Path,
    wanted: Callable[[str], bool],
    progress: Callable[[int, int], None],
) -> int:
    """Puts what is wanted of an archive of `size` bytes (0: of a folder) into `folder`; see
    `extract`.
    """
    count = seen = unpacked = total = 0
    written: set[PurePosixPath] = set()
    last = "nothing at all"
    if isinstance(members, list):
        total = sum(member.size for member in members)
        if size:
            _refuse_bomb(archive, size, total, len(members))
            needed = sum(member.size for member in members if _is_wanted(member, wanted, archive))
            check_space(folder, needed, f"unpacking {archive}")
    for member in members:
        progress(member.position, size or total)
        unpacked, seen = unpacked + member.size, seen + 1
        _refuse_bomb(archive, size, unpacked, seen)
        last = repr(member.name)
        if _is_wanted(member, wanted, archive):
            check_space(folder, member.size if size else 0, f"unpacking {last} of {archive}")
            name = PurePosixPath(member.name)
            to = folder / name
            to.parent.mkdir(parents=True, exist_ok=True)
            if name not in written and to.is_file():
                raise UserError(
                    f"{archive}: {last}: this disk does not tell its name from that of another "
                    "file (capitals, accents): unpack where it does, or rename one of them"
                )
            written.add(name)
            member.save(to)
            count += 1
    if not count:
        raise UserError(
            f"{archive}: holds none of the files that were wanted, but e.g. {last}: is it the "
            "right archive, and the right folder in it?"
        )
    return count


def _is_wanted(member: Member, wanted: Callable[[str], bool], archive: Path) -> bool:
    """Tell whether to take a member; raise UserError for a name that leads outside, and for what is
    wanted but no file.
    """
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts or set("\\\0") & set(member.name):
        raise UserError(
            f"{archive}: member {member.name!r} would lie outside the target folder; "
            "nothing was extracted"
        )
    if (
        member.kind == "folder"
        or not wanted(str(name))
        or any(p in _JUNK or p.startswith("._") for p in name.parts)
    ):
        return False
    if len(name.parts) > _DEEP or max(len(os.fsencode(part)) for part in name.parts) > _LONG:
        raise UserError(
            f"{archive}: {member.name[:60]!r}... is the name of a file below {len(name.parts) - 1} "
            f"folders, {len(member.name)} characters long: wanted at most {_DEEP} parts of at most "
            f"{_LONG} bytes"
        )
    if member.kind == "other":  # since no link is ever made, none can be followed
        raise UserError(
            f"{archive}: {member.name!r} is a link or a device; only regular files are "
            "taken: put the file there"
        )
    return True


def _refuse_bomb(archive: Path, size: int, unpacked: int, members: int = 0) -> None:
    if size and unpacked > max(_SMALL, BOMB * size):
        raise UserError(
            f"{archive}: {size} bytes that unpack to {unpacked} or more: no archive of images does "
            "that; nothing was extracted"
        )
    if members > _MOST:
        raise UserError(
            f"{archive}: more than {_MOST} members: no archive of images has so many; "
            "nothing was extracted"
        )
