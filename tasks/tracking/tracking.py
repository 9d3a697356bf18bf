"""What the stages tell MLflow of a run; where that is kept is in `tasks.tracking.store`.

One flat run per staged model: `training` opens it, and `scoring`, in the evaluation stage's own process, finds it again
by the digest of the weights (tag `model.sha256`). No run id lies in a DVC output: a model that DVC restores keeps its run.

The store is `mlflow.db` with `mlartifacts/` beside it in the current directory, or what `MLFLOW_TRACKING_URI` names.
Tracking is a record, never a condition: when the store fails, one warning is logged and what it should know is kept in the
spool (`tasks.tracking.spool`) until it works again.
"""

import contextlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from tasks.tracking import store
from tasks.tracking.mlflow_run import Run as Run
from tasks.tracking.store import SCORES as SCORES

MODEL = "model.sha256"
"""The tag by which `scoring` finds the run of a model; training sets it when its weights file is written."""
KEY = "training.key"
"""The tag by which an interrupted training finds its run again."""


def experiment(profile: str, seed: int | None = None) -> str:
    """The experiment of a profile's runs; those with a seed of their own (`fcn seeds`) have another, with a row per seed."""
    return f"fcn-{profile}" if seed is None else f"fcn-{profile}-seeds"


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
    run = _begin(experiment, variant, KEY, key, unfinished=True)
    run.params(params)
    run.tags({"variant": variant, **tags})
    try:
        yield run
    except Exception:
        run._close("FAILED", of="any")
        raise
    except BaseException:
        run._close("KILLED", of="any")
        raise
    run._close("FINISHED", of="any")


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
    run = _begin(experiment, variant, MODEL, model_sha256, unfinished=False)
    run.params(params)
    run.tags({"variant": variant, **tags}, missing=True)
    try:
        yield run
    except BaseException:
        run._close("FAILED", of="made")  # a model's training did not fail because its scoring did
        raise
    run._close("FINISHED", of="not finished")


def _begin(experiment: str, variant: str, tag: str, value: str, unfinished: bool) -> Run:
    if not re.fullmatch(r"[\w.-]+", value):
        raise ValueError(f"{tag} must consist of letters, digits, '.', '_' and '-', got {value!r}")
    store.prepare()
    return Run(experiment, variant, tag, value, unfinished)
