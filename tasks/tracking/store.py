"""Where MLflow's records lie: the connection, the experiment, and what MLflow takes as a name."""

import contextlib
import logging
import os
import re
import secrets
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from filelock import FileLock

from fcn.errors import UserError, shown
from tasks.tracking import database as database_file
from tasks.tracking.checkout import root
from tasks.tracking.database import sqlite
from tasks.tracking.redaction import hidden
from tasks.tracking.view import VIEW

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


class Unavailable(OSError):
    """MLflow does not work; the message is its reason, in a line."""


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


def prepare() -> None:
    """Sets `ENVIRONMENT` and imports mlflow, which takes seconds, before `asked`.

    MLflow's and urllib3's own lines about each failed try are kept away: `Unavailable` says it.
    """
    for name, default in ENVIRONMENT.items():
        os.environ.setdefault(name, default)
    import mlflow  # noqa: F401

    for name in ("mlflow", "urllib3.connectionpool"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


@contextlib.contextmanager
def asked() -> Iterator[None]:
    """What is asked of MLflow stands in here.

    Raises:
        Unavailable: for all that a store raises which does not work, or which is none.
    """
    from alembic.util.exc import CommandError
    from google.protobuf.json_format import Error as NotItsAnswer
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except UserError:
        raise
    except (MlflowException, NotItsAnswer, SQLAlchemyError, CommandError, OSError) as error:
        raise Unavailable(reason(error)) from error  # requests' errors are OSErrors
    except (ValueError, LookupError, AttributeError, TypeError) as error:
        said = f"no address or answer of MLflow's ({type(error).__name__}: {error})"
        raise Unavailable(reason(OSError(said))) from error


def uri() -> str:
    """MLflow's address: `MLFLOW_TRACKING_URI`, or that of `mlflow.db` in the checkout."""
    return os.environ.get("MLFLOW_TRACKING_URI") or sqlite("pysqlite", root() / "mlflow.db")


def address() -> str:
    """The same for messages and marks: without secrets, and of the checkout wherever it lies."""
    return hidden(os.environ.get("MLFLOW_TRACKING_URI") or "mlflow.db")


def file() -> Path | None:
    """The database, if it is a file."""
    from sqlalchemy.engine import make_url

    path = make_url(uri()).database if uri().startswith("sqlite") else None
    return Path(path).resolve() if path else None


def connect() -> Store:
    """Connects with MLflow; a database in a file is made if it is missing.

    Raises:
        OSError: the database is a file that cannot be used, because it is none, of a later version,
            or locked for long.
    """
    from mlflow import MlflowClient

    if (path := file()) is None:
        return Store(MlflowClient(tracking_uri=uri()), None, 0)
    # Two first users break each other's migration, and a killed one leaves half a schema that
    # nothing repairs.
    with FileLock(f"{path}.lock", timeout=60):
        if not path.exists():
            new = path.with_name(f"{path.name}.new")
            new.unlink(missing_ok=True)
            MlflowClient(tracking_uri=sqlite("pysqlite", new))
            database_file.ask(new, f"PRAGMA user_version = {secrets.randbelow(2**31 - 1) + 1}")
            os.replace(new, path)
        _follow(path)
    return Store(MlflowClient(tracking_uri=uri()), path.parent / ARTIFACTS, database())


def database() -> int:
    """See `Store.database`."""
    path = file()
    return int(database_file.ask(path, "PRAGMA user_version")) if path and path.is_file() else 0


def set_aside(error: Unavailable) -> bool:
    """Gives a damaged database in a file another name, so that `connect` makes a new one.

    Args:
        error: that something failed with.

    Returns:
        Whether that was the reason, and it is worth to try again.
    """
    path = file()
    if path is None or not _DAMAGE.search(str(error)):
        return False
    with FileLock(f"{path}.lock", timeout=60):
        if found := database_file.set_aside(path):  # else another process was faster
            log.warning(
                "%s is damaged, and is now called %s. A new one is made of the records in "
                ".cache/ledger.",
                path.name, found[0].name,
            )  # fmt: skip
    return True


_DAMAGE = re.compile(
    "file is not a database|database disk image is malformed|malformed database schema"
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

    Else a copy would write into the folder of the first one. A database that cannot be opened is
    said at once: MLflow would try it for minutes.
    """
    mine = (database.parent / ARTIFACTS).as_uri()
    try:
        with contextlib.closing(sqlite3.connect(database, timeout=10)) as connection, connection:
            query = "SELECT artifact_location FROM experiments WHERE artifact_location LIKE ?"
            places = connection.execute(query, (f"file:%/{ARTIFACTS}/%",)).fetchall()
            for before in sorted({place.rpartition("/")[0] for (place,) in places} - {mine}):
                for table, column in _PLACES:
                    connection.execute(
                        f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                        f"WHERE substr({column}, 1, ?) = ?",
                        (mine, len(before) + 1, len(before) + 1, f"{before}/"),
                    )
                log.warning(
                    "This checkout is a copy, or was moved: %s kept its artifacts in %s, and keeps "
                    "them in %s now.",
                    database.name,
                    unquote(urlsplit(before).path),
                    database.parent / ARTIFACTS,
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


def reason(error: Exception) -> str:
    """The first line of what went wrong, for messages."""
    return shown(hidden(f"{type(error).__name__}: {error}".splitlines()[0]), 300)


def plain(text: str) -> str:
    """A name that MLflow takes: letters, digits and `_.- /`, at most 250, and no other file when
    read as a path.
    """
    parts = re.sub(r"[^\w.\- /]", "_", text).split("/")
    return "/".join(part if part.strip(".") else "_" for part in parts)[:250]
