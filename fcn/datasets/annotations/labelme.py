"""labelme's JSON, one file for each image, drawn as labelme itself draws it."""

import base64
import math
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from pydantic import BaseModel

from fcn import reading
from fcn.datasets import names
from fcn.datasets.annotations.coco import BOXES
from fcn.datasets.annotations.tree import Annotated, Tree, identified
from fcn.errors import UserError, enumeration
from fcn.io import PICTURES
from fcn.pixels import images

_REMEDY = "save it again with labelme"
_MOST = 2**28  # the picture itself may stand in it
_LINE, _POINT = 10, 5  # pixels: labelme's width of a line and radius of a point


class _Shape(BaseModel):
    label: str
    points: list[tuple[float, float]]
    shape_type: str = "polygon"
    mask: str | None = None


class _File(BaseModel):
    shapes: list[_Shape]
    imagePath: str
    imageHeight: int
    imageWidth: int


def recognise(tree: Tree) -> Annotated | None:
    """Labelme's files in a folder; None if there are none. A labels.txt says the order of classes.

    Raises:
        UserError: damaged; boxes alone; an image that is not there.
    """
    paths = [path for path in tree.ending((".json",)) if _is_one(tree.root / path)]
    if not paths:
        return None
    files = {path: reading.read_json(tree.root / path, _File, _REMEDY, _MOST) for path in paths}
    shapes = [shape for file in files.values() for shape in file.shapes]
    if shapes and all(shape.shape_type == "rectangle" for shape in shapes):
        raise UserError(f"{tree.root}: labelme with boxes alone ({len(shapes)}): {BOXES}")
    ordered: list[str] = []
    for path in tree.called("labels.txt")[:1]:
        ordered = reading.lines(tree.root / path, "the name of a class per line", "correct it")
    told = [*dict.fromkeys([*ordered, *sorted({shape.label for shape in shapes})])]
    classes, values = names.numbered(told, tree.root, ground=True)
    value_of = dict(zip(told, values.tolist(), strict=True))
    found, missing = [], []
    for path, file in files.items():
        picture = tree.picture(file.imagePath, path.parent)
        if picture is None:
            missing.append(file.imagePath)
            continue
        draw = partial(_draw, file, value_of, str(tree.root / path))
        found.append((names.split_of(picture) or names.split_of(path), picture, path, draw))
    if missing:
        raise UserError(
            f"{tree.root}: {len(missing)} images that are not there: {enumeration(missing)}"
        )
    bare = set(tree.ending(PICTURES)) - {picture for _, picture, _, _ in found}
    notes = (f"{len(bare)} images without a JSON file are left out",) if bare else ()
    return Annotated("labelme JSON", tree.root, classes, identified(found, tree.root), notes)


def _is_one(path: Path) -> bool:
    data = reading.content(path, _REMEDY, 2**30)
    return b'"shapes"' in data and b'"imagePath"' in data


def _draw(file: _File, value_of: dict[str, int], where: str) -> np.ndarray:
    label = np.zeros((file.imageHeight, file.imageWidth), np.uint8)
    for shape in file.shapes:
        try:
            label[_region(shape, label.shape)] = value_of[shape.label]
        except (ValueError, IndexError, OSError) as error:
            raise UserError(
                f"{where}: a {reading.quoted(shape.shape_type)} that cannot be drawn: {error}; "
                f"{_REMEDY}"
            ) from error
    return label


def _region(shape: _Shape, size: tuple[int, ...]) -> np.ndarray:
    """Where a shape lies, bool (H, W)."""
    if shape.shape_type == "mask":
        return _mask(shape, size)
    image = Image.new("1", (size[1], size[0]))
    pen, points = ImageDraw.Draw(image), shape.points
    if shape.shape_type == "circle":
        (x, y), edge = points
        radius = math.dist((x, y), edge)
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=1, outline=1)
    elif shape.shape_type == "rectangle":
        (x0, y0), (x1, y1) = points[0], points[-1] if len(points) == 2 else points[2]
        pen.rectangle((min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)), fill=1, outline=1)
    elif shape.shape_type in ("line", "linestrip"):
        pen.line(points, fill=1, width=_LINE)
    elif shape.shape_type == "point":
        x, y = points[0]
        pen.ellipse((x - _POINT, y - _POINT, x + _POINT, y + _POINT), fill=1, outline=1)
    elif shape.shape_type == "polygon":
        pen.polygon(points, fill=1, outline=1)
    else:
        raise ValueError("a kind of shape that is not known")
    return np.asarray(image)


def _mask(shape: _Shape, size: tuple[int, ...]) -> np.ndarray:
    region = np.zeros(size, bool)
    (left, top), (right, bottom) = ([round(side) for side in point] for point in shape.points)
    drawn = images.decode(base64.b64decode(shape.mask or ""), "a mask", ("PNG",))
    region[top : bottom + 1, left : right + 1] = drawn[..., 0] > 0
    return region
