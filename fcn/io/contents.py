"""What each data set is made of: its archives, and what is read of them."""

from fcn.errors import UserError

PICTURES = (
    ".jpg", ".jpeg", ".jfif", ".jpe", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".avif",
    ".heic", ".heif", ".jp2", ".ppm",
)  # fmt: skip
"""How the names of pictures end, in small letters."""

VIDEOS = (
    ".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".mts", ".m2ts", ".wmv",
    ".3gp", ".ogv",
)  # fmt: skip
"""How the names of videos end, in small letters."""

VOC = ("ImageSets/Segmentation", "JPEGImages", "SegmentationClass")
"""Of `VOCdevkit/VOC2012` and its like; boxes, instances and actions stay in the archive."""

SBD = ("train.txt", "val.txt", "img", "cls")
"""Of `benchmark_RELEASE/dataset`; instances (`inst`) stay in the archive."""

ADE20K = ("images", "annotations", "objectInfo150.txt", "train.txt", "val.txt")
"""Of `ADEChallengeData2016`, which has no lists, or of a part of it that may have some."""

FOLDER = (".",)
"""Of a user's folder: pictures, annotations, tables and lists wherever they are; see `ENDINGS`."""

ENDINGS = {"folder": (*PICTURES, ".txt", ".json", ".csv", ".yaml", ".yml", ".xml")}
"""By data set: how the names end of the files that are taken, in small letters; others take all."""

FOLDERS: dict[str, dict[str, tuple[str, ...]]] = {
    "voc": {"voc": VOC},
    "voc2011": {"voc": VOC, "sbd": SBD, "lists": ("train.txt", "val.txt")},
    "voc2012": {"voc": VOC, "sbd": SBD},
    "ade20k": {"ade20k": ADE20K},
    "folder": {"folder": FOLDER},
}
"""By data set and by key of the archive; of others the one archive is taken whole."""


def archives(dataset: str) -> dict[str, tuple[str, ...]]:
    """What is read of the archives of a data set, by their keys; see `folders`.

    Args:
        dataset: a name; one that has no row in `FOLDERS` is made of one archive of the same name.
    """
    return FOLDERS.get(dataset, {dataset: (".",)})


def folders(dataset: str, key: str) -> tuple[str, ...]:
    """What is read of an archive: files and folders, relative to its root; not all single files
    need be there.

    Args:
        dataset: its name.
        key: of the archive: "voc", "sbd", "ade20k", "folder", or the name of the data set.

    Raises:
        UserError: it has no such archive.
    """
    known = archives(dataset)
    if key not in known:
        raise UserError(
            f"the data set {dataset} is made of the archives {' and '.join(known)}; it "
            f"has no `{key}`"
        )
    return known[key]
