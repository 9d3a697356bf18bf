"""The run of a staged model: opened by its training, found again by its evaluation."""

import contextlib
import logging
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from tasks.tracking import forward, ledger, store
from tasks.tracking.entries import Opening
from tasks.tracking.run import Run

log = logging.getLogger(__name__)

MODEL = "model.sha256"
"""The tag by which `scoring` finds the run of a model; training sets it when its weights file is
written.
"""
NOTE = "mlflow.note.content"
"""The tag that MLflow shows as the run's description: a sentence."""


def experiment(profile: str, seed: int | None = None, fold: str | None = None) -> str:
    """The experiment of a profile's runs; those with a seed of their own (`fcn seeds`), or on a
    part of the data (`fcn folds`), have another, with a row for each.
    """
    return f"fcn-{profile}" + ("-folds" if fold else "" if seed is None else "-seeds")


@contextlib.contextmanager
def training(
    experiment: str, variant: str, key: str, *, params: Mapping[str, Any], tags: Mapping[str, str]
) -> Iterator[Run]:
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
    """
    store.prepare()
    known = _known(experiment, lambda each: each.opening.key == key)
    run = _open(known, experiment, variant, params, tags, key=key)
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
    experiment: str,
    variant: str,
    model_sha256: str,
    *,
    params: Mapping[str, Any],
    tags: Mapping[str, str],
) -> Iterator[Run]:
    """The run of a trained model, to add its scores to: the newest with this digest, or a new one
    where the training was not recorded (no ledger, and none in MLflow). A finished run keeps its
    times and status.

    Args:
        experiment: as for `training`.
        variant: as for `training`.
        model_sha256: digest of the model's weights file, hexadecimal.
        params: those of the training; recorded as far as the run lacks them.
        tags: likewise: the tags that training set stay. `Run.tags` overwrites.

    Raises:
        ValueError: a digest with other characters than letters, digits, `.`, `_`, `-`.
    """
    if not re.fullmatch(r"[\w.-]+", model_sha256):  # it stands in a query
        raise ValueError(
            f"{MODEL} must consist of letters, digits, '.', '_' and '-', got {model_sha256!r}"
        )
    store.prepare()
    known = _known(experiment, lambda each: each.mentions(model_sha256))
    run = _open(known, experiment, variant, params, tags, model=model_sha256)
    try:
        yield run
    except BaseException:
        # A model's training did not fail because its scoring did.
        run._close("FAILED" if run.new else None, scores=True)
        raise
    run._close("FINISHED", scores=True)


def _known(experiment: str, wanted: Callable[[ledger.Ledger], bool]) -> Run | None:
    """The run of the newest ledger that is `wanted`, of an experiment in this MLflow."""
    with contextlib.suppress(OSError):  # it was deleted meanwhile, or cannot be read
        for each in ledger.ledgers():
            mark = forward.Mark.of(each)
            here = (
                each.opening.experiment == experiment
                and mark.store == store.address()
                and not mark.refused
            )
            if here and wanted(each):
                return Run(each)
    return None


def _open(
    run: Run | None, experiment: str, variant: str,
    params: Mapping[str, Any], tags: Mapping[str, str], *, key: str | None = None,
    model: str | None = None,
) -> Run:  # fmt: skip
    """`run` goes on; or a new one begins, where there is none, or it is a training that has
    finished, or deleted in MLflow.
    """
    given = {"variant": variant, **tags}
    if run and not (key and run.finished):
        run._open(key is not None, params, given, missing=key is None)
        if not run.refused:
            return run
    time = ledger.now()
    opening = Opening(
        id=uuid.uuid4().hex,
        experiment=experiment,
        name=_name(variant, params, time),
        time=time,
        key=key,
        model=model,
    )
    try:
        made = ledger.Ledger.new(opening)
        forward.Mark(store=store.address()).save(made)
        run = Run(made, new=True)
    except OSError as error:
        log.warning(
            "%s: %s. The stage goes on; nothing of this run is recorded.", ledger.FOLDER, error
        )
        return Run(None, new=True)
    run._open(False, params, given | ({MODEL: model} if model else {}), missing=key is None)
    return run


def sentence(variant: str, params: Mapping[str, Any]) -> str:
    """What a model is, for `NOTE`; without a full stop."""
    train = params["train"]
    return (
        f"{variant} of the profile {params['profile']}, trained for {train['iterations']} "
        f"iterations with seed {train['seed']}"
    )


def _name(variant: str, params: Mapping[str, Any], time: int) -> str:
    """Such as `fcn8s · voc · seed 2 · 26 Nov 12:40`."""
    train, when = params.get("train"), datetime.fromtimestamp(time / 1000)
    seed = train.get("seed") if isinstance(train, Mapping) else None
    parts = (
        variant,
        params.get("profile"),
        seed is not None and f"seed {seed}",
        f"{when.day} {when:%b %H:%M}",
    )
    return " · ".join(str(part) for part in parts if part)
