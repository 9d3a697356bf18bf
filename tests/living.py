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


def _is_living(process):
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
