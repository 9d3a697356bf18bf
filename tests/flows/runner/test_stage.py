import inspect
import logging
import os
import signal
import sys
import types
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient
from prefect.exceptions import PrefectHTTPStatusError
from prefect.logging.handlers import PrefectConsoleHandler
from prefect.settings import temporary_settings

from fcn.errors import UserError
from flows.runner import logs, processes, runs, stage
from tasks.tracking import steps


@steps.step("half of {number}")
def half(number):
    steps.show("half", "half", markdown=f"half of {number}")
    if number % 2:
        raise UserError(f"--number: wanted an even number, got {number}")
    steps.logger().info("halving %d", number)
    return number // 2


def halve(
    number: int, out: Path, suffix: str | None = None, scale: float = 1.0, exact: bool = True
) -> None:
    """Halve a number.

    A longer text, which --help leaves out.

    Args:
        number: what to halve, 100 % of it.
        out: file to write (text).
        scale (float): factor.
    """
    if number == 0:
        os.kill(os.getpid(), signal.SIGINT)
        signal.pause()
    if number < 0:
        raise ZeroDivisionError("a bug")
    out.write_text(f"{half(number) * scale}{suffix or ''}{exact}")


def several() -> list[Any]:
    """Fail in several tasks."""
    from prefect import task

    failing = task(inspect.unwrap(half))
    return [failing(number, return_state=True) for number in (2, 3, 5)]


@pytest.fixture(autouse=True)
def _process(monkeypatch):
    """What `execute` changes in the process, and what the developer's environment could change in
    it.
    """
    handlers = {
        number: signal.getsignal(number)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    for name in (processes.PARENT_RUN, processes.PARENT_PROCESS, "DVC_STAGE"):
        monkeypatch.delenv(name, raising=False)
    record = logging.getLogRecordFactory()
    yield
    logging.setLogRecordFactory(record)
    for number, handler in handlers.items():
        signal.signal(number, handler)
    for shown in logging.getLogger().handlers:
        shown.removeFilter(logs.is_news)


@pytest.fixture
def console(capsys, monkeypatch):
    """What has come to stderr, by Prefect's handlers too, which otherwise write to what stderr was
    when they were made.
    """

    def write(text):
        sys.stderr.write(text)

    for handler in logging.getLogger().handlers:
        if isinstance(handler, PrefectConsoleHandler):
            monkeypatch.setattr(
                handler.console, "_file", types.SimpleNamespace(write=write, flush=lambda: None)
            )
    return lambda: capsys.readouterr().err


@pytest.fixture
def bare(monkeypatch):
    monkeypatch.setenv(processes.PARENT_RUN, "")


@pytest.fixture
def api(project):
    """Prefect with the project's server; gives its client."""
    home = project.folder / ".prefect"
    with temporary_settings(
        {"api.url": project.url, "home": home, "results.local_storage_path": home / "storage"}
    ):
        yield project.client


def test_command_line_follows_the_signature():
    parse = stage.command_line(halve).parse_args
    assert vars(parse(["--number", "8", "--out", "a/b"])) == {
        "number": 8, "out": Path("a/b"), "suffix": None, "scale": 1.0, "exact": True,
    }  # fmt: skip
    words = ["--number=8", "--out=a", "--suffix", "x", "--scale", "1e-10", "--no-exact"]
    assert vars(parse(words)) == {
        "number": 8,
        "out": Path("a"),
        "suffix": "x",
        "scale": 1e-10,
        "exact": False,
    }


def test_help_is_the_docstring():
    text = " ".join(stage.command_line(halve).format_help().split())
    assert " Halve a number. " in text
    assert "--number NUMBER what to halve, 100 % of it. --out OUT file to write (text)." in text
    assert "--scale SCALE factor." in text
    assert "A longer text" not in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--number", "8"], "the following arguments are required: --out"),
        (["--number", "8.5", "--out", "a"], "argument --number: invalid int value: '8.5'"),
        (["--num", "8", "--out", "a"], "the following arguments are required: --number"),
        (["--number", "8", "--out", "a", "b"], "unrecognized arguments: b"),
    ],
)
def test_wrong_command_line(words, message, console):
    with pytest.raises(SystemExit, match="2"):
        stage.main(halve, words)
    assert message in console()


def test_an_empty_path_is_a_wrong_command_line(console):
    with pytest.raises(SystemExit, match="2"):
        stage.main(halve, ["--number", "1", "--out", ""])
    assert "argument --out: expected a path, got nothing" in console()


def test_what_is_logged_comes_from_outside(bare, console, caplog):
    odd = "x\x1b[31m\nFAKE"

    def telling() -> None:
        """Tells."""
        steps.logger().info("%s and %s: %d", odd, Path(odd), 3)
        raise UserError(odd, "second")

    assert stage.execute(telling, {}, None) == 1
    said = console()
    assert "x\\x1b[31m\\x0aFAKE and x\\x1b[31m\\x0aFAKE: 3" in caplog.text
    assert said.endswith("error: x\\x1b[31m\\x0aFAKE\nsecond\n")


def test_unsupported_annotation():
    def odd(values: dict) -> None:  # type: ignore[type-arg]
        """Do nothing."""

    with pytest.raises(TypeError, match="odd: parameter 'values' has type <class 'dict'>"):
        stage.command_line(odd)


def test_a_flow_without_any_server(bare, tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_STAGE", "halve@8")
    assert stage.main(halve, ["--number", "8", "--out", str(tmp_path / "out"), "--scale", "2"]) == 0
    assert (tmp_path / "out").read_text() == "8.0True"


def test_a_server_that_is_not_there_is_said_once(tmp_path, console):
    with temporary_settings({"api.url": "http://127.0.0.1:1/api"}):
        assert stage.main(halve, ["--number", "8", "--out", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out").read_text() == "4.0True"
    errors = console()
    assert errors.count("warning: ") == 1
    assert (
        "warning: running without Prefect, which does not record this run: the Prefect "
        "API http://127.0.0.1:1"
    ) in errors


@pytest.mark.parametrize("mode", ["bare", "api"])
def test_user_error_is_one_line(mode, request, tmp_path, console):
    request.getfixturevalue(mode)
    assert stage.main(halve, ["--number", "7", "--out", str(tmp_path / "out")]) == 1
    errors = console()
    assert "error: --number: wanted an even number, got 7\n" in errors
    assert errors.count("wanted an even number") == 1
    assert "Traceback" not in errors


@pytest.mark.parametrize("mode", ["bare", "api"])
def test_any_other_error_keeps_its_traceback(mode, request, tmp_path, console):
    request.getfixturevalue(mode)
    assert stage.main(halve, ["--number", "-2", "--out", str(tmp_path / "out")]) == 1
    errors = console()
    assert errors.endswith("error: ZeroDivisionError: a bug\n")
    assert errors.count("Traceback (most recent call last)") == 1
    assert 'raise ZeroDivisionError("a bug")' in errors


def test_interrupted_without_prefect(bare, tmp_path, console):
    assert stage.main(halve, ["--number", "0", "--out", str(tmp_path / "out")]) == 130
    assert console() == "interrupted\n"


def test_a_lone_stage_is_an_ordinary_flow_run(api, project, tmp_path):
    assert stage.main(halve, ["--number", "8", "--out", str(tmp_path / "out")]) == 0
    run = project.top()
    assert (run.state.name, run.parent_task_run_id) == ("Completed", None)
    assert run.parameters == {
        "number": 8,
        "out": str(tmp_path / "out"),
        "suffix": None,
        "scale": 1.0,
        "exact": True,
    }
    assert (tmp_path / "out").read_text() == "4.0True"
    assert run.tags == [f"folder:{Path.cwd().name}", "profile:sample"]
    assert run.labels["process"] == processes.identity(psutil.Process())


def test_failures_of_several_tasks_are_each_a_line(api, project, console):
    assert stage.main(several, []) == 1
    errors = console()
    for number in (3, 5):
        assert f"error: --number: wanted an even number, got {number}\n" in errors
    assert (project.top().state.name, project.top().state.message) == (
        "Failed",
        "2/3 states failed.",
    )


def test_an_interrupted_stage_is_cancelled(api, project, tmp_path, console):
    assert stage.main(halve, ["--number", "0", "--out", str(tmp_path / "out")]) == 130
    assert console().endswith("interrupted\n")
    assert (project.top().state.name, project.top().state.message) == (
        "Cancelled",
        "stopped by Ctrl-C",
    )


def test_a_stage_below_a_pipeline(api, project, tmp_path, monkeypatch):
    parent = api.create_flow_run(flow(several), name="dvc repro")
    monkeypatch.setenv(processes.PARENT_RUN, str(parent.id))
    monkeypatch.setenv("DVC_STAGE", "train@fcn16s")
    assert stage.main(halve, ["--number", "8", "--out", str(tmp_path / "out")]) == 0
    assert project.below(parent) == {"train@fcn16s": "Completed"}
    child = project.child(parent, "train@fcn16s")
    assert (child.name, child.state.name, child.flow_id != parent.flow_id) == (
        "train@fcn16s",
        "Completed",
        True,
    )


@pytest.mark.parametrize(
    ("number", "code", "last"),
    [(8, 0, "warning: the run is complete, but Prefect could not record that: gone\n"),
     (7, 1, "error: --number: wanted an even number, got 7\n"),
     (0, 130, "interrupted\n")],
)  # fmt: skip
def test_a_server_lost_in_mid_run_changes_no_outcome(
    api, tmp_path, monkeypatch, console, number, code, last
):
    set_state = SyncPrefectClient.set_flow_run_state

    def lose(client, flow_run_id, state, *args, **kwargs):
        if state.is_final():
            raise httpx.ConnectError("gone")
        return set_state(client, flow_run_id, state, *args, **kwargs)

    def lose_artifact(*_, **__):
        raise httpx.ConnectError("gone")

    monkeypatch.setattr(SyncPrefectClient, "set_flow_run_state", lose)
    monkeypatch.setattr(runs, "set_state", lose_artifact)
    monkeypatch.setattr(SyncPrefectClient, "create_artifact", lose_artifact)
    assert stage.main(halve, ["--number", str(number), "--out", str(tmp_path / "out")]) == code
    errors = console()
    assert errors.endswith(last)
    assert ("artifact 'half' is lost, Prefect's API is gone: gone\n" in errors) == (number > 0)
    assert "Traceback" not in errors
    assert (tmp_path / "out").exists() == (code == 0)


def test_an_artifact_that_a_server_on_a_full_disk_refuses_costs_no_stage(
    api, tmp_path, monkeypatch, console
):
    def refuse(*_, **__):
        request = httpx.Request("POST", "http://x/api/artifacts/")
        raise PrefectHTTPStatusError(
            "Server error '500'\nmore",
            request=request,
            response=httpx.Response(500, request=request),
        )

    monkeypatch.setattr(SyncPrefectClient, "create_artifact", refuse)
    assert stage.main(halve, ["--number", "8", "--out", str(tmp_path / "out")]) == 0
    assert (
        "artifact 'half' is lost, Prefect's API did not take it: Server error '500'\n"
    ) in console()


def test_nothing_runs_twice_where_prefect_fails_at_the_start(api, tmp_path, monkeypatch, console):
    def refuse(*_, **__):
        raise httpx.ConnectError("gone")

    monkeypatch.setattr(runs, "create", refuse)
    assert stage.main(halve, ["--number", "8", "--out", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out").read_text() == "4.0True"
    assert ("warning: running without Prefect, which does not record this run: gone\n") in console()
