"""One pipeline per workspace, and in words who is at work in it.

DVC locks what a stage reads and writes, so two `dvc repro` may still train side by side on one GPU; two pipelines may not.
"""

import contextlib
import fcntl
import json
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from fcn.errors import UserError
from flows import processes

LOCKS = Path(".dvc/tmp")  # DVC's own place for locks, ignored by git; seen from the workspace, the current folder
NOT_STORED = "DVC's cache could not take"
_BUSY = re.compile(r"is busy, it is being blocked by|Unable to acquire lock")


@contextlib.contextmanager
def held(command: str) -> Iterator[None]:
    """Hold the workspace while `command` runs. The lock ends with the process, however that ends, also across containers.

    Raises:
        UserError: somebody else holds it; the message says who.
    """
    with contextlib.ExitStack() as stack:
        # Where no lock can be, because it is no DVC project or it cannot be written, dvc has the better words.
        with contextlib.suppress(OSError):
            (LOCKS.parent / "config").stat()
            LOCKS.mkdir(exist_ok=True)
            file = stack.enter_context((LOCKS / "pipeline.lock").open("a+", encoding="utf-8"))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                raise UserError(_refusal(file.read() or "a pipeline that is just starting")) from None
            file.truncate(0)
            file.write(_described(psutil.Process(), command))
            file.flush()
        yield


def busy(error: str) -> str | None:
    """Who holds what dvc could not lock, in words; None if `error`, its message, says something else."""
    if not _BUSY.search(error):
        return None
    return _refusal("\n".join(_described(process) for process in _holders(error)) or "a dvc process that has ended meanwhile")


def _refusal(who: str) -> str:
    return f"this workspace is busy, nothing was done. At work in it:\n  {who}\nWait for its end and run this again, or end it."


def _holders(error: str) -> Iterator[psutil.Process]:
    """The living processes that DVC's files name: of the whole project, or of single paths."""
    pids: list[int] = []
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        if "Unable to acquire lock" in error:
            pids.append(int((LOCKS / "lock").read_text()))
        else:
            paths = json.loads((LOCKS / "rwlock").read_text(encoding="utf-8"))
            infos = [*paths["write"].values(), *(info for several in paths["read"].values() for info in several)]
            pids += [info["pid"] for info in infos]
    for pid in dict.fromkeys(pids):
        with contextlib.suppress(psutil.NoSuchProcess):
            yield psutil.Process(pid)


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
    """Tell whether dvc gave up for a reason of its own: no lock, no stage that failed, no full cache."""
    return not busy(error) and "failed to run: " not in error and NOT_STORED not in error
