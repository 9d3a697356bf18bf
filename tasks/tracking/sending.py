"""What MLflow is told of a run, as plain data, and how each kind of it is sent: now, or later from the spool.

An opening says which run is meant; an entry has a `do`, the name of a function here. Sending an entry twice leaves what
sending it once leaves: MLflow keeps one of equal points, parameters, tags, datasets and files of a name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, TypeAdapter

from tasks.tracking import store

Entry = Mapping[str, Any]

SPOOL = "spool"
"""The tag by which a run that was made from the spool is found again if its delivery breaks off."""
_BATCH = 100  # MLflow's limit for the parameters or tags of one request
_POINTS = 1000  # likewise for metrics


class Opening(BaseModel):
    """Which run is meant, see `find`; `mark` and `store` in the spool alone."""

    run: str | None
    made: bool = False
    experiment: str
    variant: str
    tag: str
    value: str
    unfinished: bool
    time: int
    mark: str
    store: str


class _Metrics(BaseModel):
    do: Literal["metrics"]
    points: list[tuple[str, float, int, int]]


class _Params(BaseModel):
    do: Literal["params"]
    values: dict[str, str]


class _Tags(BaseModel):
    do: Literal["tags"]
    values: dict[str, str]
    missing: bool


class _Dataset(BaseModel):
    do: Literal["dataset"]
    name: str
    digest: str
    source: str
    context: str


class _Artifact(BaseModel):
    do: Literal["artifact"]
    path: str
    folder: str | None


class _Register(BaseModel):
    do: Literal["register"]
    path: str
    model: str
    variant: str
    tags: dict[str, str]


class _End(BaseModel):
    do: Literal["end"]
    status: str
    of: Literal["any", "not finished", "made"]
    time: int


OPENING = TypeAdapter(Opening)
ENTRY = TypeAdapter(Annotated[_Metrics | _Params | _Tags | _Dataset | _Artifact | _Register | _End, Field(discriminator="do")])
"""What an opening and an entry are, where they come from a file."""


class Refused(Exception):
    """The store works and does not take this: no use in trying again."""


@dataclass
class Target:
    """A run in a store that works; `status` is what it was found with, None if it was made."""

    client: Any
    id: str
    experiment: str
    status: str | None
    params: set[str]
    tags: set[str]


def find(opening: Entry, mark: str | None = None) -> Target:
    """Finds the run that an opening means, or makes it.

    Args:
        opening: `run`, the id if it is known, and then `made`, whether it was made for this; `experiment`; `variant`; `tag` and
            `value`: the newest run with that tag is meant; `unfinished`: only if it has not finished, and then it goes on;
            `time` in ms, when it began.
        mark: of the spool's file, unique.

    Raises:
        Refused: the run with this id is deleted.
    """
    client, artifacts = store.connect()
    if opening["run"]:
        run = client.get_run(opening["run"])
        if run.info.lifecycle_stage == "deleted":
            raise Refused(f"the run {opening['run']} is deleted in MLflow")
        return _target(client, run, None if opening["made"] else str(run.info.status))
    experiment = store.experiment(client, opening["experiment"], artifacts)

    def newest(query: str) -> Any:
        found = client.search_runs([experiment], query, max_results=1, order_by=["attributes.start_time DESC"])
        return found[0] if found else None

    if mark and (made := newest(f"tags.`{SPOOL}` = '{mark}'")):
        return _target(client, made, None)
    tag, unfinished = opening["tag"], opening["unfinished"]
    run = newest(f"tags.`{tag}` = '{opening['value']}'" + " and attributes.status != 'FINISHED'" * unfinished)
    if run is None:
        tags = {tag: opening["value"], **({SPOOL: mark} if mark else {})}
        run = client.create_run(experiment, start_time=opening["time"], run_name=opening["variant"], tags=tags)
        return _target(client, run, None)
    if unfinished:
        client.update_run(run.info.run_id, status="RUNNING")
    return _target(client, run, str(run.info.status))


def _target(client: Any, run: Any, status: str | None) -> Target:
    return Target(client, str(run.info.run_id), str(run.info.experiment_id), status, set(run.data.params), set(run.data.tags))


def send(target: Target, entry: Entry) -> Any:
    """Sends one entry; what it answers, for those that answer."""
    return _KINDS[entry["do"]](target, entry)


def _metrics(target: Target, entry: Entry) -> None:
    from mlflow.entities import Metric

    _batches(target, "metrics", [Metric(*point) for point in entry["points"]], _POINTS)


def _params(target: Target, entry: Entry) -> None:
    """What the run already has stays as it is: MLflow refuses a second value."""
    from mlflow.entities import Param

    new = {name: text for name, text in entry["values"].items() if name not in target.params}
    _batches(target, "params", [Param(name, text) for name, text in new.items()])
    target.params.update(new)


def _tags(target: Target, entry: Entry) -> None:
    from mlflow.entities import RunTag

    values = entry["values"].items()
    _batches(target, "tags", [RunTag(name, text) for name, text in values if not entry["missing"] or name not in target.tags])


def _batches(target: Target, kind: str, entities: list[Any], size: int = _BATCH) -> None:
    for at in range(0, len(entities), size):
        target.client.log_batch(target.id, **{kind: entities[at : at + size]})


def _dataset(target: Target, entry: Entry) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    data = Dataset(entry["name"], entry["digest"], "local", entry["source"])
    target.client.log_inputs(target.id, [DatasetInput(data, [InputTag("mlflow.data.context", entry["context"])])])


def _artifact(target: Target, entry: Entry) -> None:
    path = Path(entry["path"])
    method = target.client.log_artifacts if path.is_dir() else target.client.log_artifact
    method(target.id, str(path), entry["folder"])


def _register(target: Target, entry: Entry) -> Any:
    from tasks.tracking import registry  # which imports this module's users

    return registry.enter(target, entry)


def _end(target: Target, entry: Entry) -> None:
    """`of`: "any" run ends; one that has "not finished"; one that was "made" and not found. The others keep what they have."""
    ends = {"any": True, "not finished": target.status != "FINISHED", "made": target.status is None}
    if ends[entry["of"]]:
        target.client.set_terminated(target.id, entry["status"], entry["time"])


_KINDS: dict[str, Callable[[Target, Entry], Any]] = {
    "metrics": _metrics,
    "params": _params,
    "tags": _tags,
    "dataset": _dataset,
    "artifact": _artifact,
    "register": _register,
    "end": _end,
}
