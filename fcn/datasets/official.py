"""The official splits of VOC2011, VOC2012 and SBD, alone and merged, by name, with their counts.

VOC2011 and SBD annotate the same images, with other training and validation sets; VOC2012 has
VOC2011's images and 690 more with labels. So a training set that takes from SBD shares images with
VOC's validation set, unless they are taken out:

    sbd_train       SBD's own training set, the authors' choice; goes with seg11valid or rv_voc12
    seg11valid      VOC2011's val without sbd_train, the authors' validation set (the paper's
                    footnote 7)
    train_aug       all of VOC2012's train and SBD that is not in VOC2012's val; goes with val
    rv_voc12        VOC2012's val without sbd_train, "reduced validation"
    rv_voc12_train  all the rest; goes with rv_voc12

The first two can be had from VOC2012's archive as well, which has all that VOC2011's has. For
VOC2011's own train and val from there, their lists have to be given: VOC2012's are longer.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fcn.datasets import sbd, voc
from fcn.datasets.pairs import (
    DatasetSpec,
    Listing,
    Pair,
    check_count,
    choose_classes,
    complete,
    read_ids,
)
from fcn.errors import UserError, enumeration

Lists = Callable[[str], frozenset[str]]
"""The ids of VOC's "train" and "val", SBD's "sbd_train" and "sbd_val", or "seg11valid"."""


@dataclass(frozen=True)
class Split:
    """How a split comes about.

    Attributes:
        ids: of its images, from the lists.
        labels: whose labels it has: "voc", "sbd", or where both have one, those of the first: "voc,
            sbd" or "sbd, voc".
    """

    ids: Callable[[Lists], frozenset[str]]
    labels: str = "voc"


def _all(lists: Lists) -> frozenset[str]:
    return lists("train") | lists("val") | lists("sbd_train") | lists("sbd_val")


SPLITS = {
    "train": Split(lambda lists: lists("train")),
    "val": Split(lambda lists: lists("val")),
    "trainval": Split(lambda lists: lists("train") | lists("val")),
    "sbd_train": Split(lambda lists: lists("sbd_train"), "sbd"),
    "sbd_val": Split(lambda lists: lists("sbd_val"), "sbd"),
    "seg11valid": Split(lambda lists: lists("seg11valid")),
    # Hariharan's and DeepLab's: VOC's own label where there is one.
    "train_aug": Split(lambda lists: _all(lists) - lists("val"), "voc, sbd"),
    "trainval_aug": Split(_all, "voc, sbd"),
    # MatConvNet's: SBD's label where there is one (vlfeat/matconvnet-fcn,
    # vocSetupAdditionalSegmentations.m).
    "rv_voc12": Split(lambda lists: lists("val") - lists("sbd_train")),
    "rv_voc12_train": Split(
        lambda lists: _all(lists) - (lists("val") - lists("sbd_train")), "sbd, voc"
    ),
}

_SBD = {"sbd_train": sbd.COUNTS["train"], "sbd_val": sbd.COUNTS["val"], "seg11valid": 736}
COUNTS: dict[str, dict[str, int]] = {
    "voc2011": {"train": 1112, "val": 1111, "trainval": 2223, **_SBD},
    "voc2012": {
        "train": 1464, "val": 1449, "trainval": 2913, **_SBD,
        "train_aug": 10582, "trainval_aug": 12031, "rv_voc12": 904, "rv_voc12_train": 11127,
    },
}  # fmt: skip
"""By data set, its splits and how many images each has."""

TESTS = {"VOC2012": 1456}
"""By challenge, the images of its segmentation test set, whose labels are not public."""


def load(dataset: str, asked: DatasetSpec) -> Listing:
    """VOC2011 or VOC2012, with SBD where a split takes from it.

    Args:
        dataset: a key of `COUNTS`.
        asked: the root "voc" is the folder that holds JPEGImages (for voc2011 VOC2012's will do),
            "sbd" the one that holds cls; with "lists", VOC2011's train.txt and val.txt are read
            there. Splits are keys of `COUNTS[dataset]`, or other lists of ImageSets/Segmentation,
            which are not counted.

    Raises:
        UserError: an unknown split, or one without public labels; a missing archive, list, image or
            label; or an official list without its official number of images.
    """
    roots = asked.roots
    names = choose_classes(asked.classes, voc.CLASSES, f"the data set `{dataset}`")
    lists = _lists(dataset, roots)
    splits, notes = {}, []
    for purpose, name in asked.splits.items():
        splits[purpose] = _pairs(dataset, roots, lists, name)
        bare = sum(pair.encoding == "sbd" for pair in splits[purpose])
        if bare:
            notes.append(
                f"{purpose}: {bare} of {len(splits[purpose])} labels are SBD's, which "
                "have no void border"
            )
    if (dataset == "voc2011" or "seg11valid" in asked.splits.values()) and _has_lists_of_2012(
        roots
    ):
        notes.append(
            "VOC2011's images from VOC2012's archive: the same images, but labels may "
            "have been corrected in between"
        )
    return Listing(names, splits, notes=tuple(notes))


def to_predict(images: Path, ids: Path) -> list[tuple[str, Path]]:
    """Images without labels, id and file, in the order of their list: VOC's test sets, which its
    server scores.

    Args:
        images: JPEGImages, with the test images' archive unpacked into it.
        ids: the list, ImageSets/Segmentation/test.txt of the same archive.

    Raises:
        UserError: no list, or images that are not there.
    """
    pairs = [(name, images / f"{name}.jpg") for name in read_ids(ids)]
    missing = [image for _, image in pairs if not image.is_file()]
    if missing:
        raise UserError(
            f"{ids} lists images that are not there: {enumeration(missing)}. VOC's test images "
            "have their own archive: its evaluation server has it"
        )
    return pairs


def _has_lists_of_2012(roots: Mapping[str, Path]) -> bool:
    """Whether VOC's archive is that of 2012, by what its list of training images counts."""
    return "voc" in roots and len(voc.ids(roots["voc"], "train")) == COUNTS["voc2012"]["train"]


def _lists(dataset: str, roots: Mapping[str, Path]) -> Lists:
    """Reads each list once, when it is asked for, and counts it."""

    @cache
    def lists(name: str) -> frozenset[str]:
        if name == "seg11valid":
            return frozenset(read_ids(Path(__file__).parent / "seg11valid.txt"))
        owner, _, own = name.rpartition("_")
        if owner == "sbd":
            return frozenset(sbd.ids(_root(dataset, roots, "sbd"), own))
        if "lists" in roots:
            path = roots["lists"] / f"{name}.txt"
            return frozenset(read_ids(path, COUNTS[dataset][name]))
        root = _root(dataset, roots, "voc")
        if dataset == "voc2011" and _has_lists_of_2012(roots):
            raise UserError(
                f"voc2011: {root} is VOC2012, whose list {name} has images that VOC2011's has not. "
                "sbd_train and seg11valid can be had from it as it is; for VOC2011's own train "
                "and val, put their lists, train.txt (1112 names) and val.txt (1111), into a "
                "folder, and name it as the archive `lists`; fcn/datasets/README.md says where "
                "they are"
            )
        ids = frozenset(voc.ids(root, name))
        check_count(
            f"{root / 'ImageSets' / 'Segmentation' / name}.txt, {dataset}",
            len(ids),
            COUNTS[dataset][name],
        )
        return ids

    return lists


def _root(dataset: str, roots: Mapping[str, Path], key: str) -> Path:
    if key not in roots:
        raise UserError(
            f"records.roots: these splits of {dataset} need the archive `{key}`: add it to "
            "download.archives, and its folder to records.roots, e.g. "
            f"{'sbd: benchmark_RELEASE/dataset' if key == 'sbd' else 'voc: VOCdevkit/VOC2012'}"
        )
    return roots[key]


def _pairs(dataset: str, roots: Mapping[str, Path], lists: Lists, split_name: str) -> list[Pair]:
    """The pairs of a split, in the order of their ids, which is that of all official lists."""
    if split_name == "test":
        raise UserError(
            f"{dataset}: the labels of the test images are not public (VOC's server scores them), "
            "so nothing can be trained or validated on them; the splits are "
            f"{', '.join(COUNTS[dataset])}"
        )
    if split_name not in COUNTS[dataset]:
        root = _root(dataset, roots, "voc")
        if not (root / "ImageSets" / "Segmentation" / f"{split_name}.txt").is_file():
            raise UserError(
                f"{dataset}: expected a split of {', '.join(COUNTS[dataset])}, or a list in "
                f"{root / 'ImageSets/Segmentation'}; got {split_name}"
            )
        return voc.pairs(root, split_name)
    split = SPLITS[split_name]
    ids = split.ids(lists)
    check_count(f"{dataset}, {split_name}", len(ids), COUNTS[dataset][split_name])
    if split_name == "seg11valid" and "sbd" in roots:
        _check_seg11valid(dataset, roots, lists)
    first, _, second = split.labels.partition(", ")
    owned = _owned(lists, first) if second else ids
    makers = {"voc": voc.pair, "sbd": sbd.pair}
    owners = {name: first if name in owned else second for name in sorted(ids)}
    pairs = [makers[owner](_root(dataset, roots, owner), name) for name, owner in owners.items()]
    return complete(pairs, f"{dataset}, {split_name},")


def _owned(lists: Lists, owner: str) -> frozenset[str]:
    return (
        lists("train") | lists("val") if owner == "voc" else lists("sbd_train") | lists("sbd_val")
    )


def _check_seg11valid(dataset: str, roots: Mapping[str, Path], lists: Lists) -> None:
    """Where both lists are there, seg11valid must be what its definition says."""
    known = lists("seg11valid")
    if dataset == "voc2011" and ("lists" in roots or not _has_lists_of_2012(roots)):
        wrong = (lists("val") - lists("sbd_train")) ^ known
    else:  # VOC2012's val has more images
        wrong = known - (
            frozenset(voc.ids(_root(dataset, roots, "voc"), "val")) - lists("sbd_train")
        )
    if wrong:
        raise UserError(
            "seg11valid should be VOC2011's val without SBD's train, but these lists disagree on "
            f"{len(wrong)} images: {enumeration(sorted(wrong))}. Are both archives the right ones?"
        )
