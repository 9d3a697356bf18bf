"""What a command costs, in a process of its own: seconds by the clock, processor seconds, and the
most memory it ever had.
"""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Cost:
    """Of one process: seconds, processor seconds, bytes, and what it printed."""

    seconds: float
    processor: float
    peak: int
    output: str


def run(*arguments: str | Path, **environment: str) -> Cost:
    """Runs `python ARGUMENTS` at the root of the project.

    The caller should be small: Linux counts what the caller held when it started the process.

    Raises:
        RuntimeError: it failed; with the end of what it said.
    """
    begin = time.perf_counter()
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT), **environment}
    with subprocess.Popen(
        [sys.executable, *map(str, arguments)], cwd=ROOT, env={**os.environ, **quiet},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as process:  # fmt: skip
        assert process.stdout
        output = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(
            f"{' '.join(map(str, arguments))}: exit code {process.returncode}\n{output[-2000:]}"
        )
    kilobyte = 1 if sys.platform == "darwin" else 1024
    return Cost(
        time.perf_counter() - begin,
        used.ru_utime + used.ru_stime,
        used.ru_maxrss * kilobyte,
        output,
    )
