"""Other programs as children: their output line by line as it comes, and an end to them and all
that they started.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import psutil

from fcn.errors import LINE, shown
from flows.runner import output, processes

# seconds to wait after each
STOP = ((signal.SIGINT, 20.0), (signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0))


def follow(
    command: Sequence[str],
    extra: Mapping[str, str],
    hear: Callable[[str], object],
    stop: Sequence[tuple[signal.Signals, float]] = STOP,
) -> int:
    """Run a Python module with its arguments, and hand on its output line by line as it comes.

    Args:
        command: the words after `python -m`.
        extra: variables for its environment.
        hear: is called with each line, without its end; `show` prints it.
        stop: how to end it: signals, and seconds to wait after each.

    Returns:
        The exit code. On any exception, Ctrl-C above all, the child and all that it started are
        ended first. Ctrl-Z stops them all, and what continues this process continues them.
    """
    environment = (
        os.environ
        | extra
        | {
            processes.PARENT_PROCESS: processes.identity(psutil.Process()),
            "PATH": os.pathsep.join(
                [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
            ),
            "PYTHONUNBUFFERED": "1",
            "DVC_NO_ANALYTICS": "1",
            "DO_NOT_TRACK": "1",
        }
    )
    child = subprocess.Popen(
        [sys.executable, "-m", *command],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        # Ctrl-C reaches us alone; `_stop` hands it on, and sees to it that all of them end
        start_new_session=True,
    )
    assert child.stdout is not None
    try:
        with _stopped_with_us(child.pid):
            for line in child.stdout:
                hear(line.rstrip())
            child.wait()
    except BaseException:
        _stop(child, stop, hear)
        raise
    child.stdout.close()
    return child.returncode


def show(line: str) -> None:
    """Print a line of a child's output, which repeats names of files and more from outside."""
    output.say(shown(line, LINE))


def _hand_on(lines: Iterable[str], hear: Callable[[str], object]) -> None:
    for line in lines:
        hear(line.rstrip())


@contextlib.contextmanager
def _stopped_with_us(group: int) -> Iterator[None]:
    """Let Ctrl-Z, which reaches us alone, stop the process group, too."""
    before = signal.getsignal(signal.SIGTSTP)
    if before == signal.SIG_IGN or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGSTOP)  # SIGTSTP does nothing to a group without a terminal
        os.kill(os.getpid(), signal.SIGSTOP)
        with contextlib.suppress(ProcessLookupError):  # somebody has sent SIGCONT
            os.killpg(group, signal.SIGCONT)

    signal.signal(signal.SIGTSTP, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTSTP, before)


def _stop(
    child: subprocess.Popen[str],
    stop: Sequence[tuple[signal.Signals, float]],
    hear: Callable[[str], object],
) -> None:
    """End a child and all that it started, gently at first; another Ctrl-C goes on to the next
    step.
    """
    assert child.stdout is not None
    rest: Iterable[str] = child.stdout
    reader = threading.Thread(target=_hand_on, args=[rest, hear], daemon=True)
    reader.start()  # else a full pipe could keep them from ending
    for number, seconds in stop:
        with contextlib.suppress(KeyboardInterrupt):
            if _is_gone_after(child, number, seconds):
                break
    reader.join(timeout=2)
    if not reader.is_alive():
        child.stdout.close()


def _is_gone_after(child: subprocess.Popen[str], number: signal.Signals, seconds: float) -> bool:
    """Send a signal to the group of `child`, and tell whether all of it ends
    within some seconds.
    """
    deadline = time.monotonic() + seconds
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, number)
    while _is_group_running(child.pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    child.wait()
    return True


def _is_group_running(group: int) -> bool:
    """Tell whether a process group has a member that is more than a zombie (whose reaping may be
    nobody's hurry).
    """
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                return True
    return False
