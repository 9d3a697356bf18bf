"""ADE20K for scene parsing (the 2016 challenge): 150 classes, annotation values 1..150, 0 for all
else, which is void here.
"""

from pathlib import Path

from fcn import reading
from fcn.datasets import stems
from fcn.datasets.pairs import DatasetSpec, Listing, check_count, choose_classes
from fcn.errors import UserError

COUNTS = {"training": 20210, "validation": 2000}
CLASSES = 150


def names(root: Path) -> tuple[str, ...]:
    """The names of the classes, by label value: the first synonym of each line of
    objectInfo150.txt.

    A name that stands there twice gets its number in brackets the second time.

    Raises:
        UserError: no such file, no column `Name`, or not the 150 classes in order.
    """
    path = root / "objectInfo150.txt"
    remedy = "is the archive complete, and is this its right folder?"
    if not path.exists():
        raise UserError(f"{path}: no such table of the classes; {remedy}")
    told = reading.lines(path, "a table of the classes", remedy, reading.SMALL)
    head, *lines = (line.split("\t") for line in told or [""])
    if (
        "Name" not in head
        or [line[0].strip() for line in lines] != [str(n + 1) for n in range(CLASSES)]
        or any(len(line) <= head.index("Name") for line in lines)
    ):
        raise UserError(
            f"{path}: expected a table with a column Name and the lines 1 to {CLASSES}, got the "
            f"columns {reading.quoted(head)}"
        )
    found: dict[str, None] = {}
    for number, line in enumerate(lines, 1):
        name = line[head.index("Name")].partition(",")[0].strip()
        found[name if name not in found else f"{name} ({number})"] = None
    return tuple(found)


def load(asked: DatasetSpec) -> Listing:
    """ADE20K, or a part of it.

    Args:
        asked: the root "ade20k" is the folder that holds images, annotations and
            objectInfo150.txt. Splits are "training" or "validation", the official folders below
            images and annotations; or names of lists, "train" for train.txt; or shares of all
            images such as "80%"; both of one kind.

    Raises:
        UserError: an official split without its 20 210 or 2 000 images; or see `stems.splits`.
    """
    root = asked.roots["ade20k"]
    chosen = choose_classes(asked.classes, names(root), str(root / "objectInfo150.txt"))
    images = stems.by_stem(root / "images", (".jpg",))
    labels = stems.by_stem(root / "annotations", (".png",))
    if asked.train in COUNTS and asked.val in COUNTS:
        listed = {}
        for purpose, name in asked.splits.items():
            folder = root / "images" / name
            ids = [stem for stem, path in images.items() if path.parent == folder]
            check_count(str(folder), len(ids), COUNTS[name])
            listed[purpose] = stems.pairs(images, labels, ids, "ade20k", str(folder))
    else:
        listed = stems.splits(root, images, labels, "ade20k", asked)
    return Listing(chosen, listed)
