"""PASCAL VOC's layout: JPEGImages, SegmentationClass, ImageSets/Segmentation, with any lists."""

from pathlib import Path

from fcn.datasets.pairs import DatasetSpec, Listing, Pair, complete, read_ids
from fcn.errors import UserError
from fcn.io import contents

FOLDERS = contents.VOC
"""What is read of a VOC archive."""

CLASSES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair",
    "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
)  # fmt: skip
"""VOC's and SBD's classes, by label value."""


def pair(root: Path, name: str) -> Pair:
    """The files of an image, by its id; whether they are there is not looked at."""
    return Pair(
        name, root / "JPEGImages" / f"{name}.jpg", root / "SegmentationClass" / f"{name}.png"
    )


def ids(root: Path, split: str) -> list[str]:
    """The ids of a list of ImageSets/Segmentation.

    Raises:
        UserError: no such list, an empty one, or an id twice.
    """
    path = root / "ImageSets" / "Segmentation" / f"{split}.txt"
    if not path.is_file():
        found = sorted(p.stem for p in path.parent.glob("*.txt"))
        raise UserError(
            f"{path}: no such split; {path.parent} holds: {', '.join(found) or 'no lists at all'}"
        )
    return read_ids(path)


def pairs(root: Path, split: str) -> list[Pair]:
    """The images of a split, in the order of its list.

    Args:
        root: the folder that holds JPEGImages, e.g. `VOCdevkit/VOC2012`.
        split: name of a list in ImageSets/Segmentation, without `.txt`.

    Returns:
        One `Pair` per line.

    Raises:
        UserError: no such list, an empty one, an id twice, or images or labels that are not there
            (ten are named).
    """
    names = ids(root, split)
    return complete(
        (pair(root, name) for name in names),
        str(root / "ImageSets" / "Segmentation" / f"{split}.txt"),
    )


def load(asked: DatasetSpec) -> Listing:
    """A data set in VOC's layout, with lists and classes of its own and no official counts.

    Args:
        asked: the root "voc" is the folder that holds JPEGImages; splits are names of lists;
            without classes they are VOC's 21.

    Raises:
        UserError: see `pairs`.
    """
    note = "records.classes is empty, so the values are taken for VOC's 21 classes"
    splits = {purpose: pairs(asked.roots["voc"], name) for purpose, name in asked.splits.items()}
    if asked.classes:
        return Listing(tuple(asked.classes), splits)
    return Listing(CLASSES, splits, notes=(note,))
