"""What a command costs, in a process of its own: seconds by the clock, processor seconds, and the
most memory it ever had.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
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


def run(
    *arguments: str | Path,
    folder: Path = ROOT,
    asked: Callable[[str], None] | None = None,
    **environment: str,
) -> Cost:
    """Runs `python ARGUMENTS`.

    The caller should be small: Linux counts what the caller held when it started the process.

    Args:
        arguments: of Python.
        folder: the current one of the process.
        asked: of a server: gets the address that it prints, and asks it something. Then Ctrl-C ends
            the server; its seconds are those until the answer.
        environment: variables to add.

    Raises:
        RuntimeError: it failed; with the end of what it said.
    """
    begin = time.perf_counter()
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT), **environment}
    with subprocess.Popen(
        [sys.executable, *map(str, arguments)], cwd=folder, env={**os.environ, **quiet},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as process:  # fmt: skip
        assert process.stdout
        output = ""
        if asked:
            for line in process.stdout:
                output += line
                if "until Ctrl-C" in line:
                    asked(next(word for word in line.split() if word.startswith("http")))
                    break
            seconds = time.perf_counter() - begin
            process.send_signal(signal.SIGINT)
        output += process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    ended = (0, 130, -signal.SIGINT) if asked else (0,)
    if process.returncode not in ended:
        raise RuntimeError(
            f"{' '.join(map(str, arguments))}: exit code {process.returncode}\n{output[-2000:]}"
        )
    if not asked:
        seconds = time.perf_counter() - begin
    kilobyte = 1 if sys.platform == "darwin" else 1024
    return Cost(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * kilobyte, output)
