import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from fcn.cli.app import main
from fcn.errors import UserError
from flows import pipeline
from flows.runner import overrides, remote, runs, server, stage, workspace
from tasks import reach
from tasks.tracking import provenance
from tests.living import living

STAGES = ["first", "second@a", "second@b"]


@pytest.fixture(scope="module")
def done(project):
    """The project after a first run of the pipeline: the run in Prefect, and the output."""
    project.params(first="hello", second="world")
    code, output = project.run("fcn", "repro")
    assert code == 0, output
    return project.top(), output


def started(project, *command):
    """Start `python -m command` and wait until its stage works; the process, and all processes
    below it but the server.
    """
    process = project.start(*command, start_new_session=True)
    line = ""
    while line != "waiting\n":
        line = process.stdout.readline()
        assert line, "it ended early"
    below = psutil.Process(process.pid).children(recursive=True)
    assert any("tiny" in child.cmdline() for child in below)
    return process, below


def test_first_run(project, done):
    run, output = done
    assert (run.name, run.state.name) == ("dvc repro", "Completed")
    assert project.below(run) == dict.fromkeys(STAGES, "Completed")
    for name in STAGES:
        child = project.child(run, name)
        assert (child.name, child.state.name) == (name, "Completed")
        assert list(project.below(child).values()) == ["Completed"]
    lines = re.sub(r"\d\d:\d\d:\d\d|\d+ s|\d+\b", "N", output).splitlines()
    begun = [line.split()[1] for line in lines if line.endswith(" begins")]
    assert begun == STAGES
    assert len(lines) == 10, "3 for the beginning, 2 a stage, and at the end seconds and what next"
    (log,) = (project.folder / ".cache/logs").glob("*.log")
    assert "\n> python -m tiny --text world --out second-b.txt\n" in log.read_text()
    assert (project.folder / "second-b.txt").read_text() == "world"


def test_stages_that_dvc_skips_are_shown_as_cached_and_restored(project, done):
    lock = project.folder / "dvc.lock"
    whole = lock.read_text()
    lock.write_text(whole[: whole.index("  second@b:")])  # dvc knows it from its run cache only
    code, output = project.run("fcn", "repro")
    assert code == 0, output
    assert project.below(project.top()) == {
        "first": "Cached",
        "second@a": "Cached",
        "second@b": "Restored",
    }
    assert lock.read_text() == whole


def test_without_a_server_nothing_to_do_starts_none(project, done, monkeypatch, capfd):
    with_prefect = 77
    monkeypatch.chdir(project.folder)
    monkeypatch.setattr(server, "join", lambda folder, users, port: "")
    monkeypatch.setattr(stage, "execute", lambda *_, **__: with_prefect)

    def refuse(changes):
        raise UserError("no name")

    assert main(["repro"]) == 0
    assert capfd.readouterr().out.splitlines() == [
        "Nothing to do: 3 stages are up to date.",
        "Next: `fcn ui` (pages of Prefect and MLflow)",
    ]
    assert loaded_after_nothing_to_do(project) == ""
    assert main(["repro", "first"]) == 0
    assert capfd.readouterr().out.startswith("Nothing to do: 1 stage is up to date.\n")
    assert main(["repro", "--force"]) == with_prefect
    (project.folder / "second-b.txt").rename(project.folder / "moved")
    assert main(["repro"]) == with_prefect
    (project.folder / "moved").rename(project.folder / "second-b.txt")
    with monkeypatch.context() as patch:
        patch.setattr(overrides, "check_file", refuse)
        patch.setattr(pipeline, "is_done", None)
        assert main(["repro"]) == 1, "no dvc before names are known to be names, and no server"
        assert capfd.readouterr().err == "error: no name\n"


def loaded_after_nothing_to_do(project):
    """Those of the large packages that a pipeline which has nothing to do imports."""
    names = ("prefect", "mlflow", "tensorflow", "keras", "matplotlib")
    code = (
        "import sys; from flows import pipeline; pipeline.run([], False, [], None)\n"
        f"print(*[n for n in {names} if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=project.folder,
        env=project.environment,
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith("Nothing to do: 3 stages"), done.stdout + done.stderr
    return done.stdout.splitlines()[-1]


def test_with_a_server_nothing_to_do_is_recorded(project, done):
    code, output = project.run("fcn", "repro")
    assert (code, output.splitlines()[0]) == (0, "Nothing to do: 3 stages are up to date.")
    run = project.top()
    assert (run.state.name, run.state.message) == (
        "Completed",
        "nothing to do: 3 stages are up to date",
    )
    assert (run.name, run.tags) == ("dvc repro", [f"folder:{project.folder.name}"])
    assert project.below(run) == dict.fromkeys(STAGES, "Cached")


def test_bare_dvc_looks_the_same_and_a_user_error_is_one_line(project, done, monkeypatch):
    # As in an activated environment; the pipeline finds its Python without.
    monkeypatch.setitem(
        project.environment, "PATH", f"{Path(sys.executable).parent}:{project.environment['PATH']}"
    )
    project.params(first="hello", second="unwanted")
    code, output = project.run("dvc", "repro", "second")
    assert code == 255
    lines = output.splitlines()
    assert lines.count("error: params.yaml: text: wanted a greeting, got 'unwanted'") == 1
    assert "Traceback" not in output
    run = project.top()
    assert (run.name, run.state.name, run.state.message) == (
        "dvc repro second",
        "Failed",
        "Stage second@a did not complete.",
    )
    assert run.flow_id == done[0].flow_id
    assert project.below(run) == {"second@a": "Failed"}
    assert project.child(run, "second@a").state.message.endswith(
        "wanted a greeting, got 'unwanted'"
    )


def test_a_failed_stage_fails_the_pipeline_with_the_stage_s_words(project, done):
    project.params(first="unwanted", second="world")
    code, output = project.run("fcn", "repro", "second@b", "--force")
    assert code == 1
    words = "first: params.yaml: text: wanted a greeting, got 'unwanted'"
    assert output.endswith(f"error: {words}\n")
    assert output.count("wanted a greeting") == 1, "once, last"
    assert not re.search("ERROR|Traceback|Failed", output)
    run = project.top()
    assert run.state.name == "Failed"
    assert words in run.state.message
    assert project.below(run) == {"first": "Failed"}


def test_two_at_once_and_ctrl_c(project, done, monkeypatch):
    project.params(first="wait", second="world")
    one, below = started(project, "fcn", "repro", "--verbose")
    first = project.top()
    code, output = project.run("fcn", "repro")
    assert code == 1
    assert "error: this workspace is busy, nothing was done. At work in it:\n" in output
    assert f"\n  `dvc repro`, process {one.pid} of " in output
    assert f", in {project.folder}\n" in output

    # knows nothing of pipelines, but has locks of its own
    code, output = project.run("dvc", "repro")
    assert code == 255
    assert re.search(
        r"failed to reproduce 'first': '.*first.txt' is busy, it is being blocked by", output
    )
    assert f"(PID {below[0].pid}): " in output
    monkeypatch.chdir(project.folder)
    assert f"\n  `dvc repro`, process {below[0].pid} of " in (workspace.busy(output) or "")
    # the second did not take the first for dead
    assert project.client.read_flow_run(first.id).state.name == "Running"

    os.killpg(one.pid, signal.SIGINT)  # what Ctrl-C does
    output, _ = one.communicate()
    assert one.returncode == 130
    assert output.endswith(
        "interrupted: 0 stages done; first: it begins anew; the same command goes on from there\n"
    )
    assert living(below) == []
    state = project.client.read_flow_run(first.id).state
    assert (state.name, state.message) == ("Cancelled", "stopped by Ctrl-C")
    assert project.below(first) == {"first": "Cancelled"}
    child = project.child(first, "first")
    assert (child.state.name, child.state.message) == ("Cancelled", "stopped by Ctrl-C")
    assert set(project.below(child).values()) == {"Cancelled"}


def test_what_a_killed_pipeline_leaves_behind(project, done, monkeypatch):
    project.params(first="wait", second="world")
    process, below = started(project, "fcn", "repro", "--verbose")
    run = project.top()
    process.kill()
    process.communicate()
    assert living(below, 60) == []
    assert project.client.read_flow_run(run.id).state.name == "Running"

    monkeypatch.chdir(project.folder)
    assert runs.reconcile(project.client) >= 1
    state = project.client.read_flow_run(run.id).state
    assert (state.name, state.message) == (
        "Crashed",
        "Its process ended without recording its end: killed, or out of memory.",
    )
    child = project.child(run, "first")
    # It was stopped when its dvc was gone, or could say nothing more to anybody, whichever came
    # first.
    # Failed: its own print met the pipe of a pipeline that was gone.
    assert child.state.name in ("Cancelled", "Crashed", "Failed")
    # This stage prints, which fails where nobody reads any more.
    assert set(project.below(child).values()) <= {"Cancelled", "Crashed", "Failed"}
    assert runs.reconcile(project.client) == 0

    project.params(first="hello", second="world")
    assert project.run("fcn", "repro")[0] == 0  # no lock is left


@pytest.mark.parametrize(
    ("words", "whole", "command", "changes"),
    [
        ([], True, ["repro"], []),
        (["records", "report", "--force"], True, ["repro", "records", "report", "--force"], []),
        (
            ["--set", "profile=voc2012", "report"],
            True,
            ["exp", "run", "report"],
            ["profile=voc2012"],
        ),
        # no clone has all outputs
        (["--set", "profile=voc2012", "report"], False, ["repro", "report"], ["profile=voc2012"]),
    ],
)
def test_command_line(words, whole, command, changes, monkeypatch, capsys):
    called = []
    monkeypatch.chdir(Path(__file__).parents[2])

    def execute(*args, **kwargs):
        called.append((args, kwargs))
        return 7

    monkeypatch.setattr(stage, "execute", execute)
    monkeypatch.setattr(remote, "options", list)
    monkeypatch.setattr(remote, "is_whole", lambda: whole)
    monkeypatch.setattr(provenance, "git", lambda *_: b"a commit")
    monkeypatch.setattr(pipeline, "is_done", lambda command: False)
    monkeypatch.setattr(reach, "check", lambda *_: None)
    assert main(["repro", *words]) == 7
    name = " ".join(["dvc", *command, *(f"--set {change}" for change in changes)])
    assert called == [
        (
            (pipeline.pipeline, {"command": command, "changes": changes, "local": None}),
            {"name": name},
        )
    ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("profile=nix", "got 'nix', did you mean `"),
        (
            "profiles.sample.train.fcn32s.iterations=77",
            "expected a multiple of log_every = 50, got 77",
        ),
    ],
)
def test_a_wrong_change_ends_before_a_server_starts_and_before_anything_is_written(
    change, words, tmp_path, monkeypatch, capsys
):
    for name in ("params.yaml", "profiles.yaml"):
        shutil.copy(Path(__file__).parents[2] / name, tmp_path)
    (tmp_path / "dvc.yaml").touch()
    monkeypatch.chdir(tmp_path)
    before = Path("params.yaml").read_bytes()
    monkeypatch.setattr(stage, "execute", lambda *_, **__: pytest.fail("it ran"))
    assert main(["repro", "--set", change]) == 1
    assert words in capsys.readouterr().err
    assert Path("params.yaml").read_bytes() == before
