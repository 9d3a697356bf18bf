"""Where MLflow's records lie: the connection, the experiment with its view, and what MLflow takes
as a name.
"""

import contextlib
import json
import logging
import os
import re
import secrets
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from fcn.errors import UserError, shown
from tasks.tracking.redaction import hidden

log = logging.getLogger(__name__)

ARTIFACTS = "mlartifacts"
"""The folder beside a database that is a file."""

SCORES = ("pixel_accuracy", "mean_accuracy", "mean_iu", "frequency_weighted_iu")
"""The metrics that the experiment's table shows as columns."""


# MLflow's own answers to a silent server are 120 s, seven retries and whatever Retry-After says.
# What the user set stays.
ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
    "MLFLOW_SQLALCHEMYSTORE_POOLCLASS": "NullPool",  # a database that was replaced is opened anew
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
"""Settings that hold where the user has made none."""

# MLflow's table opens with the newest run first and without any score. This saved view, which
# `Run.table_url` asks for, has the best model first and its scores on the left, and above MLflow's
# own charts those that compare the models. The run's name, which begins with the variant, and its
# date are always there.
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
_SECTION = {
    "uuid": "fcn-models",
    "name": "The models compared",
    "display": True,
    "isReordered": True,
}


def _chart(kind: str, metric: str) -> dict[str, Any]:
    """A chart of all runs, as MLflow's UI has it."""
    line = {
        "lineSmoothness": 0,
        "xAxisKey": "step",
        "xAxisScaleType": "linear",
        "scaleType": "linear",
        "range": {},
    }
    return {
        "type": kind, "uuid": f"fcn-{metric}", "metricSectionId": _SECTION["uuid"],
        "metricKey": metric,
        "selectedMetricKeys": [metric], "runsCountToCompare": 10, "deleted": False,
        "isGenerated": False,
        **(line if kind == "LINE" else {}),
    }  # fmt: skip


VIEW = {
    "mlflow.sharedViewState.scores": json.dumps(
        {
            "compareRunSections": [_SECTION],
            "compareRunCharts": [
                _chart("BAR", "mean_iu"),
                _chart("LINE", "val_mean_iu"),
                _chart("LINE", "loss"),
            ],
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
    """Sets `ENVIRONMENT` and imports mlflow, which takes seconds and sets up its loggers: before
    `asked`.
    """
    for name, default in ENVIRONMENT.items():
        os.environ.setdefault(name, default)
    import mlflow  # noqa: F401


@dataclass(frozen=True)
class Store:
    """MLflow, reached.

    Attributes:
        client: MLflow's.
        artifacts: the folder for artifacts where we, not a server, decide it.
        database: a number that a database in a file got when it was made; else 0.
    """

    client: Any
    artifacts: Path | None
    database: int


def connect() -> Store:
    """Connects with MLflow; a damaged database in a file is set aside, and a new one made.

    Raises:
        OSError: the database is a file that cannot be used, because it is none, of a later version,
            or locked for long.
    """
    from mlflow import MlflowClient

    uri = os.environ.get("MLFLOW_TRACKING_URI") or _uri(Path("mlflow.db").resolve())
    if (path := _file()) is None:
        return Store(MlflowClient(tracking_uri=uri), None, 0)
    # Two first users break each other's migration, and a killed one leaves half a schema that
    # nothing repairs.
    with FileLock(f"{path}.lock", timeout=60):
        if not path.exists():
            new = path.with_name(f"{path.name}.new")
            new.unlink(missing_ok=True)
            MlflowClient(tracking_uri=_uri(new))
            _ask(new, f"PRAGMA user_version = {secrets.randbelow(2**31 - 1) + 1}")
            os.replace(new, path)
        _follow(path)
    return Store(MlflowClient(tracking_uri=uri), path.parent / ARTIFACTS, database())


def database() -> int:
    """See `Store.database`."""
    path = _file()
    return int(_ask(path, "PRAGMA user_version")) if path and path.is_file() else 0


def set_aside(error: Exception) -> bool:
    """Gives a damaged database in a file another name, so that `connect` makes a new one.

    Args:
        error: that something failed with.

    Returns:
        Whether that was the reason, and it is worth to try again.
    """
    path = _file()
    if path is None or not _DAMAGE.search(str(error)):
        return False
    with FileLock(f"{path}.lock", timeout=60):
        try:
            damaged = path.is_file() and _ask(path, "PRAGMA integrity_check(1)") != "ok"
        except sqlite3.OperationalError:  # locked
            return False
        except sqlite3.DatabaseError:
            damaged = True
        if damaged:  # else another process was faster
            number = 1
            while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
                number += 1
            # what belongs to it must not reach the new one
            for end in ("", "-journal", "-wal", "-shm"):
                with contextlib.suppress(FileNotFoundError):
                    os.replace(f"{path}{end}", f"{aside}{end}")
            log.warning(
                "%s is damaged, and is now called %s. A new one is made of the records in "
                ".cache/ledger.",
                path.name, aside.name,
            )  # fmt: skip
    return True


def _ask(path: Path, query: str) -> Any:
    """The first value of the first row that a database answers."""
    with contextlib.closing(sqlite3.connect(path, timeout=10)) as connection:
        return next(iter(connection.execute(query).fetchone() or ()), None)


def _file() -> Path | None:
    """The database, if it is a file."""
    from sqlalchemy.engine import make_url

    uri = os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        return Path("mlflow.db").resolve()
    path = make_url(uri).database if uri.startswith("sqlite") else None
    return Path(path).resolve() if path else None


_DAMAGE = re.compile(
    "file is not a database|database disk image is malformed|malformed database schema"
)


def _uri(database: Path) -> str:
    """The address of a database in a file, whatever its path holds.

    The driver is named because MLflow would make a folder of `sqlite:///` and what follows, as it
    is quoted.
    """
    from sqlalchemy.engine import URL

    return URL.create("sqlite+pysqlite", database=database.as_posix()).render_as_string(
        hide_password=False
    )


_PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
"""Where MLflow keeps the absolute places of artifacts."""


def _follow(database: Path) -> None:
    """Let a database that was copied or moved with its checkout name the artifacts that are beside
    it now.

    Else a copy would write into the folder of the first one. MLflow would wait for minutes for what
    cannot be opened.
    """
    from mlflow.utils.file_utils import local_file_uri_to_path

    mine = database.parent / ARTIFACTS
    try:
        with contextlib.closing(sqlite3.connect(database, timeout=10)) as connection, connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
            if "experiments" not in tables:
                return
            places = [
                place
                for (place,) in connection.execute("SELECT artifact_location FROM experiments")
                if place
            ]
            folders = {
                Path(local_file_uri_to_path(place)).parent
                for place in places
                if "://" not in place or place.startswith("file:")
            }
            for folder in sorted(folders):
                here = folder == mine or (
                    folder.exists() and mine.exists() and folder.samefile(mine)
                )
                if here or folder.name != ARTIFACTS or not folder.is_absolute():
                    continue
                for table, column in _PLACES:
                    for before in (str(folder), folder.as_uri()):
                        connection.execute(
                            f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE "
                            f"substr({column}, 1, ?) = ?",
                            (mine.as_uri(), len(before) + 1, len(before) + 1, f"{before}/"),
                        )
                log.warning(
                    "This checkout is a copy, or was moved: %s kept its artifacts in %s, and keeps "
                    "them in %s now.",
                    database.name,
                    folder,
                    mine,
                )
    except sqlite3.Error as error:
        raise OSError(f"{database}: {error}") from error


def experiment(store: Store, name: str) -> str:
    """The id of the experiment `name`, which is made if it is missing, with its artifacts below
    `Store.artifacts`.
    """
    from mlflow.exceptions import MlflowException

    client = store.client
    known = client.get_experiment_by_name(name)
    if known is None:
        location = None if store.artifacts is None else (store.artifacts / name).as_uri()
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
def asked() -> Iterator[None]:
    """What is asked of MLflow stands in here.

    MLflow's and urllib3's own lines about each failed try are kept away: the one warning says it.
    An address or an answer that makes no sense becomes an OSError.
    """
    loggers = [logging.getLogger(name) for name in ("mlflow", "urllib3.connectionpool")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    except UserError:
        raise
    except (ValueError, LookupError, AttributeError, TypeError) as error:
        raise OSError(
            f"no address or answer of MLflow's ({type(error).__name__}: {error})"
        ) from error
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def failures() -> tuple[type[Exception], ...]:
    """What a store that does not work raises."""
    from alembic.util.exc import CommandError
    from google.protobuf.json_format import Error as NotItsAnswer
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    # requests' errors are OSErrors
    return MlflowException, NotItsAnswer, SQLAlchemyError, CommandError, OSError


def address() -> str:
    """Where the store is, for messages."""
    return hidden(os.environ.get("MLFLOW_TRACKING_URI") or "mlflow.db")


def reason(error: Exception) -> str:
    """The first line of what went wrong, for messages."""
    return shown(hidden(f"{type(error).__name__}: {error}".splitlines()[0]), 300)


def plain(text: str) -> str:
    """A name that MLflow takes: letters, digits and `_.- /`, at most 250, and no other file when
    read as a path.
    """
    parts = re.sub(r"[^\w.\- /]", "_", text).split("/")
    return "/".join(part if part.strip(".") else "_" for part in parts)[:250]
