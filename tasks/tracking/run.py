"""The run of a staged model: opened by its training, found again by its evaluation and its report.
All that a stage says goes to the run's ledger, and from there to MLflow, see `forwarder`.
"""

import contextlib
import logging
import operator
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from fcn.errors import UserError
from fcn.io import files
from tasks.tracking import checkout, entries, forwarder, ledger, steps, store
from tasks.tracking.mark import Mark

log = logging.getLogger(__name__)

MODEL = "model.sha256"
"""The tag by which `scoring` finds the run of a model; training sets it with its weights."""
NOTE = "mlflow.note.content"
"""The tag that MLflow shows as the run's description: a sentence."""
_MODE = "workflowType=machine_learning"  # else the UI opens in its GenAI mode
_EVERY = 60.0  # seconds between two looks whether the forwarder is still at work


class Run:
    """One run, opened by `training` or `scoring`: what is said is written to its ledger.

    Names of metrics, parameters and tags may hold any character: what MLflow refuses becomes `_`.
    """

    def __init__(self, told: ledger.Ledger | None) -> None:
        """`told`: its ledger; None, if not even that can be written: all that is said is lost."""
        self._ledger, self._full = told, told is None
        self._looked, self._since, self._begun = float("-inf"), time.monotonic(), ledger.now()
        self._made: str | None = None
        self._points = told.points() if told else {}
        self._finished = told is not None and told.status() == "FINISHED"

    @property
    def id(self) -> str | None:
        """MLflow's id of the run; None as long as MLflow was not told of it."""
        return Mark.of(self._ledger).run if self._ledger else None

    @property
    def url(self) -> str | None:
        """The run's page, in `fcn ui` where the store is a file; None while there is none."""
        return self._page(f"/{self.id}?{_MODE}")

    @property
    def models_url(self) -> str | None:
        """The page that compares the experiment's runs, see `store.VIEW`; None like `url`."""
        return self._page(f"?{_MODE}&viewStateShareKey=scores&compareRunsMode=CHART")

    def _page(self, rest: str) -> str | None:
        mark = Mark.of(self._ledger) if self._ledger else None
        if mark is None or mark.run is None:
            return None
        server = store.address().rstrip("/")
        if not server.startswith(("http://", "https://")):
            server = checkout.mlflow_url()
        return f"{server}/#/experiments/{mark.experiment}/runs{rest}" if server else None

    def metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Record numbers. What a resumed training says again stands there once.

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
        new = {name: each for name, each in taken.items() if self._points.get((name, at)) != each}
        self._points |= {(name, at): value for name, value in new.items()}
        if new:
            self._say(entries.Metrics, values=new, step=at)

    def params(self, values: Mapping[str, Any]) -> None:
        """Record parameters: `{"train": {"lr": 1e-10}}` becomes `train.lr`. What the run already
        has stays as it is.
        """
        self._say(entries.Params, values=dict(_flatten(values)))

    def tags(self, values: Mapping[str, str], missing: bool = False) -> None:
        """Set tags; a tag that the run already has is overwritten, or, with `missing`, stays.

        Raises:
            TypeError: a value that is no string.
        """
        for name, value in values.items():
            if not isinstance(value, str):
                raise TypeError(f"tag {name!r} must be a string, got {value!r}")
        plain = {store.plain(name): value for name, value in values.items()}
        self._say(entries.Tags, values=plain, missing=missing)

    def facts(self, name: str, values: Mapping[str, Any]) -> None:
        """Record what nobody filters by, as the artifact `made_from/<name>.json`, in place of what
        was said under this name before.
        """
        self._say(entries.Facts, name=name, values=dict(values))

    def said(self, name: str) -> dict[str, Any]:
        """The facts that were recorded last under this name, by an earlier part of the run too."""
        return self._ledger.facts(name) if self._ledger else {}

    def artifact(self, path: Path, folder: str | None = None) -> None:
        """Keep a copy of a file, or of all files of a directory, under `folder` of the run's
        artifacts.

        Raises:
            FileNotFoundError: there is nothing at `path`.
        """
        if not path.exists():
            raise FileNotFoundError(f"artifact {path} does not exist")
        if kept := self._keep(path):
            self._say(entries.Artifact, path=kept, folder=folder, tree=path.is_dir())

    def dataset(self, name: str, digest: str, context: str) -> None:
        """Record the data that a run used, in MLflow's column Dataset.

        Args:
            name: e.g. `sample/train`.
            digest: hexadecimal digest of the data; MLflow shows 36 characters.
            context: `training` or `validation`.
        """
        self._say(entries.Dataset, name=name, digest=digest, context=context)

    def register(self, model: str, model_dir: Path, tags: Mapping[str, str]) -> None:
        """See `tasks.tracking.registry.register`, which is for everybody to call."""
        if kept := self._keep(model_dir):
            source = str(model_dir)
            self._say(entries.Register, path=kept, source=source, model=model, tags=dict(tags))

    def made(self, result: Path) -> None:
        """The stage has made this file, by which `durations.read` finds how long it took."""
        self._made = files.digest(result)

    def _say(self, kind: Callable[..., entries.Entry], **what: Any) -> None:
        try:
            if self._ledger is not None:
                self._ledger.add(kind(**what, time=self._now()))
        except OSError as error:
            if not self._full:
                self._full = True
                said = "%s cannot be written: %s. The stage goes on. It is tried again."
                log.warning(said, ledger.FOLDER, error)
        if time.monotonic() - self._looked > _EVERY:
            self._wake()

    def _wake(self) -> None:
        """Sees to it that somebody tells MLflow, and repeats what went wrong with that."""
        self._looked = time.monotonic()
        forwarder.wake()
        for level, text in forwarder.news():
            steps.logger().log(level, text)

    def _keep(self, path: Path) -> str | None:
        try:
            return self._ledger.keep(path) if self._ledger else None
        except (OSError, UserError) as error:
            log.warning("MLflow refuses %s: %s", path, error)
            return None

    def _ends_with(self, scoring: str) -> bool:
        """Whether the end of scoring is the run's. A model's training did not fail because its
        scoring did, nor does it end a second time.
        """
        alone = self._ledger is not None and self._ledger.opening.key is None
        return not self._finished and (scoring == "FINISHED" or alone)

    def _now(self) -> int:
        """In ms. Where the clock is set meanwhile, this one goes on."""
        return self._begun + round(1000 * (time.monotonic() - self._since))


def experiment(profile: str, seed: int | None = None, fold: str | None = None) -> str:
    """The experiment of a profile's runs; those with a seed of their own (`fcn seeds`), or on a
    part of the data (`fcn folds`), have another, with a row for each.
    """
    return f"fcn-{profile}" + ("-folds" if fold else "" if seed is None else "-seeds")


@contextlib.contextmanager
def training(
    experiment: str, variant: str, key: str,
    *, params: Mapping[str, Any], tags: Mapping[str, str], resumed: bool = False,
) -> Iterator[Run]:  # fmt: skip
    """The run of one training. A run with this key that has not finished (it was killed or failed)
    is continued; one that has finished is left alone, so that a forced repetition makes a new one.

    It ends FINISHED, after an exception FAILED, after Ctrl-C or another end of the process KILLED.

    Args:
        experiment: e.g. `fcn-sample`; made if it is missing.
        variant: e.g. `fcn32s`.
        key: fingerprint of what the training depends on.
        params: parameters, nested or flat.
        tags: at least `pipeline`, the id that ties the runs of one pipeline. Of all tags of a run
            there are at most twelve, which one filters by; the rest are `Run.facts`.
        resumed: from a checkpoint: its time is added to that of the run so far.
    """
    run = _known(experiment, lambda each: each.opening.key == key)
    if run is None or run._finished:
        run = _made(experiment, variant, params, key=key)
    with _at_work(run, "train", resumed):
        run.params(params)
        run.tags({"variant": variant, **tags})
        yield run


@contextlib.contextmanager
def scoring(
    experiment: str, variant: str, model_sha256: str,
    *, params: Mapping[str, Any], tags: Mapping[str, str], stage: str = "evaluate",
) -> Iterator[Run]:  # fmt: skip
    """The run of a trained model, to add its scores to: the newest with this digest, or a new one
    where the training was not recorded (no ledger, and none in MLflow). A finished run keeps its
    times and status.

    Args:
        experiment: as for `training`.
        variant: as for `training`.
        model_sha256: digest of the model's weights file, hexadecimal.
        params: those of the training; recorded as far as the run lacks them.
        tags: likewise: the tags that training set stay. `Run.tags` overwrites.
        stage: which one adds something.

    Raises:
        ValueError: a digest with other characters than letters, digits, `.`, `_`, `-`.
    """
    if not re.fullmatch(r"[\w.-]+", model_sha256):  # it stands in a query
        wanted = f"{MODEL} must consist of letters, digits, '.', '_' and '-'"
        raise ValueError(f"{wanted}, got {model_sha256!r}")
    run = _known(experiment, lambda each: each.mentions(model_sha256))
    if run is None:
        run = _made(experiment, variant, params, model=model_sha256)
    with _at_work(run, stage):
        run.params(params)
        run.tags({"variant": variant, **tags, MODEL: model_sha256}, missing=True)
        yield run


@contextlib.contextmanager
def _at_work(run: Run, stage: str, resumed: bool = False) -> Iterator[None]:
    """Writes down when the work of a stage on a run begins, and how it ends."""
    status = "KILLED" if stage == "train" else "FAILED"
    with forwarder.needed():
        run._say(entries.Begin, stage=stage, resumed=resumed)
        try:
            yield
            status = "FINISHED"
        except Exception:
            status = "FAILED"
            raise
        finally:
            said = status if stage == "train" or run._ends_with(status) else None
            run._say(entries.End, stage=stage, status=said, made=run._made)
            run._wake()


def _known(experiment: str, wanted: Callable[[ledger.Ledger], bool]) -> Run | None:
    """The run of the newest ledger that is `wanted`, of an experiment in this MLflow."""
    with contextlib.suppress(OSError):  # it was deleted meanwhile, or cannot be read
        for each in reversed(ledger.ledgers()):
            mark = Mark.of(each)
            here = each.opening.experiment == experiment and mark.store == store.address()
            if here and not mark.refused and wanted(each):
                return Run(each)
    return None


def _made(
    experiment: str, variant: str, params: Mapping[str, Any],
    *, key: str | None = None, model: str | None = None,
) -> Run:  # fmt: skip
    """A new run."""
    now = ledger.now()
    opening = entries.Opening(
        id=uuid.uuid4().hex,
        experiment=experiment,
        name=_name(variant, params, now),
        time=now,
        key=key,
        model=model,
    )
    try:
        made = ledger.Ledger.new(opening)
        Mark(store=store.address()).save(made)
        return Run(made)
    except OSError as error:
        said = "%s: %s. The stage goes on; nothing of this run is recorded."
        log.warning(said, ledger.FOLDER, error)
        return Run(None)


def _name(variant: str, params: Mapping[str, Any], time: int) -> str:
    """Such as `fcn8s · voc · seed 2 · 26 Nov 12:40`."""
    train, when = params.get("train"), datetime.fromtimestamp(time / 1000)
    seed = train.get("seed") if isinstance(train, Mapping) else None
    named = seed is not None and f"seed {seed}"
    parts = (variant, params.get("profile"), named, f"{when.day} {when:%b %H:%M}")
    return " · ".join(str(part) for part in parts if part)


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield store.plain(f"{prefix}{key}"), str(value)
