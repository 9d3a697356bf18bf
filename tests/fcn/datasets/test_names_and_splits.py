"""Names, lists and folders as people have them: nothing is paired wrongly, and what is kept apart
stays apart.
"""

import unicodedata

import pytest
from label_folders import NAMES, photograph, truth, voc, write_folder
from PIL import Image

from fcn import doctor
from fcn.datasets import DatasetSpec, folder, names
from fcn.datasets.splits import listed
from fcn.errors import UserError
from fcn.pixels import images


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("a", "a"),
        ("a", "a_mask"),
        ("a", "a-seg"),
        ("a", "a_label"),
        ("image_001", "mask_001"),
        ("image001", "mask001"),
        ("x_leftImg8bit", "x_gtFine_labelIds"),
        ("a", "a.jpg"),
        (unicodedata.normalize("NFC", "caf\xe9"), unicodedata.normalize("NFD", "caf\xe9")),
        (unicodedata.normalize("NFD", "caf\xe9"), unicodedata.normalize("NFC", "caf\xe9_mask")),
    ],
)
def test_a_label_belongs_to_its_image(image, label):
    assert names.matched([image, "other"], [label, "another"]) == {image: label}


def test_what_could_belong_to_several_is_left_out():
    assert names.matched(["a_image", "a_photo"], ["a_mask"]) == {}
    assert names.matched(["a"], ["a_mask", "a_label"]) == {}
    assert names.matched(["a", "a_image"], ["a", "a_mask"]) == {"a": "a", "a_image": "a_mask"}


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("a", "a"), ("a.jpg", "a"), ("images/a.JPG", "a"), ("/SegNet/train/a.png "
                                                            "/SegNet/trainannot/a_mask.png", "a"),
        ("a.jpg,a_mask.png", "a"), ("a\ta_mask", "a"), ("photo 1", "photo 1"), ("photo 1.jpg",
        "photo 1"),
        ("b/1", "b/1"), ("x\\b\\1.png", "b/1"), ("caf\xe9.png", "cafe\u0301"), ("zebra", "zebra"),
    ],
)  # fmt: skip
def test_a_line_of_a_list(tmp_path, line, found):
    known = {"a": "a_mask", "photo 1": "photo 1", "b/1": "1", "c/1": "1", "cafe\u0301": "x"}
    (tmp_path / "train.txt").write_bytes(f"\r\n{line}\r\n".encode())
    assert listed(tmp_path / "train.txt", known) == [found]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a.jpg b.png\n", "the label of a is a_mask by its name"),
        ("a\nA/a.jpg\n", "listed more than once: a"),
        ("", "is empty"),
    ],
)
def test_a_list_that_does_not_do(tmp_path, text, words):
    (tmp_path / "train.txt").write_text(text)
    with pytest.raises(UserError, match=words):
        listed(tmp_path / "train.txt", {"a": "a_mask", "b": "b"})


@pytest.mark.parametrize("layout", ["images/{}", "{}/images"])
@pytest.mark.parametrize(
    ("train", "val"), [("train", "valid"), ("Train", "Validation"), ("training", "val")]
)
def test_folders_that_are_kept_apart_stay_apart(tmp_path, layout, train, val):
    for number, split in enumerate((train, train, val, "test")):
        for kind in ("images", "masks"):
            place = tmp_path / layout.format(split).replace("images", kind)
            place.mkdir(parents=True, exist_ok=True)
            picture = photograph(number) if kind == "images" else voc(truth(number))
            picture.save(place / f"p{number}.PNG")
    (tmp_path / "classes.txt").write_text("\n".join(NAMES))
    for asked in (("80%", "20%"), ("train", "val")):
        listing = folder.load(DatasetSpec({"folder": tmp_path}, (), *asked, 0))
        ids = {split: [pair.id for pair in pairs] for split, pairs in listing.splits.items()}
        assert ids == {"train": ["p0", "p1"], "val": ["p2"]}
    assert (
        folder.load(DatasetSpec({"folder": tmp_path}, (), "train", "test", 0)).splits["val"][0].id
        == "p3"
    )


@pytest.mark.parametrize("layout", ["images/{}", "{}/images"])
def test_the_same_names_in_folders_that_are_kept_apart(tmp_path, layout):
    """Both number their pictures from 0 on."""
    for number, split in enumerate(("train", "train", "valid", "valid")):
        for kind in ("images", "masks"):
            place = tmp_path / layout.format(split).replace("images", kind)
            place.mkdir(parents=True, exist_ok=True)
            picture = photograph(number) if kind == "images" else voc(truth(number))
            picture.save(place / f"{number % 2}.png")
    (tmp_path / "classes.txt").write_text("\n".join(NAMES))
    listing = folder.load(DatasetSpec({"folder": tmp_path}, (), "80%", "20%", 0))
    found = {
        split: [(pair.image.parent, pair.label.parent, pair.image.stem) for pair in pairs]
        for split, pairs in listing.splits.items()
    }
    for split, name in (("train", "train"), ("val", "valid")):
        images = tmp_path / layout.format(name)
        masks = tmp_path / layout.format(name).replace("images", "masks")
        assert found[split] == [(images, masks, "0"), (images, masks, "1")]
    diagnosis = doctor.examine(tmp_path)
    assert (diagnosis.files, diagnosis.findings) == ({"images": 4, "labels": 4}, ())


def test_lists_that_are_there_are_not_passed_over_for_shares(tmp_path):
    root = write_folder(tmp_path / "own", voc, classes=NAMES)
    (root / "train.txt").write_text("p01\n")
    (root / "val.txt").write_text("p02.jpg\n")
    listing = folder.load(DatasetSpec({"folder": root}, (), "80%", "20%", 0))
    assert [[pair.id for pair in listing.splits[split]] for split in ("train", "val")] == [
        ["p01"],
        ["p02"],
    ]
    assert listing.notes == (
        "records.train: 80%, records.val: 20%: no share is drawn, since own has the lists "
        "train.txt and val.txt",
    )


def test_a_telephone_s_picture_is_read(tmp_path):
    Image.new("RGB", (64, 32), (200, 40, 40)).save(tmp_path / "a.heic")
    found = images.read(tmp_path / "a.heic")
    assert found.shape == (32, 64, 3)
    assert abs(found.astype(int) - [200, 40, 40]).max() < 8
