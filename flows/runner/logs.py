"""What a stage's loggers write: nothing from outside as it came, no secret, and nothing twice."""

import logging
from pathlib import Path
from typing import Any

import httpx

from fcn.errors import LINE, UserError, shown
from fcn.io import without
from tasks.tracking import console, known

_only: list[logging.Handler] = []


def begin() -> None:
    """Set up all logging of this process; Prefect, where it is used, has set up its own before."""
    if _only or console.asked():
        logging.getLogger().handlers[:] = _only or [_Sender()]
    logging.basicConfig(format="%(asctime)s | %(levelname)-7s | %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("fcn").setLevel(logging.INFO)
    logging.setLogRecordFactory(_record)
    for handler in logging.getLogger().handlers:
        handler.addFilter(is_news)


def only(*handlers: logging.Handler) -> None:
    """What `begin` sets up in place of standard error."""
    _only[:] = handlers


def is_news(record: logging.LogRecord) -> bool:
    """Keep off the console what Prefect says of a UserError or of an API that is gone;
    `stage.execute` says it in a line.

    Prefect's API gets the whole of it in any case.
    """
    if record.name == "EventsWorker":  # "Still processing items" at the end of most runs
        return False
    if record.exc_info and isinstance(record.exc_info[1], UserError | httpx.TransportError):
        return False
    message = record.getMessage()
    return not (
        message.startswith("Finished in state Failed(") and f" {UserError.__name__}: " in message
    )


def message(record: logging.LogRecord) -> dict[str, str]:
    """A record as a message for the console, see `tasks.tracking.console.send`."""
    text = logging.Formatter().format(record)  # with the traceback, if there is one
    return {"log": record.levelname, "name": record.name, "text": text}


class _Sender(logging.Handler):
    """To the command that reads this process's output."""

    def emit(self, record: logging.LogRecord) -> None:
        console.send(**message(record))


def _record(*args: Any, **kwargs: Any) -> logging.LogRecord:
    """A record of any logger: what goes into its message comes from outside as a rule, and is
    `shown` without secrets.
    """
    record = logging.LogRecord(*args, **kwargs)
    if isinstance(record.args, tuple):
        secrets = known()
        record.args = tuple(
            without(str(arg) if isinstance(arg, UserError) else shown(arg, LINE), secrets)
            if isinstance(arg, str | Path | Exception)
            else arg
            for arg in record.args
        )
    return record
