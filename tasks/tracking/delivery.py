"""What the forwarder does, see `forwarder`, as long as it is needed."""

import contextlib
import fcntl
import logging
import time
from logging.handlers import WatchedFileHandler
from pathlib import Path

from fcn.errors import LINE, shown
from tasks.tracking import forward, forwarder, store
from tasks.tracking.ledger import FOLDER, end_killed, paths

log = logging.getLogger(__name__)

_EVERY, _REST = 1.0, 15.0  # seconds between two looks at the ledgers; after a failure
_GRACE = 20.0  # seconds for the next stage to come


class Delivery:
    """Forwards what is new, look by look; that MLflow fails is said once.

    Attributes:
        failed: whether MLflow did with the last look.
    """

    def __init__(self) -> None:
        """Nothing is known yet."""
        self.failed = False
        self._told: dict[Path, int] = {}  # lengths of the ledgers
        self._elsewhere: set[str] = set()
        self._database = 0  # see `store.Store`

    def look(self) -> bool:
        """Forwards; tells whether there was anything new, and it could be."""
        now = {path: path.stat().st_size for path in paths()}
        new = [path for path, size in now.items() if self._told.get(path) != size]
        try:
            if not new:
                return False
            outcome = forward.forward_all(new)
        except store.Unavailable as error:
            if not self.failed:
                log.warning(
                    "MLflow at %s failed: %s. All goes on without it: the records wait in %s for "
                    "the next run or `fcn sync`. Check MLFLOW_TRACKING_URI and that server.",
                    store.address(), error, FOLDER,
                )  # fmt: skip
            self.failed = True
            return False
        self._told |= {path: now[path] for path in new}
        if outcome.database != self._database:  # a new one: all is told again
            self._told, self._database = {}, outcome.database
        if outcome.elsewhere - self._elsewhere:
            self._elsewhere |= outcome.elsewhere
            where = ", ".join(sorted(outcome.elsewhere))
            log.warning("Records of earlier runs wait for MLflow at %s.", where)
        if self.failed:
            log.info("MLflow at %s has all records again.", store.address())
        self.failed = False
        return True


def main(lock: int) -> None:
    """Forwards until nobody has written anything for a while, and nobody may do so now. As soon as
    nobody may, the runs that were killed get their end.

    Args:
        lock: the open file of the forwarder's lock.
    """
    handler = WatchedFileHandler(forwarder.path("news").resolve(), encoding="utf-8", delay=True)
    handler.setFormatter(_Line())
    logging.getLogger("tasks").addHandler(handler)
    logging.getLogger("tasks").setLevel(logging.INFO)
    store.prepare()
    delivery, used, ended = Delivery(), time.monotonic(), False
    with contextlib.suppress(FileNotFoundError), open(lock, "ab") as mine:  # the workspace is gone
        while True:
            begun = time.monotonic()
            if delivery.look():
                used = time.monotonic()
            mine.truncate(0)
            mine.write(b"failed" if delivery.failed else b"")
            mine.flush()
            with forwarder.alone() as alone:
                if not alone:
                    used, ended = time.monotonic(), False
                elif not ended:
                    end_killed()
                    ended = True
                elif time.monotonic() - used > _GRACE:
                    fcntl.flock(mine, fcntl.LOCK_UN)  # who comes now starts another
                    return
            time.sleep(_REST if delivery.failed else max(_EVERY, time.monotonic() - begun))


class _Line(logging.Formatter):
    """A record in one line that `forwarder.news` reads."""

    def format(self, record: logging.LogRecord) -> str:
        return f"{record.levelno} {shown(record.getMessage(), LINE)}"
