"""The authors' published nets: where they are, what they scored, and each as a model folder.

`--model voc-fcn8s` of predict, export, web and submit, and `make verify-published`, read them here.
Needs no Prefect.
"""

import fcntl
import sys
from dataclasses import dataclass
from pathlib import Path

from fcn.errors import UserError
from fcn.io import disk, download
from fcn.spec import CHECKED
from tasks.settings import Source, config, parse
from tasks.tracking import Progress

FACTS = Path(__file__).with_name("published.yaml")
PREFIX = "voc-"
FOLDER = Path(".cache/models")
"""Seen from the current folder: nets that were fetched, and caffemodels that somebody put there."""
MB = 10**6


@dataclass(frozen=True)
class Net:
    """A published net: its file, and its four scores in percent."""

    __pydantic_config__ = CHECKED

    weights: Source
    scores: tuple[float, ...]


@dataclass(frozen=True)
class Published:
    """What `published.yaml` holds: nets by variant, tolerance in points, archive, root, list, classes."""

    __pydantic_config__ = CHECKED

    nets: dict[str, Net]
    tolerance: float
    images: Source
    root: str
    ids: str
    class_names: tuple[str, ...]


def read(path: Path = FACTS) -> Published:
    """The facts of a file such as `published.yaml`.

    Raises:
        UserError: no such file, no YAML, or a key is missing, unknown or of the wrong type.
    """
    facts: Published = parse(Published, config.plain(path), str(path))
    return facts


def names() -> list[str]:
    """What `--model` calls them."""
    return [f"{PREFIX}{variant}" for variant in read(FACTS).nets]


def model_folder(name: str) -> Path:
    """The folder of a published net, which is fetched, checked and converted the first time.

    A caffemodel that lies in `FOLDER` under its published name is taken instead, and left there.

    Args:
        name: one of `names`.

    Returns:
        `FOLDER/<name>`, a model folder.

    Raises:
        UserError: it cannot be had, or is not the published file.
    """
    folder, variant, facts = FOLDER / name, name.removeprefix(PREFIX), read(FACTS)
    source = facts.nets[variant].weights
    given, fetched = FOLDER / source.name, FOLDER / f"{source.name}.part"
    FOLDER.mkdir(parents=True, exist_ok=True)
    with open(FOLDER / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # who comes second waits, and finds the folder
        if (folder / "model.json").is_file():
            return folder
        where = f"from {given}" if given.is_file() else f"from {source.urls[0]}"
        _say(f"{name} is fetched {where} and converted. This is done once.")
        caffemodel = given if given.is_file() else _fetch(source, fetched)
        disk.check_space(FOLDER, caffemodel.stat().st_size, name)
        try:
            _check(caffemodel, source)

            from fcn.published import scores as published  # only now: TensorFlow takes seconds

            published.to_model_folder(caffemodel, variant, facts.class_names, folder)
        except UserError:
            fetched.unlink(missing_ok=True)
            raise
        fetched.unlink(missing_ok=True)
        _say(f"{name} is ready in {folder}.")
    return folder


def _fetch(source: Source, part: Path) -> Path:
    """Downloads to `part`; where a checksum tells whether pieces fit, an earlier attempt is gone on from."""
    if not source.checksums:
        part.unlink(missing_ok=True)
    problems = []
    for url in source.urls:
        progress = Progress(_say, source.name, "MB")
        try:
            for done, total in download.pieces(url, part):
                progress(done // MB, None if total is None else -(-total // MB))
            return part
        except (UserError, download.Interrupted) as error:
            problems.append(str(error))
    raise UserError(
        f"{source.name} could not be fetched; bring it from {source.urls[0]} to {FOLDER} yourself and "
        f"run this again ({'; '.join(problems)})"
    )


def _check(path: Path, source: Source) -> None:
    checksums = download.parse_checksums(source.checksums, source.name)
    if checksums and (problem := download.mismatch(path, checksums)):
        raise UserError(f"{path}: not the file that was published: {problem}; run this again, or fetch it yourself")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
