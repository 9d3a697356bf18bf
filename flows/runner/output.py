"""What a long run says: where it cannot be written, on a full disk or into `| head`, the run goes
on.
"""

import contextlib
import os
import sys

from fcn.errors import LINE, UserError, shown
from tasks.tracking import console, hidden


def say(text: object, end: str = "\n") -> None:
    """Print to standard output at once. When that fails, say so on standard error, and print
    nothing more.
    """
    try:
        print(text, end=end, flush=True)
    except OSError as error:
        with contextlib.suppress(OSError), open(os.devnull, "w") as nowhere:
            # also for what Python still has to write
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        complain(
            f"warning: standard output cannot be written ({error.strerror}): the run goes on "
            "without"
        )


def complain(text: str) -> None:
    """Print to standard error, if that can be written."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def tell(kind: str, message: object) -> None:
    """Say an "error" or a "warning": to the command that reads this process's output, or else on
    standard error. Without secrets.
    """
    expected = isinstance(message, UserError)
    text = hidden(str(message) if expected else shown(message, LINE))
    if console.asked():
        console.send(**{kind: True, "text": text, "expected": expected})
    else:
        complain(f"{kind}: {text}")


def interrupted(error: KeyboardInterrupt) -> None:
    """Say that this process was interrupted, and what is kept: the notes of `error`."""
    text = hidden("; ".join(getattr(error, "__notes__", ())))
    if console.asked():
        console.send(interrupted=True, text=text)
    else:
        complain(f"interrupted: {text}" if text else "interrupted")
