"""Where MLflow's records lie: the connection, the experiment with its view, and what MLflow takes as a name."""

import contextlib
import json
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock

from fcn.errors import shown
from tasks.redaction import hidden

SCORES = ("pixel_accuracy", "mean_accuracy", "mean_iu", "frequency_weighted_iu")
"""The metrics that the experiment's table shows as columns."""

UI = "http://127.0.0.1:5000"
"""Where `make ui` shows a store that is a file."""

# MLflow's own answers to a silent server are 120 s, seven retries and whatever Retry-After says. What the user set stays.
ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
"""Settings that hold where the user has made none."""

# MLflow's table opens with the newest run first and without any score. This saved view, which `Run.table_url` asks for, has
# the best model first and its scores on the left. The run's name, which is the variant, and its date are always there.
_COLUMNS = {  # from left to right: name in MLflow's UI -> width in pixels
    "metrics.`mean_iu`": 90,
    "metrics.`pixel_accuracy`": 120,
    "metrics.`mean_accuracy`": 120,
    "metrics.`frequency_weighted_iu`": 170,
    "tags.`evaluate.split`": 110,
    "tags.`evaluate.images`": 120,
    "duration": 80,
    "attributes.`Models`": 110,
    "params.`profile`": 90,
    "attributes.`Dataset`": 300,
}
VIEW = {
    "mlflow.sharedViewState.scores": json.dumps(
        {
            "orderByKey": "metrics.`mean_iu`",
            "orderByAsc": False,
            "selectedColumns": list(_COLUMNS),
            "columnOrder": list(_COLUMNS),
            "columnWidths": _COLUMNS,
        }
    )
}
"""A tag of every experiment."""


def prepare() -> None:
    """Sets `ENVIRONMENT` and imports mlflow, which takes seconds and sets up its loggers: before `quiet`."""
    for name, default in ENVIRONMENT.items():
        os.environ.setdefault(name, default)
    import mlflow  # noqa: F401


def connect() -> tuple[Any, Path | None]:
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


def experiment(client: Any, name: str, artifacts: Path | None) -> str:
    """The id of the experiment `name`, which is made if it is missing, with its artifacts below `artifacts`."""
    from mlflow.exceptions import MlflowException

    known = client.get_experiment_by_name(name)
    if known is None:
        location = None if artifacts is None else str(artifacts / name)
        try:
            return str(client.create_experiment(name, artifact_location=location, tags=VIEW))
        except MlflowException:  # another process was faster, or the store is broken
            known = client.get_experiment_by_name(name)
            if known is None:
                raise
    for key, value in VIEW.items():
        if known.tags.get(key) != value:  # made by an earlier version of this file
            client.set_experiment_tag(known.experiment_id, key, value)
    return str(known.experiment_id)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
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


def failures() -> tuple[type[Exception], ...]:
    """What a store that does not work raises."""
    from alembic.util.exc import CommandError
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    return MlflowException, SQLAlchemyError, CommandError, OSError  # requests' errors are OSErrors


def address() -> str:
    """Where the store is, for messages."""
    return hidden(os.environ.get("MLFLOW_TRACKING_URI") or "mlflow.db")


def reason(error: Exception) -> str:
    """The first line of what went wrong, for messages."""
    return shown(hidden(f"{type(error).__name__}: {error}".splitlines()[0]), 300)


def plain(text: str) -> str:
    """A name that MLflow takes: letters, digits and `_.- /`, at most 250, and no other file when read as a path."""
    parts = re.sub(r"[^\w.\- /]", "_", text).split("/")
    return "/".join(part if part.strip(".") else "_" for part in parts)[:250]
