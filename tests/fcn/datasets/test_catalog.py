"""Data sets by name, and what all of them have in common."""

import tarfile
from pathlib import Path

import pytest
from tiny import CLASSES

from fcn.datasets import DatasetSpec, catalog, sets
from fcn.datasets.pairs import Listing, Pair, leaks, read_ids
from fcn.errors import UserError, enumeration
from fcn.io import contents
from fcn.io.contents import folders


def in_files():
    return sorted(path.stem for path in Path(sets.__file__).parent.glob("[!_]*.py"))


def test_every_data_set_says_what_is_read_of_its_archives():
    named = ["voc", "voc2011", "voc2012", "ade20k", "folder"]
    assert list(catalog.DATASETS) == [*named, *in_files()]
    assert list(contents.FOLDERS) == named
    assert folders("voc2012", "voc") == (
        "ImageSets/Segmentation",
        "JPEGImages",
        "SegmentationClass",
    )
    assert folders("voc2011", "sbd") == ("train.txt", "val.txt", "img", "cls")
    assert folders("camvid", "camvid") == (".",)
    with pytest.raises(
        UserError, match="the data set ade20k is made of the archives ade20k; it has no `voc`"
    ):
        folders("ade20k", "voc")


def test_vocs_layout_with_any_lists(world):
    listing = catalog.load("voc", DatasetSpec({"voc": world}, CLASSES, "train", "val", 1))
    assert listing == Listing(CLASSES, listing.splits)
    assert [pair.id for pair in listing.splits["val"]] == ["x", "v", "w"]
    assert {pair.encoding for pair in listing.splits["train"]} == {"indices"}
    unnamed = catalog.load("voc", DatasetSpec({"voc": world}, (), "train", "val", 1))
    assert (len(unnamed.classes), unnamed.classes[:2], unnamed.classes[20]) == (
        21,
        ("background", "aeroplane"),
        "tvmonitor",
    )
    assert unnamed.notes == (
        "records.classes is empty, so the values are taken for VOC's 21 classes",
    )


def test_a_training_set_to_validate_on(world):
    with pytest.raises(
        UserError,
        match=r"the training set \(5 images\) and the validation set \(5\) share 5: a, b, c, "
        r"d, e\. Scor",
    ):
        catalog.load("voc", DatasetSpec({"voc": world}, CLASSES, "train", "train", 1))


def test_roots_that_do_not_do(world):
    with pytest.raises(
        UserError,
        match=r"records\.roots: voc: .*Wrold is no folder; .* holds World\. Expected: the "
        r"folder inside",
    ):
        catalog.load(
            "voc", DatasetSpec({"voc": world.parent / "Wrold"}, CLASSES, "train", "val", 1)
        )
    with pytest.raises(
        UserError, match="the data set voc is made of the archives voc; it has no `sbd`"
    ):
        catalog.load("voc", DatasetSpec({"voc": world, "sbd": world}, CLASSES, "train", "val", 1))
    with pytest.raises(
        UserError, match=r"records\.roots: empty; expected the folder of voc or sbd"
    ):
        catalog.load("voc2012", DatasetSpec({}, (), "train", "val", 1))
    with pytest.raises(UserError, match=r"records\.dataset: expected one of .*, camvid; got coco"):
        catalog.load("coco", DatasetSpec({"voc": world}, CLASSES, "train", "val", 1))


def test_leaks_counts_and_names_what_is_shared(tmp_path):
    pairs = [Pair(f"n{n:02d}", tmp_path, tmp_path) for n in range(30)]
    leaks(pairs[:20], pairs[20:])
    other = [Pair(pair.id, tmp_path / "elsewhere", tmp_path, "sbd") for pair in pairs]
    with pytest.raises(
        UserError,
        match=r"\(20 images\) and the validation set \(22\) share 12: n08, n09, .*, n17 and "
        r"2 more\. ",
    ):
        leaks(pairs[:20], other[8:])


def test_lists(tmp_path):
    path = tmp_path / "list.txt"
    path.write_bytes(b"\xef\xbb\xbfb\r\n\r\n a b \r\n")
    assert read_ids(path, 2) == ["b", "a b"]
    with pytest.raises(
        UserError,
        match=r"list\.txt: expected 3 images, the list has 2: is the archive complete and "
        r"the right one",
    ):
        read_ids(path, 3)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(
        UserError, match=r"list\.txt: expected a text with an id per line, but it is no UTF-8 text"
    ):
        read_ids(path)
    with pytest.raises(UserError, match=r"none\.txt: there is no such list"):
        read_ids(tmp_path / "none.txt")


def test_enumeration():
    assert enumeration(["a", "b"]) == "a, b"
    assert enumeration(list(range(12))) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"


@pytest.mark.realdata
def test_real_voc_pairs(realdata, tmp_path):
    with tarfile.open(realdata / "VOC2012-subset.tar") as tar:
        tar.extractall(tmp_path, filter="data")
    root = tmp_path / "VOCdevkit" / "VOC2012"
    listing = catalog.load(
        "voc", DatasetSpec({"voc": root}, tuple(map(str, range(21))), "train", "val", 1)
    )
    assert (len(listing.splits["train"]), len(listing.splits["val"])) == (99, 94)
    with pytest.raises(
        UserError, match=r"train\.txt, voc2012: expected 1464 images, the list has 99"
    ):
        catalog.load("voc2012", DatasetSpec({"voc": root}, (), "train", "val", 1))
