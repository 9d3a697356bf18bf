"""Masks beside a table of what their colours or values mean: CVAT, class_dict.csv, CamVid,
Roboflow.
"""

import csv
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from fcn import reading
from fcn.datasets import names
from fcn.datasets.annotations.tree import Annotated, Tree, beside, identified
from fcn.errors import UserError
from fcn.pixels import labels
from fcn.spec import VOID, Colour

_REMEDY = "export it again"
_NUMBERS = re.compile(r"\d+")


def cvat(tree: Tree) -> Annotated | None:
    """CVAT's masks: labelmap.txt with lines `name:red,green,blue:parts:actions`."""
    return _coloured(tree, "labelmap.txt", "CVAT masks", _cvat_line)


def class_dict(tree: Tree) -> Annotated | None:
    """Masks of colours beside class_dict.csv: `name,r,g,b`."""
    return _coloured(tree, "class_dict.csv", "class_dict.csv", _csv_line)


def camvid(tree: Tree) -> Annotated | None:
    """CamVid: label_colors.txt with lines `red green blue name`, labels that end in `_L`."""
    return _coloured(tree, "label_colors.txt", "CamVid", _camvid_line)


def _cvat_line(line: str) -> tuple[str, str]:
    name, _, rest = line.partition(":")
    return name, rest.partition(":")[0]


def _csv_line(line: str) -> tuple[str, str]:
    name, _, rest = line.partition(",")
    return ("", "") if name.strip().lower() == "name" else (name.strip(' "'), rest)


def _camvid_line(line: str) -> tuple[str, str]:
    *numbers, name = line.split(None, 3)
    return name, " ".join(numbers)


def _coloured(
    tree: Tree, table: str, name: str, parse: Callable[[str], tuple[str, str]]
) -> Annotated | None:
    if not tree.called(table):
        return None
    path = tree.root / tree.called(table)[0]
    told: dict[str, Colour] = {}
    for line in reading.lines(path, "a class and its colour per line", _REMEDY, reading.SMALL):
        if line.startswith("#"):
            continue
        kind, rest = parse(line)
        colour = [int(number) for number in _NUMBERS.findall(rest)]
        if kind and (len(colour) != 3 or max(colour) > 255 or kind in told):
            raise UserError(
                f"{path}: expected a new name and three numbers 0..255, got "
                f"{reading.quoted(line)}; {_REMEDY}"
            )
        if kind:
            told[kind] = (colour[0], colour[1], colour[2])
    if len(set(told.values())) < len(told):
        raise UserError(f"{path}: the same colour for more than one class; {_REMEDY}")
    classes, values = names.numbered(list(told), path)
    meaning = np.append(values, np.full(256 - len(values), VOID, np.uint8))
    roles = frozenset({"l"})

    def taken(path: Path) -> bool:
        return "SegmentationObject" not in path.parts  # CVAT's second set: a colour for each object

    found = [
        (split, image, label, partial(_by_colour, tree.root / label, tuple(told.values()), meaning))
        for split, image, label in beside(tree, taken, roles)
    ]
    return Annotated(name, tree.root, classes, identified(found, tree.root))


def _by_colour(path: Path, colours: tuple[Colour, ...], meaning: np.ndarray) -> np.ndarray:
    found = labels.stored(path)
    return np.asarray(meaning[labels.ENCODINGS["colours"].values(path, found, colours)])


def roboflow(tree: Tree) -> Annotated | None:
    """Roboflow's semantic masks: _classes.csv with lines `value, name`, and
    `x_mask.png` beside x.
    """
    heads = {path: _rows(tree.root / path) for path in tree.called("_classes.csv")}
    if not heads or any(rows[:1] != [["pixel value", "class"]] for rows in heads.values()):
        return None  # the same name has another table for pictures that are classified as a whole
    first = next(iter(heads))
    if any(rows != heads[first] for rows in heads.values()):
        raise UserError(f"{tree.root}: _classes.csv differs from split to split; {_REMEDY}")
    rows = heads[first][1:]
    if any(len(row) != 2 or not row[0].isdecimal() or int(row[0]) > 255 for row in rows):
        raise UserError(f"{tree.root / first}: expected lines `value, name`, 0..255; {_REMEDY}")
    classes, values = names.numbered([name for _, name in rows], tree.root / first)
    meaning = _meaning({int(row[0]): int(value) for row, value in zip(rows, values, strict=True)})
    found = [
        (split, image, label, partial(by_value, tree.root / label, meaning))
        for split, image, label in beside(tree)
    ]
    return Annotated("Roboflow masks", tree.root, classes, identified(found, tree.root))


def _rows(path: Path) -> list[list[str]]:
    lines = reading.lines(path, "a value and a name per line", _REMEDY, reading.SMALL)
    rows = [[cell.strip() for cell in row] for row in csv.reader(lines)]
    return [[cell.lower() for cell in row] for row in rows[:1]] + rows[1:]


def _meaning(value_of: dict[int, int]) -> np.ndarray:
    """Label values by stored value, int16 (256,); -1 where there is none."""
    meaning = np.full(256, -1, np.int16)
    meaning[list(value_of)] = list(value_of.values())
    return meaning


def by_value(path: Path, meaning: np.ndarray) -> np.ndarray:
    """Reads a mask whose stored values mean something.

    Args:
        path: of a palette or grey picture.
        meaning: int16 (256,): the label value of each stored value, -1 for none.

    Raises:
        UserError: it cannot be read, or has other values.
    """
    found = labels.stored(path)
    stored = labels.ENCODINGS["indices"].values(path, found, ())
    label = meaning[stored]
    if (label < 0).any():
        wrong = np.unique(stored[label < 0]).tolist()
        raise UserError(f"{path}: values {wrong}, which the table of classes does not have")
    return np.asarray(label.astype(np.uint8))
