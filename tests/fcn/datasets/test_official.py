"""VOC2011, VOC2012 and SBD: every split by its count, on lists made up to their sizes and on the
real ones.
"""

import shutil
from pathlib import Path

import pytest

from fcn.datasets import DatasetSpec, catalog, official
from fcn.datasets.pairs import read_ids
from fcn.errors import UserError

LISTS = Path(official.__file__).parent
SEG11VALID = read_ids(LISTS / "seg11valid.txt")


def invented(kind, count):
    return [f"{kind}_{n:06d}" for n in range(count)]


ADDED = invented("a", 690)
OLD_TRAIN, OLD_VAL = invented("t", 1112), [*SEG11VALID, *invented("v", 375)]


def fill(root, folders, names):
    for folder, suffix in folders:
        (root / folder).mkdir(parents=True, exist_ok=True)
        for name in names:
            (root / folder / f"{name}{suffix}").touch()


def write_lists(folder, lists):
    folder.mkdir(parents=True, exist_ok=True)
    for name, ids in lists.items():
        (folder / f"{name}.txt").write_text("".join(f"{i}\n" for i in sorted(ids)))


def write_archives(folder, train, val, sbd_train, sbd_val):
    """VOC2012's and SBD's archives with empty files."""
    voc, sbd = folder / "VOCdevkit" / "VOC2012", folder / "benchmark_RELEASE" / "dataset"
    write_lists(voc / "ImageSets" / "Segmentation", {"train": train, "val": val})
    fill(voc, (("JPEGImages", ".jpg"), ("SegmentationClass", ".png")), {*train, *val})
    write_lists(sbd, {"train": sbd_train, "val": sbd_val})
    fill(sbd, (("img", ".jpg"), ("cls", ".mat")), {*sbd_train, *sbd_val})
    return {"voc": voc, "sbd": sbd}


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    """Sizes and overlaps are the true ones: 690 images with labels new in 2012, 338 of them in val;
    SBD has 1134 images of VOC2012's train and 1103 of its val, 545 of these in its own train."""
    train, val = [*OLD_TRAIN, *ADDED[338:]], [*OLD_VAL, *ADDED[:338]]
    of_val = [*OLD_VAL[736:], *ADDED[:170]]
    sbd_train = [*of_val, *train[:600], *invented("s", 8498 - 545 - 600)]
    sbd_val = [
        *ADDED[170:338],
        *SEG11VALID[:390],
        *train[600:1134],
        *invented("u", 2857 - 558 - 534),
    ]
    return write_archives(tmp_path_factory.mktemp("official"), train, val, sbd_train, sbd_val)


@pytest.fixture(scope="module")
def with_lists(roots, tmp_path_factory):
    """VOC2012's archive, and VOC2011's lists in a folder of their own."""
    folder = tmp_path_factory.mktemp("lists of 2011")
    write_lists(folder, {"train": OLD_TRAIN, "val": OLD_VAL})
    return {**roots, "lists": folder}


@pytest.fixture
def spoilt(roots, tmp_path):
    """A copy to be spoilt, of the lists only; the files are links to folders."""
    copies = {}
    for key, root in roots.items():
        copies[key] = tmp_path / key
        copies[key].mkdir()
        for path in root.iterdir():
            if path.name in ("ImageSets",):
                shutil.copytree(path, copies[key] / path.name)
            elif path.suffix == ".txt":
                shutil.copy(path, copies[key] / path.name)
            else:
                (copies[key] / path.name).symlink_to(path)
    return copies


def load(dataset, roots, train, val):
    return catalog.load(dataset, DatasetSpec(roots, (), train, val, 0))


def ids(pairs):
    return [pair.id for pair in pairs]


@pytest.mark.parametrize(
    ("dataset", "train", "val", "sizes"),
    [
        ("voc2012", "train", "val", (1464, 1449)),
        ("voc2012", "train_aug", "val", (10582, 1449)),
        ("voc2012", "rv_voc12_train", "rv_voc12", (11127, 904)),
        ("voc2012", "sbd_train", "rv_voc12", (8498, 904)),
        ("voc2012", "sbd_train", "sbd_val", (8498, 2857)),
        ("voc2012", "sbd_train", "seg11valid", (8498, 736)),
        ("voc2011", "sbd_train", "seg11valid", (8498, 736)),
        ("voc2011", "train", "val", (1112, 1111)),
        ("voc2011", "train", "seg11valid", (1112, 736)),
    ],
)
def test_official_splits_have_their_counts_and_share_nothing(
    roots, with_lists, dataset, train, val, sizes
):
    listing = load(
        dataset, with_lists if dataset == "voc2011" and train == "train" else roots, train, val
    )
    assert (len(listing.splits["train"]), len(listing.splits["val"])) == sizes
    assert len(listing.classes) == 21
    assert not set(ids(listing.splits["train"])) & set(ids(listing.splits["val"]))


@pytest.mark.parametrize(("name", "count"), [("trainval", 2913), ("trainval_aug", 12031)])
def test_sets_without_a_validation_set(roots, name, count):
    """They leak into every val, so they are looked at alone."""
    lists = official._lists("voc2012", roots)
    assert len(official._pairs("voc2012", roots, lists, name)) == count
    with pytest.raises(
        UserError,
        match=rf"the training set \({count} images\) and the validation set \(1449\) share 1449: ",
    ):
        load("voc2012", roots, name, "val")


def test_sbds_train_and_vocs_val_leak(roots, with_lists):
    with pytest.raises(
        UserError,
        match=r"share 545: .* and 535 more\. Scores on images that were trained on mean nothing",
    ):
        load("voc2012", roots, "sbd_train", "val")
    with pytest.raises(UserError, match="share 375: "):
        load("voc2011", with_lists, "sbd_train", "val")


def test_train_aug_has_vocs_label_where_voc_has_one(roots):
    listing = load("voc2012", roots, "train_aug", "val")
    voc = [pair for pair in listing.splits["train"] if pair.encoding == "indices"]
    assert ids(voc) == read_ids(roots["voc"] / "ImageSets" / "Segmentation" / "train.txt")
    assert {pair.label.parent for pair in voc} == {roots["voc"] / "SegmentationClass"}
    assert {pair.image.parent for pair in voc} == {roots["voc"] / "JPEGImages"}
    others = [pair for pair in listing.splits["train"] if pair.encoding != "indices"]
    assert {(pair.encoding, pair.label.parent, pair.image.parent) for pair in others} == {
        ("sbd", roots["sbd"] / "cls", roots["sbd"] / "img")
    }
    assert listing.notes == ("train: 9118 of 10582 labels are SBD's, which have no void border",)


def test_rv_voc12_trains_on_sbds_label_where_sbd_has_one(roots):
    listing = load("voc2012", roots, "rv_voc12_train", "rv_voc12")
    # all of SBD that is not in rv_voc12
    assert sum(pair.encoding == "sbd" for pair in listing.splits["train"]) == 11355 - 558
    assert {pair.encoding for pair in listing.splits["val"]} == {"indices"}


def test_voc2011_from_vocs_own_archive_and_from_2012s(roots, with_lists, spoilt):
    rebuilt = load("voc2011", with_lists, "train", "val")
    assert rebuilt.notes[-1].startswith("VOC2011's images from VOC2012's archive")
    assert (set(ids(rebuilt.splits["train"])), set(ids(rebuilt.splits["val"]))) == (
        set(OLD_TRAIN),
        set(OLD_VAL),
    )
    write_lists(spoilt["voc"] / "ImageSets" / "Segmentation", {"train": OLD_TRAIN, "val": OLD_VAL})
    own = load("voc2011", spoilt, "train", "val")
    assert ids(own.splits["train"]) == ids(rebuilt.splits["train"])
    assert ids(own.splits["val"]) == ids(rebuilt.splits["val"])
    assert own.notes == ()
    with pytest.raises(
        UserError,
        match=r"train\.txt, voc2012: expected 1464 images, the list has 1112: is the archive "
        r"complete",
    ):
        load("voc2012", spoilt, "train", "val")


def test_vocs_lists_of_2012_are_not_taken_for_those_of_2011(roots):
    with pytest.raises(
        UserError, match="is VOC2012, whose list train has images that VOC2011's has not"
    ) as error:
        load("voc2011", roots, "train", "val")
    assert "as the archive `lists`" in str(error.value)
    assert (
        load("voc2011", roots, "sbd_train", "seg11valid")
        .notes[-1]
        .startswith("VOC2011's images from VOC2012's archive")
    )


@pytest.mark.parametrize(
    ("key", "name", "split", "words"),
    [
        (
            "voc",
            "ImageSets/Segmentation/train.txt",
            "train",
            "expected 1464 images, the list has 1463",
        ),
        (
            "voc",
            "ImageSets/Segmentation/train.txt",
            "train_aug",
            "expected 1464 images, the list has 1463",
        ),
        ("sbd", "train.txt", "sbd_train", "expected 8498 images, the list has 8497"),
        ("sbd", "val.txt", "train_aug", "expected 2857 images, the list has 2856"),
    ],
)
def test_a_list_that_is_one_short(spoilt, key, name, split, words):
    path = spoilt[key] / name
    path.write_text(path.read_text().partition("\n")[2])
    with pytest.raises(UserError, match=words) as error:
        load("voc2012", spoilt, split, "val")
    assert str(path) in str(error.value)


def test_lists_of_the_right_length_that_do_not_fit_together(spoilt, with_lists):
    path = spoilt["sbd"] / "train.txt"
    right = path.read_text()
    path.write_text(right.replace("v_000001\n", f"{SEG11VALID[0]}\n"))
    with pytest.raises(
        UserError,
        match=rf"disagree on 1 images: {SEG11VALID[0]}\. Are both archives the right ones",
    ):
        load("voc2011", spoilt, "sbd_train", "seg11valid")
    path.write_text(right.replace("v_000000\n", "t_001000\n"))
    with pytest.raises(
        UserError, match=r"disagree on 1 images: v_000000\. Are both archives the right ones"
    ):
        load("voc2011", {**spoilt, "lists": with_lists["lists"]}, "sbd_train", "seg11valid")
    with pytest.raises(
        UserError, match="voc2012, rv_voc12_train: expected 11127 images, the list has 11126"
    ):
        load("voc2012", spoilt, "rv_voc12_train", "rv_voc12")


def test_a_missing_label_is_named(spoilt, roots):
    (spoilt["sbd"] / "cls").unlink()
    fill(
        spoilt["sbd"],
        (("cls", ".mat"),),
        [path.stem for path in (roots["sbd"] / "cls").iterdir() if path.stem != "s_000003"],
    )
    with pytest.raises(
        UserError,
        match=r"voc2012, sbd_train, lists images that are not there: .*cls/s_000003\.mat\. "
        r"Is the arch",
    ):
        load("voc2012", spoilt, "sbd_train", "rv_voc12")


@pytest.mark.parametrize("split", ["sbd_train", "train_aug", "rv_voc12_train"])
def test_without_sbd_its_splits_cannot_be_had(roots, split):
    with pytest.raises(
        UserError,
        match=r"records\.roots: these splits of voc2012 need the archive `sbd`: .*sbd: "
        r"benchmark_REL",
    ):
        load("voc2012", {"voc": roots["voc"]}, split, "val")


def test_seg11valid_needs_voc_alone(roots):
    assert (
        ids(load("voc2012", {"voc": roots["voc"]}, "train", "seg11valid").splits["val"])
        == SEG11VALID
    )
    with pytest.raises(UserError, match="need the archive `voc`"):
        load("voc2011", {"sbd": roots["sbd"]}, "sbd_train", "seg11valid")


@pytest.mark.parametrize("dataset", ["voc2011", "voc2012"])
@pytest.mark.parametrize("splits", [("test", "val"), ("train", "test")])
def test_the_test_set_has_no_labels(with_lists, dataset, splits):
    roots = with_lists if dataset == "voc2011" else {key: with_lists[key] for key in ("voc", "sbd")}
    with pytest.raises(UserError, match="the labels of the test images are not public"):
        load(dataset, roots, *splits)


def test_an_unknown_split_is_answered_with_the_known_ones(roots):
    with pytest.raises(
        UserError,
        match=r"voc2011: expected a split of train, val, trainval, sbd_train, .*seg11valid, "
        r"or a list in",
    ):
        load("voc2011", roots, "train_aug", "val")


def test_a_list_of_ones_own_is_not_counted(spoilt):
    (spoilt["voc"] / "ImageSets" / "Segmentation" / "mine.txt").write_text("t_000001\nt_000000\n")
    assert ids(load("voc2012", spoilt, "mine", "val").splits["train"]) == ["t_000001", "t_000000"]


def test_other_class_names_must_be_as_many(roots):
    names = tuple(f"class {n}" for n in range(21))
    assert catalog.load("voc2012", DatasetSpec(roots, names, "train", "val", 0)).classes == names
    with pytest.raises(
        UserError, match=r"records\.classes: 20 names, but the data set `voc2012` has 21 classes"
    ):
        catalog.load("voc2012", DatasetSpec(roots, names[:20], "train", "val", 0))


def test_images_to_predict(tmp_path):
    names = ["p_000000", "p_000001"]
    write_lists(tmp_path / "ImageSets" / "Segmentation", {"test": names})
    fill(tmp_path, (("JPEGImages", ".jpg"),), names)
    images, ids = tmp_path / "JPEGImages", tmp_path / "ImageSets" / "Segmentation" / "test.txt"
    assert official.to_predict(images, ids) == [(name, images / f"{name}.jpg") for name in names]
    (images / "p_000001.jpg").unlink()
    with pytest.raises(
        UserError, match=r"not there: .*p_000001\.jpg\. VOC's test images have their own archive"
    ):
        official.to_predict(images, ids)
    ids.unlink()
    with pytest.raises(UserError, match=r"test\.txt: there is no such list"):
        official.to_predict(images, ids)


def test_the_committed_list():
    assert len(SEG11VALID) == 736
    assert sorted(SEG11VALID) == SEG11VALID


@pytest.fixture(scope="module")
def real(realdata):
    """Real lists: by name, sets of ids. Of SBD only the union is there (its train_noval and val of
    Hariharan's SDS).
    """
    folder = realdata / "splits"
    lists = {
        name: set(read_ids(folder / "voc2012" / f"{name}.txt"))
        for name in ("train", "val", "test", "train_aug")
    }
    lists["seg11valid"] = set(read_ids(folder / "fcn" / "seg11valid.txt"))
    lists["sbd"] = set(read_ids(folder / "sds" / "train.txt")) | set(
        read_ids(folder / "sds" / "val.txt")
    )
    return lists


@pytest.mark.realdata
def test_real_lists_have_the_official_counts(real):
    sizes = {name: len(ids) for name, ids in real.items()}
    assert sizes == {
        "train": 1464,
        "val": 1449,
        "test": 1456,
        "train_aug": 10582,
        "seg11valid": 736,
        "sbd": 8498 + 2857,
    }
    assert not real["train"] & real["val"]
    assert not (real["train"] | real["val"]) & real["test"]
    assert not real["sbd"] & real["test"]
    assert not real["train_aug"] & real["val"]
    assert real["seg11valid"] < real["val"]
    assert set(SEG11VALID) == real["seg11valid"]


@pytest.mark.realdata
def test_real_train_aug_is_what_the_rule_gives(real, tmp_path):
    """Which of SBD's images are in its train is unknown here, and has no part in train_aug: any
    division of 8498 that fits.
    """
    in_train = set(sorted((real["val"] & real["sbd"]) - real["seg11valid"])[:545])
    in_train |= set(sorted(real["sbd"] - real["val"])[: 8498 - len(in_train)])
    roots = write_archives(tmp_path, real["train"], real["val"], in_train, real["sbd"] - in_train)
    assert set(ids(load("voc2012", roots, "train_aug", "val").splits["train"])) == real["train_aug"]
    assert len(load("voc2012", roots, "rv_voc12_train", "rv_voc12").splits["train"]) == 11127
    assert (
        set(ids(load("voc2011", roots, "sbd_train", "seg11valid").splits["val"]))
        == real["seg11valid"]
    )
