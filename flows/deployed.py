"""What prefect.yaml deploys: the pipeline, one stage, and the evaluation of a model, with
parameters that are checked.

A worker runs these in a process of its own, with the workspace as its folder. Parameters come from
whoever may reach the server: they become single words of a command, never text for a shell, and all
is checked before anything is written.
"""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

from prefect import flow, runtime
from prefect.client.orchestration import get_client
from prefect.states import Cancelled
from pydantic import Field, WithJsonSchema

from fcn.errors import UserError
from fcn.spec import VARIANTS
from flows import pipeline
from flows.runner import children, console, runs, workspace
from flows.runner import overrides as setting
from tasks.settings import config
from tasks.tracking import steps

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$")]
Profile = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]*$")]
Stage = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(@[A-Za-z0-9_]+)?$")]
_KEY = r"^[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)+$"
Key = Annotated[str, Field(pattern=_KEY)]
Text = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f$\\]*$", max_length=500)]  # no ${...}
Scalar = bool | int | float | Text
Value = Scalar | list[Scalar]
# The server's own refusal shall name the wrong part; of the schema that pydantic makes, it says
# only that none of it fits.
_SCHEMA = {
    "type": "object",
    "propertyNames": {"pattern": _KEY},
    "additionalProperties": {"type": ["boolean", "number", "string", "array"]},
}
Overrides = Annotated[dict[Key, Value] | None, WithJsonSchema(_SCHEMA)]
Folder = Annotated[str, Field(pattern=r"^[^-\x00-\x1f\x7f][^\x00-\x1f\x7f]*$", max_length=500)]


def _flow(**options: Any) -> Callable[[Callable[..., None]], Any]:
    """A flow that ends as Cancelled when it is stopped, which Prefect would take for a crash."""

    def made(function: Callable[..., None]) -> Any:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return function(*args, **kwargs)
            except KeyboardInterrupt as error:
                return Cancelled(message=steps.stopped(error))

        return flow(**options)(call)

    return made


def _called() -> str:
    """The name of a run: what one would type."""
    given = runtime.flow_run.parameters
    words = [
        given.get("stage"),
        *given.get("targets", []),
        "--force" if given.get("force") else None,
    ]
    words += [f"-S profile={given['profile']}"] if given.get("profile") else []
    words += [f"-S {key}" for key in given.get("overrides") or {}]
    return " ".join(["dvc repro", *filter(None, words)])


@_flow(name=runs.PIPELINE, flow_run_name=_called)
def run_pipeline(
    profile: Profile = "",
    overrides: Overrides = None,
    targets: tuple[Stage, ...] = (),
    force: bool = False,
    push: bool = False,
    keep: bool = False,
) -> None:
    """Bring the workspace up to date.

    Args:
        profile: one of profiles.yaml, for this run. Empty: that of params.yaml.
        overrides: values by full keys, for this run, e.g.
            {"profiles.sample.train.fcn32s.iterations": 500}.
        targets: stages to bring up to date, with all that they need, e.g. ["train@fcn16s"]. Empty:
            all.
        force: run every stage, changed or not.
        push: send data, models and the run cache to the DVC remote afterwards.
        keep: leave profile and overrides in params.yaml, for all later runs.

    Raises:
        UserError: a profile, key, value or stage does not exist or does not fit; nothing was
            written. Or see `pipeline`.
    """
    changes = ({"profile": profile} if profile else {}) | (overrides or {})
    _reproduce([*targets], force, changes, keep)
    if push:
        _push()


@_flow(name="stage", flow_run_name=_called)
def run_stage(stage: Stage, force: bool = False) -> None:
    """Bring one stage up to date, with all that it needs.

    Args:
        stage: its name in dvc.yaml, e.g. `records` or `train@fcn16s`.
        force: run it and what it needs, changed or not.

    Raises:
        UserError: see `pipeline`.
    """
    _reproduce([stage], force, {})


@_flow(name="evaluate-model", flow_run_name="evaluate {model}")
def evaluate_model(model: Folder, variant: Name, out: Name) -> None:
    """Score a given model folder on the workspace's validation records. It is no result of this
    workspace: no version is registered, no alias moves.

    Args:
        model: a folder with model.json and weights.npz, on the worker's machine; from the
            workspace, or absolute.
        variant: its architecture, which has a recipe in the profile: fcn32s, fcn16s, ...
        out: the scores go to reports/evaluations/<out>.json, pictures and tables to the folder
            beside it.

    Raises:
        UserError: there is no such model or variant, or the evaluation failed.
    """
    profile = config.read()
    if variant not in profile.train:
        raise UserError(
            "variant: expected one of "
            f"{', '.join(v for v in VARIANTS if v in profile.train)}; got {variant!r}"
        )
    if not (Path(model) / "model.json").is_file():
        raise UserError(f"{model}: expected a model folder, with model.json and weights.npz")
    folder = Path("reports/evaluations")
    command = [
        "fcn",
        "stage",
        "evaluate",
        "--variant",
        variant,
        "--records",
        "data/records",
        "--model",
        model,
    ]
    command += ["--metrics", f"{folder / out}.json", "--plots", str(folder / out), "--no-registry"]
    _tag()
    called = f"evaluate {model}"
    with (
        console.opened(called) as seen,
        workspace.held(called),
        pipeline.connected() as (extra, hear),
    ):
        folder.mkdir(parents=True, exist_ok=True)
        seen.begin(called)
        if code := children.follow(command, {**extra, "DVC_STAGE": called}, hear):
            raise seen.failed(f"{called}: its process ended with {code} and gave no reason")
        seen.end()


def _reproduce(
    targets: list[str], force: bool, changes: Mapping[str, Any], keep: bool = False
) -> None:
    _tag()
    with workspace.held(_called()), setting.applied(changes, keep):
        pipeline.reproduce(pipeline.words(targets, force))


def _push() -> None:
    with pipeline.connected() as (extra, hear):
        error = pipeline.dvc(["push", "--run-cache"], extra, hear)
    if error:
        raise UserError(f"all stages are done, but dvc push --run-cache: {error}")


def _tag() -> None:
    """Let `runs.reconcile` know this process: a run whose worker was killed would keep its place in
    the pool for ever.
    """
    if runtime.flow_run.id:
        with get_client(sync_client=True) as client:
            runs.mark(client, runtime.flow_run.id, runtime.flow_run.tags)
