"""PASCAL VOC's layout: JPEGImages, SegmentationClass, ImageSets/Segmentation."""

from dataclasses import dataclass
from pathlib import Path

from fcn.errors import UserError

FOLDERS = ("ImageSets/Segmentation", "JPEGImages", "SegmentationClass")
"""What is read of a VOC archive; the rest (boxes, instances, actions) stays in it."""


@dataclass(frozen=True)
class Pair:
    """One image and its label, as files; `id` is VOC's name of the image, unique in the set."""

    id: str
    image: Path
    label: Path


def pairs(root: Path, split: str) -> list[Pair]:
    """The images of a split, in the order of its list.

    Args:
        root: the folder that holds JPEGImages, e.g. `VOCdevkit/VOC2012`.
        split: name of a list in ImageSets/Segmentation, without `.txt`.

    Returns:
        One `Pair` per line.

    Raises:
        UserError: no such list, an empty one, an id twice, or images or labels that are not there (all are named).
    """
    path = root / "ImageSets" / "Segmentation" / f"{split}.txt"
    if not path.is_file():
        found = sorted(p.stem for p in path.parent.glob("*.txt"))
        raise UserError(f"{path}: no such split; {path.parent} holds: {', '.join(found) or 'no lists at all'}")
    ids = path.read_text(encoding="utf-8").split()
    if not ids:
        raise UserError(f"{path}: the list is empty")
    twice = sorted({name for name in ids if ids.count(name) > 1}) if len(set(ids)) < len(ids) else []
    if twice:
        raise UserError(f"{path}: listed more than once: {', '.join(twice[:10])}")
    found_pairs = [Pair(i, root / "JPEGImages" / f"{i}.jpg", root / "SegmentationClass" / f"{i}.png") for i in ids]
    missing = [file for pair in found_pairs for file in (pair.image, pair.label) if not file.is_file()]
    if missing:
        names = ", ".join(str(file) for file in missing[:10])
        more = f" and {len(missing) - 10} more" if len(missing) > 10 else ""
        raise UserError(f"{path} lists images that are not there: {names}{more}. Is the archive complete?")
    return found_pairs
