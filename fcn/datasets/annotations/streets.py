"""Street scenes whose classes are known by heart: Cityscapes, and CamVid as SegNet published it."""

from functools import partial
from pathlib import Path

import numpy as np

from fcn.datasets.annotations.tables import by_value
from fcn.datasets.annotations.tree import Annotated, Tree, beside, identified
from fcn.datasets.sets import camvid
from fcn.spec import VOID

CITYSCAPES = {
    7: "road", 8: "sidewalk", 11: "building", 12: "wall", 13: "fence", 17: "pole",
    19: "traffic light", 20: "traffic sign", 21: "vegetation", 22: "terrain", 23: "sky",
    24: "person", 25: "rider", 26: "car", 27: "truck", 28: "bus", 31: "train", 32: "motorcycle",
    33: "bicycle",
}  # fmt: skip
"""The 19 classes that Cityscapes is scored on, by label id; all other ids up to 33 are void."""


def cityscapes(tree: Tree) -> Annotated | None:
    """Cityscapes: leftImg8bit/ and gtFine/, whose `_labelIds.png` are read;
    test is not labelled.
    """

    def taken(path: Path) -> bool:
        ends = ("_leftImg8bit", "_gtFine_labelIds")
        return path.stem.endswith(ends) and "test" not in path.parts

    if not any(path.stem.endswith("_gtFine_labelIds") for path in tree.files):
        return None
    meaning = np.full(256, -1, np.int16)
    meaning[:34] = meaning[255] = VOID
    meaning[list(CITYSCAPES)] = np.arange(len(CITYSCAPES))
    found = beside(tree, taken)
    return _values(tree, found, "Cityscapes", tuple(CITYSCAPES.values()), meaning)


def segnet(tree: Tree) -> Annotated | None:
    """CamVid in SegNet's folders: train/ and trainannot/, val/ and valannot/,
    test/ and testannot/.
    """
    if not any(path.parts[0] == "trainannot" for path in tree.files):
        return None
    return _values(tree, beside(tree), "CamVid", camvid.DATASET.classes, camvid.DATASET.meaning())


def _values(
    tree: Tree,
    found: list[tuple[str, Path, Path]],
    name: str,
    classes: tuple[str, ...],
    meaning: np.ndarray,
) -> Annotated:
    drawn = [
        (split, image, label, partial(by_value, tree.root / label, meaning))
        for split, image, label in found
    ]
    return Annotated(name, tree.root, classes, identified(drawn, tree.root))
