"""Stages of dvc.yaml once more in another place: with another seed, or on another part of the data.

Commands, dependencies, parameters and outputs are those of dvc.yaml, so that nothing is written
down twice. What DVC does for its own outputs, `Job.key` does for these: a job whose key is that of
its last run is not run again.
"""

import functools
import hashlib
import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fcn.compare import spread
from fcn.errors import UserError
from fcn.evaluate import Evaluation
from fcn.io import files
from flows import pipeline
from flows.runner import children, console, workspace
from tasks.settings import config, yamlfile
from tasks.tracking import dvcfiles

SCORED = "metrics"
"""The key of a stage of dvc.yaml below which its file of scores stands."""


@dataclass(frozen=True)
class Repeat:
    """The chain once more.

    Attributes:
        name: for people, e.g. `seed 2`.
        words: that each command gets besides.
        folder: for all that comes out.
    """

    name: str
    words: tuple[str, ...]
    folder: Path


@dataclass(frozen=True)
class Job:
    """One command of the chain.

    Attributes:
        name: the stage as DVC calls it, e.g. `train@fcn32s`.
        variant: its name in params.yaml; "" for what all have in common.
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
    stages: Mapping[str, Any], params: Mapping[str, Any], repeat: Repeat, chain: Sequence[str]
) -> Iterator[Job]:
    """The jobs of one repetition in their order: of each variant all stages of the chain that it
    has.

    Args:
        stages: `stages` of dvc.yaml.
        params: what settings.json holds.
        repeat: its words, and the folder below which outputs have the paths that they have in
            dvc.yaml.
        chain: names of stages; those that are the same for all variants come first.
    """
    variants = params["variants"]

    def resolve(text: str, key: str) -> str:
        values = {"profile": params["profile"], "key": key, "item": variants.get(key, "")}
        return re.sub(r"\$\{(\w+)\}", lambda match: values[match[1]], text)

    for_all = [(stage, "", stages[stage]) for stage in chain if "do" not in stages[stage]]
    for_each = [stage for stage in chain if "do" in stages[stage]]
    todo = for_all + [(stage, key, stages[stage]["do"]) for key in variants for stage in for_each]
    own = {resolve(out, key) for _, key, body in todo for out in _outs(body)}

    def place(word: str) -> Path:
        """Where a path of dvc.yaml lies: what the chain writes, and all below it, in the folder."""
        return repeat.folder / word if {word, *map(str, Path(word).parents)} & own else Path(word)

    for stage, key, body in todo:
        words = shlex.split(resolve(body["cmd"], key))
        scores = _names(body.get(SCORED, ()))
        name = f"{stage}@{key}" if key else stage
        command = (*(str(place(word)) for word in words[words.index("-m") + 1 :]), *repeat.words)
        yield Job(
            name=name,
            variant=key,
            command=command,
            deps=tuple(place(resolve(dep, key)) for dep in body["deps"]),
            params={
                path: _value(params, path, repeat)
                for keys in body["params"]
                for path in (resolve(path, key) for listed in keys.values() for path in listed)
            },
            outs=tuple(place(resolve(out, key)) for out in _outs(body)),
            scores=place(resolve(scores[0], key)) if scores else None,
            done=repeat.folder / "done" / name,
        )


def run(
    command: str, repeats: Sequence[Repeat], prepared: Sequence[str], chain: Sequence[str]
) -> dict[str, list[Job]]:
    """Brings the stages before the chain up to date, and runs all repetitions as far as they have
    to be.

    Args:
        command: what is run, for messages.
        repeats: one after the other.
        prepared: stages whose outputs, DVC's own, serve all of them.
        chain: see `jobs`.

    Returns:
        By variant, the evaluation of each repetition: of one recipe, data and code.

    Raises:
        UserError: a stage did not end well, what it was made from changed meanwhile, or somebody
            else is at work here.
    """
    with (
        console.opened(command.removeprefix("fcn ")) as seen,
        workspace.held(command),
        pipeline.connected() as (extra, hear),
    ):
        if error := pipeline.dvc(["repro", *prepared], extra, hear):
            raise seen.failed(error)
        for repeat in repeats:
            _repeat(repeat, prepared, chain, extra, seen, hear)
        seen.end()
        measured: dict[str, list[Job]] = {}
        for repeat in repeats:
            found, known = _now(repeat, prepared, chain)
            for job in found:
                if not job.is_done(known):
                    raise UserError(
                        f"{job.name} with {repeat.name}: parameters, data or code changed in the "
                        "meantime. Run this again."
                    )
                if job.scores:
                    measured.setdefault(job.variant, []).append(job)
    return measured


def scores(found: Mapping[str, Sequence[Job]]) -> dict[str, list[dict[str, float]]]:
    """By variant, the scores of each evaluation of `run`."""
    return {
        variant: [spread.scores(Evaluation(job.scores).content) for job in jobs if job.scores]
        for variant, jobs in found.items()
    }


def _now(
    repeat: Repeat, prepared: Sequence[str], chain: Sequence[str]
) -> tuple[list[Job], dict[str, str]]:
    """The jobs as dvc.yaml and settings.json now have them, and DVC's digests of its outputs."""
    dvcfiles.stages()  # is checked; then it is taken as it stands, with all its keys
    stages, lock = dvcfiles.plain(Path("dvc.yaml"), dvcfiles.STAGES)["stages"], dvcfiles.lock()
    known = {
        out.path: out.digest for stage in prepared if stage in lock for out in lock[stage].outs
    }
    return list(jobs(stages, yamlfile.plain(config.SETTINGS), repeat, chain)), known


def _repeat(
    repeat: Repeat,
    prepared: Sequence[str],
    chain: Sequence[str],
    extra: dict[str, str],
    seen: console.Console,
    hear: Callable[[str], object],
) -> None:
    """Runs the jobs of one repetition that have to be."""
    found, known = _now(repeat, prepared, chain)
    for job in found:
        called = f"{job.name} {repeat.name}"
        if job.is_done(known):
            hear(f"Stage '{called}' didn't change, skipping")  # as DVC says it
            continue
        hear(f"Running stage '{called}':")
        key = job.key(known)
        if code := children.follow(job.command, {**extra, "DVC_STAGE": called}, hear):
            raise seen.failed(f"{called}: its process ended with {code} and gave no reason")
        with files.replacing_file(job.done) as temporary:
            temporary.write_text(key)


def _outs(body: Mapping[str, Any]) -> list[str]:
    return [name for kind in ("outs", SCORED, "plots") for name in _names(body.get(kind, ()))]


def _names(entries: Any) -> list[str]:
    """Paths of outputs, each a text or a mapping from it to what DVC does with it."""
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]


def _value(params: Mapping[str, Any], path: str, repeat: Repeat) -> Any:
    value = functools.reduce(lambda found, name: found[name], path.split("."), params)
    if "--seed" not in repeat.words:
        return value
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
