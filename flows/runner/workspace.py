"""One pipeline per workspace, and in words who is at work in it.

DVC locks what a stage reads and writes, so two `dvc repro` may still train side by side on one GPU;
two pipelines may not.
"""

import contextlib
import fcntl
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
from pydantic import BaseModel

from fcn.errors import UserError
from fcn.io import files, locks
from flows.runner import output, processes

# DVC's own place for locks, ignored by git; seen from the workspace, the current folder
LOCKS = Path(".dvc/tmp")
NOT_STORED = "DVC's cache could not take"
_BUSY = re.compile(r"is busy, it is being blocked by|Unable to acquire lock")

# In what DVC writes as its command, `sys.argv`; a process may have `python -m dvc` for it.
_PROGRAM = re.compile(r".*?(?:/__main__\.py|/dvc)(?: |$)|\S*(?: |$)")


@contextlib.contextmanager
def held(command: str) -> Iterator[None]:
    """Hold the workspace while `command` runs. The lock ends with the process, however that ends,
    also across containers.

    What a killed dvc has left in DVC's own file of locks is taken out, and that is said.

    Raises:
        UserError: somebody else holds it; the message says who.
    """
    with contextlib.ExitStack() as stack:
        # Where no lock can be, because it is no DVC project or it cannot be written, dvc has the
        # better words.
        with contextlib.suppress(OSError):
            (LOCKS.parent / "config").stat()
            LOCKS.mkdir(exist_ok=True)
            path = LOCKS / "pipeline.lock"
            file = stack.enter_context(locks.locked(path, fcntl.LOCK_EX | fcntl.LOCK_NB))
            if not file:
                who = path.read_text(encoding="utf-8") or "a pipeline that is just starting"
                raise UserError(*_refusal(who).splitlines())
            file.truncate(0)
            file.write(_described(psutil.Process(), command).encode())
            file.flush()
            _take_out_stale()
        yield


def busy(error: str) -> str | None:
    """Who holds what dvc could not lock, in words; None if `error`, its message, says something
    else.
    """
    if not _BUSY.search(error):
        return None
    return _refusal(
        "\n".join(_described(process) for process in _holders(error))
        or "a dvc process that has ended meanwhile"
    )


def _refusal(who: str) -> str:
    return (
        f"this workspace is busy, nothing was done. At work in it:\n  {who}\nWait for its end "
        "and run this again, or end it."
    )


class Entry(BaseModel, extra="forbid", strict=True):
    """Who holds a path in DVC's `rwlock`: a process, and its `sys.argv`."""

    pid: int
    cmd: str


class Locks(BaseModel, extra="forbid"):
    """DVC's `rwlock`: by path who reads it, and who writes it. What is empty may be missing."""

    read: dict[str, list[Entry]] = {}
    write: dict[str, Entry] = {}

    def entries(self) -> list[Entry]:
        """All of them."""
        return [
            *self.write.values(),
            *(entry for several in self.read.values() for entry in several),
        ]


def _holders(error: str) -> Iterator[psutil.Process]:
    """The living processes that DVC's files name: of the whole project, or of single paths."""
    pids: list[int] = []
    with contextlib.suppress(OSError, ValueError):
        if "Unable to acquire lock" in error:
            pids.append(int((LOCKS / "lock").read_text()))
        else:
            pids += [
                entry.pid
                for entry in Locks.model_validate_json((LOCKS / "rwlock").read_bytes()).entries()
            ]
    for pid in dict.fromkeys(pids):
        with contextlib.suppress(psutil.NoSuchProcess):
            yield psutil.Process(pid)


def _take_out_stale() -> None:
    """Mend DVC's `rwlock`, which a killed dvc leaves half written, or with its name in it.

    DVC itself takes any process for the holder that has got the holder's pid since. In a container,
    where pids begin anew at every start, one always has.
    """
    path = LOCKS / "rwlock"
    with (
        contextlib.suppress(FileNotFoundError),
        locks.locked(LOCKS / "rwlock.lock", fcntl.LOCK_EX | fcntl.LOCK_NB) as guard,
    ):
        if not guard:  # DVC is writing: the lock is its own
            return
        written = path.stat().st_mtime
        try:
            found = Locks.model_validate_json(path.read_bytes())
        except ValueError:
            if at_work := [*_at_work()]:
                raise UserError(
                    *_refusal("\n  ".join(map(_described, at_work))).splitlines()
                ) from None
            path.unlink()
            output.say(
                f"{path}: damaged, as a killed dvc leaves it; removed, since no dvc is at work here"
            )
            return
        stale = [entry for entry in found.entries() if not _is_at_work(entry, written)]
        if stale:
            found.write = {name: entry for name, entry in found.write.items() if entry not in stale}
            reads = {
                name: [entry for entry in several if entry not in stale]
                for name, several in found.read.items()
            }
            found.read = {name: several for name, several in reads.items() if several}
            files.write_json(path, found.model_dump())
            whose = ", ".join(
                dict.fromkeys(f"{entry.cmd} (process {entry.pid})" for entry in stale)
            )
            output.say(f"{path}: removed the entry of a process that has ended: {whose}")


def _at_work() -> Iterator[psutil.Process]:
    """The dvc processes that work in this folder."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if processes.is_dvc(process) and Path(process.cwd()).is_relative_to(Path.cwd()):
                yield process


def _is_at_work(entry: Entry, written: float) -> bool:
    """Tell whether the process that has the pid of an entry can have made it: by its command,
    folder and start.
    """
    program = _PROGRAM.match(entry.cmd)
    assert program  # it matches any text
    try:
        process = psutil.Process(entry.pid)
        if process.create_time() > written + 2 or process.status() == psutil.STATUS_ZOMBIE:
            return False
        if not " ".join(process.cmdline()).endswith(entry.cmd[program.end() :]):
            return False
        return Path(process.cwd()).is_relative_to(Path.cwd())
    except (psutil.NoSuchProcess, OverflowError, ValueError):
        return False
    except psutil.AccessDenied:  # of another user
        return True


def _described(process: psutil.Process, command: str | None = None) -> str:
    """Command, process, user, machine, folder and start of a process."""
    with contextlib.suppress(psutil.Error):
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(process.create_time()))
        folder = "a folder that we may not see"
        with contextlib.suppress(psutil.AccessDenied):
            folder = process.cwd()
        who = f"process {process.pid} of {process.username()} on {socket.gethostname()}"
        return f"`{command or processes.dvc_command(process)}`, {who}, since {since}, in {folder}"
    return f"process {process.pid} on {socket.gethostname()} (`ps -p {process.pid}` says more)"


def is_cut_off(error: str) -> bool:
    """Tell whether dvc gave up for a reason of its own: no lock, no stage that failed, no full
    cache.
    """
    return not busy(error) and "failed to run: " not in error and NOT_STORED not in error
