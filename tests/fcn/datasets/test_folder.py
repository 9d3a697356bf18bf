"""A user's folder: classes, pairs by name, lists and shares."""

import numpy as np
import pytest
from PIL import Image

from fcn.datasets import DatasetSpec, catalog, folder, stems
from fcn.datasets.pairs import Pair
from fcn.errors import UserError
from fcn.pixels import labels

STEMS = tuple("abcdefghij")


@pytest.fixture
def root(tmp_path):
    """Ten images of one kind or another with masks of colours."""
    for name in ("images", "masks"):
        (tmp_path / "mine" / name).mkdir(parents=True)
    for stem, suffix in zip(
        STEMS,
        (".jpg", ".png", ".JPG", ".jpeg", ".webp", ".bmp", ".tif", ".jpg", ".jpg", ".png"),
        strict=True,
    ):
        Image.new("RGB", (4, 3)).save(tmp_path / "mine" / "images" / f"{stem}{suffix}")
        mask = np.zeros((3, 4, 3), np.uint8)
        mask[1, 2] = 255, 0, 0
        Image.fromarray(mask).save(tmp_path / "mine" / "masks" / f"{stem}.png")
    (tmp_path / "mine" / "classes.txt").write_text("background #000000\ntraffic light #FF0000\n")
    return tmp_path / "mine"


def load(root, train="80%", val="20%", classes=(), seed=1):
    return catalog.load("folder", DatasetSpec({"folder": root}, classes, train, val, seed))


def message(root, *arguments, **options):
    with pytest.raises(UserError) as error:
        load(root, *arguments, **options)
    return str(error.value)


def ids(listing):
    return {purpose: [pair.id for pair in pairs] for purpose, pairs in listing.splits.items()}


def test_masks_of_colours(root):
    listing = load(root)
    assert listing.classes == ("background", "traffic light")
    assert listing.colours == ((0, 0, 0), (255, 0, 0))
    assert {pair.encoding for pairs in listing.splits.values() for pair in pairs} == {"colours"}
    pair = next(pair for pair in listing.splits["train"] + listing.splits["val"] if pair.id == "c")
    assert pair == Pair("c", root / "images" / "c.JPG", root / "masks" / "c.png", "colours")
    found = labels.read(pair.label, len(listing.classes), (4, 3), pair.encoding, listing.colours)
    np.testing.assert_array_equal(found, [[0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]])


def test_masks_of_values(root):
    (root / "classes.txt").write_bytes(b"\xef\xbb\xbfbackground\r\n\r\n traffic light \r\n")
    listing = load(root)
    assert (listing.classes, listing.colours) == (("background", "traffic light"), ())
    assert {pair.encoding for pairs in listing.splits.values() for pair in pairs} == {"indices"}


def test_classes_of_the_parameters(root):
    assert load(root, classes=("nothing", "lamp")).classes == ("nothing", "lamp")
    assert message(root, classes=("a", "b", "c")).startswith(
        f"records.classes: 3 names, but {root / 'classes.txt'} has 2 classes"
    )
    (root / "classes.txt").unlink()
    assert load(root, classes=("nothing", "lamp")).colours == ()
    assert message(root).startswith(
        f"records.classes: no names, and {root / 'classes.txt'} has none"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "expected 2 to 255 classes, one per line, got 0"),
        ("cat\n", "expected 2 to 255 classes, one per line, got 1"),
        ("a #000000\nb\nc\n", "without a name or a colour are: b, c"),
        ("a #000000\n#ff0000\n", "without a name or a colour are: #ff0000"),
        ("a\nb\na\n", "the same name for more than one class: a"),
        ("a #00ff00\nb #00FF00\n", "the same colour for more than one class: 00ff00"),
        ("a #000000\nb #e0e0c0\n", "b has the colour #e0e0c0, which means void"),
    ],
)
def test_classes_that_do_not_do(root, text, words):
    (root / "classes.txt").write_text(text)
    assert words in message(root)
    assert message(root).startswith(str(root / "classes.txt"))


def test_classes_that_are_no_text(root):
    (root / "classes.txt").write_bytes(b"caf\xe9\nb\n")
    assert "it is no UTF-8 text" in message(root)


def test_a_name_may_hold_a_hash(tmp_path):
    (tmp_path / "classes.txt").write_text("no. #1\nno. #2\n")
    assert folder.read_classes(tmp_path / "classes.txt") == (("no. #1", "no. #2"), ())


def test_lists(root):
    (root / "train.txt").write_text("c\na\n")
    (root / "val.txt").write_text("b")
    assert ids(load(root, "train", "val")) == {"train": ["c", "a"], "val": ["b"]}
    (root / "masks" / "j.png").unlink()
    assert len(load(root, "train", "val").splits["train"]) == 2, "j is on no list"


def test_lists_that_do_not_do(root):
    assert message(root, "train", "val").startswith(
        f"{root / 'train.txt'}: no such list. Put it there"
    )
    (root / "train.txt").write_text("a\nb.png\nzebra\n")
    (root / "val.txt").write_text("c\n")
    expected = f"{root / 'train.txt'}: 1 names have no image in {root / 'images'}: zebra"
    assert message(root, "train", "val") == expected
    (root / "train.txt").write_text("a\nb\na\n")
    assert message(root, "train", "val") == f"{root / 'train.txt'}: listed more than once: a"
    (root / "train.txt").write_text("a\nc\n")
    assert ("share 1: c. Scores on images that were trained on mean nothing") in message(
        root, "train", "val"
    )
    (root / "masks" / "a.png").unlink()
    assert message(root, "train", "val") == (
        f"{root / 'train.txt'}: 1 names have no label in {root / 'masks'}: a"
    )


def test_a_list_and_a_share_do_not_mix(root):
    (root / "train.txt").write_text("a\n")
    assert message(root, "train", "20%").startswith(
        "records.train: train, records.val: 20%: expected two lists or two shares"
    )


def test_shares_are_drawn_by_the_seed_and_leave_nothing_out(root):
    first = ids(load(root, seed=1))
    assert (len(first["train"]), len(first["val"])) == (8, 2)
    assert sorted(first["train"] + first["val"]) == list(STEMS)
    assert ids(load(root, seed=1)) == first
    assert ids(load(root, seed=2)) != first


def test_the_order_of_a_seed_is_the_same_everywhere_and_for_ever():
    """As sha256sum orders `1:a` to `1:j`: no library's random numbers decide it."""
    assert stems.draw("abcdefghij", "50%", "50%", 1) == {
        "train": ["i", "d", "g", "a", "j"],
        "val": ["f", "e", "b", "h", "c"],
    }


def test_a_new_image_moves_no_other_one():
    few, more = (stems.draw(names, "50%", "50%", 3) for names in (STEMS, (*STEMS, "k")))
    assert [name for name in more["train"] + more["val"] if name != "k"] == few["train"] + few[
        "val"
    ]


@pytest.mark.parametrize(
    ("count", "train", "val", "sizes"),
    [
        (17, "80%", "20%", (14, 3)),
        (17, "50%", "50%", (9, 8)),
        (3, "33.3%", "66.7%", (1, 2)),
        (10, "10%", "20 %", (1, 2)),
        (2, "50%", "50%", (1, 1)),
        (1000, "99.9%", "0.1%", (999, 1)),
    ],
)
def test_sizes_of_shares(count, train, val, sizes):
    drawn = stems.draw([str(n) for n in range(count)], train, val, 5)
    assert (len(drawn["train"]), len(drawn["val"])) == sizes
    assert not set(drawn["train"]) & set(drawn["val"])


def test_shares_that_do_not_do(root):
    assert message(root, "80%", "20.1%") == (
        "records.train: 80%, records.val: 20.1%: together more than 100 %"
    )
    assert message(root, "96%", "4%").endswith(
        "of 10 images these are 10 and 0, expected at least one each"
    )
    assert message(root, "0%", "50%").endswith(
        "of 10 images these are 0 and 5, expected at least one each"
    )


def test_shares_want_every_image_and_label_to_have_its_partner(root):
    (root / "masks" / "b.png").unlink()
    (root / "masks" / "d.png").unlink()
    text = message(root)
    assert text.startswith(f"{root}: ")
    assert "have no label in" in text
    assert {name for name in STEMS if name in text.rpartition(": ")[2]} <= {"b", "d"}
    for name in ("b", "d", "stray"):
        Image.new("L", (4, 3)).save(root / "masks" / f"{name}.png")
    assert message(root) == f"{root}: 1 labels have no image: stray"


def test_the_same_name_twice(root):
    Image.new("RGB", (4, 3)).save(root / "images" / "a.png")
    (root / "images" / "more").mkdir()
    Image.new("RGB", (4, 3)).save(root / "images" / "more" / "b.png")
    expected = (
        f"{root / 'images'}: the same name more than once: a.jpg, a.png, b.png, "
        "more/b.png. Which label is for which?"
    )
    assert message(root) == expected


def test_what_file_managers_leave_behind_is_no_image(root):
    (root / "images" / "._a.jpg").write_bytes(b"rubbish")
    (root / "images" / "Thumbs.db").write_bytes(b"rubbish")
    (root / "images" / ".cache").mkdir()
    (root / "images" / ".cache" / "z.png").write_bytes(b"rubbish")
    assert len(load(root).splits["train"]) == 8


def test_no_masks_or_masks_of_another_kind(root):
    for path in (root / "masks").iterdir():
        path.rename(path.with_suffix(".jpg"))
    assert message(root) == f"{root / 'masks'}: expected files of the kinds .png, found .jpg"
    (root / "masks").rename(root / "drawn")
    assert message(root) == (
        f"{root / 'masks'}: no such folder; {root} holds classes.txt, drawn, images"
    )
    (root / "masks").mkdir()
    assert message(root).endswith("found no files at all")


@pytest.mark.parametrize("line", ["cat\x1b[31m", "c" * 5000, "c" * 5000 + " #ff0000"])
def test_a_name_that_cannot_be_shown_is_refused_with_a_short_sentence(tmp_path, line):
    (tmp_path / "classes.txt").write_text(f"background\n{line}\n")
    with pytest.raises(
        UserError, match=r"classes\.txt: expected names of at most 200 characters"
    ) as error:
        folder.read_classes(tmp_path / "classes.txt")
    assert len(str(error.value)) < 500
