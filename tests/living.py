import contextlib
import time

import psutil


def living(processes, seconds=0):
    """Those that still run after so many seconds, or fewer. A zombie does not: who reaps it is the
    machine's matter.
    """
    deadline = time.monotonic() + seconds
    while found := [process for process in processes if _is_living(process)]:
        if time.monotonic() >= deadline:
            break
        time.sleep(0.1)
    return found


def wait_for(condition, seconds=20):
    """Waits until something holds, or fails."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _is_living(process):
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
