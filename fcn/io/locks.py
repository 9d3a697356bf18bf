"""One process at a time."""

import contextlib
import fcntl  # of Unix: `fcn.io` does without
from collections.abc import Iterator
from pathlib import Path
from typing import IO


@contextlib.contextmanager
def locked(path: Path, how: int = fcntl.LOCK_EX) -> Iterator[IO[bytes] | None]:
    """Holds a lock, which ends with the process, however that ends.

    Args:
        path: the file that is locked; it is made where it is missing, and stays.
        how: see `fcntl.flock`; with `LOCK_NB` nobody waits.

    Yields:
        The file, open for reading and for adding to its end; None: somebody else has the lock.
    """
    with path.open("a+b") as file:
        mine = None
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(file, how)
            mine = file
        yield mine
