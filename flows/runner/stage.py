"""A DVC stage as a process: a command line made from a flow's signature, one Prefect flow run, an exit code."""

import argparse
import contextlib
import functools
import inspect
import logging
import os
import re
import sys
import traceback
import types
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import psutil
from prefect import Flow, State, Task, runtime
from prefect.artifacts import Artifact
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext
from prefect.exceptions import ObjectNotFound, PrefectException, PrefectHTTPStatusError
from prefect.flow_engine import run_flow
from prefect.settings import temporary_settings
from prefect.states import Completed, Failed

from fcn.errors import LINE, UserError, shown
from fcn.io import without
from flows.runner import output, processes, runs, server
from tasks.tracking import hidden, known

# Set by flows.pipeline for its children.
PARENT_RUN = "FCN_PARENT_RUN"  # id of the flow run above; empty: Prefect's API is known not to be there


def main(flow: Flow, argv: list[str] | None = None) -> int:
    """Run `flow` with the arguments of the command line; every stage file ends in `sys.exit(stage.main(the_flow))`.

    Each parameter of the flow is an option `--name VALUE` of its annotated type (str, Path, int, float, bool, or one of
    them `| None`), required unless it has a default.

    Returns:
        0, 1 (failed: the reason is on stderr) or 130 (interrupted). A wrong command line exits with 2.
    """
    parameters = vars(command_line(flow).parse_args(argv))
    stage = os.environ.get("DVC_STAGE")
    dvc = processes.dvc_above() if stage else None
    owners = [name for name in (os.environ.get(processes.PARENT_PROCESS), dvc and processes.identity(dvc)) if name]
    if owners:
        processes.end_with(*owners)
    if stage:
        processes.refuse_alone()
    return execute(flow, parameters, name=stage, dvc=dvc)


def command_line(flow: Flow) -> argparse.ArgumentParser:
    """Make the parser of a flow's arguments; its help is the docstring: first paragraph, and `name: text` under Args."""
    doc = inspect.getdoc(flow.fn) or ""
    spec = sys.modules["__main__"].__spec__
    parser = argparse.ArgumentParser(
        prog=f"python -m {spec.name}" if spec else None,
        description=doc.partition("\n\n")[0],
        allow_abbrev=False,
    )
    hints = typing.get_type_hints(flow.fn)
    for name, parameter in inspect.signature(flow.fn).parameters.items():
        text = re.search(rf"^\s*{name}(?: \(.*\))?:\s*(.+)$", doc, re.MULTILINE)
        options: dict[str, Any] = {"dest": name, "help": text[1].replace("%", "%%") if text else None}
        if parameter.default is inspect.Parameter.empty:
            options["required"] = True
        else:
            options["default"] = parameter.default
        kind = _plain(hints.get(name, str))
        if kind not in (str, Path, int, float, bool):
            raise TypeError(f"{flow.name}: parameter {name!r} has type {kind}; a command line has str, Path, int, float, bool")
        if kind is bool:
            options["action"] = argparse.BooleanOptionalAction
        else:
            options["type"] = _to_path if kind is Path else kind
        parser.add_argument(f"--{name.replace('_', '-')}", **options)
    return parser


def _to_path(text: str) -> Path:
    """A path; an empty one, as an unset variable of a shell gives it, is misuse."""
    if not text:
        raise argparse.ArgumentTypeError("expected a path, got nothing")
    return Path(text)


def _plain(hint: Any) -> Any:
    """`X` for `X | None`, else the hint itself."""
    rest = [kind for kind in typing.get_args(hint) if kind is not types.NoneType]
    return rest[0] if typing.get_origin(hint) in (types.UnionType, typing.Union) and len(rest) == 1 else hint


def execute(flow: Flow, parameters: dict[str, Any], name: str | None, dvc: psutil.Process | None = None) -> int:
    """Run `flow` once as a Prefect flow run called `name`, or without Prefect where there is no API to be had.

    Args:
        flow: the flow to run.
        parameters: its arguments by name.
        name: name of the run in the UI (None: Prefect invents one).
        dvc: the bare `dvc` process above, whose stages belong together.

    Returns:
        The exit code of `main`.
    """
    processes.interrupt_on_signals()
    logging.setLogRecordFactory(_record)
    for handler in logging.getLogger().handlers:
        handler.addFilter(_is_news)
    try:
        with _replaced(Artifact, "create", _create_if_possible):
            errors = _run_or_fall_back(flow, parameters, name, dvc)
    except KeyboardInterrupt:
        _say("error", "interrupted")
        return processes.INTERRUPTED
    for error in errors:
        _say("error", error if isinstance(error, UserError) else f"{type(error).__name__}: {error}")
    return 1 if errors else 0


def _run_or_fall_back(flow: Flow, parameters: dict[str, Any], name: str | None, dvc: psutil.Process | None) -> list[Exception]:
    """Run `flow` with Prefect if its API answers, and in any case exactly once to its end; returns what went wrong."""
    ends: list[BaseException | None] = []  # how the function ended, whatever Prefect was able to record of it

    started: list[str] = []  # its id in Prefect

    @functools.wraps(flow.fn)
    def noted(*args: Any, **kwargs: Any) -> Any:
        started.append(str(runtime.flow_run.id))
        try:
            result = flow.fn(*args, **kwargs)
        except BaseException as error:
            ends.append(error)
            raise
        ends.append(None)
        return result

    orchestrated = flow.with_options()
    orchestrated.fn = noted
    users = [psutil.Process(), *([dvc] if dvc else [])]
    try:
        if os.environ.get(PARENT_RUN) != "":
            with server.connected(*users):
                errors = _run(orchestrated, parameters, name, dvc)
        else:
            errors = _run_bare(flow, parameters, name)
    except server.NO_PREFECT as error:
        if not ends:
            _say("warning", f"running without Prefect, which will know nothing of this run: {_first_line(error)}")
            errors = _run_bare(flow, parameters, name)
        elif ends[-1] is None:
            if not _recorded_late(started[-1], None, name, dvc):
                _say("warning", f"the run is complete, but Prefect could not record that: {error}")
            errors = []
        elif isinstance(ends[-1], Exception):
            _recorded_late(started[-1], ends[-1], name, dvc)
            errors = [ends[-1]]
        else:
            raise ends[-1] from error  # interrupted
    return errors


def _run(flow: Flow, parameters: dict[str, Any], name: str | None, dvc: psutil.Process | None) -> list[Exception]:
    """Run `flow` below its parent, if it has one; returns what went wrong in it."""
    with get_client(sync_client=True) as client:
        given = os.environ.get(PARENT_RUN)
        adopted = runs.adopt_dvc(client, dvc) if dvc and not given else None
        parent = adopted.id if adopted else _known(client, given) if given else None
        errors: list[Exception] | None = None  # unknown, as long as it runs
        try:
            flow_run = runs.create(client, flow, parameters, name, parent)
            state = run_flow(flow, flow_run=flow_run, parameters=parameters, return_type="state")
            errors = _errors(typing.cast(State, state))  # a flow of a plain function: neither coroutine nor generator
        finally:
            if adopted:
                runs.release_dvc(client, adopted, None if errors == [] else name, interrupted=errors is None)
    return errors


def _recorded_late(run: str, error: Exception | None, name: str | None, dvc: psutil.Process | None) -> bool:
    """Tell another server on the same database, which may have to be started, how a run ended whose server was lost."""
    given = os.environ.get(PARENT_RUN)
    try:
        with server.connected(psutil.Process(), *([dvc] if dvc else [])), get_client(sync_client=True) as client:
            state: State[Any] = Completed() if error is None else Failed(message=str(error))
            client.set_flow_run_state(UUID(run), state, force=True)
            if dvc and not given:
                runs.release_dvc(client, runs.adopt_dvc(client, dvc), name if error else None)
        return True
    except server.NO_PREFECT:
        return False


def _known(client: SyncPrefectClient, parent: str) -> UUID | None:
    """The id of the pipeline's run, if this Prefect has it: the one that it began on may be gone, and this be another."""
    try:
        return client.read_flow_run(UUID(parent)).id
    except ObjectNotFound:
        _say("warning", f"Prefect at {client.api_url} does not know the pipeline's run: it shows this stage by itself")
        return None


def _errors(state: State) -> list[Exception]:
    """What went wrong in a run: one exception, or those of the tasks whose failed states the flow returned."""
    if state.is_completed():
        return []
    result = state.result(raise_on_failure=False)
    parts = result if isinstance(result, list | tuple) else [result]
    errors = [error for part in parts if isinstance(part, State) for error in _errors(part)]
    errors += [part for part in parts if isinstance(part, Exception)]
    return errors or [RuntimeError(f"the run ended in state {state}")]


def _run_bare(flow: Flow, parameters: dict[str, Any], name: str | None) -> list[Exception]:
    """Run the flow's function, its tasks being plain calls: no states, no retries, no artifacts. Loggers still log."""

    def call(task: Task, *args: Any, **kwargs: Any) -> Any:
        return task.fn(*args, **kwargs)

    def drop(artifact: Artifact, *_: object, **__: object) -> Any:
        return types.SimpleNamespace(id=None)

    run = FlowRun(flow_id=uuid4(), name=name or flow.name)
    with (
        _replaced(Task, "__call__", call),
        _replaced(Artifact, "create", drop),
        temporary_settings(updates={"api.url": None, "logging.to_api.enabled": False}),
        # Known to nobody, but `get_run_logger` and `prefect.runtime` ask for one.
        FlowRunContext.model_construct(flow=flow, flow_run=run, parameters=parameters),
    ):
        try:
            flow.fn(**parameters)
        except Exception as error:
            if not isinstance(error, UserError):
                traceback.print_exc()  # nobody else does it here
            return [error]
    return []


_create: Callable[..., Any] = Artifact.create


def _create_if_possible(artifact: Artifact, *args: object, **kwargs: object) -> Any:
    """Create an artifact; a server that is gone meanwhile, or whose disk is full, costs the artifact, not the stage."""
    try:
        return _create(artifact, *args, **kwargs)
    except httpx.TransportError as error:
        _say("warning", f"artifact {artifact.key!r} is lost, Prefect's API is gone: {error}")
    except PrefectHTTPStatusError as error:
        _say("warning", f"artifact {artifact.key!r} is lost, Prefect's API did not take it: {str(error).splitlines()[0]}")
    return types.SimpleNamespace(id=None)


@contextlib.contextmanager
def _replaced(owner: type, name: str, value: Callable[..., Any]) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def _is_news(record: logging.LogRecord) -> bool:
    """Keep off the console what Prefect says of a UserError or of an API that is gone; `execute` says it in one line.

    Prefect's UI shows it all.
    """
    if record.name == "EventsWorker":  # "Still processing items" at the end of most runs
        return False
    if record.exc_info and isinstance(record.exc_info[1], UserError | httpx.TransportError):
        return False
    message = record.getMessage()
    return not (message.startswith("Finished in state Failed(") and f" {UserError.__name__}: " in message)


def _first_line(error: BaseException) -> str:
    """What an error says, in a line; of those that mean nothing by themselves the kind, too."""
    text = (str(error).splitlines() or [""])[0]
    known = isinstance(error, server.Unavailable | httpx.HTTPError | PrefectException)
    return text if known else f"what answers is no Prefect API ({type(error).__name__}: {text})"


def _say(kind: str, message: object) -> None:
    text = str(message) if isinstance(message, UserError) else shown(message, LINE)
    output.complain(hidden(f"{kind}: {text}"))


def _record(*args: Any, **kwargs: Any) -> logging.LogRecord:
    """A record of any logger: what goes into its message comes from outside as a rule, and is
    `shown` without secrets."""
    record = logging.LogRecord(*args, **kwargs)
    if isinstance(record.args, tuple):
        secrets = known()
        record.args = tuple(
            without(str(arg) if isinstance(arg, UserError) else shown(arg, LINE), secrets)
            if isinstance(arg, str | Path | Exception)
            else arg
            for arg in record.args
        )
    return record
