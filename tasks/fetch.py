"""Bringing in what is published elsewhere: download with mirrors, resume and checksum; unpack."""

import logging
import os
from collections.abc import Sequence
from logging import Logger, LoggerAdapter
from pathlib import Path
from typing import Any

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.exceptions import MissingContextError
from prefect.tasks import exponential_backoff

from fcn import archives, download
from fcn.errors import UserError
from fcn.files import digest, sniff
from fcn.params import Source
from tasks.progress import Progress

RETRIES = 5
MB = 10**6

Log = Logger | LoggerAdapter[Any]
Checksums = list[tuple[str, str]]


def may_pass(task: Any, task_run: Any, state: Any) -> bool:
    """Tell Prefect whether a failed task is worth another attempt: not when the user has to mend something."""
    return not isinstance(state.result(raise_on_failure=False), UserError)


@task(
    retries=RETRIES,
    retry_delay_seconds=exponential_backoff(backoff_factor=2),
    retry_condition_fn=may_pass,
    cache_policy=NO_CACHE,
    task_run_name="fetch {source.name}",
)
def fetch(source: Source, raw_dir: str | os.PathLike[str]) -> Path:
    """Brings `source` to `raw_dir` and returns its path; a file that is there with a right checksum is kept.

    What a broken download leaves stays as `<name>.part` and is continued by the next attempt. Only a complete file with
    a right checksum takes the name.

    Raises:
        UserError: what a further attempt cannot mend (checksum, HTML page, 404, full disk, unusable URL).
        Interrupted: what may pass (connection, timeout, 5xx, early end); Prefect tries again.
    """
    log, target = _logger(), Path(raw_dir) / source.name
    checksums = download.parse_checksums(source.checksums, source.name)
    if target.is_file() and _keep(target, checksums, source.urls, log):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    problems: list[Exception] = []
    for url in source.urls:
        try:
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
    raise UserError(f"{target}: none of its {len(problems)} URLs gave the file:\n" + "\n".join(map(str, problems)))


@task(cache_policy=NO_CACHE, task_run_name="unpack {archive}")
def unpack(archive: str | os.PathLike[str], target_dir: str | os.PathLike[str], folders: Sequence[str]) -> None:
    """Extracts what a tar holds below its `folders` into `target_dir`, under the names that it has in the archive.

    `target_dir` is replaced as a whole: it must be a folder of its own.

    Raises:
        UserError: as `fcn.archives.extract` does; `target_dir` is then as it was.
    """
    log, prefixes = _logger(), tuple(f"{folder.strip('/')}/" for folder in folders)
    progress = Progress(log.info, f"unpacking {Path(archive).name}", "MB")
    count = archives.extract(
        archive,
        target_dir,
        wanted=lambda name: name.removeprefix("./").startswith(prefixes),
        progress=lambda done, total: progress(done // MB, -(-total // MB)),
    )
    log.info("%s: %d files unpacked into %s", Path(archive).name, count, target_dir)


def _logger() -> Log:
    """Returns the logger of the Prefect run that this is part of, or an ordinary one outside of a run."""
    try:
        return get_run_logger()
    except MissingContextError:
        return logging.getLogger(__name__)


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
        log.warning("%s is there already, but is not the right file (%s): fetching it again", target, problem)
    return problem is None


def _get(url: str, target: Path, checksums: Checksums, log: Log) -> None:
    """Fetches one URL to `<target>.part`, checks it and moves it to `target`."""
    part = target.with_name(target.name + ".part")
    if not checksums:
        part.unlink(missing_ok=True)  # nothing could tell whether the pieces belong together
    steps = download.pieces(url, part)
    start, total = next(steps)
    log.info("%s: %s from %s%s", target.name, _size(total), url, f", going on at {_size(start)}" if start else "")
    progress = Progress(log.info, target.name, "MB", start=start // MB)
    for done, total in steps:
        if total is not None:
            progress(done // MB, -(-total // MB))
    kind, size = sniff(part), _size(part.stat().st_size)
    problem = download.mismatch(part, checksums) if checksums else None
    if not checksums and kind == "an HTML page":
        problem = "wanted a data file"
    if problem:
        part.unlink()
        if start:
            raise download.Interrupted(f"{url}: the pieces do not make up the right file ({problem}): starting over")
        raise UserError(
            f"{target}: {url} gave another file: {problem}. It was {kind}, {size}, and is removed. Try again later, "
            "put the file there yourself, or correct the checksum if the publisher changed the file."
        )
    if not checksums:
        log.warning("%s: taken unchecked, since no checksum is stated; it has sha256:%s", target, digest(part))
    os.replace(part, target)
    log.info("%s: complete, %s", target, size)


def _size(count: int | None) -> str:
    return "an unknown number of bytes" if count is None else f"{count / MB:,.1f} MB"
