"""The one seam to Prefect: inside of a run that Prefect records, a step is one of its tasks and
what is shown one of its artifacts. Anywhere else (no server, a test, a notebook) a step is the
plain function, and what is shown is dropped. Prefect is imported only where such a run is.
"""

import contextlib
import functools
import logging
import sys
import uuid
from collections.abc import Callable, Iterator
from typing import Any, ParamSpec, TypeVar

import httpx

from fcn.errors import UserError
from tasks.tracking import console

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

SECONDS = 2.0
"""What an update of a progress bar waits for Prefect, at most."""
_VALUES = {
    "table": "table",
    "markdown": "markdown",
    "image": "image_url",
    "link": "link",
    "progress": "progress",
}
_ALONE = str(uuid.uuid4())
_remarks: list[str] = []


def recorded() -> bool:
    """Whether this is part of a run that Prefect records: nobody has one who has not imported
    Prefect.
    """
    context = sys.modules.get("prefect.context")
    return context is not None and context.FlowRunContext.get() is not None


def step(
    name: str, retries: int = 0
) -> Callable[[Callable[Parameters, Result]], Callable[Parameters, Result]]:
    """Makes a function a step of a stage: in a recorded run a Prefect task.

    Args:
        name: of the task run; `{parameter}` stands for the argument.
        retries: how often Prefect tries again after an error that may pass, which a `UserError`
            does not.

    Example:
        >>> @step("half of {number}")
        ... def half(number: int) -> float:
        ...     return number / 2
        >>> half(3)
        1.5
    """

    def made(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
        @functools.wraps(function)
        def call(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
            if not recorded():
                return function(*args, **kwargs)
            result: Result = _as_task(function, name, retries, args, kwargs)
            return result

        return call

    return made


def _as_task(function: Callable[..., Any], name: str, retries: int, args: Any, kwargs: Any) -> Any:
    from prefect import task
    from prefect.cache_policies import NO_CACHE
    from prefect.states import Cancelled
    from prefect.tasks import exponential_backoff

    attempts = iter(range(retries, 0, -1))

    @functools.wraps(function)
    def ended(*args: Any, **kwargs: Any) -> Any:
        left = next(attempts, 0)
        try:
            return function(*args, **kwargs)
        except UserError:
            raise
        except Exception as error:
            if left:
                again = f"{left} more time{'s' if left > 1 else ''} at most"
                logger().warning("%s; it is tried again, %s", error, again)
            raise
        except KeyboardInterrupt as error:  # which Prefect would take for a crash
            interrupts.append(error)
            return Cancelled(message=stopped(error))

    interrupts: list[KeyboardInterrupt] = []
    waits = {
        "retry_delay_seconds": exponential_backoff(backoff_factor=2),
        "retry_condition_fn": may_pass,
    }
    options: Any = {
        "cache_policy": NO_CACHE,
        "task_run_name": name,
        "retries": retries,
        **(waits if retries else {}),
    }
    result = task(**options)(ended)(*args, **kwargs)
    if interrupts:
        raise interrupts[0]
    return result


def stopped(error: BaseException) -> str:
    """How a run was stopped, in words."""
    name = str(error)
    return "stopped by Ctrl-C" if name in ("", "SIGINT") else f"stopped by {name}"


def may_pass(task: Any, task_run: Any, state: Any) -> bool:
    """Tells Prefect whether a failed task is worth another attempt: not when the user has to mend
    something.
    """
    return not isinstance(state.result(raise_on_failure=False), UserError)


def show(key: str, text: str, **content: Any) -> Any:
    """Shows something with the run.

    A server that is gone meanwhile, or whose disk is full, costs the artifact, not the stage.

    Args:
        key: small letters, digits and `-`; the next run's artifact of this key replaces it in
            Prefect's list.
        text: what it is.
        content: one of `table` (rows), `markdown`, `image` (a `data:` URL), `link`, `progress`
            (percent).

    Returns:
        The artifact's id; None if there is none.
    """
    ((kind, value),) = content.items()
    argument = _VALUES[kind]
    if not recorded():
        return None
    from prefect import artifacts
    from prefect.exceptions import PrefectHTTPStatusError

    named = {"link_text": text} if kind == "link" else {}
    try:
        return getattr(artifacts, f"create_{kind}_artifact")(
            **{argument: value}, key=key, description=text, **named
        )
    except httpx.TransportError as error:
        logger().warning("artifact %r is lost, Prefect's API is gone: %s", key, error)
    except PrefectHTTPStatusError as error:
        logger().warning(
            "artifact %r is lost, Prefect's API did not take it: %s",
            key,
            str(error).splitlines()[0],
        )
    return None


class Bar:
    """A progress bar of the current run, made with the first update, beside the lines that
    `tasks.tracking.progress` logs.

    It holds nobody up: an update is one request, not repeated, because the next one has all that it
    said. Where the API refuses connections, updates go on when it is back; after any other failure
    there are no more.
    """

    def __init__(self) -> None:
        """Nothing is shown yet."""
        self._id: Any = None
        self._lost = False

    def __call__(self, percent: float, text: str) -> None:
        """Show that so much is done (0 to 100), and `text` below it."""
        if self._lost:
            return
        if self._id is None:
            self._id = show("progress", text, progress=percent)
            self._lost = self._id is None
            return
        from prefect.client.orchestration import get_client
        from prefect.exceptions import PrefectHTTPStatusError
        from prefect.settings import temporary_settings

        once = temporary_settings({"client.max_retries": 0})
        try:
            with once, get_client(sync_client=True, httpx_settings={"timeout": SECONDS}) as client:
                # Not `update_progress_artifact`, which waits and tries again, and sends an event
                # besides.
                values = {"data": percent, "description": text}
                client.request(
                    "PATCH", "/artifacts/{id}", json=values, path_params={"id": self._id}
                )
        except httpx.ConnectError:
            pass
        except (httpx.TransportError, PrefectHTTPStatusError):
            self._lost = True


def logger() -> Any:
    """The run's logger, whose lines Prefect keeps; outside of a recorded run an ordinary one."""
    if not recorded():
        return logging.getLogger("fcn")
    from prefect import get_run_logger

    return get_run_logger()


def run_id() -> str:
    """The id of the run that this is part of: Prefect's, or one that this process has made up."""
    if not recorded():
        return _ALONE
    from prefect import runtime

    return str(runtime.flow_run.id)


def pipeline_id() -> str:
    """What ties the runs of one pipeline together: the id of the run above this stage's, or of its
    own.
    """
    if not recorded():
        return _ALONE
    from prefect import runtime

    return str(runtime.flow_run.parent_flow_run_id or runtime.flow_run.id)


def remark(text: str) -> None:
    """Adds words to the state in which the current run will end, e.g. "resumed at step 800", and
    shows them on the console.
    """
    _remarks.append(text)
    console.send(remark=True, text=text)


@contextlib.contextmanager
def remarks() -> Iterator[list[str]]:
    """The words of all `remark`s that are made inside of this context, which is one run."""
    _remarks.clear()
    yield _remarks
