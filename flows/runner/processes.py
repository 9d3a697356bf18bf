"""Processes: which one is meant, whether it still runs, and how one ends when it is told to or left
alone.
"""

import contextlib
import ctypes
import os
import signal
import sys
import threading
import time

import psutil

PARENT_PROCESS = "FCN_PARENT_PROCESS"
"""Set by `flows.runner.children` for what it starts: identity of the process to end with."""
PARENT_RUN = "FCN_PARENT_RUN"
"""Set by `flows.pipeline` for its stages: id of the flow run above; empty: Prefect's API is known
not to be there.
"""
_owners: list[str] = []
INTERRUPTED = 130  # what a shell reports of a command that Ctrl-C ended


def identity(process: psutil.Process) -> str:
    """The name of a process that no later process can inherit: "<pid>-<when it began, in hundredths
    of a second>".
    """
    return f"{process.pid}-{_began(process)}"


def _began(process: psutil.Process) -> int:
    """Since the machine was started where that is known: Linux derives the time of day from the
    clock, which may be set.
    """
    since = psutil.boot_time() if sys.platform == "linux" else 0.0
    return round((process.create_time() - since) * 100)


def is_alive(name: str) -> bool:
    """Tell whether the process of that `identity` still runs. A zombie does not, nor what is no
    identity.
    """
    with contextlib.suppress(psutil.NoSuchProcess, ValueError, OverflowError):
        pid, created = map(int, name.split("-"))
        process = psutil.Process(pid)
        # Two seconds, for a clock that is being adjusted, are no room for a reused pid.
        return abs(_began(process) - created) < 200 and process.status() != psutil.STATUS_ZOMBIE
    return False


def dvc_above() -> psutil.Process | None:
    """The nearest dvc process above this one."""
    with contextlib.suppress(psutil.Error):
        for process in psutil.Process().parents():
            if is_dvc(process):
                return process
    return None


def is_dvc(process: psutil.Process) -> bool:
    """Tell by its command line whether a process is dvc."""
    return any(map(_is_dvc, process.cmdline()))


def dvc_command(dvc: psutil.Process) -> str:
    """The command line of a dvc process, without its Python: "dvc repro --force". Of any other
    process: as it is.
    """
    words = dvc.cmdline()
    start = next((i for i, word in enumerate(words) if _is_dvc(word)), None)
    return " ".join(words if start is None else ["dvc", *words[start + 1 :]])


def _is_dvc(word: str) -> bool:
    # `dvc`, `/usr/bin/dvc`, or what follows `python -m`; not a shell's `-c "python -m flows.train
    # --out models/dvc"`.
    return word.rpartition("/")[2] == "dvc" and (" " not in word or os.path.isfile(word))


def end_with_parent(number: signal.Signals) -> None:
    """Get that signal at once when the direct parent ends, where the system can do that."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, number)  # PR_SET_PDEATHSIG


def refuse_alone() -> None:
    """End this process, a stage, if the process that started it is gone.

    Whoever kills dvc wants no training to go on unrecorded, beside that of the next `dvc repro`.

    Raises:
        SystemExit: it is gone.
    """
    if _is_alone():
        print("error: the dvc that started this stage is gone: nothing was done", file=sys.stderr)
        raise SystemExit(INTERRUPTED)


def _is_alone() -> bool:
    owner = os.environ.get(PARENT_PROCESS)
    if owner and not is_alive(owner):
        return True
    if "DVC_ROOT" not in os.environ or dvc_above():
        return False
    # Python may be what ran DVC; init, or what takes its place, has a session of its own.
    with contextlib.suppress(ProcessLookupError):
        return os.getsid(os.getppid()) != os.getsid(0)
    return True


def end_with(*owners: str) -> None:
    """Interrupt this process when one of those is gone.

    Args:
        owners: `identity` of processes.
    """
    end_with_parent(signal.SIGINT)
    _owners.extend(owners)

    def watch() -> None:
        while all(map(is_alive, owners)):
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=watch, daemon=True).start()


def interrupt_on_signals() -> None:
    """Let SIGINT and SIGTERM raise KeyboardInterrupt, also in a background job, which starts with
    SIGINT ignored.

    SIGHUP, of a terminal that is closed, does so, too, unless `nohup` has it ignored.

    Signals in quick succession count as one: the clean-up that the first has begun shall be able to
    end.
    """
    last = float("-inf")

    def interrupt(number: int, _: object) -> None:
        nonlocal last
        if time.monotonic() - last > 3:
            last = time.monotonic()
            is_orphan = not all(map(is_alive, _owners))
            raise KeyboardInterrupt(
                "the end of the command above it" if is_orphan else signal.Signals(number).name
            )

    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, interrupt)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        signal.signal(signal.SIGHUP, interrupt)
