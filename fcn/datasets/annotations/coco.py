"""COCO's JSON: polygons and run lengths of many images in one file."""

from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from fcn import reading
from fcn.datasets import names
from fcn.datasets.annotations import regions
from fcn.datasets.annotations.tree import Annotated, Tree, identified
from fcn.errors import UserError, enumeration
from fcn.spec import VOID

BOXES = (
    "a net that labels pixels needs the area of each object: export polygons or masks, or draw them"
)
_REMEDY = "export it again"
_MOST = 2**30
_FEW = 20  # files of one folder: a folder with more of them has one for each image


class _Image(BaseModel):
    id: int | str
    file_name: str
    width: int
    height: int


class _Annotation(BaseModel):
    image_id: int | str
    category_id: int
    segmentation: Any = None
    bbox: tuple[float, float, float, float] | None = None
    iscrowd: int = 0


class _Category(BaseModel):
    id: int
    name: str
    supercategory: str | None = None


class _File(BaseModel):
    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category]


def recognise(tree: Tree) -> Annotated | None:
    """COCO's files in a folder; None if there are none.

    Raises:
        UserError: damaged; categories that differ from file to file; boxes alone; missing images.
    """
    read = {path: _read(tree.root / path) for path in _candidates(tree)}
    if not read:
        return None
    categories = {path: _categories(content) for path, content in read.items()}
    first = next(iter(categories))
    for path, told in categories.items():
        if told != categories[first]:
            raise UserError(f"{tree.root / path}: expected the categories of {first}")
    ids = sorted(categories[first])
    listed = [categories[first][id] for id in ids]
    classes, values = names.numbered(listed, tree.root / first, ground=True)
    value_of = dict(zip(ids, values.tolist(), strict=True))
    found, missing, boxes, outlines = [], [], 0, 0
    for path, content in read.items():
        by_image = defaultdict(list)
        for each in content.annotations:
            by_image[each.image_id].append(each)
            boxes += not each.segmentation
            outlines += bool(each.segmentation)
            if each.category_id not in value_of:
                raise UserError(
                    f"{tree.root / path}: an annotation of category {each.category_id}, which is "
                    f"none of {enumeration(ids)}; {_REMEDY}"
                )
        for image in content.images:
            file = tree.picture(image.file_name, path.parent)
            if file is None:
                missing.append(image.file_name)
                continue
            where = path.with_name(f"{path.name}#{file.stem}")
            draw = partial(_draw, image, by_image[image.id], value_of, str(tree.root / where))
            split = names.split_of(file) or names.split_of(path) or names.split_named(path.stem)
            found.append((split, file, where, draw))
    if boxes and not outlines:
        raise UserError(f"{tree.root / first}: COCO with boxes alone ({boxes}): {BOXES}")
    if missing:
        raise UserError(
            f"{tree.root / first}: {len(missing)} images that are not there, or there twice: "
            f"{enumeration(missing)}. Put them beside it"
        )
    notes = [f"{boxes} boxes without an outline are void"] if boxes else []
    crowds = sum(each.iscrowd for content in read.values() for each in content.annotations)
    notes += [f"{crowds} crowds are void"] if crowds else []
    return Annotated("COCO JSON", tree.root, classes, identified(found, tree.root), tuple(notes))


def _candidates(tree: Tree) -> list[Path]:
    by_folder: dict[Path, list[Path]] = defaultdict(list)
    for path in tree.ending((".json",)):
        by_folder[path.parent].append(path)
    few = [path for paths in by_folder.values() if len(paths) <= _FEW for path in paths]
    found = []
    for path in few:
        data = reading.content(tree.root / path, _REMEDY, _MOST)
        if all(f'"{key}"'.encode() in data for key in ("images", "annotations", "categories")):
            found.append(path)
    return [path for path in found if path.name.startswith("instances")] or found


def _read(path: Path) -> _File:
    return reading.read_json(path, _File, _REMEDY, _MOST)


def _categories(content: _File) -> dict[int, str]:
    """Names by id. Roboflow lists the name of the whole data set as category 0: left out."""
    used = {each.category_id for each in content.annotations}
    above = {each.supercategory for each in content.categories}
    return {
        each.id: each.name
        for each in content.categories
        if each.id in used or each.supercategory != "none" or each.name not in above
    }


def _draw(
    image: _Image, annotations: list[_Annotation], value_of: dict[int, int], where: str
) -> np.ndarray:
    found: list[tuple[regions.Region, int]] = []
    for each in annotations:
        if each.segmentation:
            value = VOID if each.iscrowd else value_of[each.category_id]
            found.append((each.segmentation, value))
        elif each.bbox:
            left, top, wide, high = each.bbox
            found.append((regions.box(left, top, left + wide, top + high), VOID))
    return regions.drawn(image.width, image.height, found, where)
