"""One run while a stage is at work on it: what the stage says goes to its ledger, and from there to
MLflow.
"""

import json
import logging
import operator
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fcn.errors import UserError
from fcn.io import public
from tasks.tracking import checkout, entries, forward, ledger, store, tell

log = logging.getLogger(__name__)

_MODE = "workflowType=machine_learning"  # else the UI opens in its GenAI mode
_EVERY, _REST = 5.0, 60.0  # seconds between two tries to forward; after a failure
_SHARE = 20.0  # and no try for so many times as long as the last one took
_LONGEST = 30.0  # seconds that a stage spends at once on forwarding


class Run:
    """One run, opened by `tracking.training` or `tracking.scoring`.

    Everything is written to the ledger first. Now and then, and when the run ends, it is forwarded
    to MLflow; no more than a twentieth of the time goes into that. What MLflow does not get,
    because it is down, it gets from the next run or from `fcn sync`.

    Names of metrics, parameters and tags may hold any character: what MLflow refuses becomes `_`.
    """

    def __init__(self, told: ledger.Ledger | None, new: bool = False) -> None:
        """Opens a run.

        Args:
            told: its ledger; None, if not even that can be written: then all that is said is lost.
            new: whether the ledger was made for this.
        """
        self._ledger, self.new = told, new
        self._target: tell.Target | None = None
        self._again, self._failed, self._full = 0.0, False, told is None
        self._begun = ledger.now()
        self._points = told.points() if told else {}
        self.finished = told is not None and told.status() == "FINISHED"
        self.refused = False

    @property
    def id(self) -> str | None:
        """MLflow's id of the run; None as long as MLflow could not be reached."""
        return self._target.id if self._target else None

    @property
    def url(self) -> str | None:
        """The run's page, in `fcn ui` where the store is a file; None while
        there is no such page.
        """
        return self._page(f"/{self.id}?{_MODE}")

    @property
    def models_url(self) -> str | None:
        """The page that compares the experiment's runs, see `store.VIEW`; None like `url`."""
        return self._page(f"?{_MODE}&viewStateShareKey=scores&compareRunsMode=CHART")

    def _page(self, rest: str) -> str | None:
        if self._target is None:
            return None
        uri = self._target.client.tracking_uri
        server = checkout.mlflow_url() if uri.startswith("sqlite") else public(uri).rstrip("/")
        if not server.startswith(("http://", "https://")):
            return None
        return f"{server}/#/experiments/{self._target.experiment}/runs{rest}"

    def metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Record numbers. What a resumed training says again, after its last checkpoint, stands
        there once.

        Args:
            values: name -> number. Two names that MLflow cannot tell apart get a trailing `_`.
            step: the iteration, counted from the start of the stage; None for a number without a
                curve.

        Raises:
            TypeError: a value that is no number, a step that is no integer.
        """
        at = 0 if step is None else operator.index(step)
        taken: dict[str, float] = {}
        for name, value in values.items():
            if isinstance(value, (str, bytes)):
                raise TypeError(f"metric {name!r} must be a number, got {value!r}")
            clean = store.plain(name)
            while clean in taken:
                clean += "_"
            taken[clean] = float(value)
        new = {
            name: value for name, value in taken.items() if self._points.get((name, at)) != value
        }
        self._points |= {(name, at): value for name, value in new.items()}
        if new:
            self._say(entries.Metrics(values=new, step=at, time=self._now()))

    def params(self, values: Mapping[str, Any]) -> None:
        """Record parameters: `{"train": {"lr": 1e-10}}` becomes `train.lr`. What the run already
        has stays as it is.
        """
        self._say(entries.Params(values=dict(_flatten(values))))

    def tags(self, values: Mapping[str, str], missing: bool = False) -> None:
        """Set tags; a tag that the run already has is overwritten, or, with `missing`, stays.

        Raises:
            TypeError: a value that is no string.
        """
        for name, value in values.items():
            if not isinstance(value, str):
                raise TypeError(f"tag {name!r} must be a string, got {value!r}")
        plain = {store.plain(name): value for name, value in values.items()}
        self._say(entries.Tags(values=plain, missing=missing))

    def facts(self, name: str, values: Mapping[str, Any]) -> None:
        """Record what nobody filters by, as the artifact `made_from/<name>.json`."""
        text = json.dumps(values, indent=2, ensure_ascii=False)
        self._say(entries.Text(values={f"made_from/{name}.json": text}))

    def artifact(self, path: Path, folder: str | None = None) -> None:
        """Keep a copy of a file, or of all files of a directory, under `folder` of the run's
        artifacts.

        Raises:
            FileNotFoundError: there is nothing at `path`.
        """
        if not path.exists():
            raise FileNotFoundError(f"artifact {path} does not exist")
        if kept := self._keep(path):
            self._say(entries.Artifact(path=kept, folder=folder, tree=path.is_dir()))

    def dataset(self, name: str, digest: str, context: str) -> None:
        """Record the data that a run used, in MLflow's column Dataset.

        Args:
            name: e.g. `sample/train`.
            digest: hexadecimal digest of the data; MLflow shows 36 characters.
            context: `training` or `validation`.
        """
        self._say(entries.Dataset(name=name, digest=digest, context=context))

    def register(self, model: str, model_dir: Path, tags: Mapping[str, str]) -> str | None:
        """See `tasks.tracking.registry.register`, which is for everybody to call."""
        if not (kept := self._keep(model_dir)):
            return None
        source, time = str(model_dir), self._now()
        self._write(
            entries.Register(path=kept, source=source, model=model, tags=dict(tags), time=time)
        )
        return self._forward(at_once=True)

    def _open(
        self, resumed: bool, params: Mapping[str, Any], tags: Mapping[str, str], missing: bool
    ) -> None:
        """Say the first things, and bring MLflow up to date."""
        if resumed:
            self._write(entries.Resume())
        self._write(entries.Params(values=dict(_flatten(params))))
        self._write(
            entries.Tags(
                values={store.plain(name): text for name, text in tags.items()}, missing=missing
            )
        )
        self._forward(at_once=True)
        if self._target is None:
            return
        try:
            with store.asked():
                outcome = forward.forward_all(_LONGEST)
        except store.failures() as error:
            self._fail(error)
            return
        if outcome.done:
            log.info("MLflow has now the records of %d earlier runs, too.", outcome.done)
        if outcome.elsewhere:
            log.warning(
                "Records of earlier runs wait for MLflow at %s.",
                ", ".join(sorted(outcome.elsewhere)),
            )

    def _close(self, status: str | None, scores: bool = False) -> None:
        """End the run, if it has a status, and is not one that mere scores were added to."""
        if status and not (scores and self.finished):
            self._write(entries.End(status=status, scores=scores, time=self._now()))
        self._forward(at_once=True)

    def _say(self, entry: entries.Entry) -> None:
        self._write(entry)
        self._forward()

    def _write(self, entry: entries.Entry) -> None:
        if self._ledger is None:
            return
        try:
            self._ledger.add(entry)
        except OSError as error:
            self._lose(error)
        else:
            self._full = False

    def _keep(self, path: Path) -> str | None:
        try:
            return self._ledger.keep(path) if self._ledger else None
        except (OSError, UserError) as error:
            log.warning("MLflow refuses %s: %s", path, error)
            return None

    def _lose(self, error: Exception) -> None:
        if not self._full:
            self._full = True
            log.warning(
                "%s cannot be written: %s. The stage goes on. It is tried again.",
                ledger.FOLDER,
                error,
            )

    def _forward(self, at_once: bool = False) -> str | None:
        """Tell MLflow what is new, if it is time to; `at_once`: unless MLflow has just failed."""
        begun = time.monotonic()
        if (
            self._ledger is None
            or self.refused
            or (begun < self._again and (self._failed or not at_once))
        ):
            return None
        said = None
        try:
            with store.asked():
                target, said = forward.forward(self._ledger, _LONGEST)
        except tell.Refused:
            self.refused = True
        except store.failures() as error:
            self._fail(error)
        else:
            self._target = target or self._target
            if self._failed:
                log.info(
                    "MLflow at %s has all of %s again.", store.address(), self._ledger.opening.name
                )
            self._failed = False
        took = time.monotonic() - begun
        self._again = begun + took + max(_REST if self._failed else _EVERY, _SHARE * took)
        return said

    def _fail(self, error: Exception) -> None:
        if not self._failed:
            log.warning(
                "MLflow at %s failed: %s. The stage goes on without it: the records wait in %s "
                "for the next run or `fcn sync`. Check MLFLOW_TRACKING_URI and that server.",
                store.address(), store.reason(error), ledger.FOLDER,
            )  # fmt: skip
        self._failed = True

    def _now(self) -> int:
        """In ms, and never before the run began: a clock may be set back."""
        return max(time.time_ns() // 1_000_000, self._begun)


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield store.plain(f"{prefix}{key}"), str(value)
