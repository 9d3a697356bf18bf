"""Taking files out of a tar that was made by others, without trusting it."""

import os
import shutil
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from fcn.errors import UserError
from fcn.files import replacing, sniff


class _StrictInfo(tarfile.TarInfo):
    """A header that is cut off or garbled is an error; tarfile itself takes it for the end of the archive."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> "_StrictInfo":
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"bad header at byte {archive.offset}: {error}") from error


def extract(
    archive: str | os.PathLike[str],
    target: str | os.PathLike[str],
    wanted: Callable[[str], bool] = lambda name: True,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Extract the regular files that are `wanted` from a tar (plain, gzip, bzip2 or xz) into the directory `target`.

    `target` appears complete, in place of what was there, or not at all. Owners, times and permissions stay behind.

    Args:
        archive: the tar; it must not lie inside `target`, which is replaced.
        target: directory for the files, under the names that they have in the archive.
        wanted: called with each member's name ("VOCdevkit/VOC2012/JPEGImages/2007_000027.jpg").
        progress: called before each member with the bytes read so far and their total, as they lie on the disk.

    Returns the number of files.

    Raises UserError, naming the archive, if it is no tar, is truncated or damaged, holds no wanted file, has a member
    with an absolute name or one that leads outside, or if something wanted is a link or a device.
    """
    archive, target = Path(archive), Path(target)
    if archive.resolve().is_relative_to(target.resolve()):
        raise ValueError(f"{archive} lies inside {target}, which would be replaced by its content")
    if not archive.is_file():
        raise UserError(f"{archive}: wanted a tar archive, but there is no such file")
    count, total = 0, archive.stat().st_size
    try:
        with (
            open(archive, "rb") as file,
            tarfile.open(fileobj=file, mode="r:*", tarinfo=_StrictInfo) as tar,
            replacing(target) as temporary,
        ):
            for member in tar:
                progress(file.tell(), total)
                inside = _checked(member, archive)
                if not member.isdir() and wanted(member.name):
                    _copy(tar, member, temporary / inside, archive)
                    count += 1
            while tar.fileobj and tar.fileobj.read(2**20):
                pass  # to the very end, where gzip and xz keep the checksum of it all
            if not count:
                raise UserError(f"{archive}: holds none of the files that were wanted: is it the right archive?")
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        reason = str(error).partition("\n")[0].rstrip(":")
        raise UserError(
            f"{archive} ({total} bytes, {sniff(archive)}): wanted a complete tar archive to unpack into {target}, but: "
            f"{reason}. Remove it, if it is damaged, so that it is fetched again."
        ) from error
    return count


def _checked(member: tarfile.TarInfo, archive: Path) -> PurePosixPath:
    """Return the member's name as a relative path; raise UserError for one that would lead outside the target."""
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts or set("\\\0") & set(member.name):
        raise UserError(f"{archive}: member {member.name!r} would lie outside the target folder; nothing was extracted")
    return name


def _copy(tar: tarfile.TarFile, member: tarfile.TarInfo, to: Path, archive: Path) -> None:
    """Write one regular file; since no link is ever made, none can be followed."""
    source = tar.extractfile(member) if member.isreg() else None
    if source is None:
        raise UserError(f"{archive}: {member.name!r} is a link or a device; only regular files are taken out of a tar")
    to.parent.mkdir(parents=True, exist_ok=True)
    with source, open(to, "wb") as file:
        shutil.copyfileobj(source, file, 2**20)
