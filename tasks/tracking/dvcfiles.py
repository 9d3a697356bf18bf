"""DVC's files, as far as we read them: `dvc.lock`, and the stages of `dvc.yaml`."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field

from fcn import reading
from fcn.errors import UserError

DEEPEST = 50
"""Levels of a file; the fast loader ends the process at some ten thousand."""

LOCK = (
    "`git checkout dvc.lock` brings back the last one that was committed, `dvc repro` makes another"
)
STAGES = "`git checkout dvc.yaml` brings back the last one that was committed"


class _Dvc(BaseModel):
    """DVC has more keys than we look at."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class Entry(BaseModel):
    """A dependency or an output, with its hash under the hash's own name."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)

    path: Annotated[str, Field(min_length=1, max_length=4096)]
    hash: str = "md5"

    @property
    def digest(self) -> str:
        """Its hash; `none` if there is none."""
        return str((self.model_extra or {}).get(self.hash, "none"))


class Locked(_Dvc):
    """A stage as it was last run."""

    cmd: str = ""
    params: dict[str, Any] = {}
    deps: list[Entry] = []
    outs: list[Entry] = []


class _Lock(_Dvc):
    stages: dict[str, Locked]


Out = str | dict[str, dict[str, Any] | None]


class Outs(_Dvc):
    """What a stage writes."""

    outs: list[Out] = []
    metrics: list[Out] = []
    plots: list[Out] = []


class Stage(Outs):
    """A stage of `dvc.yaml`; `do` is what one of a `foreach` does."""

    do: Outs | None = None


class _Stages(_Dvc):
    stages: dict[str, Stage] = {}


def lock(path: Path = Path("dvc.lock")) -> Mapping[str, Locked]:
    """The stages of DVC's lock file; none where there is no file yet.

    Raises:
        UserError: it is none that DVC writes.
    """
    return (
        reading.checked(plain(path, LOCK), _Lock, str(path), LOCK).stages if path.exists() else {}
    )


def stages(path: Path = Path("dvc.yaml")) -> Mapping[str, Stage]:
    """The stages that DVC is told to run; none where there is no file.

    Raises:
        UserError: it is not as DVC wants it.
    """
    return (
        reading.checked(plain(path, STAGES), _Stages, str(path), STAGES).stages
        if path.exists()
        else {}
    )


def plain(path: Path, remedy: str) -> Any:
    """What a YAML file holds, unchecked.

    Raises:
        UserError: no such file, or no YAML.
    """
    data, depth = reading.content(path, remedy, reading.LARGE), 0
    try:
        for event in yaml.parse(data, Loader=yaml.CSafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(
                event, yaml.CollectionEndEvent
            )
            if depth > DEEPEST:
                raise ValueError(f"more than {DEEPEST} levels, one in the other")
        return yaml.load(data, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError, MemoryError) as error:
        said = " ".join(str(error).split())
        raise UserError(f"{path}: expected YAML, but: {said[:300]}; {remedy}") from error


def asked(*words: str) -> str:
    """What a command of DVC's prints; nothing where it fails.

    Args:
        words: those after `dvc`.
    """
    command = [sys.executable, "-m", "dvc", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if done.returncode else done.stdout.strip()
