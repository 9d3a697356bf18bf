"""Bringing in what is published elsewhere, or lies here already: mirrors,
resume, checksum; unpack.
"""

import os
from collections.abc import Sequence
from logging import Logger, LoggerAdapter
from pathlib import Path, PurePosixPath
from typing import Any

from fcn.errors import UserError, enumeration
from fcn.io import archives, check_file, digest, disk, download, links, public, sniff
from fcn.spec import Source
from tasks.tracking import Progress, steps

RETRIES = 5
MB = 10**6
NO_DATA = ("an HTML page", "an XML document", "a git-lfs pointer", "empty")
"""What a file of images or weights can never be, as `sniff` calls it."""

Log = Logger | LoggerAdapter[Any]
Checksums = list[tuple[str, str]]


@steps.step("fetch {source.name}", retries=RETRIES)
def fetch(source: Source, raw_dir: str | os.PathLike[str], local: Path | None = None) -> Path:
    """Brings `source` to `raw_dir` and returns its path; a file that is there with a right checksum
    is kept.

    What a broken download leaves stays as `<name>.part` and is continued by the next attempt. Only
    a complete file with a right checksum takes the name.

    Args:
        source: URLs and checksums. A `file:` URL of a folder is not brought anywhere: the folder's
            own path is returned.
        raw_dir: folder for the file.
        local: a file that the user has, see `tasks.local.match`: taken (linked, or copied) instead
            of asking any URL.

    Raises:
        UserError: what a further attempt cannot mend (checksum, HTML page, 404, full disk, unusable
            URL).
        Interrupted: what may pass (connection, timeout, 5xx, early end); Prefect tries again.
    """
    log, target = steps.logger(), Path(raw_dir) / source.name
    checksums = download.parse_checksums(source.checksums, source.name)
    # Where nothing tells right from wrong, what the user names comes before what is there.
    if target.is_file() and (checksums or not local) and _keep(target, checksums, source.urls, log):
        return target
    check_file(target)
    check_file(_part(target))
    Path(raw_dir).mkdir(parents=True, exist_ok=True)  # also for a folder, which stays where it is
    if local:
        _adopt(local, target, checksums, log)
        return target
    problems: list[Exception] = []
    for url in source.urls:
        try:
            if url.startswith("file:") and download.local_path(url).is_dir():
                return _folder(url, checksums, log)
            _get(url, target, checksums, log)
        except (UserError, download.Interrupted) as error:
            problems.append(error)
            if len(problems) < len(source.urls):
                log.warning("%s; trying the next URL", error)
        else:
            return target
    for problem in problems:
        if isinstance(problem, download.Interrupted) or len(problems) == 1:
            raise problem
    raise UserError(
        f"{target}: none of its {len(problems)} URLs gave the file:", *map(str, problems)
    )


@steps.step("unpack {archive}")
def unpack(
    archive: str | os.PathLike[str],
    target_dir: str | os.PathLike[str],
    folders: Sequence[str],
    endings: tuple[str, ...] = (),
) -> None:
    """Extracts what an archive or folder holds below its `folders` into `target_dir`, under the
    names that it has there.

    Args:
        archive: a tar, a zip or a folder.
        target_dir: replaced as a whole: it must be a folder of its own.
        folders: names in the archive, also of single files, without wildcards; "." is everything.
        endings: of the files' names, in small letters; hidden files are left out then. None: all
            are taken.

    Raises:
        UserError: as `fcn.io.archives.extract` does; `target_dir` is then as it was.
    """
    log, name = steps.logger(), Path(archive).name
    log.info("%s: taking %s", name, ", ".join(folders))
    followed = links(Path(archive)) if Path(archive).is_dir() else []
    if followed:
        log.info(
            "%s: %d links are followed, the first one to %s",
            name,
            len(followed),
            followed[0].resolve(),
        )
    inside = archives.below(folders)

    left: dict[str, None] = {}

    def wanted(name: str) -> bool:
        if not inside(name) or not endings:
            return inside(name)
        hidden = any(part.startswith(".") for part in PurePosixPath(name).parts)
        taken = name.lower().endswith(endings)
        if not taken and not hidden:
            left[name] = None
        return taken and not hidden

    progress = Progress(log.info, f"unpacking {name}", "MB")
    count = archives.extract(
        archive,
        target_dir,
        wanted=wanted,
        progress=lambda done, total: progress(done // MB, -(-total // MB)),
    )
    if left:
        log.info(
            "%s: left out, since their names end like neither pictures nor annotations: %s",
            name,
            enumeration(left),
        )
    others = f", {len(left)} left out" if left else ""
    log.info("%s: %d files unpacked into %s%s", name, count, target_dir, others)


def _keep(target: Path, checksums: Checksums, urls: tuple[str, ...], log: Log) -> bool:
    """Says whether the file that is there already is the one that is wanted."""
    if not checksums:
        # Nothing to know it by. A copy is cheap to make again, a download is not.
        keep = not urls[0].startswith("file:")
        if keep:
            log.warning("%s is there already; kept unchecked, since no checksum is stated", target)
        return keep
    problem = download.mismatch(target, checksums)
    if problem is None:
        log.info("%s is there already, with a right checksum", target)
    else:
        log.warning(
            "%s is there already, but is not the right file (%s): fetching it again",
            target,
            problem,
        )
    return problem is None


def _folder(url: str, checksums: Checksums, log: Log) -> Path:
    if checksums:
        raise UserError(
            f"{url}: a folder, which has no checksum: leave `checksums` empty, or name an archive"
        )
    log.info("%s: a folder of this machine, used where it is", url)
    return download.local_path(url)


def _adopt(local: Path, target: Path, checksums: Checksums, log: Log) -> None:
    """Makes the user's file `target`, if it is the right one. It stays where it is in any case."""
    if problem := _problem(local, checksums):
        raise UserError(
            f"{local}: not the file that is wanted as {target}: {problem}. Without --from-local it "
            "is downloaded; if the publisher changed the file, correct the checksum."
        )
    if not checksums:
        log.warning(
            "%s: taken unchecked, since no checksum is stated; it has sha256:%s",
            local,
            digest(local),
        )
    linked = disk.link_or_copy(local, target)
    _part(target).unlink(missing_ok=True)
    log.info(
        "%s: %s of %s, %s",
        target,
        "a hard link" if linked else "a copy",
        local,
        _size(target.stat().st_size),
    )


def _get(url: str, target: Path, checksums: Checksums, log: Log) -> None:
    """Fetches one URL to `<target>.part`, checks it and moves it to `target`."""
    shown = public(url)
    part = _part(target)
    if not checksums:
        part.unlink(missing_ok=True)  # nothing could tell whether the pieces belong together
    steps = download.pieces(url, part)
    start, total = next(steps)
    log.info(
        "%s: %s from %s%s",
        target.name,
        _size(total),
        shown,
        f", going on at {_size(start)}" if start else "",
    )
    progress = Progress(log.info, target.name, "MB", start=start // MB)
    try:
        for done, total in steps:
            progress(done // MB, None if total is None else -(-total // MB))
    except KeyboardInterrupt as error:
        error.add_note(f"{part}, what has come of {target.name}, is kept")
        raise
    if problem := _problem(part, checksums):
        page = sniff(part).startswith(NO_DATA)
        part.unlink()
        if start:
            raise download.Interrupted(
                f"{shown}: the pieces do not make up the right file ({problem}): starting over"
            )
        if total is None and not page:
            raise download.Interrupted(
                f"{shown}: broke off, or gave another file; the server did not say its length "
                f"({problem})"
            )
        raise UserError(
            f"{target}: {shown} gave another file: {problem}, and is removed. Try again later, put "
            "the file there yourself, or correct the checksum if the publisher changed the file."
        )
    if not checksums:
        log.warning(
            "%s: taken unchecked, since no checksum is stated; it has sha256:%s",
            target,
            digest(part),
        )
    os.replace(part, target)
    log.info("%s: complete, %s", target, _size(target.stat().st_size))


def _problem(path: Path, checksums: Checksums) -> str | None:
    """Says what is wrong with a complete file, and what it is, going by its first bytes; None if
    nothing is.
    """
    kind = sniff(path)
    problem = download.mismatch(path, checksums) if checksums else None
    if not checksums and kind.startswith(NO_DATA):
        problem = "wanted a data file"
    return f"{problem}. It is {kind}, {_size(path.stat().st_size)}" if problem else None


def _part(target: Path) -> Path:
    return target.with_name(target.name + ".part")


def _size(count: int | None) -> str:
    return "an unknown number of bytes" if count is None else f"{count / MB:,.1f} MB"
