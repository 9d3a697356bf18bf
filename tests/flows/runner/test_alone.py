"""A stage whose dvc is killed while it still imports: it ends, and imports
nothing heavy any more.
"""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from flows.runner import processes
from tests.living import wait_for

ROOT = Path(__file__).parents[3]
DVC = """
import os, subprocess, sys, time
environment = os.environ | {"DVC_STAGE": "train@fcn8s", "DVC_ROOT": os.getcwd()}
with open("said", "w") as said:
    child = subprocess.Popen(["sh", "-c", sys.argv[1]], env=environment, stderr=said)
print(child.pid, flush=True)
time.sleep(60 * int(sys.argv[2]))
"""
KERAS = """
import time
open("importing", "w").close()
time.sleep(60)
"""


@pytest.fixture
def dvc(tmp_path):
    """Starts a process called dvc, which starts a stage and waits or ends; gives it and the stage's
    process.
    """
    (tmp_path / "dvc").write_text(DVC)
    (tmp_path / "keras.py").write_text(KERAS)
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}", "PYTHONSAFEPATH": "1"}
    started = []

    def start(command, waits):
        process = subprocess.Popen(
            [sys.executable, "dvc", command, str(int(waits))], cwd=tmp_path, env=environment,
            stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        started.append(process)
        assert process.stdout
        return process, psutil.Process(int(process.stdout.readline()))

    yield start
    for process in started:
        process.kill()
        process.communicate()


def gone(process):
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_a_stage_whose_dvc_is_gone_ends_before_it_imports_anything_heavy(dvc, tmp_path):
    _, stage = dvc(f"sleep 0.5; exec {sys.executable} -m flows.train", waits=False)
    wait_for(lambda: gone(stage))
    assert (tmp_path / "said").read_text() == (
        "error: the dvc that started this stage is gone: nothing was done\n"
    )
    assert not (tmp_path / "importing").exists()


def test_kill_9_of_dvc_while_its_stage_imports_ends_the_stage(dvc, tmp_path):
    process, stage = dvc(f"exec {sys.executable} -m flows.train", waits=True)
    wait_for((tmp_path / "importing").exists)
    assert not gone(stage)
    process.kill()
    wait_for(lambda: gone(stage))
    assert (tmp_path / "said").read_text() == ""


def test_an_owner_that_is_gone_or_no_process_leaves_a_stage_alone(monkeypatch, capsys):
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        name = processes.identity(psutil.Process(child.pid))
    for owner in (name, "x", "1", "1-99999999999", "9" * 30 + "-1", "-"):
        monkeypatch.setenv(processes.PARENT_PROCESS, owner)
        with pytest.raises(SystemExit, match="130"):
            processes.refuse_alone()
    monkeypatch.setenv(processes.PARENT_PROCESS, processes.identity(psutil.Process()))
    processes.refuse_alone()
    monkeypatch.setenv("DVC_ROOT", "/w")  # a script that calls DVC as a library
    processes.refuse_alone()
