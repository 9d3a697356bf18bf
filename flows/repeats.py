"""The stages `train` and `evaluate` of dvc.yaml once more, with another seed and in another place.

Commands, dependencies, parameters and outputs are those of dvc.yaml, so that nothing is written
down twice. What DVC does for its own outputs, `Job.key` does for these: a job whose key is that of
its last run is not run again.
"""

import functools
import hashlib
import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fcn.io import files

SCORED = "metrics"
"""The key of a stage of dvc.yaml below which its file of scores stands."""


@dataclass(frozen=True)
class Job:
    """One command of the chain with one seed.

    Attributes:
        name: the stage as DVC calls it, e.g. `train@fcn32s`.
        variant: its name in params.yaml.
        command: what comes after `python -m`.
        deps: files and folders that decide the result.
        params: values of settings.json that do, by their paths.
        outs: what it writes.
        scores: the JSON file with the scores; None for a training.
        done: the file that holds the key of the last run that ended well.
    """

    name: str
    variant: str
    command: tuple[str, ...]
    deps: tuple[Path, ...]
    params: dict[str, Any]
    outs: tuple[Path, ...]
    scores: Path | None
    done: Path

    def key(self, known: Mapping[str, str]) -> str:
        """What decides the result, as a hexadecimal digest.

        Args:
            known: digests that need not be made, by path: DVC's of its own outputs.
        """
        deps = {str(path): known.get(str(path)) or _digest(path) for path in self.deps}
        facts = {"command": self.command, "deps": deps, "params": self.params}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def is_done(self, known: Mapping[str, str]) -> bool:
        """Tells whether the outputs are there and are those of this key."""
        there = self.done.is_file() and all(path.exists() for path in (*self.outs, *self.deps))
        return there and self.done.read_bytes() == self.key(known).encode()


def jobs(
    stages: Mapping[str, Any], params: Mapping[str, Any], seed: int, folder: Path
) -> Iterator[Job]:
    """The jobs of one seed in their order: of each variant the training, then the evaluation.

    Args:
        stages: `stages` of dvc.yaml.
        params: what settings.json holds.
        seed: in place of that of the recipes.
        folder: below which the outputs have the paths that they have in dvc.yaml.
    """
    variants = params["variants"]

    def resolve(text: str, key: str) -> str:
        values = {"profile": params["profile"], "key": key, "item": variants[key]}
        return re.sub(r"\$\{(\w+)\}", lambda match: values[match[1]], text)

    chain = [
        (stage, key, stages[stage]["do"]) for key in variants for stage in ("train", "evaluate")
    ]
    own = {resolve(out, key) for _, key, body in chain for out in _outs(body)}

    def place(word: str) -> Path:
        """Where a path of dvc.yaml lies: what the chain writes, and all below it, in the folder."""
        return folder / word if {word, *map(str, Path(word).parents)} & own else Path(word)

    for stage, key, body in chain:
        words = shlex.split(resolve(body["cmd"], key))
        scores = _names(body.get(SCORED, ()))
        name = f"{stage}@{key}"
        yield Job(
            name=name,
            variant=key,
            command=(
                *(str(place(word)) for word in words[words.index("-m") + 1 :]),
                "--seed",
                str(seed),
            ),
            deps=tuple(place(resolve(dep, key)) for dep in body["deps"]),
            params={
                path: _value(params, path)
                for keys in body["params"]
                for path in (resolve(path, key) for listed in keys.values() for path in listed)
            },
            outs=tuple(place(resolve(out, key)) for out in _outs(body)),
            scores=place(resolve(scores[0], key)) if scores else None,
            done=folder / "done" / name,
        )


def _outs(body: Mapping[str, Any]) -> list[str]:
    return [name for kind in ("outs", SCORED, "plots") for name in _names(body.get(kind, ()))]


def _names(entries: Any) -> list[str]:
    """Paths of outputs, each a text or a mapping from it to what DVC does with it."""
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]


def _value(params: Mapping[str, Any], path: str) -> Any:
    value = functools.reduce(lambda found, name: found[name], path.split("."), params)
    # That of the recipe has no say here, and stands in the command.
    return (
        {name: each for name, each in value.items() if name != "seed"}
        if isinstance(value, Mapping)
        else value
    )


def _digest(path: Path) -> str:
    if path.is_file():
        return files.digest(path)
    found = {
        file.relative_to(path).as_posix(): files.digest(file)
        for file in path.rglob("*")
        if file.is_file()
    }
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()
