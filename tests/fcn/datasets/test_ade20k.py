"""ADE20K: its table of classes, its official folders, and parts of it."""

import pytest

from fcn.datasets import DatasetSpec, ade20k, catalog
from fcn.datasets.pairs import Pair
from fcn.errors import UserError


def table(rows):
    return "Idx\tRatio\tTrain\tVal\tName\n" + "".join(
        f"{n}\t0.1\t10\t1\t{name}\n" for n, name in enumerate(rows, 1)
    )


NAMES = ["wall", "building, edifice", "sky", *(f"thing {n}, object {n}" for n in range(4, 151))]


def touch(root, folder, names):
    for part, suffix in (("images", ".jpg"), ("annotations", ".png")):
        (root / part / folder).mkdir(parents=True, exist_ok=True)
        for name in names:
            (root / part / folder / f"{name}{suffix}").touch()


@pytest.fixture
def part(tmp_path):
    """Ten pairs side by side."""
    root = tmp_path / "ade20k"
    touch(root, "", [f"ADE_val_{n:08d}" for n in range(10)])
    (root / "objectInfo150.txt").write_text(table(NAMES))
    return root


@pytest.fixture(scope="module")
def official(tmp_path_factory):
    """The official archive with empty files."""
    root = tmp_path_factory.mktemp("ade") / "ADEChallengeData2016"
    touch(root, "training", [f"ADE_train_{n:08d}" for n in range(1, 20211)])
    touch(root, "validation", [f"ADE_val_{n:08d}" for n in range(1, 2001)])
    (root / "objectInfo150.txt").write_text(table(NAMES))
    return root


def load(root, train, val, classes=()):
    return catalog.load("ade20k", DatasetSpec({"ade20k": root}, classes, train, val, 1))


def test_the_official_archive(official):
    listing = load(official, "training", "validation")
    assert (len(listing.splits["train"]), len(listing.splits["val"])) == (20210, 2000)
    assert listing.splits["train"][1] == Pair(
        "ADE_train_00000002",
        official / "images" / "training" / "ADE_train_00000002.jpg",
        official / "annotations" / "training" / "ADE_train_00000002.png",
        "ade20k",
    )
    assert (len(listing.classes), listing.classes[:2], listing.classes[149]) == (
        150,
        ("wall", "building"),
        "thing 150",
    )


@pytest.mark.parametrize(
    ("folder", "name", "words"),
    [
        ("training", "train", "20210 images, the list has 20209"),
        ("validation", "val", "2000 images, the list has 1999"),
    ],
)
def test_one_image_short(official, folder, name, words):
    path = official / "images" / folder / f"ADE_{name}_00000007.jpg"
    path.unlink()
    try:
        with pytest.raises(
            UserError, match=f"images/{folder}: expected {words}: is the archive complete"
        ):
            load(official, "training", "validation")
    finally:
        path.touch()


def test_one_annotation_short(official):
    path = official / "annotations" / "validation" / "ADE_val_00000007.png"
    path.unlink()
    try:
        with pytest.raises(UserError, match=r"1 names have no label in .*: ADE_val_00000007$"):
            load(official, "training", "validation")
    finally:
        path.touch()


def test_a_share_of_the_official_archive(official):
    listing = load(official, "1%", "0.5%")
    assert (len(listing.splits["train"]), len(listing.splits["val"])) == (222, 111)


def test_a_part_of_it_in_shares(part):
    listing = load(part, "70%", "30%")
    assert (len(listing.splits["train"]), len(listing.splits["val"])) == (7, 3)
    assert {pair.encoding for pairs in listing.splits.values() for pair in pairs} == {"ade20k"}


def test_a_part_of_it_by_lists(part):
    (part / "train.txt").write_text("ADE_val_00000003\nADE_val_00000001\n")
    (part / "val.txt").write_text("ADE_val_00000004\n")
    assert [pair.id for pair in load(part, "train", "val").splits["train"]] == [
        "ADE_val_00000003",
        "ADE_val_00000001",
    ]


def test_a_part_of_it_is_not_the_whole(part):
    with pytest.raises(UserError, match="images/training: expected 20210 images, the list has 0"):
        load(part, "training", "validation")


def test_a_name_twice_gets_its_number(part):
    (part / "objectInfo150.txt").write_text(
        table(["screen, silver screen", *NAMES[1:149], "screen, CRT screen"])
    )
    names = ade20k.names(part)
    assert (names[0], names[149], len(set(names))) == ("screen", "screen (150)", 150)


@pytest.mark.parametrize(
    "text",
    [
        table(NAMES[:149]),
        table(NAMES).replace("Name", "Label"),
        table(NAMES).replace("\n7\t", "\n8\t"),
        "Name\n",
        "<html>",
    ],
)
def test_another_table(part, text):
    (part / "objectInfo150.txt").write_text(text)
    with pytest.raises(
        UserError,
        match=r"objectInfo150\.txt: expected a table with a column Name and the lines 1 to "
        r"150, got",
    ):
        load(part, "70%", "30%")


def test_no_table(part):
    (part / "objectInfo150.txt").unlink()
    with pytest.raises(UserError, match=r"objectInfo150\.txt: no such table of the classes"):
        load(part, "70%", "30%")


def test_other_class_names_must_be_150(part):
    assert load(part, "70%", "30%", tuple(map(str, range(150)))).classes[149] == "149"
    with pytest.raises(
        UserError, match=r"records\.classes: 3 names, but .*objectInfo150\.txt has 150 classes"
    ):
        load(part, "70%", "30%", ("a", "b", "c"))


@pytest.mark.realdata
def test_real_pairs(realdata):
    listing = load(realdata / "ade20k", "80%", "20%")
    assert (len(listing.splits["train"]), len(listing.splits["val"])) == (14, 3)
    assert listing.classes[:3] == ("wall", "building", "sky")
    assert (listing.classes[43], listing.classes[149], len(set(listing.classes))) == (
        "signboard",
        "flag",
        150,
    )
