"""What a stage sends to the command that started it, `fcn repro`, which shows it.

That command reads the stage's standard output. A message is a line of its own: the separator of
JSON texts (RFC 7464) and an object. Where no such command reads, nothing is sent.
"""

import contextlib
import json
import os
import sys

ASKED = "FCN_CONSOLE"
"""Set to 1 by the command for the processes whose messages it reads."""
MARK = "\x1e"


def asked() -> bool:
    """Whether somebody reads messages."""
    return os.environ.get(ASKED) == "1"


def send(**message: object) -> None:
    """Sends a message, if somebody reads it.

    Args:
        message: one of `log` (a level, with `name` and `text`), `progress` (what, with `done`,
            `total`, `unit`, `left` in seconds, and `note`), `error`, `warning`, `interrupted`,
            `remark`.
    """
    if asked():
        with contextlib.suppress(OSError, ValueError):  # ValueError: the output is closed
            sys.stdout.write(f"{MARK}{json.dumps(message)}\n")
            sys.stdout.flush()
