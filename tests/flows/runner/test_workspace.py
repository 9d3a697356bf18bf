import contextlib
import json
import os
import re
import socket
import subprocess
import sys

import psutil
import pytest

from fcn.errors import UserError
from flows.runner import workspace


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
            rf"  `dvc repro train@fcn8s`, process {os.getpid()} of {user} on "
            rf"{socket.gethostname()}, since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d, in {folder}\n"
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
        assert other.stdout
        other.stdout.readline()
        info = {"pid": other.pid, "cmd": "dvc repro"}
        # DVC leaves an empty part out
        locks = {mode: {"/w": [info] if mode == "read" else info}} if mode != "lock" else {}
        (folder / ".dvc/tmp/rwlock").write_text(json.dumps(locks))
        (folder / ".dvc/tmp/lock").write_text(f" {other.pid}\n")
        error = (
            ("Unable to acquire lock. Most likely another DVC process is running")
            if mode == "lock"
            else BUSY
        )
        assert f"\n  `dvc repro train@fcn8s`, process {other.pid} of " in (
            workspace.busy(error) or ""
        )
        other.communicate()
    assert "\n  a dvc process that has ended meanwhile\n" in (workspace.busy(error) or "")


@pytest.mark.parametrize(
    ("error", "busy", "cut_off"),
    [
        (BUSY, True, False),
        (
            "failed to reproduce 'report': failed to run: python -m flows.report, exited with 1",
            False,
            False,
        ),
        (
            "failed to reproduce 'records': [Errno 2] No such file or directory: '/w/data/raw'",
            False,
            True,
        ),
        ("unexpected error - Could not connect to the endpoint URL", False, True),
    ],
)
def test_kinds_of_errors(folder, error, busy, cut_off):
    assert (workspace.busy(error) is not None, workspace.is_cut_off(error)) == (busy, cut_off)


@contextlib.contextmanager
def process(*words, cwd):
    """A process with these words in its command line."""
    command = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()", *words]
    with subprocess.Popen(
        command, cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as started:
        assert started.stdout
        started.stdout.readline()
        yield started.pid
        started.communicate()


HOLDER = ("dvc", "repro", "train@fcn8s")


@pytest.mark.parametrize(
    ("words", "below", "cmd", "stale"),
    [
        (HOLDER, ".", "/x y/bin/dvc repro train@fcn8s", False),
        (HOLDER, "sub", "/x y/dvc/__main__.py repro train@fcn8s", False),
        (("script.py",), ".", "script.py", False),  # which has DVC as a library
        (HOLDER, ".", "/x y/bin/dvc repro", True),  # another command
        (HOLDER, "..", "/x y/bin/dvc repro train@fcn8s", True),  # another folder
    ],
)
@pytest.mark.parametrize("mode", ["read", "write"])
def test_what_a_killed_dvc_holds_is_taken_out(folder, capsys, mode, words, below, cmd, stale):
    (folder / "sub").mkdir()
    path = folder / ".dvc/tmp/rwlock"
    with process(*words, cwd=folder / below) as pid:
        mine = {"pid": os.getpid(), "cmd": " ".join(psutil.Process().cmdline())}
        info = {"pid": pid, "cmd": cmd}
        reads = {"read": {"/w": [mine, info]}}
        locks = reads if mode == "read" else {"write": {"/w": info}, "read": {"/v": [mine]}}
        path.write_text(json.dumps(locks))
        with workspace.held("dvc repro"):
            pass
    said = (
        f".dvc/tmp/rwlock: removed the entry of a process that has ended: {cmd} (process {pid})\n"
    )
    assert capsys.readouterr().out == said * stale
    rest = {"read": {"/w": [mine]}} if mode == "read" else {"read": {"/v": [mine]}}
    assert json.loads(path.read_text()) == (rest | {"write": {}} if stale else locks)


def test_who_began_after_a_lock_was_written_does_not_hold_it(folder):
    path = folder / ".dvc/tmp/rwlock"
    info = {"pid": os.getpid(), "cmd": " ".join(psutil.Process().cmdline())}
    for since, left in ((1, {"/w": info}), (-9, {})):
        path.write_text(json.dumps({"write": {"/w": info}}))
        os.utime(path, (0, psutil.Process().create_time() + since))
        with workspace.held("dvc repro"):
            assert json.loads(path.read_text()) == {"write": left} | (
                {"read": {}} if not left else {}
            )


@pytest.mark.parametrize(
    "text",
    [
        "",
        '{"write": {"/w/models": {"pid": 12, "c',
        "[]",
        "null",
        '{"write": 3}',
        '{"x": {}}',
        '{"write": {"/w": {"pid": "1"}}}',
    ],
)
def test_a_torn_file_of_locks_is_removed_when_no_dvc_is_at_work(folder, capsys, text):
    path = folder / ".dvc/tmp/rwlock"
    path.write_text(text)
    with process(*HOLDER, cwd=folder) as pid:
        with (
            pytest.raises(UserError, match=rf"busy, nothing was done(.|\n)*process {pid} of "),
            workspace.held("dvc repro"),
        ):
            pass
        assert path.read_text() == text
    with process(*HOLDER, cwd=folder.parent), workspace.held("dvc repro"):
        assert not path.exists()
    assert (
        "rwlock: damaged, as a killed dvc leaves it; removed, since no dvc is at work here\n"
    ) in capsys.readouterr().out
