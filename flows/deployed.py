"""What prefect.yaml deploys: the pipeline, one stage, and the evaluation of a model, with parameters that are checked.

A worker runs these in a process of its own, with the workspace as its folder. Parameters come from whoever may reach the
server: they become single words of a command, never text for a shell, and all is checked before anything is written.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import psutil
import yaml
from prefect import flow, runtime
from prefect.client.orchestration import get_client
from pydantic import Field, WithJsonSchema

from fcn import files
from fcn.architecture import VARIANTS
from fcn.errors import UserError
from fcn.params import select
from flows import children, config, pipeline, runs, workspace

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$")]
Profile = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]*$")]
Stage = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(@[A-Za-z0-9_]+)?$")]
_KEY = r"^[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)+$"
Key = Annotated[str, Field(pattern=_KEY)]
Text = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f$\\]*$", max_length=500)]  # no ${...}
Scalar = bool | int | float | Text
Value = Scalar | list[Scalar]
# The server's own refusal shall name the wrong part; of the schema that pydantic makes, it says only that none of it fits.
_SCHEMA = {
    "type": "object",
    "propertyNames": {"pattern": _KEY},
    "additionalProperties": {"type": ["boolean", "number", "string", "array"]},
}
Overrides = Annotated[dict[Key, Value] | None, WithJsonSchema(_SCHEMA)]
Folder = Annotated[str, Field(pattern=r"^[^-\x00-\x1f\x7f][^\x00-\x1f\x7f]*$", max_length=500)]


def _called() -> str:
    """The name of a run: what one would type."""
    given = runtime.flow_run.parameters
    words = [given.get("stage"), *given.get("targets", []), "--force" if given.get("force") else None]
    words += [f"-S profile={given['profile']}"] if given.get("profile") else []
    words += [f"-S {key}" for key in given.get("overrides") or {}]
    return " ".join(["dvc repro", *filter(None, words)])


@flow(name=runs.PIPELINE, flow_run_name=_called)
def run_pipeline(
    profile: Profile = "",
    overrides: Overrides = None,
    targets: tuple[Stage, ...] = (),
    force: bool = False,
    push: bool = False,
) -> None:
    """Bring the workspace up to date.

    Args:
        profile: a profile of params.yaml; WRITTEN into the file, where it stays, without comments. Empty: the one there.
        overrides: values by full keys of params.yaml, e.g. {"profiles.sample.train.fcn32s.iterations": 500}; WRITTEN, too.
        targets: stages to bring up to date, with all that they need, e.g. ["train@fcn16s"]. Empty: all.
        force: run every stage, changed or not.
        push: send data, models and the run cache to the DVC remote afterwards.

    Raises:
        UserError: a profile, key, value or stage is not one of params.yaml's; nothing was written. Or see `pipeline`.
    """
    changes = ({"profile": profile} if profile else {}) | (overrides or {})
    _reproduce([*targets], force, changes)
    if push:
        _push()


@flow(name="stage", flow_run_name=_called)
def run_stage(stage: Stage, force: bool = False) -> None:
    """Bring one stage up to date, with all that it needs.

    Args:
        stage: its name in dvc.yaml, e.g. `records` or `train@fcn16s`.
        force: run it and what it needs, changed or not.

    Raises:
        UserError: see `pipeline`.
    """
    _reproduce([stage], force, {})


@flow(name="evaluate-model", flow_run_name="evaluate {model}")
def evaluate_model(model: Folder, variant: Name, out: Name) -> None:
    """Score a given model folder on the workspace's validation records. It is no result of this workspace: no version is
    registered, no alias moves.

    Args:
        model: a folder with model.json and weights.npz, on the worker's machine; from the workspace, or absolute.
        variant: its architecture, which has a recipe in params.yaml: fcn32s, fcn16s, ...
        out: the scores go to reports/evaluations/<out>.json, pictures and tables to the folder beside it.

    Raises:
        UserError: there is no such model or variant, or the evaluation failed.
    """
    name, profile, _ = config.read()
    if variant not in profile.train:
        raise UserError(f"variant: expected one of {', '.join(v for v in VARIANTS if v in profile.train)}; got {variant!r}")
    if not (Path(model) / "model.json").is_file():
        raise UserError(f"{model}: expected a model folder, with model.json and weights.npz")
    folder = Path("reports/evaluations")
    command = ["flows.evaluate", "--variant", variant, "--records", "data/records", "--model", model]
    command += ["--metrics", f"{folder / out}.json", "--plots", str(folder / out), "--no-registry"]
    _tag()
    with workspace.held(f"evaluate {model}"), pipeline.connected() as (extra, record):
        folder.mkdir(parents=True, exist_ok=True)
        code = children.follow(command, {**extra, "DVC_STAGE": f"evaluate {model}"}, record)
    if code:
        raise UserError(f"the evaluation of {model} with profile {name} ended with {code}; its run below says why")


def changed(changes: Mapping[str, Any]) -> Any:
    """What params.yaml will hold with these changes.

    Args:
        changes: values by their full keys.

    Raises:
        UserError: a key is not there, or the parameters would not be valid with them; the message names the key.
    """
    data = json.loads(json.dumps(config.plain()))  # no block twice in memory, as YAML's aliases leave it
    for key, value in changes.items():
        *outer, last = key.split(".")
        node = data
        for depth, name in enumerate(outer, 1):
            node = node.get(name)
            if not isinstance(node, dict):
                raise UserError(f"params.yaml: {'.'.join(outer[:depth])}: no such block; overrides have full keys")
        if last not in node:
            raise UserError(f"params.yaml: {key}: no such key; the keys there are {', '.join(node)}")
        node[last] = value
    select(data)
    return data


def _reproduce(targets: list[str], force: bool, changes: Mapping[str, Any]) -> None:
    _tag()
    with workspace.held(_called()):
        data = changed(changes)  # checked also where nothing changes: better now than in the last stage
        if data != config.plain():
            _write(data)
        pipeline.reproduce(pipeline.words(targets, force, []))


def _write(data: Any) -> None:
    """Write params.yaml anew. Not by `dvc exp run -S`: at its end, a clone must have all the data that dvc.lock knows."""
    with files.replacing_file(Path("params.yaml")) as temporary:
        temporary.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")


def _push() -> None:
    with pipeline.connected() as (extra, record):
        error = pipeline.dvc(["push", "--run-cache"], extra, record)
    if error:
        raise UserError(f"all stages are done, but dvc push --run-cache: {error}")


def _tag() -> None:
    """Let `runs.reconcile` know this process: a run whose worker was killed would keep its place in the pool for ever."""
    if runtime.flow_run.id:
        with get_client(sync_client=True) as client:
            client.update_flow_run(runtime.flow_run.id, tags=[*runtime.flow_run.tags, *runs.tags(psutil.Process())])
