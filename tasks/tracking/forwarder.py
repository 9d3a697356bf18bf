"""The process that tells MLflow what the ledgers of a workspace say, while stages write them, as
these see it; see `delivery`.

The first stage that has something to say starts it, in a session of its own; it serves all stages
that follow and ends by itself soon after the last of them. So no stage imports MLflow, nor waits
for it. Where it was killed, the next look of a stage starts another.

    .cache/ledger/users.lock             shared by all who may still write
    .cache/ledger/forwarder-<id>.lock    of the forwarder; <id>: of MLflow's settings
    .cache/ledger/forwarder-<id>.news    what it has to say to the user
    .cache/ledger/forwarder-<id>.log     what went wrong with it
"""

import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from fcn.io import locks
from tasks.tracking import store
from tasks.tracking.checkout import detached, root
from tasks.tracking.ledger import folder, ledgers
from tasks.tracking.mark import Mark


def wake() -> None:
    """Starts the forwarder of this workspace, unless it is at work."""
    with contextlib.suppress(OSError):  # no ledger either can be written then
        folder().mkdir(parents=True, exist_ok=True)
        with locks.locked(path("lock"), fcntl.LOCK_EX | fcntl.LOCK_NB) as mine:
            if mine:
                _start(mine)


def _start(lock: IO[bytes]) -> None:
    """Starts it with this lock, which is its own from then on."""
    code = str(Path(__file__).parents[2])
    python_path = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), code)))
    words = ["tasks.tracking", str(lock.fileno())]
    environment = {**os.environ, "PYTHONPATH": python_path}
    process = detached(words, path("log"), lock.fileno(), root(), environment)
    process.returncode = 0  # it outlives us: no "still running" warning when this object goes


@contextlib.contextmanager
def needed() -> Iterator[None]:
    """Keeps the forwarder, where there is one, at work inside of this context."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            folder().mkdir(parents=True, exist_ok=True)
            stack.enter_context(locks.locked(folder() / "users.lock", fcntl.LOCK_SH))
        yield


@contextlib.contextmanager
def alone() -> Iterator[bool]:
    """Whether nobody writes now, and nobody begins to inside of this context; see `needed`."""
    with locks.locked(folder() / "users.lock", fcntl.LOCK_EX | fcntl.LOCK_NB) as mine:
        yield mine is not None


def wait(seconds: float = 30.0) -> None:
    """Waits until MLflow has what was said; not where it does not answer, or is another one."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and _left():
        with locks.locked(path("lock"), fcntl.LOCK_EX | fcntl.LOCK_NB) as free:
            if free or path("lock").read_bytes():
                return
        time.sleep(0.2)


def _left() -> bool:
    marks = ((each, Mark.of(each)) for each in ledgers())
    return any(mark.store == store.address() and mark.waits(each) for each, mark in marks)


def news() -> list[tuple[int, str]]:
    """What the forwarder had to say since somebody asked last: levels of logging, and texts."""
    mine = path(f"{os.getpid()}.news")
    try:
        os.replace(path("news"), mine)
        lines = mine.read_text(encoding="utf-8", errors="replace").splitlines()
        mine.unlink()
    except OSError:  # there is none
        return []
    parts = (line.partition(" ") for line in lines)
    return [(int(level), text) for level, _, text in parts if level.isdecimal()]


def path(end: str) -> Path:
    """A file of the forwarder that has these settings for MLflow."""
    given = os.environ.items() - store.ENVIRONMENT.items()  # which `store.prepare` sets
    settings = sorted(each for each in given if each[0].startswith("MLFLOW_"))
    return folder() / f"forwarder-{hashlib.sha256(repr(settings).encode()).hexdigest()[:8]}.{end}"
