"""How a model was made: how long it took, on which machine, with which versions, and what looked
wrong meanwhile.

Kept outside of DVC and git, one JSON file per result, called by the digest of the result's file:
none of it decides a byte of the result, and yet the report, which is an output of DVC, shows it. So
the first complete run that made a result stays what is known of it, and a forced repetition changes
nothing.
"""

import importlib.metadata
import os
import platform
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import psutil
from pydantic import Field

from fcn import reading
from fcn.io import files

RUNS = Path(".cache/runs")
PACKAGES = ("keras", "tensorflow", "numpy")
# seconds between two writings of what is not finished: that much of the time is lost when a process
# is killed
_EVERY = 10.0


class _Known(reading.Model):
    """What such a file holds, see `read`."""

    seconds: Annotated[float, Field(ge=0)]
    parts: Annotated[int, Field(ge=1, le=2**31)]
    machine: str
    versions: dict[str, str]
    commit: str
    changes: str
    device: str = ""
    notes: dict[str, str]


class Entry:
    """What is noted of one run; see `recording`."""

    def __init__(self, part: Path, facts: dict[str, Any]) -> None:
        """`part`: the file of what is not finished; one that lies there is gone on from. `facts`
        are new in every part.
        """
        before = _read(part) if part.exists() else None
        self._part, self._begin, self._written = part, time.monotonic(), 0.0
        self._seconds, self._parts = (before.seconds, before.parts + 1) if before else (0.0, 1)
        self._notes = dict(before.notes) if before else {}
        self.facts = facts
        self.finished = False

    def note(self, kind: str, text: str) -> None:
        """Keep what looked wrong; of a kind the first. A resumed training may say it again."""
        self._notes.setdefault(kind, text)
        self._save(self._part)

    def beat(self) -> None:
        """Still running: to be called often. What is kept outlives the process; a run that never
        calls it has no parts.
        """
        if time.monotonic() - self._written > _EVERY:
            self._save(self._part)

    def done(self, result: Path) -> None:
        """Keep it as what made the file `result`, unless that is known already."""
        self.finished = True
        path = path_of(result, self._part.parent)
        if not path.is_file():
            self._save(path)
        self._part.unlink(missing_ok=True)

    def leave(self) -> None:
        """The run ends without a result: what `beat` has kept is brought up to date."""
        if self._written and not self.finished:
            self._save(self._part)

    def _save(self, path: Path) -> None:
        self._written = time.monotonic()
        seconds = round(self._seconds + self._written - self._begin, 1)
        files.write_json(
            path, {"seconds": seconds, "parts": self._parts, **self.facts, "notes": self._notes}
        )


@contextmanager
def recording(key: str, tags: Mapping[str, str], folder: Path = RUNS) -> Iterator[Entry]:
    """What is noted while a result is made. End it with `Entry.done`; a run that ends otherwise is
    continued by the next.

    Args:
        key: fingerprint of what the result depends on, by which an interrupted run is found again.
        tags: see `provenance.tags`: the commit and the digest of the local changes are kept.
        folder: of all such files.
    """
    facts = {
        "machine": machine(),
        "versions": versions(),
        "commit": tags["git.commit"],
        "changes": tags["git.diff.sha256"],
    }
    entry = Entry(folder / f"{key}.part.json", facts)
    try:
        yield entry
    finally:
        entry.leave()


def read(result: Path, folder: Path = RUNS) -> dict[str, Any] | None:
    """What is known of the run that made the file `result`; None if nothing was recorded (the file
    came from elsewhere).

    Returns:
        `seconds` of all its parts together; `parts`: 1, or more if it was interrupted; `machine`;
        `device`, if it was told; `versions` by package; `commit` and `changes`; `notes`: texts by
        kind, see `fcn.monitor.health`.

    Raises:
        UserError: what is kept of it is damaged.
    """
    path = path_of(result, folder)
    return _read(path).model_dump(exclude_unset=True) if path.exists() else None


def _read(path: Path) -> _Known:
    return reading.read_json(path, _Known, "remove it: only how long the run took is lost with it")


def path_of(result: Path, folder: Path = RUNS) -> Path:
    """Where it is kept."""
    return folder / f"{files.digest(result)[:16]}.json"


def machine() -> str:
    """The computer in words, without a name that tells whose it is."""
    memory = psutil.virtual_memory().total / 2**30
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB"


def versions() -> dict[str, str]:
    """Of Python and of the packages that compute."""
    found = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"python": platform.python_version(), **found}
