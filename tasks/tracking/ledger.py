"""The ledger of a run: a file of JSON lines, to which everything is appended that the run says.

    .cache/ledger/000001.jsonl    the opening, which says what run this is, and then its entries
    .cache/ledger/000001.json     how far it has been forwarded to MLflow, see `forward`
    .cache/ledger/000001/         files that MLflow has not got yet: hard links, which cost no room

It is all that a stage writes; MLflow and the report only read it. A line is one write, so that
`kill -9` loses none. A torn line, which a loss of power or a full disk can leave, is dropped on
reading.
"""

import contextlib
import json
import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fcn.io import disk
from tasks.tracking.checkout import root
from tasks.tracking.entries import ENTRY, Begin, End, Entry, Facts, Metrics, Opening

FOLDER = Path(".cache/ledger")


def folder() -> Path:
    """Where the ledgers lie: in the checkout, also for an experiment in a copy, which vanishes."""
    return FOLDER if root() == Path.cwd() else root() / FOLDER


class Ledger:
    """One such file; several processes may append to it.

    Attributes:
        path: the file.
        opening: its first entry.
    """

    def __init__(self, path: Path) -> None:
        """Opens a ledger.

        Raises:
            OSError, ValueError: it cannot be read, or its first line is no opening.
        """
        self.path = path
        self._late = b""  # what a full disk did not take
        with path.open("rb") as file:
            self.opening = Opening.model_validate_json(file.readline())

    @classmethod
    def new(cls, opening: Opening) -> "Ledger":
        """Begins a ledger under the next number. A clock that is set back changes no order.

        Raises:
            OSError: the disk is full, or the folder cannot be written.
        """
        folder().mkdir(parents=True, exist_ok=True)
        part = folder() / f".{uuid.uuid4().hex}"
        part.write_bytes(opening.line())
        try:
            number = int(paths()[-1].stem) if paths() else 0
            while True:
                number += 1
                try:
                    os.link(part, path := folder() / f"{number:06d}.jsonl")
                except FileExistsError:  # of a process that was faster
                    continue
                return cls(path)
        finally:
            part.unlink()

    def add(self, entry: Entry) -> None:
        """Appends an entry.

        Raises:
            OSError: the disk is full. The line is tried again with the next one.
        """
        self._late += entry.line()
        with self.path.open("ab+", buffering=0) as file:
            torn = file.seek(-1, os.SEEK_END) and file.read(1) != b"\n"
            data = b"\n" * torn + self._late
            if (written := file.write(data)) != len(data):
                raise OSError(f"{self.path}: only {written} of {len(data)} bytes could be written")
        self._late = b""

    def keep(self, path: Path) -> str:
        """Keeps a file or a folder as it is now, for an `Artifact` or `Register` with this path.

        A hard link does it, since outputs are replaced and never written into.

        Raises:
            OSError, UserError: it had to be copied, and the disk is full.
        """
        folder = Path(uuid.uuid4().hex[:8])
        kept = self.path.with_suffix("") / folder / path.name
        if path.is_dir():
            kept.mkdir(parents=True)
        for file in [path] if path.is_file() else filter(Path.is_file, sorted(path.rglob("*"))):
            disk.link_or_copy(file, kept / file.relative_to(path))
        return str(folder / path.name)

    def read(self, offset: int = 0) -> Iterator[tuple[int, Entry | None]]:
        """The entries from `offset` on, each with the offset behind it; None for a damaged line."""
        with self.path.open("rb") as file:
            file.seek(offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                offset += len(line)
                try:
                    yield offset, ENTRY.validate_json(line)
                except ValueError:
                    yield offset, None

    def entries(self) -> Iterator[Entry]:
        """All of them that are whole."""
        return (entry for _, entry in self.read() if entry)

    def status(self) -> str | None:
        """How the run has ended; None as long as it goes on."""
        ends = [entry.status for entry in self.entries() if isinstance(entry, End) and entry.status]
        return ends[-1] if ends else None

    def missing_end(self) -> End | None:
        """The end that a stage has not written, since it was killed; as of its last word.

        Of a ledger that nobody writes to now, see `end_killed`.
        """
        if b'"do":"end"' in self._last_line():
            return None
        stage, said = "", [*self.entries()]
        for entry in said:
            if isinstance(entry, Begin | End):
                stage = entry.stage if isinstance(entry, Begin) else ""
        # a model's training was not killed because its scoring was
        alone = self.opening.key is None and self.status() is None
        status = "KILLED" if stage == "train" or alone else None
        return (
            End(stage=stage, status=status, time=max(each.time for each in said)) if stage else None
        )

    def _last_line(self) -> bytes:
        """No more of it than an end has."""
        with self.path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 2000))
            return file.read().rstrip(b"\n").rpartition(b"\n")[2]

    def points(self) -> dict[tuple[str, int], float]:
        """By metric and step the last value that was said."""
        said = (entry for entry in self.entries() if isinstance(entry, Metrics))
        return {(name, each.step): value for each in said for name, value in each.values.items()}

    def facts(self, name: str) -> dict[str, Any]:
        """What was said last under a name."""
        said = (entry for entry in self.entries() if isinstance(entry, Facts))
        return next((each.values for each in reversed([*said]) if each.name == name), {})

    def mentions(self, text: str) -> bool:
        """Whether an entry has this text, quoted as it is in JSON."""
        return json.dumps(text).encode() in self.path.read_bytes()


def paths() -> list[Path]:
    """All ledgers, the oldest first."""
    return sorted(
        (path for path in folder().glob("*.jsonl") if path.stem.isdecimal()),
        key=lambda path: int(path.stem),
    )


def ledgers() -> list[Ledger]:
    """Those that can be read, the oldest first; a damaged one leaves the others as they were."""
    found = []
    for path in paths():
        with contextlib.suppress(OSError, ValueError):
            found.append(Ledger(path))
    return found


def end_killed() -> None:
    """Writes the end of every stage that was killed, so that no run seems to go on for ever.

    For the process that has seen that nobody writes now, see `forwarder.needed`.
    """
    for each in ledgers():
        with contextlib.suppress(OSError):  # a full disk: the next one does it
            if end := each.missing_end():
                each.add(end)


def now() -> int:
    """The time in ms; where the clock was set back, no earlier than what was written before it."""
    times = [time.time_ns()]
    with contextlib.suppress(OSError):  # one was deleted meanwhile
        times += [path.stat().st_mtime_ns for path in paths()]
    return max(times) // 1_000_000
