import pytest

from fcn.datasets import Pair, voc
from fcn.errors import UserError


def lists(root):
    return root / "ImageSets" / "Segmentation"


def message(root, split):
    with pytest.raises(UserError) as error:
        voc.pairs(root, split)
    return str(error.value)


def test_pairs_come_in_the_order_of_the_list(world):
    images, labels = world / "JPEGImages", world / "SegmentationClass"
    assert voc.pairs(world, "val") == [
        Pair(i, images / f"{i}.jpg", labels / f"{i}.png") for i in ("x", "v", "w")
    ]


def test_spaces_and_foreign_line_ends_are_no_part_of_an_id(world):
    (lists(world) / "val.txt").write_bytes(b"x \r\n\r\n v\r\nw")
    assert [pair.id for pair in voc.pairs(world, "val")] == ["x", "v", "w"]


def test_a_split_that_is_not_there_is_answered_with_those_that_are(world):
    path = lists(world) / "trainval.txt"
    assert message(world, "trainval") == f"{path}: no such split; {path.parent} holds: train, val"


def test_a_wrong_root_has_no_lists_at_all(world):
    assert message(world.parent, "train").endswith("holds: no lists at all")


def test_an_empty_list(world):
    (lists(world) / "val.txt").write_text("\n \n")
    assert message(world, "val") == f"{lists(world) / 'val.txt'}: the list is empty"


def test_an_id_listed_twice(world):
    (lists(world) / "val.txt").write_text("x\nv\nw\nx\nv\n")
    assert message(world, "val") == f"{lists(world) / 'val.txt'}: listed more than once: v, x"


def test_all_missing_images_and_labels_are_named(world):
    image, label = world / "JPEGImages" / "v.jpg", world / "SegmentationClass" / "x.png"
    image.unlink()
    label.unlink()
    path = lists(world) / "val.txt"
    assert message(world, "val") == (
        f"{path} lists images that are not there: {label}, {image}. Is the archive complete?"
    )
    assert len(voc.pairs(world, "train")) == 5, "the other split is not concerned"


def test_of_many_missing_files_ten_are_named(world):
    (lists(world) / "val.txt").write_text("".join(f"n{n}\n" for n in range(6)))
    text = message(world, "val")
    assert text.count("/n") == 10
    assert "n4.png and 2 more" in text
