import json
import os
import re
import socket
import subprocess
import sys

import psutil
import pytest

from fcn.errors import UserError
from flows import workspace


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / ".dvc/tmp").mkdir(parents=True)
    (tmp_path / ".dvc/config").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_second_pipeline_is_told_who_is_at_work(folder):
    with workspace.held("dvc repro train@fcn8s"):
        with pytest.raises(UserError) as error, workspace.held("dvc repro"):
            pass
        user = psutil.Process().username()
        said = (
            r"this workspace is busy, nothing was done. At work in it:\n"
            rf"  `dvc repro train@fcn8s`, process {os.getpid()} of {user} on {socket.gethostname()}, "
            rf"since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d, in {folder}\n"
            r"Wait for its end and run this again, or end it\."
        )
        assert re.fullmatch(said, str(error.value))
    with workspace.held("dvc repro"):  # let go
        assert (folder / ".dvc/tmp/pipeline.lock").read_text().startswith("`dvc repro`, ")


def test_no_dvc_project_is_none_of_its_business(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with workspace.held("dvc repro"):
        assert list(tmp_path.iterdir()) == []


BUSY = "failed to reproduce 'train@fcn8s': '/w/models/fcn8s' is busy, it is being blocked by:"


@pytest.mark.parametrize("mode", ["read", "write", "lock"])
def test_who_holds_dvcs_locks(folder, mode):
    code = "import sys; print(flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, "dvc", "repro", "train@fcn8s"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        info = {"pid": other.pid, "cmd": "dvc repro"}
        locks = {"read": {}, "write": {}} | ({mode: {"/w": [info] if mode == "read" else info}} if mode != "lock" else {})
        (folder / ".dvc/tmp/rwlock").write_text(json.dumps(locks))
        (folder / ".dvc/tmp/lock").write_text(f" {other.pid}\n")
        error = "Unable to acquire lock. Most likely another DVC process is running" if mode == "lock" else BUSY
        assert f"\n  `dvc repro train@fcn8s`, process {other.pid} of " in workspace.busy(error)
        other.communicate()
    assert "\n  a dvc process that has ended meanwhile\n" in workspace.busy(error)


@pytest.mark.parametrize(
    ("error", "busy", "cut_off"),
    [
        (BUSY, True, False),
        ("failed to reproduce 'report': failed to run: python -m flows.report, exited with 1", False, False),
        ("failed to reproduce 'records': [Errno 2] No such file or directory: '/w/data/raw'", False, True),
        ("unexpected error - Could not connect to the endpoint URL", False, True),
    ],
)
def test_kinds_of_errors(folder, error, busy, cut_off):
    assert (workspace.busy(error) is not None, workspace.is_cut_off(error)) == (busy, cut_off)
