"""How a result was made: how long it took, on which machine, with which versions, and what looked
wrong meanwhile. Read from the ledgers: none of it decides a byte of the result.

The first complete run that made a result stays what is known of it, so a forced repetition changes
nothing.
"""

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Annotated, Any

import psutil
from pydantic import Field, ValidationError

from fcn import reading
from fcn.io import files
from tasks.tracking import ledger
from tasks.tracking.entries import Begin, End, Facts

PACKAGES = ("keras", "tensorflow", "numpy")
MACHINE, HEALTH = "machine-{}", "health"
"""The names of the facts that are read here; the machine's with the stage in it."""


class Made(reading.Model):
    """What is known of the run that made a result.

    Attributes:
        seconds: of all its parts together.
        parts: 1, or more if it was interrupted.
        machine: in words.
        versions: by package.
        commit: of the sources.
        changes: digest of the local changes, or `none`.
        device: what computed, if it was told.
        notes: what looked wrong, texts by kind, see `fcn.monitor.health`.
    """

    seconds: Annotated[float, Field(ge=0)]
    parts: Annotated[int, Field(ge=1)]
    machine: str
    versions: dict[str, str]
    commit: str
    changes: str
    device: str | None = None
    notes: dict[str, str]


def read(result: Path, stage: str) -> Made | None:
    """What is known of the run that made the file `result`; None if none was recorded (the file
    came from elsewhere), or not all of it can be read.

    Args:
        result: the file that `Run.made` was told.
        stage: that made it, `train` or `evaluate`.
    """
    digest = files.digest(result)
    for each in ledger.ledgers():
        if each.mentions(digest) and (found := _read(each, digest, stage)):
            return found
    return None


def _read(told: ledger.Ledger, digest: str, stage: str) -> Made | None:
    parts: list[int] = []  # the ms of each
    machine = MACHINE.format(stage)
    facts: dict[str, dict[str, Any]] = {machine: {}, HEALTH: {}}
    begin: Begin | None = None
    for entry in told.entries():
        match entry:
            case Begin():
                begin = entry if entry.stage == stage else None
                if begin and not begin.resumed:
                    parts, facts[HEALTH] = [], {}
                parts += [0] if begin else []
            case Facts(name=name, values=values) if begin and name in facts:
                facts[name] = values
        if begin:
            parts[-1] = max(parts[-1], entry.time - begin.time)
        if begin and isinstance(entry, End):
            if entry.made == digest:
                seconds = round(sum(parts) / 1000, 1)
                try:
                    known = {"seconds": seconds, "parts": len(parts), "notes": facts[HEALTH]}
                    return Made.model_validate(known | facts[machine])
                except ValidationError:  # other facts, of another version
                    return None
            begin = None
    return None


def facts(tags: dict[str, str]) -> dict[str, object]:
    """What `read` finds of this machine, to be recorded as the facts `MACHINE`.

    Args:
        tags: see `provenance.tags`.
    """
    return {
        "machine": machine(),
        "versions": versions(),
        "commit": tags["git.commit"],
        "changes": tags["git.diff.sha256"],
    }


def machine() -> str:
    """The computer in words, without a name that tells whose it is."""
    memory = psutil.virtual_memory().total / 2**30
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB"


def versions() -> dict[str, str]:
    """Of Python and of the packages that compute."""
    found = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"python": platform.python_version(), **found}
