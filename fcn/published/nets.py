"""The authors' published nets: where they are, what they scored, and each as a model folder.

`--model voc-fcn8s` of `fcn`, and `fcn verify`, read them here. URLs: the files `caffemodel-url` of
shelhamer/fcn.berkeleyvision.org @ 1305c73. Only fcn8s-heavy-pascal has checksums that others
published: sha1 in opencv/opencv_extra (testdata/dnn/download_models.py), md5 in wkentaro/fcn
(fcn/setup.py). Scores: pixel accuracy, mean accuracy, mean IU, frequency weighted IU, in percent,
of these files on seg11valid; `tolerance`: points that each may be off. VOC2012's val holds all ids
of seg11valid; VOC2011's archive does as well, with the root TrainVal/VOCdevkit/VOC2011.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from fcn import reading
from fcn.errors import UserError
from fcn.io import disk, download, locks
from fcn.spec import CHECKED, Source, checking

FACTS = Path(__file__).with_name("nets.json")
PREFIX = "voc-"
FOLDER = Path(".cache/models")
"""Seen from the current folder: nets that were fetched, and caffemodels that somebody put there."""


@dataclass(frozen=True)
class Net:
    """A published net: its file, and its four scores in percent."""

    __pydantic_config__ = CHECKED

    weights: Source
    scores: tuple[float, ...]


@dataclass(frozen=True)
class Published:
    """What `published/nets.json` holds: nets by variant, tolerance in points, archive, root, list,
    classes.
    """

    __pydantic_config__ = CHECKED

    nets: dict[str, Net]
    tolerance: float
    images: Source
    root: str
    ids: str
    class_names: tuple[str, ...]


def read(path: Path = FACTS) -> Published:
    """The facts of a file such as `published/nets.json`.

    Raises:
        UserError: no such file, no JSON, or a key is missing, unknown or of the wrong type.
    """
    data = reading.read_json(path, dict[str, Any], "git has it")
    facts: Published = checking.parse(Published, data, str(path))
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
    with locks.locked(FOLDER / f"{name}.lock"):  # who comes second waits, and finds the folder
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
    """Downloads to `part`; where a checksum tells whether pieces fit, an earlier attempt is gone on
    from.
    """
    if not source.checksums:
        part.unlink(missing_ok=True)
    problems = []
    for url in source.urls:
        columns = (TextColumn(source.name), DownloadColumn(), TimeRemainingColumn())
        try:
            with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
                task = bar.add_task("", total=None)
                for done, total in download.pieces(url, part):
                    bar.update(task, completed=done, total=total)
            return part
        except (UserError, download.Interrupted) as error:
            problems.append(str(error))
    raise UserError(
        f"{source.name} could not be fetched; bring it from {source.urls[0]} to {FOLDER} yourself "
        f"and run this again ({'; '.join(problems)})"
    )


def _check(path: Path, source: Source) -> None:
    checksums = download.parse_checksums(source.checksums, source.name)
    if checksums and (problem := download.mismatch(path, checksums)):
        raise UserError(
            f"{path}: not the file that was published: {problem}; run this again, or "
            "fetch it yourself"
        )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
