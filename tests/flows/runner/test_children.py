"""A command that follows another one: Ctrl-Z stops both, and an output that cannot be written stops
neither.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.living import wait_for

ROOT = Path(__file__).parents[3]
DRIVER = (
    "import sys; from flows.runner import children; sys.exit(children.follow(['worker'], {}, "
    "children.show))"
)
WORKER = """
import pathlib, subprocess, sys, time
below = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], \
stdin=subprocess.PIPE)
print("working", flush=True)
while pathlib.Path("wait").exists():
    time.sleep(0.05)
print("done", flush=True)
pathlib.Path("result").write_text("all of it")
below.communicate()
"""


@pytest.fixture
def start(tmp_path):
    (tmp_path / "worker.py").write_text(WORKER)
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}"}

    def start(**options):
        return subprocess.Popen(
            [sys.executable, "-c", DRIVER], cwd=tmp_path, env=environment, text=True,
            start_new_session=True,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options,
        )  # fmt: skip

    return start


def test_ctrl_z_stops_all_and_fg_continues_all(start, tmp_path):
    (tmp_path / "wait").touch()
    with start() as process:
        assert process.stdout.readline() == "working\n"
        all_of_them = [
            psutil.Process(process.pid),
            *psutil.Process(process.pid).children(recursive=True),
        ]
        assert len(all_of_them) == 3
        for _ in range(2):
            process.send_signal(signal.SIGTSTP)
            wait_for(lambda: {each.status() for each in all_of_them} == {psutil.STATUS_STOPPED})
            process.send_signal(signal.SIGCONT)
            wait_for(lambda: psutil.STATUS_STOPPED not in {each.status() for each in all_of_them})
        (tmp_path / "wait").unlink()
        assert process.communicate() == ("done\n", "")
    assert process.returncode == 0


FULL = (
    "warning: standard output cannot be written (No space left on device): the run goes on "
    "without\n"
)
PIPE = "warning: standard output cannot be written (Broken pipe): the run goes on without\n"


@pytest.mark.parametrize("where", ["a full disk", "a pipe that nobody reads", "both", "nowhere"])
def test_an_output_that_cannot_be_written_is_said_once_and_stops_nothing(start, tmp_path, where):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    read, write = os.pipe()
    os.close(read)
    with open("/dev/full", "w") as full:
        options = {
            "a full disk": {"stdout": full},
            "a pipe that nobody reads": {"stdout": write},
            "both": {"stdout": full, "stderr": full},
            "nowhere": {"preexec_fn": lambda: os.close(1)},
        }[where]
        with start(**options) as process:
            _, said = process.communicate()
    os.close(write)
    assert (process.returncode, (tmp_path / "result").read_text()) == (0, "all of it"), said
    assert (
        said
        == {"a full disk": FULL, "a pipe that nobody reads": PIPE, "both": None, "nowhere": ""}[
            where
        ]
    )


HANGUP = """
import os, signal
from flows.runner import processes
signal.signal(signal.SIGHUP, signal.{})
processes.interrupt_on_signals()
try:
    os.kill(os.getpid(), signal.SIGHUP)
    print("goes on")
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.parametrize(
    ("before", "said"), [("SIG_DFL", "interrupted\n"), ("SIG_IGN", "goes on\n")]
)
def test_a_closed_terminal_is_an_interrupt_but_under_nohup(before, said):
    command = [sys.executable, "-c", HANGUP.format(before)]
    done = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert done.stdout == said, done.stderr
