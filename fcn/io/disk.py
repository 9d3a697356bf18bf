"""Room on a disk, and files that are to be in two places."""

import os
import shutil
from pathlib import Path

from fcn.errors import UserError
from fcn.io.files import replacing_file


def check_space(folder: Path, needed: int, what: str) -> None:
    """Raise UserError, naming `what` needs the room, if the disk of the existing `folder` has not
    `needed` bytes free.
    """
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"{what}: needs {needed / 1e6:,.0f} MB, but the disk of {folder} has {free / 1e6:,.0f} "
            "MB free: make room, or let the folder be a link to one on another disk"
        )


def link_or_copy(origin: Path, target: Path) -> bool:
    """Make the file `origin` also appear as `target`, in place of what was there: a hard link, or a
    copy where none can be.

    A link costs no room and no time, and shares its content with `origin`: what is written into one
    stands in both. `origin` may be a symbolic link, which is followed; the folder of `target` is
    created.

    Returns True for a link, False for a copy. Raises UserError if a copy is needed and the disk has
    no room for it.
    """
    origin = origin.resolve(strict=True)
    if target.exists() and target.samefile(origin):
        return True  # a rename onto another name of the same file would do nothing, and leave both
    with replacing_file(target, follow=False) as temporary:
        try:
            os.link(origin, temporary)
        except OSError:  # another disk, a file system without links, a file of somebody else's
            check_space(target.parent, origin.stat().st_size, str(origin))
            shutil.copyfile(origin, temporary)
            return False
    return True
