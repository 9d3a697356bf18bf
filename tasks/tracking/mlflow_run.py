"""One MLflow run while a stage is at work on it: what the stage says is sent there, or kept until MLflow can take it."""

import json
import logging
import operator
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fcn.errors import UserError
from fcn.io import public
from tasks.tracking import sending, spool, store

log = logging.getLogger(__name__)

_MODE = "workflowType=machine_learning"  # else the UI opens in its GenAI mode
_FLUSH_POINTS, _FLUSH_SECONDS = 500, 5.0
_SLOW = 3.0  # seconds for one request with points; an own database takes some hundredths
_REST, _SHARE = 60.0, 20.0  # after a failure no try for a minute, nor for so many times as long as it took
_DELIVERY = 30.0  # seconds that a stage spends at most on what others have left


class Run:
    """One MLflow run, opened by `training` or `scoring`.

    Where the store fails, or is so slow that the stage would wait for it, everything goes to the spool
    (`tasks.tracking.spool`), and now and then, at the end, and by the next run it is tried again. No more than a twentieth of
    the time goes into trying.

    Names of metrics, parameters and tags may hold any character: what MLflow refuses becomes `_`.

    Attributes:
        id: MLflow's id of the run; None as long as the store could not be reached.
        url: the run's page, in `fcn ui` where the store is a file; None when the store is another database, which has no page.
        table_url: the page that shows the experiment's runs as rows and their four scores as columns; None like `url`.
    """

    def __init__(self, experiment: str, variant: str, tag: str, value: str, unfinished: bool) -> None:
        """Finds the newest run with the tag, if it is `unfinished` where that is asked for, or makes one."""
        self.id: str | None = None
        self.url: str | None = None
        self.table_url: str | None = None
        self._opening: dict[str, Any] = {"run": None, "experiment": experiment, "variant": variant, "tag": tag, "value": value}
        self._opening |= {"unfinished": unfinished, "time": _now()}
        self._target: sending.Target | None = None
        self._spool: spool.Spool | None = None
        self._slow, self._again = False, 0.0  # why the spool is used, and the time from which the store may be tried
        self._points: list[tuple[str, float, int, int]] = []
        self._flushed = time.monotonic()
        begun = time.monotonic()
        try:
            with store.asked():
                outcome = spool.deliver(_DELIVERY)
                if not outcome.behind:
                    self._found(sending.find(self._opening))
        except store.failures() as error:
            self._rest(begun)
            self._keep_from_now_on(f"failed: {store.reason(error)}")
        else:
            if outcome.delivered:
                log.info("MLflow has now what %d runs could not tell it before.", outcome.delivered)
            if outcome.behind:
                self._keep_from_now_on(f"has to wait: {outcome.behind}")
            if outcome.elsewhere:
                log.warning("What runs could not tell MLflow at %s waits for it.", ", ".join(sorted(outcome.elsewhere)))

    def metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Record numbers. They are sent in batches, the last ones when the run ends.

        A resumed training repeats the steps after its last checkpoint, so these may hold a point twice (of equal value).

        Args:
            values: name -> number. Two names that MLflow cannot tell apart are told apart by a trailing `_`.
            step: the iteration, counted from the start of the stage; None for a number without a curve.

        Raises:
            TypeError: a value that is no number, a step that is no integer.
        """
        now, at = _now(), 0 if step is None else operator.index(step)
        taken: dict[str, float] = {}
        for name, value in values.items():
            if isinstance(value, (str, bytes)):
                raise TypeError(f"metric {name!r} must be a number, got {value!r}")
            clean = store.plain(name)
            while clean in taken:
                clean += "_"
            taken[clean] = float(value)
        self._points.extend((name, value, now, at) for name, value in taken.items())
        waited = time.monotonic() - self._flushed > _FLUSH_SECONDS
        if self._spool or len(self._points) >= _FLUSH_POINTS or waited:  # a line in the spool costs nothing
            self.flush()

    def flush(self) -> None:
        """Send the numbers that still wait: when a checkpoint is saved, so that a killed training loses none before it."""
        points, self._points, self._flushed = self._points, [], time.monotonic()
        if points:
            self._send({"do": "metrics", "points": points})

    def params(self, values: Mapping[str, Any]) -> None:
        """Record parameters: `{"train": {"lr": 1e-10}}` becomes `train.lr`. What the run already has stays as it is."""
        self._send({"do": "params", "values": dict(_flatten(values))})

    def tags(self, values: Mapping[str, str], missing: bool = False) -> None:
        """Set tags; a tag that the run already has is overwritten, or, with `missing`, stays.

        Raises:
            TypeError: a value that is no string.
        """
        for name, value in values.items():
            if not isinstance(value, str):
                raise TypeError(f"tag {name!r} must be a string, got {value!r}")
        self._send({"do": "tags", "values": {store.plain(name): value for name, value in values.items()}, "missing": missing})

    def artifact(self, path: Path, folder: str | None = None) -> None:
        """Keep a copy of a file, or of all files of a directory, under `folder` of the run's artifacts.

        Raises:
            FileNotFoundError: there is nothing at `path`.
        """
        if not path.exists():
            raise FileNotFoundError(f"artifact {path} does not exist")
        self._send({"do": "artifact", "path": str(path), "folder": folder})

    def dataset(self, name: str, digest: str, context: str) -> None:
        """Record the data that a run used: in MLflow's column Dataset (36 characters of the digest) and whole in a tag.

        Args:
            name: e.g. `sample/train`.
            digest: hexadecimal digest of the data.
            context: `training` or `validation`; the tag is `dataset.<context>`.
        """
        source = json.dumps({"name": name, "digest": digest})
        self._send({"do": "dataset", "name": name, "digest": digest[:36], "source": source, "context": context})
        self.tags({f"dataset.{context}": digest})

    def register(self, model: str, variant: str, model_dir: Path, tags: Mapping[str, str]) -> str | None:
        """See `tasks.tracking.registry.register`, which is for everybody to call. Returns None if MLflow will be told later."""
        entry = {"do": "register", "path": str(model_dir), "model": model, "variant": variant, "tags": dict(tags)}
        said: str | None = self._send(entry)
        return said

    def _close(self, status: str, of: str) -> None:
        """Send what waits, and end the run if it is one `of` those that `sending` says."""
        self.flush()
        self._send({"do": "end", "status": status, "of": of, "time": _now()})
        if self._spool:
            if self._slow:
                self._again = 0.0  # nobody waits for it any more
            self._catch_up()
        if self._spool:
            self._spool.close()
        self._spool, self._target = None, None

    def _send(self, entry: dict[str, Any]) -> Any:
        """Send an entry; if the store fails, keep it. Errors in the caller's own code pass through."""
        if self._spool:
            self._catch_up()
        if self._target and not self._spool:
            begun = time.monotonic()
            try:
                with store.asked():
                    said = sending.send(self._target, entry)
            except store.failures() as error:
                self._slow = False
                self._rest(begun)
                self._keep_from_now_on(f"failed: {store.reason(error)}")
            else:
                if entry["do"] == "metrics" and (took := time.monotonic() - begun) > _SLOW:
                    self._slow = True
                    self._rest(begun)
                    self._keep_from_now_on(f"is slow: it took {took:.0f} s for some numbers")
                return said
        if self._spool:
            try:
                self._spool.add(entry)
            except (OSError, UserError) as error:
                log.warning("%s; nor can the spool keep this for MLflow, which is lost: %s", entry["do"], error)
        return None

    def _catch_up(self) -> None:
        """Deliver the spool up to now, if it is time to try, and go on without it."""
        if time.monotonic() < self._again or self._spool is None:
            return
        begun = time.monotonic()
        try:
            with store.asked():
                target = spool.deliver(_DELIVERY, self._spool).target
        except store.failures():
            target, self._slow = None, False
        if target is None:
            self._rest(begun)
            return
        self._spool.close()
        self._spool = None
        self._found(target)
        log.info("MLflow at %s has all of %s again.", store.address(), self._opening["variant"])

    def _rest(self, begun: float) -> None:
        now = time.monotonic()
        self._again = now + max(_REST, _SHARE * (now - begun))

    def _keep_from_now_on(self, why: str) -> None:
        advice = "Check MLFLOW_TRACKING_URI and that server." if why.startswith("failed") else ""
        try:
            self._spool = spool.Spool(self._opening)
        except (OSError, UserError) as error:
            self._target = None
            said = f"nothing more of this run is recorded there, because {spool.FOLDER} cannot keep it either ({error})"
        else:
            said = f"what it should know is kept in {spool.FOLDER} and delivered by the next run or `fcn sync`"
        log.warning("MLflow at %s %s. The stage goes on without it: %s. %s", store.address(), why, said, advice)

    def _found(self, target: sending.Target) -> None:
        self._target, self.id = target, target.id
        self._opening |= {"run": target.id, "made": target.status is None}
        uri = target.client.tracking_uri
        server = store.UI if uri.startswith("sqlite") else public(uri).rstrip("/")
        if server.startswith(("http://", "https://")):
            page = f"{server}/#/experiments/{target.experiment}/runs"
            self.url = f"{page}/{self.id}?{_MODE}"
            self.table_url = f"{page}?{_MODE}&viewStateShareKey=scores&compareRunsMode=TABLE"


def _now() -> int:
    return time.time_ns() // 1_000_000


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield store.plain(f"{prefix}{key}"), str(value)
