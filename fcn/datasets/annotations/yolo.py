"""YOLO's outlines: a text for each image, beside a data.yaml with the names of the classes."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from fcn import reading
from fcn.datasets import names
from fcn.datasets.annotations import regions
from fcn.datasets.annotations.coco import BOXES
from fcn.datasets.annotations.tree import Annotated, Tree, identified
from fcn.errors import UserError, enumeration
from fcn.io import PICTURES
from fcn.pixels import images
from fcn.spec import VOID

_REMEDY = "export it again"


def recognise(tree: Tree) -> Annotated | None:
    """YOLO's texts in a folder with a data.yaml; None if there is none.

    An image without a text, or with an empty one, is all background. Of boxes between outlines the
    area is void.

    Raises:
        UserError: damaged; boxes alone; a text without its image.
    """
    found = [path for path in tree.ending((".yaml", ".yml")) if _names(tree.root / path)]
    texts = {
        path.with_suffix("").parts: path
        for path in tree.ending((".txt",))
        if "labels" in path.parts[:-1]
    }
    if not found or not texts:
        return None
    told = _names(tree.root / found[0])
    classes, values = names.numbered(told, tree.root / found[0], ground=True)
    rows = {path: _rows(tree.root / path, len(told)) for path in texts.values()}
    boxes = sum(len(row) == 5 for each in rows.values() for row in each)
    if boxes and boxes == sum(len(each) for each in rows.values()):
        raise UserError(f"{tree.root}: YOLO with boxes alone ({boxes}): {BOXES}")
    pairs, empty = [], 0
    for image in tree.ending(PICTURES):
        key = tuple("labels" if part == "images" else part for part in image.with_suffix("").parts)
        text = texts.pop(key, None)
        empty += text is None
        draw = partial(_draw, tree.root / image, rows.get(text, []) if text else [], values)
        pairs.append((names.split_of(image), image, text or image, draw))
    if texts:
        raise UserError(
            f"{tree.root}: labels without an image: {enumeration(list(texts.values()))}"
        )
    notes = [f"{boxes} boxes without an outline are void"] if boxes else []
    notes += [f"{empty} images without a text are all background"] if empty else []
    return Annotated("YOLO-seg", tree.root, classes, identified(pairs, tree.root), tuple(notes))


def _names(path: Path) -> list[str]:
    """Of a data.yaml: a list, or names by number; none if it is another file."""
    try:
        data: Any = yaml.safe_load(reading.content(path, _REMEDY))
    except (yaml.YAMLError, ValueError):
        return []
    told = data.get("names") if isinstance(data, dict) else None
    if isinstance(told, dict):
        told = (
            [told[number] for number in sorted(told)]
            if all(n in told for n in range(len(told)))
            else []
        )
    return [str(name) for name in told] if isinstance(told, list) else []


def _rows(path: Path, classes: int) -> list[list[float]]:
    found = []
    for number, line in enumerate(
        reading.lines(path, "a class and an outline per line", _REMEDY), 1
    ):
        try:
            row = [float(word) for word in line.split()]
            right = row[0] in range(classes) and (len(row) == 5 or (len(row) >= 7 and len(row) % 2))
        except ValueError:
            right = False
        if not right:
            raise UserError(
                f"{path}, line {number}: expected a class 0..{classes - 1} and points x y, 0..1, "
                f"got {reading.quoted(line)}; {_REMEDY}"
            )
        found.append(row)
    return found


def _draw(image: Path, rows: list[list[float]], values: np.ndarray) -> np.ndarray:
    width, height = images.header(image, images.longest).size
    found: list[tuple[regions.Region, int]] = []
    for kind, *points in rows:
        scaled = np.array(points).reshape(-1, 2) * (width, height)
        if len(points) == 4:
            (x, y), (wide, high) = scaled
            outline = regions.box(x - wide / 2, y - high / 2, x + wide / 2, y + high / 2)
            found.append((outline, VOID))
        else:
            found.append(([scaled.reshape(-1).tolist()], int(values[int(kind)])))
    return regions.drawn(width, height, found, str(image))
