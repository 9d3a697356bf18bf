"""What the stages tell MLflow; nothing else imports mlflow.

One flat run per staged model: `training` opens it, and `scoring`, in the evaluation stage's own process, finds it again
by the digest of the weights (tag `model.sha256`). No run id lies in a DVC output: a model that DVC restores keeps its run.

The store is `mlflow.db` with `mlartifacts/` beside it in the current directory, or what `MLFLOW_TRACKING_URI` names.
Tracking is a record, never a condition: when the store fails, one warning is logged and the rest of the run is silently
not recorded.
"""

import contextlib
import json
import logging
import operator
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

log = logging.getLogger(__name__)

MODEL = "model.sha256"
"""The tag by which `scoring` finds the run of a model; training sets it when its weights file is written."""
KEY = "training.key"
"""The tag by which an interrupted training finds its run again."""
SCORES = ("pixel_accuracy", "mean_accuracy", "mean_iu", "frequency_weighted_iu")
"""The metrics that the experiment's table shows as columns."""

# MLflow's own answers to a silent server are 120 s, seven retries and whatever Retry-After says. What the user set stays.
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
# MLflow's table opens without any metric column. This saved view, which `Run.table_url` asks for, has the four scores.
_VIEW = {"mlflow.sharedViewState.scores": json.dumps({"selectedColumns": [f"metrics.`{score}`" for score in SCORES]})}
_MODE = "workflowType=machine_learning"  # else the UI opens in its GenAI mode
_FLUSH_POINTS, _FLUSH_SECONDS = 500, 5.0
_BATCH = 100  # MLflow's limit for the parameters or tags of one request


def experiment(profile: str, seed: int | None = None) -> str:
    """The experiment of a profile's runs; those with a seed of their own (`flows.seeds`) have another, with a row per seed."""
    return f"fcn-{profile}" if seed is None else f"fcn-{profile}-seeds"


class Run:
    """One MLflow run, opened by `training` or `scoring`. Without a working store every method checks its arguments and returns.

    Names of metrics, parameters and tags may hold any character: what MLflow refuses becomes `_`.

    Attributes:
        id: MLflow's id of the run; None when the store could not be reached.
        url: the run's page; None when the store is a database, which has no address.
        table_url: the page that shows the experiment's runs as rows and their four scores as columns; None like `url`.
    """

    def __init__(self) -> None:
        """Not connected yet; see `training` and `scoring`."""
        self.id: str | None = None
        self.url: str | None = None
        self.table_url: str | None = None
        self._client: Any = None
        self._params: set[str] = set()
        self._tags: set[str] = set()
        self._points: list[tuple[str, float, int, int]] = []
        self._flushed = time.monotonic()

    def metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Record numbers. They are sent in batches, the last ones when the run ends.

        A resumed training repeats the steps after its last checkpoint, so these may hold a point twice (of equal value).

        Args:
            values: name -> number. Two names that MLflow cannot tell apart are told apart by a trailing `_`.
            step: the iteration, counted from the start of the stage; None for a number without a curve.

        Raises:
            TypeError: a value that is no number, a step that is no integer.
        """
        now, at = time.time_ns() // 1_000_000, 0 if step is None else operator.index(step)
        taken: dict[str, float] = {}
        for name, value in values.items():
            if isinstance(value, (str, bytes)):
                raise TypeError(f"metric {name!r} must be a number, got {value!r}")
            clean = _name(name)
            while clean in taken:
                clean += "_"
            taken[clean] = float(value)
        if self._client is not None:
            self._points.extend((name, value, now, at) for name, value in taken.items())
            if len(self._points) >= _FLUSH_POINTS or time.monotonic() - self._flushed > _FLUSH_SECONDS:
                self.flush()

    def flush(self) -> None:
        """Send the numbers that still wait: when a checkpoint is saved, so that a killed training loses none before it."""
        from mlflow.entities import Metric

        points, self._points, self._flushed = self._points, [], time.monotonic()
        self._log("metrics", [Metric(name, value, now, step) for name, value, now, step in points])

    def params(self, values: Mapping[str, Any]) -> None:
        """Record parameters: `{"train": {"lr": 1e-10}}` becomes `train.lr`. What the run already has stays as it is."""
        from mlflow.entities import Param

        new = {name: text for name, text in _flatten(values) if name not in self._params}
        self._params.update(new)
        self._log("params", [Param(name, text) for name, text in new.items()])

    def tags(self, values: Mapping[str, str]) -> None:
        """Set tags; a tag that the run already has is overwritten.

        Raises:
            TypeError: a value that is no string.
        """
        from mlflow.entities import RunTag

        for name, value in values.items():
            if not isinstance(value, str):
                raise TypeError(f"tag {name!r} must be a string, got {value!r}")
        self._log("tags", [RunTag(_name(name), value) for name, value in values.items()])

    def artifact(self, path: Path, folder: str | None = None) -> None:
        """Keep a copy of a file, or of all files of a directory, under `folder` of the run's artifacts.

        Raises:
            FileNotFoundError: there is nothing at `path`.
        """
        if not path.exists():
            raise FileNotFoundError(f"artifact {path} does not exist")
        self._send("log_artifacts" if path.is_dir() else "log_artifact", str(path), folder)

    def dataset(self, name: str, digest: str, context: str) -> None:
        """Record the data that a run used: in MLflow's column Dataset (36 characters of the digest) and whole in a tag.

        Args:
            name: e.g. `sample/train`.
            digest: hexadecimal digest of the data.
            context: `training` or `validation`; the tag is `dataset.<context>`.
        """
        from mlflow.entities import Dataset, DatasetInput, InputTag

        source = json.dumps({"name": name, "digest": digest})
        used = DatasetInput(Dataset(name, digest[:36], "local", source), [InputTag("mlflow.data.context", context)])
        self._send("log_inputs", [used])
        self.tags({f"dataset.{context}": digest})

    def _open(self, experiment: str, variant: str, tag: str, value: str, unfinished: bool) -> str | None:
        """Find the newest run with the tag or make one. Returns the found run's status, None for a new run."""
        client, artifacts = _connect()
        experiment_id = _experiment(client, experiment, artifacts)
        query = f"tags.`{tag}` = '{value}'" + " and attributes.status != 'FINISHED'" * unfinished
        found = client.search_runs([experiment_id], query, max_results=1, order_by=["attributes.start_time DESC"])
        run = found[0] if found else client.create_run(experiment_id, run_name=variant, tags={tag: value})
        if found and unfinished:
            client.update_run(run.info.run_id, status="RUNNING")
        self._client, self.id = client, str(run.info.run_id)
        self._params, self._tags = set(run.data.params), set(run.data.tags)
        if client.tracking_uri.startswith(("http://", "https://")):
            page = f"{_public(client.tracking_uri).rstrip('/')}/#/experiments/{experiment_id}/runs"
            self.url = f"{page}/{self.id}?{_MODE}"
            self.table_url = f"{page}?{_MODE}&viewStateShareKey=scores&compareRunsMode=TABLE"
        return str(run.info.status) if found else None

    def _close(self, status: str | None) -> None:
        """Send what waits and, unless `status` is None, end the run."""
        self.flush()
        if status is not None:
            self._send("set_terminated", status)
        self._client = None

    def _log(self, kind: str, entities: list[Any]) -> None:
        for at in range(0, len(entities), _BATCH):
            self._send("log_batch", **{kind: entities[at : at + _BATCH]})

    def _send(self, method: str, *args: Any, **kwargs: Any) -> None:
        if self._client is not None:
            self._attempt(lambda: getattr(self._client, method)(self.id, *args, **kwargs))

    def _attempt(self, action: Callable[[], Any]) -> Any:
        """Do it; if the store fails, warn and record nothing from now on. Errors in the caller's own code pass through."""
        from alembic.util.exc import CommandError
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            with _quiet():
                return action()
        except (MlflowException, SQLAlchemyError, CommandError, OSError) as error:  # requests' errors are OSErrors
            self._client, self._points = None, []
            log.warning(
                "MLflow at %s failed: %s. The stage goes on without it: nothing more of this run is recorded there, and its "
                "numbers are in its own files and in the DVC metrics. Check MLFLOW_TRACKING_URI and that server.",
                _public(os.environ.get("MLFLOW_TRACKING_URI") or "mlflow.db"),
                _public(f"{type(error).__name__}: {error}".splitlines()[0])[:300],
            )
            return None


@contextlib.contextmanager
def training(experiment: str, variant: str, key: str, *, params: Mapping[str, Any], tags: Mapping[str, str]) -> Iterator[Run]:
    """The run of one training. A run with this key that has not finished (it was killed or failed) is reopened and
    continued; one that has finished is left alone, so that a forced repetition makes a new one.

    It ends FINISHED, after an exception FAILED, after Ctrl-C or another end of the process KILLED.

    Args:
        experiment: e.g. `fcn-sample`; made if it is missing.
        variant: e.g. `fcn32s`, the name of the run.
        key: fingerprint of what the training depends on: letters, digits, `.`, `_`, `-`.
        params: parameters, nested or flat.
        tags: at least `pipeline`, the id that ties the runs of one pipeline.

    Raises:
        ValueError: another character in `key`.
    """
    run = _begin(KEY, key)
    run._attempt(lambda: run._open(experiment, variant, KEY, key, unfinished=True))
    run.params(params)
    run.tags({"variant": variant, **tags})
    try:
        yield run
    except Exception:
        run._close("FAILED")
        raise
    except BaseException:
        run._close("KILLED")
        raise
    run._close("FINISHED")


@contextlib.contextmanager
def scoring(
    experiment: str, variant: str, model_sha256: str, *, params: Mapping[str, Any], tags: Mapping[str, str]
) -> Iterator[Run]:
    """The run of a trained model, to add its scores to: the newest with this digest, or a new one where the training was
    not recorded (fresh database, pulled model). A finished run keeps its times and status.

    Args:
        experiment: as for `training`.
        variant: as for `training`.
        model_sha256: digest of the model's weights file, hexadecimal.
        params: those of the training; recorded as far as the run lacks them.
        tags: likewise: the tags that training set stay. `Run.tags` overwrites.

    Raises:
        ValueError: a digest with other characters than letters, digits, `.`, `_`, `-`.
    """
    run = _begin(MODEL, model_sha256)
    status = run._attempt(lambda: run._open(experiment, variant, MODEL, model_sha256, unfinished=False))
    run.params(params)
    run.tags({name: value for name, value in {"variant": variant, **tags}.items() if _name(name) not in run._tags})
    try:
        yield run
    except BaseException:
        run._close("FAILED" if status is None else None)  # a model's training did not fail because its scoring did
        raise
    run._close(None if status == "FINISHED" else "FINISHED")


def _begin(tag: str, value: str) -> Run:
    if not re.fullmatch(r"[\w.-]+", value):
        raise ValueError(f"{tag} must consist of letters, digits, '.', '_' and '-', got {value!r}")
    for name, default in _ENVIRONMENT.items():
        os.environ.setdefault(name, default)
    import mlflow  # noqa: F401  1 s, and it sets up its loggers: before _quiet

    return Run()


def _connect() -> tuple[Any, Path | None]:
    """A client, and the folder for artifacts where we, not a server, decide it."""
    from mlflow import MlflowClient
    from sqlalchemy.engine import make_url

    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path('mlflow.db').resolve().as_posix()}"
    path = make_url(uri).database if uri.startswith("sqlite:") else None
    if path is None:
        return MlflowClient(tracking_uri=uri), None
    database = Path(path).resolve()
    # Two first users break each other's migration, and a killed one leaves half a schema that nothing repairs.
    with FileLock(f"{database}.lock", timeout=60):
        if not database.exists():
            new = database.with_name(f"{database.name}.new")
            new.unlink(missing_ok=True)
            MlflowClient(tracking_uri=f"sqlite:///{new.as_posix()}")
            os.replace(new, database)
    return MlflowClient(tracking_uri=uri), database.parent / "mlartifacts"


def _experiment(client: Any, name: str, artifacts: Path | None) -> str:
    from mlflow.exceptions import MlflowException

    known = client.get_experiment_by_name(name)
    if known is None:
        location = None if artifacts is None else str(artifacts / name)
        try:
            return str(client.create_experiment(name, artifact_location=location, tags=_VIEW))
        except MlflowException:  # another process was faster, or the store is broken
            known = client.get_experiment_by_name(name)
            if known is None:
                raise
    return str(known.experiment_id)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep MLflow's and urllib3's own lines about each failed try away: the one warning says it."""
    loggers = [logging.getLogger(name) for name in ("mlflow", "urllib3.connectionpool")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield _name(f"{prefix}{key}"), str(value)


def _name(text: str) -> str:
    """A name that MLflow takes: letters, digits and `_.- /`, at most 250, and no other file when read as a path."""
    parts = re.sub(r"[^\w.\- /]", "_", text).split("/")
    return "/".join(part if part.strip(".") else "_" for part in parts)[:250]


def _public(text: str) -> str:
    """Without the user and password of an address."""
    return re.sub(r"//[^/@\s]+@", "//", text)
