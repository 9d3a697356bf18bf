"""The two faces of the console: bars on a terminal, and lines where there is none."""

import contextlib
import os
import sys
import time
from collections.abc import Mapping
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.text import Text

from fcn.errors import shown
from flows.runner import output
from tasks.tracking import duration

MINUTE = 60.0
"""Seconds between two lines of progress, where there is no terminal."""


def possible() -> bool:
    """Whether standard output is a terminal that can show bars."""
    with contextlib.suppress(ValueError):
        return sys.stdout.isatty() and os.environ.get("TERM") not in (None, "dumb")
    return False


def _amount(work: Mapping[str, Any]) -> str:
    """How much of a piece of work is done."""
    total = "" if work["total"] is None else f"/{work['total']:,}"
    return shown(f"{work['done']:,}{total} {work['unit']}")


class Lines:
    """A line when a stage begins and ends, and one a minute in between."""

    def __init__(self) -> None:
        """Nothing runs yet."""
        self._stage, self._next = "", 0.0

    def begin(self, stage: str) -> None:
        """A stage begins."""
        self._stage, self._next = stage, time.monotonic() + MINUTE
        self._say(f"{stage} begins")

    def end(self, stage: str, text: str) -> None:
        """It has ended well."""
        self._say(f"{stage}: {text}")

    def progress(self, work: Mapping[str, Any]) -> None:
        """How far it is: see `tasks.tracking.console.send`."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + MINUTE
        left = None if work["left"] is None else f"{duration(work['left'])} left"
        what = shown(work["progress"]).removeprefix(self._stage.partition("@")[2])
        parts = (what.removeprefix(": "), _amount(work), left, shown(work["note"]))
        self._say(f"{self._stage}: {', '.join(filter(None, parts))}")

    def warn(self, text: str) -> None:
        """A warning."""
        self._say(text)

    def say(self, text: str) -> None:
        """Any line."""
        output.say(text)

    def close(self) -> None:
        """Nothing more comes."""

    def _say(self, text: str) -> None:
        output.say(f"{time.strftime('%H:%M:%S')} {text}")


class Bars:
    """A bar for what is at work; what has ended stands above it."""

    def __init__(self) -> None:
        """The terminal is standard output."""
        self._console = Console(file=_Surviving(sys.stdout), highlight=False, markup=False)  # type: ignore[arg-type]
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[amount]}", markup=False),
            _Left(),
            TextColumn("{task.fields[note]}", markup=False),
            console=self._console,
            refresh_per_second=4,
            transient=True,
        )
        self._tasks: dict[str, Any] = {}
        self._bars.start()
        self._add("starting", None)

    def begin(self, stage: str) -> None:
        """A stage begins: until it says how far it is, there is an empty bar."""
        self._clear()
        self._add(stage, None)

    def end(self, stage: str, text: str) -> None:
        """It has ended well."""
        self._clear()
        self._console.print(Text.assemble(("✓ ", "green"), (f"{stage:16} ", "bold"), text))

    def progress(self, work: Mapping[str, Any]) -> None:
        """How far it is; what is complete makes room for the next."""
        name = shown(work["progress"], 40)
        if name not in self._tasks:
            self._clear()
            self._add(name, work["total"])
        self._bars.update(
            self._tasks[name],
            completed=work["done"],
            amount=_amount(work),
            left=work["left"],
            at=time.monotonic(),
            note=shown(work["note"]),
        )

    def warn(self, text: str) -> None:
        """A warning."""
        self._console.print(Text.assemble(("! ", "yellow"), text))

    def say(self, text: str) -> None:
        """Any line."""
        self._console.print(Text(text))

    def close(self) -> None:
        """Nothing more comes: the bars vanish, the cursor is back."""
        self._clear()
        self._bars.stop()

    def _add(self, name: str, total: int | None) -> None:
        fields = {"amount": "", "left": None, "at": 0.0, "note": ""}
        self._tasks[name] = self._bars.add_task(name, total=total, **fields)  # type: ignore[arg-type]

    def _clear(self) -> None:
        for task in self._tasks.values():
            self._bars.remove_task(task)
        self._tasks.clear()


class _Left(ProgressColumn):
    """The time left, counted down between two messages; the time so far, where nobody knows."""

    def render(self, task: Task) -> Text:
        left = task.fields["left"]
        if left is None:
            return Text(f"{duration(task.elapsed or 0)} so far" if not task.finished else "")
        return Text(f"{duration(max(left - (time.monotonic() - task.fields['at']), 0))} left")


class _Surviving:
    """A terminal that may go away: what cannot be written is dropped, and the run goes on."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            return self._file.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._file.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)
