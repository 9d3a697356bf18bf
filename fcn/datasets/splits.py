"""Which of a user's images are trained on: lists, folders that the user keeps apart, or shares."""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from fcn import reading
from fcn.datasets import names, stems
from fcn.datasets.pairs import DatasetSpec
from fcn.errors import UserError, enumeration
from fcn.io import PICTURES

_COLUMNS = re.compile(r"\s*[\t,;]\s*|(?<=\.\w{3})\s+|(?<=\.\w{4})\s+")


def choose(
    root: Path,
    labels: Mapping[str, str],
    by_split: Mapping[str, Sequence[str]],
    asked: DatasetSpec,
) -> tuple[dict[str, list[str]], tuple[str, ...]]:
    """The names of the images of the training and the validation set.

    What the user keeps apart stays apart: shares are drawn only where there are no lists and no
    folders train and val, and never from a folder test.

    Args:
        root: of the data set.
        labels: by image, the name of its label without ending.
        by_split: names of images by "train", "val", "test" and "", see `names.split_of`.
        asked: of which both splits are names of lists or of folders, or both are shares such as
            "80%".

    Returns:
        Names by "train" and "val"; and sentences on what was not drawn as it was asked for.

    Raises:
        UserError: no such list; see `listed` and `stems.draw`.
    """
    shares = [stems.share(text) for text in asked.splits.values()]
    words = f"records.train: {asked.train}, records.val: {asked.val}"
    if None not in shares:
        not_drawn = f"{words}: no share is drawn, since"
        if all((root / f"{name}.txt").is_file() for name in ("train", "val")):
            chosen = {name: listed(root / f"{name}.txt", labels) for name in ("train", "val")}
            return chosen, (f"{not_drawn} {root.name} has the lists train.txt and val.txt",)
        left = {name: found for name, found in by_split.items() if found and name != "test"}
        kept = [f"{name} ({len(found)} images)" for name, found in by_split.items() if found]
        if set(left) == {"train", "val"}:
            note = f"{not_drawn} the folders keep apart {', '.join(sorted(kept))}"
            return {name: list(left[name]) for name in ("train", "val")}, (note,)
        if len(left) > 1:
            raise UserError(
                f"{root}: expected images in folders train and val, found {', '.join(kept)}"
            )
        note = f"test ({len(by_split['test'])} images) is left out" if by_split.get("test") else ""
        every = [name for found in left.values() for name in found]
        drawn = stems.draw(every, asked.train, asked.val, asked.seed)
        return drawn, (note,) if note else ()
    if shares != [None, None]:
        raise UserError(
            f"{words}: expected two lists or two shares such as "
            "80% and 20%, since a share is drawn from all images, those of the list among them"
        )
    chosen = {}
    for purpose, name in asked.splits.items():
        split = names.split_named(name)
        if not (root / f"{name}.txt").is_file() and by_split.get(split):
            chosen[purpose] = list(by_split[split])
        else:
            chosen[purpose] = listed(root / f"{name}.txt", labels)
    return chosen, ()


def listed(path: Path, labels: Mapping[str, str]) -> list[str]:
    """The names that a list has: one a line, with or without folders, ending and label.

    Args:
        path: of the list.
        labels: by image, the name of its label without ending.

    Returns:
        In the list's order. A line that means no image is returned as it is.

    Raises:
        UserError: no such list, or an empty one; an image twice; a label that is another's.
    """
    if not path.is_file():
        raise UserError(
            f"{path}: no such list. Put it there with the name of an image per line before the "
            "download (it takes train.txt and val.txt along); or give shares such as 80% and 20%"
        )
    lines = reading.lines(path, "the name of an image per line", "put the list there again")
    if not lines:
        raise UserError(f"{path}: the list is empty")
    known = {unicodedata.normalize("NFC", name): name for name in labels}
    ends = Counter(PurePosixPath(name).name for name in known)
    known |= {
        PurePosixPath(n).name: name for n, name in known.items() if ends[PurePosixPath(n).name] == 1
    }
    found = []
    for line in lines:
        image, *rest = [line] if _meant(line, known) else _COLUMNS.split(line)
        name = _meant(image, known)
        if name and rest:
            label = unicodedata.normalize("NFC", _stem(rest[0]))
            if label != unicodedata.normalize("NFC", labels[name]) and rest[0]:
                raise UserError(
                    f"{path}: {reading.quoted(line)}: the label of {name} is {labels[name]} by its "
                    "name: give the label the image's name"
                )
        found.append(name or line)
    twice = sorted(name for name, times in Counter(found).items() if times > 1)
    if twice:
        raise UserError(f"{path}: listed more than once: {enumeration(twice)}")
    return found


def _meant(text: str, known: Mapping[str, str]) -> str | None:
    """The image that a text names, most exactly first."""
    text = unicodedata.normalize("NFC", text.replace("\\", "/"))
    if text in known:
        return known[text]
    parts = text.split("/")
    if text.lower().endswith(PICTURES):
        parts[-1] = _stem(parts[-1])
    tails = ("/".join(parts[n:]) for n in range(len(parts)))
    return next((known[tail] for tail in tails if tail in known), None)


def _stem(text: str) -> str:
    return PurePosixPath(text.replace("\\", "/")).stem
