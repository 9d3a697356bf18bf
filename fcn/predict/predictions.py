"""Images to predict, found and named, and what a prediction leaves behind as files."""

import glob
import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fcn.datasets import IMAGES
from fcn.errors import UserError, shown
from fcn.io import files
from fcn.pixels import labels, visualize
from fcn.predict.segmentation import Segmentation

LEGEND = "legend.png"
_JPEG = 65500
"""Pixels: a JPEG's longest side."""


def find(given: Sequence[str], out: Path) -> tuple[list[Path], list[str]]:
    """The images that are meant by names of files, of folders, and by patterns.

    Args:
        given: a file, whatever its name; a folder, of which all files with an image's suffix are
            taken, also those in folders below; or a pattern (`photos/**/*.jpg`) that stands for
            either.
        out: where predictions go; no folder's files below it are taken.

    Returns:
        The images, each once, in the order given and by name within a folder; and sentences on what
        was not found.
    """
    found: dict[Path, Path] = {}
    complaints = []
    for name in given:
        matches = _matches(name)
        images = [image for match in matches for image in _images(Path(match), _real(out))]
        if not matches:
            complaints.append(f"{shown(name)}: no such file or folder, and a pattern of none")
        elif not images:
            complaints.append(
                f"{shown(name)}: no image in it; the files taken are {', '.join(IMAGES)}"
            )
        for image in images:
            found.setdefault(_real(image), image)
    return list(found.values()), complaints


def _real(path: Path) -> Path:
    """Where a path leads, also one that leads nowhere: a loop of links, or a name that no disk
    takes.
    """
    return Path(os.path.realpath(path))


def _images(path: Path, out: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return sorted(image for image in _below(path, out) if image.suffix.lower() in IMAGES)


def _below(path: Path, out: Path) -> list[Path]:
    """The files of a folder, links followed, but for what was predicted before."""
    return [
        file for file in files.walk(path) if out == _real(path) or out not in _real(file).parents
    ]


def skipped(given: Sequence[str], out: Path) -> list[Path]:
    """The files of the folders given that are called like no image, and so are left out.

    Args:
        given: see `find`.
        out: see `find`.
    """
    folders = [Path(match) for name in given for match in _matches(name) if os.path.isdir(match)]
    left = {file for folder in folders for file in _below(folder, _real(out))}
    return sorted(file for file in left if file.suffix.lower() not in IMAGES)


def _matches(name: str) -> list[str]:
    return [name] if os.path.lexists(name) else sorted(glob.glob(name, recursive=True))


def names(images: Sequence[Path]) -> list[str]:
    """A name for each image's predictions: no two the same, and the same whatever the order.

    Args:
        images: files, no two the same.

    Returns:
        The stem, `cat`. Images that share theirs get the folders in which they differ, `a/cat` and
        `b/cat`; those that are in one folder their suffix as well, `cat.jpg` and `cat.png`.

    Raises:
        UserError: two are called alike nevertheless: `x.jpg`, `x.png` and `x.jpg.jpg`.
    """
    groups: dict[str, list[Path]] = defaultdict(list)
    for image in images:
        groups[image.stem].append(Path(os.path.abspath(image)))
    chosen: dict[Path, str] = {}
    for stem, group in groups.items():
        common = os.path.commonpath([image.parent for image in group])
        beside = Counter(image.parent for image in group)
        for image in group:
            last = stem if beside[image.parent] == 1 else image.name
            chosen[image] = (image.parent.relative_to(common) / last).as_posix()
    counts = Counter(chosen.values())
    for image, name in chosen.items():
        if counts[name] > 1:
            raise UserError(
                f"{image}: its predictions would be called {name}, as another image's: rename it"
            )
    return [chosen[Path(os.path.abspath(image))] for image in images]


def refuse(out: Path, given: Sequence[str], images: Sequence[Path], names: Sequence[str]) -> None:
    """Protects what the user has.

    Args:
        out: folder for the predictions.
        given: see `find`.
        images: what it found.
        names: theirs, see `names`.

    Raises:
        UserError: `out` is a file, or one of the folders given; an image would be overwritten, or
            something else that is no prediction; or nothing can be written there.
    """
    if os.path.lexists(out) and not os.path.isdir(out):
        raise UserError(f"--out: expected a folder, but {out} is a file")
    if any(os.path.isdir(name) and _real(Path(name)) == _real(out) for name in given):
        raise UserError(
            f"--out: {out} is the folder of the images: choose another one for what is predicted"
        )
    places = [path for name in names for path in (*_places(out, name).values(), _large(out, name))]
    written = {_real(path) for path in (*places, out / "classes.txt", out / LEGEND)}
    for image in images:
        if _real(image) in written:
            raise UserError(
                f"--out: {image} would be overwritten by a prediction: choose another folder"
            )
    for path in (out / "classes.txt", out / LEGEND, *places):
        files.check_file(path, "--out")
    there = [path for path in places if path.exists()]
    if there and not (out / LEGEND).exists():
        raise UserError(
            f"--out: {there[0]} would be overwritten, and {out} is no folder of predictions (it "
            f"has no {LEGEND}): choose another folder"
        )


def prepare(out: Path, classes: Sequence[str]) -> None:
    """Makes the folder of predictions: `classes.txt`, a name per line by label value, and
    `legend.png`, their colours.

    Raises:
        UserError: it has a `classes.txt` of other classes; nothing has been written then.
    """
    key, text = out / "classes.txt", "".join(f"{name}\n" for name in classes)
    if key.exists() and key.read_text(encoding="utf-8", errors="replace") != text:
        raise UserError(
            f"--out: {key} names other classes than this model has: choose another folder, or "
            "remove what an earlier model left"
        )
    with files.replacing_file(key) as temporary:
        temporary.write_text(text, encoding="utf-8")
    with files.replacing_file(out / LEGEND) as temporary:
        visualize.legend(classes, range(len(classes)), 500).save(temporary)


def write(
    out: Path,
    name: str,
    found: Segmentation,
) -> None:
    """Writes what was predicted for an image; each file is complete or not there.

    Args:
        out: made by `prepare`. `labels/<name>.png` becomes a palette image of class indices in
            VOC's colours; `overlays/<name>.jpg` the image with its classes painted over it and a
            legend below (a PNG if a JPEG cannot be so large); `probabilities/<name>.npz` float16
            (H, W, C), under the name `probabilities`.
        name: see `names`.
        found: what was predicted; probabilities are written where it has some.
    """
    places = _places(out, name)
    with files.replacing_file(places["labels"]) as temporary:
        labels.to_image(found.labels).save(temporary)
    picture = found.explained()
    overlay = places["overlays"] if max(picture.size) <= _JPEG else _large(out, name)
    with files.replacing_file(overlay) as temporary:
        picture.save(temporary, quality=90, subsampling=0)  # which a PNG does not look at
    if found.probabilities is not None:
        halved = found.probabilities.astype(np.float16)
        files.save_arrays(places["probabilities"], {"probabilities": halved})


def video_place(out: Path, name: str) -> Path:
    """The file of a video's prediction."""
    return _places(out, name)["videos"]


def _places(out: Path, name: str) -> dict[str, Path]:
    kinds = {"labels": ".png", "overlays": ".jpg", "probabilities": ".npz", "videos": ".mp4"}
    return {kind: out / kind / f"{name}{suffix}" for kind, suffix in kinds.items()}


def _large(out: Path, name: str) -> Path:
    """The overlay of an image that is too large for a JPEG."""
    return out / "overlays" / f"{name}.png"


def shares(predicted: np.ndarray, classes: Sequence[str]) -> str:
    """The classes of a prediction, uint8 (H, W), by their part of its pixels: `background 61 %, cat
    39 %, dog <1 %`.
    """
    counts = np.bincount(predicted.ravel(), minlength=len(classes))
    order = [value for value in np.argsort(-counts, kind="stable").tolist() if counts[value]]
    percent = [(classes[value], 100 * counts[value] / predicted.size) for value in order]
    return ", ".join(
        f"{shown(name)} {part:.0f} %" if part >= 1 else f"{shown(name)} <1 %"
        for name, part in percent
    )
