"""What MLflow could not be told, on disk until it can: one file per run and process, JSON lines, in the order of their numbers.

    .cache/mlflow-spool/000001.jsonl    the opening, then one entry per line; the process that writes it holds a lock on it
    .cache/mlflow-spool/000001/         the files of its entries: hard links, which cost nothing; copies on another disk
    .cache/mlflow-spool/refused/        what MLflow does not take, with the reason: deleted runs above all

A line is one `write`, so that kill -9 leaves whole lines; what a loss of power leaves is read as far as it is whole. A file
goes away when all of it is delivered. Broken off in between, it is delivered again from its beginning, which changes nothing
(see `tasks.tracking.sending`).
"""

import contextlib
import fcntl
import functools
import itertools
import json
import logging
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fcn.errors import UserError
from fcn.io import disk, files
from tasks.tracking import sending, store
from tasks.tracking.sending import Entry, Refused, Target

log = logging.getLogger(__name__)

FOLDER = Path(".cache/mlflow-spool")
REFUSED = "refused"
_REFUSALS = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "RESOURCE_ALREADY_EXISTS")
"""MLflow's codes for what no repetition changes; a proxy before a server that is down has others."""


class Spool:
    """The file of one run, open for writing."""

    def __init__(self, opening: Entry, folder: Path = FOLDER) -> None:
        """Begins a file with `opening`, under the next number.

        Raises:
            OSError: the folder cannot be written, or the disk is full.
        """
        folder.mkdir(parents=True, exist_ok=True)
        mark = uuid.uuid4().hex
        temporary = folder / f".{mark}"
        self._file = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX)  # before it can be seen; ends with this process, however that ends
            self.add({**opening, "mark": mark, "store": store.address()})
            # The number, not the time: a clock may be set back.
            for number in itertools.count(max((int(path.stem) for path in waiting(folder)), default=0) + 1):
                self.path = folder / f"{number:06d}.jsonl"
                with contextlib.suppress(FileExistsError):
                    os.link(temporary, self.path)
                    break
        except BaseException:
            self.close()
            raise
        finally:
            temporary.unlink()
        self._kept = 0

    def add(self, entry: Entry) -> None:
        """Appends an entry. The file or folder that it has as `path` is kept, too, as it is now.

        Raises:
            OSError, UserError: the disk is full; the entry is not kept.
        """
        if "path" in entry:
            self._kept += 1
            entry = {**entry, "path": _keep(Path(entry["path"]), self.path.with_suffix("") / str(self._kept))}
        line = (json.dumps(entry) + "\n").encode()
        size = os.fstat(self._file).st_size
        if (written := os.write(self._file, line)) != len(line):
            os.ftruncate(self._file, size)
            raise OSError(f"only {written} of {len(line)} bytes could be written")

    def close(self) -> None:
        """Leaves the file to who delivers it."""
        os.close(self._file)


def _keep(path: Path, folder: Path) -> str:
    """Outputs are replaced, never written into, so that a link keeps what they are. Returns the name in the entry."""
    kept = folder / path.name
    if path.is_dir():
        kept.mkdir(parents=True)
    for file in [path] if path.is_file() else [file for file in sorted(path.rglob("*")) if file.is_file()]:
        disk.link_or_copy(file, kept / file.relative_to(path))
    return f"{folder.name}/{path.name}"


@dataclass
class Outcome:
    """What a delivery came to.

    Attributes:
        delivered: files that are done.
        refused: entries that were put apart.
        behind: why something for this store still waits; empty if nothing does.
        elsewhere: the addresses that others are meant for.
        target: the run of the file `mine`, if that is done.
    """

    delivered: int = 0
    refused: int = 0
    behind: str = ""
    elsewhere: set[str] = field(default_factory=set)
    target: Target | None = None


def waiting(folder: Path = FOLDER) -> list[Path]:
    """The files, the oldest first."""
    return sorted((path for path in folder.glob("*.jsonl") if path.stem.isdecimal()), key=lambda path: int(path.stem))


def deliver(seconds: float | None = None, mine: Spool | None = None, of: str | None = None, folder: Path = FOLDER) -> Outcome:
    """Sends what waits, in order, to the store; what this refuses is put apart and said.

    Files of processes that still write them are theirs to deliver; those that were meant for another store wait for it.

    Args:
        seconds: begin nothing more after this time.
        mine: the file that this process writes; nothing after it is sent.
        of: the address that the files were meant for, if it is not that of the store.
        folder: the spool.

    Raises:
        one of `store.failures()`: the store does not work; all that was not delivered still waits.
    """
    outcome = Outcome()
    if not waiting(folder):
        return outcome
    deadline = float("inf") if seconds is None else time.monotonic() + seconds
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # it keeps the order, so nothing may overtake it
            outcome.behind = "another process is delivering what waits"
            return outcome
        for path in waiting(folder):
            with _locked(path, mine) as free:
                if free:  # else it is of a run that is at work, another training or model
                    _deliver(path, mine, of or store.address(), deadline, outcome)
            if outcome.behind or (mine and path == mine.path):
                break
    return outcome


@contextlib.contextmanager
def _locked(path: Path, mine: Spool | None) -> Iterator[bool]:
    """Whether the file is there and nobody else writes or delivers it."""
    with contextlib.ExitStack() as stack:
        free = True
        if mine is None or path != mine.path:
            try:
                fcntl.flock(stack.enter_context(path.open("rb")), fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, FileNotFoundError):
                free = False
        yield free


def _deliver(path: Path, mine: Spool | None, address: str, deadline: float, outcome: Outcome) -> None:
    """Sends one file and removes it, unless it has to wait."""
    opening, *entries = read(path)
    if not opening:
        _put_apart(path, opening, entries)
        return
    if opening["store"] != address:
        outcome.elsewhere.add(opening["store"])
        return
    refused: list[dict[str, Any]] = []
    target: Target | None = None
    try:
        target = _unless_refused(lambda: sending.find(opening, opening["mark"]))
    except Refused as reason:
        refused, entries = [{**entry, "refused": str(reason)} for entry in entries], []
    for entry in _joined(entries):
        if time.monotonic() > deadline:
            outcome.behind = "there is more waiting than a stage has time to deliver"
            return
        try:
            _unless_refused(functools.partial(_send, target, entry, path.with_suffix("")))
        except Refused as reason:
            refused.append({**entry, "refused": str(reason)})
    outcome.refused += len(refused)
    if refused and path.parent.name == REFUSED:
        return  # again: it stays where it is
    if refused:
        _put_apart(path, opening, refused)
    if mine and path == mine.path:
        outcome.target = target
    outcome.delivered += target is not None
    path.unlink(missing_ok=True)  # first: files without entries are waste, entries without files would be refused
    shutil.rmtree(path.with_suffix(""), ignore_errors=True)


def _send(target: Target | None, entry: dict[str, Any], folder: Path) -> None:
    if "path" in entry:
        entry = {**entry, "path": str(folder / entry["path"])}
        if not Path(entry["path"]).exists():
            raise Refused(f"{entry['path']} is gone")
    assert target is not None
    sending.send(target, entry)


def read(path: Path) -> list[dict[str, Any]]:
    """The opening and the entries; a damaged line, which a loss of power can leave, is said and left out."""
    found: list[dict[str, Any]] = [{}]
    for number, line in enumerate(path.read_bytes().splitlines()):
        try:
            entry = json.loads(line)
            (sending.ENTRY if number else sending.OPENING).validate_python(entry)
        except (ValueError, RecursionError):
            log.warning("%s, line %d is damaged and is left out", path, number + 1)
        else:
            found = [*found, entry] if number else [entry]
    return found


def _joined(entries: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Points of one entry after another in one request."""
    for kind, group in itertools.groupby(entries, key=lambda entry: entry["do"]):
        if kind == "metrics":
            yield {"do": "metrics", "points": [point for entry in group for point in entry["points"]]}
        else:
            yield from group


def _unless_refused(action: Any) -> Any:
    from mlflow.exceptions import MlflowException

    try:
        return action()
    except MlflowException as error:
        if error.error_code in _REFUSALS:
            raise Refused(store.reason(error)) from error
        raise
    except UserError as error:  # a model folder that is none
        raise Refused(str(error)) from error


def _put_apart(path: Path, opening: dict[str, Any], refused: list[dict[str, Any]]) -> None:
    """Under the next number there, with all files of the run."""
    folder = path.parent / REFUSED
    aside = folder / f"{max((int(each.stem) for each in waiting(folder)), default=0) + 1:06d}.jsonl"
    with files.replacing_file(aside) as temporary:
        temporary.write_text("".join(json.dumps(entry) + "\n" for entry in (opening, *refused)), encoding="utf-8")
    if not opening:
        os.replace(path, aside)
    if path.with_suffix("").is_dir():
        os.replace(path.with_suffix(""), aside.with_suffix(""))
    why = refused[0]["refused"] if opening else f"the first line of {path} is damaged"
    log.warning("MLflow at %s does not take what a run had to say: %s. It is kept in %s.", store.address(), why, aside)
