"""Progress of anything that takes longer than a few seconds: how far, how fast, how long still."""

import time
from collections.abc import Callable

from tasks.tracking import console

SENT = 0.5
"""Seconds between two messages to the console."""


class Progress:
    """Says how far a piece of work is, at most every few seconds, and at the end."""

    def __init__(
        self,
        say: Callable[[str], None],
        what: str,
        unit: str,
        every: float = 5.0,
        start: int = 0,
        show: Callable[[float, str], None] = lambda percent, text: None,
    ) -> None:
        """`say` gets the lines; `what` is done in `unit`s; `every`: seconds between lines; `start`:
        done before; `show` gets the percentage and the line without `what`, where the whole is
        known.
        """
        self.say, self.what, self.unit, self.every, self.start, self.show = (
            say,
            what,
            unit,
            every,
            start,
            show,
        )
        self.begin = self.last = time.monotonic()
        self.sent = self.begin - SENT

    def __call__(self, done: int, total: int | None, note: str = "") -> None:
        """`done` of `total` are done, of how many nobody knows if that is None; `note` is added to
        the line.
        """
        now = time.monotonic()
        rate = (done - self.start) / max(now - self.begin, 1e-9)
        unfinished = total is None or done < total
        seconds = (total - done) / rate if total is not None and unfinished and rate > 0 else None
        if not unfinished or now - self.sent >= SENT:
            self.sent = now
            console.send(
                progress=self.what, done=done, total=total, unit=self.unit, left=seconds, note=note
            )
        if unfinished and now - self.last < self.every:
            return
        self.last = now
        left = "" if seconds is None else f", {duration(seconds)} left"
        amount = str(done) if total is None else f"{done}/{total}"
        text = f"{amount} {self.unit}, {rate:.3g}/s{left}{', ' + note if note else ''}"
        self.say(f"{self.what}: {text}")
        if total:
            self.show(100 * done / total, text)


def duration(seconds: float) -> str:
    """Seconds in words: "40 s", "12 min", "3.5 h", "6.1 days"."""
    for limit, unit, name in ((90, 1, "s"), (5400, 60, "min"), (129600, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.0f} {name}" if unit < 3600 else f"{seconds / unit:.1f} {name}"
    return f"{seconds / 86400:.1f} days"
