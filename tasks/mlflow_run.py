"""One MLflow run while a stage is at work on it: what the stage says is sent there, and a store that fails stops nothing."""

import json
import logging
import operator
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tasks import store

log = logging.getLogger(__name__)

_MODE = "workflowType=machine_learning"  # else the UI opens in its GenAI mode
_FLUSH_POINTS, _FLUSH_SECONDS = 500, 5.0
_BATCH = 100  # MLflow's limit for the parameters or tags of one request


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
            clean = store.plain(name)
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
        self._log("tags", [RunTag(store.plain(name), value) for name, value in values.items()])

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

    def attempt(self, action: Callable[[Any, str], Any]) -> Any:
        """Do something else with MLflow's client and this run's id, by the same rule: a store that fails stops nothing.

        Returns:
            What `action` returns; None without a working store.
        """
        client, run_id = self._client, self.id
        return None if client is None or run_id is None else self._attempt(lambda: action(client, run_id))

    def _open(self, experiment: str, variant: str, tag: str, value: str, unfinished: bool) -> str | None:
        """Find the newest run with the tag or make one. Returns the found run's status, None for a new run."""
        client, artifacts = store.connect()
        experiment_id = store.experiment(client, experiment, artifacts)
        query = f"tags.`{tag}` = '{value}'" + " and attributes.status != 'FINISHED'" * unfinished
        found = client.search_runs([experiment_id], query, max_results=1, order_by=["attributes.start_time DESC"])
        run = found[0] if found else client.create_run(experiment_id, run_name=variant, tags={tag: value})
        if found and unfinished:
            client.update_run(run.info.run_id, status="RUNNING")
        self._client, self.id = client, str(run.info.run_id)
        self._params, self._tags = set(run.data.params), set(run.data.tags)
        if client.tracking_uri.startswith(("http://", "https://")):
            page = f"{store.public(client.tracking_uri).rstrip('/')}/#/experiments/{experiment_id}/runs"
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
        try:
            with store.quiet():
                return action()
        except store.failures() as error:
            self._client, self._points = None, []
            log.warning(
                "MLflow at %s failed: %s. The stage goes on without it: nothing more of this run is recorded there, and its "
                "numbers are in its own files and in the DVC metrics. Check MLFLOW_TRACKING_URI and that server.",
                store.address(),
                store.reason(error),
            )
            return None


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield store.plain(f"{prefix}{key}"), str(value)
