"""A function as a Prefect flow run: an API is found, the run begun below its parent, and its end
recorded, whatever it is.

Prefect is imported here, so this is imported by those alone who have something to record.
"""

import contextlib
import functools
import os
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import psutil
from prefect import State, flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.context import refresh_global_settings_context
from prefect.exceptions import ObjectNotFound, PrefectException
from prefect.flow_engine import run_flow
from prefect.settings import get_current_settings, temporary_settings
from prefect.states import Cancelled, Completed

from fcn.io import public, sparing
from flows.runner import output, processes, runs, server
from tasks.tracking import steps

# the API that a process above found or started: that of PREFECT_API_URL, but nobody configured it
FOUND = "FCN_PREFECT_FOUND"


class Unavailable(RuntimeError):
    """No Prefect API can be reached or started; the message says why."""


NO_PREFECT = (
    Unavailable,
    httpx.HTTPError,
    httpx.InvalidURL,
    PrefectException,
    ValueError,
    LookupError,
    AttributeError,
    TypeError,
)
"""What Prefect's client raises where there is no API, or where what answers makes no sense to it.
"""


@contextlib.contextmanager
def connected(*users: psutil.Process) -> Iterator[str]:
    """Lets Prefect talk to an API inside this context, and yields the API's address.

    That is `PREFECT_API_URL` (environment, profile or file) where it is set, and this workspace's
    own server elsewhere. It is started if it does not run, and stays while any of `users` lives.

    Raises:
        Unavailable: there is none and none can be started.
    """
    url = get_current_settings().api.url
    own = {
        "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
        # 14 s for each request, not 62, where a server went away in mid-run.
        "PREFECT_CLIENT_MAX_RETRIES": os.environ.get("PREFECT_CLIENT_MAX_RETRIES", "3"),
    }
    if url is not None and url != os.environ.get(FOUND):
        _check_reachable(url)
        if processes.PARENT_RUN not in os.environ:
            output.say(
                f"Prefect's API is {public(url)}, which PREFECT_API_URL or a Prefect profile names"
            )
    else:
        try:
            url = server.join(server.home(), [processes.identity(user) for user in users])
        except (OSError, subprocess.SubprocessError) as error:
            raise Unavailable(
                f"no Prefect server can be started in {server.home()}: {error}"
            ) from error
        own[FOUND] = url
        own["PREFECT_API_URL"] = url
        own |= sparing(os.environ)
    in_context = {
        "api.url": url,  # and in the environment, because a thread starts without a context
        # costs a second at the end of each run; what it is for, `runs.reconcile` does
        "flows.heartbeat_frequency": None,
        # Prefect keeps the exceptions of failed runs in files: no pickles
        "results.default_serializer": "json",
    }
    with _environment(own), temporary_settings(in_context):
        yield url


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Sets environment variables and lets Prefect's settings follow, in here and back again after
    it.
    """
    before = {name: os.environ.pop(name, None) for name in values}
    os.environ.update(values)
    refresh_global_settings_context()
    try:
        yield
    finally:
        for name, value in before.items():
            del os.environ[name]
            if value is not None:
                os.environ[name] = value
        refresh_global_settings_context()


def _check_reachable(url: str) -> None:
    """Any answer is good: what a 401 means, Prefect's own message says best. Raises Unavailable if
    there is none.
    """
    try:
        with httpx.stream("GET", f"{url}/health", timeout=server.ANSWER_SECONDS):
            pass  # the body is nobody's concern, and may have no end
    except (httpx.TransportError, httpx.InvalidURL) as error:
        shown = public(
            f"the Prefect API {url} (PREFECT_API_URL or Prefect profile) is not there: {error}"
        )
        raise Unavailable(shown) from error


class _Watched:
    """A function that notes how it ended, whatever Prefect is able to record of it."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.run, self.error = "", None  # type: str, BaseException | None

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            self.run = steps.run_id()
            try:
                with steps.remarks() as said:
                    result = function(*args, **kwargs)
            except KeyboardInterrupt as error:
                self.error = error
                return Cancelled(message=steps.stopped(error))
            except BaseException as error:
                self.error = error
                raise
            return Completed(message="; ".join(said)) if said and result is None else result

        self.flow = flow(call)


def run(
    function: Callable[..., Any],
    parameters: dict[str, Any],
    name: str | None,
    dvc: psutil.Process | None,
) -> list[Exception] | None:
    """Runs a function once to its end as a flow run called `name`; see `stage.execute`.

    Returns:
        What went wrong in it. None: it did not run, because there is no Prefect, and that was said.

    Raises:
        KeyboardInterrupt: it was stopped.
    """
    watched = _Watched(function)
    try:
        with connected(psutil.Process(), *([dvc] if dvc else [])):
            return _run(watched, parameters, name, dvc)
    except NO_PREFECT as error:
        if not watched.run:
            said = f"running without Prefect, which does not record this run: {_first_line(error)}"
            output.tell("warning", said)
            return None
        is_known = _recorded_late(watched, name, dvc)
        if watched.error is None:
            if not is_known:
                output.tell(
                    "warning", f"the run is complete, but Prefect could not record that: {error}"
                )
            return []
        if isinstance(watched.error, Exception):
            return [watched.error]
        raise watched.error from error


def _run(
    watched: _Watched, parameters: dict[str, Any], name: str | None, dvc: psutil.Process | None
) -> list[Exception]:
    """Runs the flow below its parent, if it has one; returns what went wrong in it."""
    with get_client(sync_client=True) as client:
        given = os.environ.get(processes.PARENT_RUN)
        adopted = runs.adopt_dvc(client, dvc) if dvc and not given else None
        if not given and not (adopted and adopted["state"]["type"] != "PENDING"):
            runs.reconcile(client)
        parent = adopted["id"] if adopted else _known(client, given) if given else None
        row = runs.create(client, watched.flow.name, name, parent, parameters)
        errors: list[Exception] = []
        said = ""
        try:
            state = run_flow(
                watched.flow,
                flow_run=FlowRun.model_validate(row),
                parameters=parameters,
                return_type="state",
            )
            if isinstance(watched.error, KeyboardInterrupt):
                raise watched.error
            errors = _errors(state)  # type: ignore[arg-type]  # of a plain function: neither coroutine nor generator
        except KeyboardInterrupt as error:
            said = steps.stopped(error)
            # it did not reach the function, so Prefect took it for a crash
            if watched.error is not error:
                runs.set_state(client, row["id"], ("CANCELLED", said))
            raise
        finally:
            if adopted:
                runs.release_dvc(client, adopted, name if errors else None, said)
    return errors


def _recorded_late(watched: _Watched, name: str | None, dvc: psutil.Process | None) -> bool:
    """Tells another server on the same database, which may have to be started, how a run ended
    whose server was lost.
    """
    error, said = watched.error, ""
    state = ("COMPLETED", "")
    if isinstance(error, Exception):
        state = ("FAILED", str(error))
    elif error is not None:
        said = steps.stopped(error)
        state = ("CANCELLED", said)
    try:
        with (
            connected(psutil.Process(), *([dvc] if dvc else [])),
            get_client(sync_client=True) as client,
        ):
            runs.set_state(client, watched.run, state)
            if dvc and not os.environ.get(processes.PARENT_RUN):
                runs.release_dvc(client, runs.adopt_dvc(client, dvc), name if error else None, said)
        return True
    except NO_PREFECT:
        return False


def _known(client: Any, parent: str) -> str | None:
    """The id of the pipeline's run, if this Prefect has it: the one that it began on may be gone,
    and this be another.
    """
    try:
        return str(client.read_flow_run(parent).id)
    except ObjectNotFound:
        said = (
            f"Prefect at {client.api_url} does not know the pipeline's run: it shows this "
            "stage by itself"
        )
        output.tell("warning", said)
        return None


def _errors(state: State) -> list[Exception]:
    """What went wrong in a run: one exception, or those of the tasks whose failed states the flow
    returned.
    """
    if state.is_completed():
        return []
    result = state.result(raise_on_failure=False)
    parts = result if isinstance(result, list | tuple) else [result]
    errors = [error for part in parts if isinstance(part, State) for error in _errors(part)]
    errors += [part for part in parts if isinstance(part, Exception)]
    return errors or [RuntimeError(f"the run ended in state {state}")]


def _first_line(error: BaseException) -> str:
    """What an error says, in a line; of those that mean nothing by themselves the kind, too."""
    text = (str(error).splitlines() or [""])[0]
    known = isinstance(error, Unavailable | httpx.HTTPError | PrefectException)
    return text if known else f"what answers is no Prefect API ({type(error).__name__}: {text})"
