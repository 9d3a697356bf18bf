"""Databases that are files: their address, and what to do with a damaged one."""

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import Any


def sqlite(driver: str, database: Path) -> str:
    """The address of a database in a file, whatever its path holds: ?, % and # too."""
    from sqlalchemy.engine import URL

    return URL.create(f"sqlite+{driver}", database=database.as_posix()).render_as_string(
        hide_password=False
    )


def ask(database: Path, query: str, seconds: float = 10.0) -> Any:
    """The first value of the first row that a database answers; it may be locked for so long."""
    with contextlib.closing(sqlite3.connect(database, timeout=seconds)) as connection:
        return next(iter(connection.execute(query).fetchone() or ()), None)


def set_aside(
    database: Path, check: str = "integrity_check", seconds: float = 30.0
) -> tuple[Path, str] | None:
    """Gives a damaged database another name, so that a new one can begin.

    Args:
        database: the file.
        check: SQLite's `integrity_check`, or its `quick_check`.
        seconds: to wait for one that is locked.

    Returns:
        The new name, and what is damaged; None: nothing is, or it is locked.
    """
    if not database.is_file():
        return None
    try:
        said = str(ask(database, f"PRAGMA {check}(1)", seconds))
    except sqlite3.OperationalError:  # locked, or no room: not damaged
        return None
    except sqlite3.DatabaseError as error:
        said = str(error)
    if said == "ok":
        return None
    number = 1
    while (aside := database.with_name(f"{database.name}.damaged-{number}")).exists():
        number += 1
    for end in ("", "-journal", "-wal", "-shm"):  # what belongs to it must not reach the new one
        with contextlib.suppress(FileNotFoundError):
            os.replace(f"{database}{end}", f"{aside}{end}")
    return aside, said
