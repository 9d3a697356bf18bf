import csv

import numpy as np
import pytest
from PIL import Image, ImageFont
from tiny import CLASSES, SIZES, scene

from fcn.errors import UserError
from fcn.input import records
from fcn.pixels import visualize
from fcn.records import look

INDEX = {
    "classes": ["background", "cat", "dog"],
    "splits": {
        "train": {
            "images": 4,
            "pixels": {"background": 700, "cat": 300, "dog": 0},
            "images_with": {"background": 4, "cat": 3, "dog": 0},
            "void_pixels": 250,
            "sizes": [[20, 30], [30, 20], [20, 30], [20, 10]],  # (height, width)
        },
        "val": {
            "images": 1,
            "pixels": {"background": 2, "cat": 0, "dog": 1},
            "images_with": {"background": 1, "cat": 0, "dog": 1},
            "void_pixels": 0,
            "sizes": [[1, 3]],
        },
    },
}
GREY = np.full((10, 20, 3), 100, np.uint8)


def rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_shares_are_of_the_labelled_pixels_of_the_split():
    assert list(look.class_rows(INDEX)) == [
        ("background", "train", 4, 700, 0.7), ("background", "val", 1, 2, 0.666667),
        ("cat", "train", 3, 300, 0.3), ("cat", "val", 0, 0, 0.0),
        ("dog", "train", 0, 0, 0.0), ("dog", "val", 1, 1, 0.333333),
    ]  # fmt: skip


def test_sizes_are_counted_as_width_and_height():
    assert list(look.size_rows(INDEX)) == [
        ("train", 10, 20, 1), ("train", 20, 30, 1), ("train", 30, 20, 2), ("val", 3, 1, 1),
    ]  # fmt: skip


def test_the_look_at_the_tiny_world_is_what_the_tiny_world_is(data, tmp_path):
    found = look.run(data, tmp_path / "look", 3)
    assert sorted(path.name for path in (tmp_path / "look").iterdir()) == [
        "classes.csv",
        "contact.png",
        "sizes.csv",
    ]
    for split, names in (("train", "abcde"), ("val", "vwx")):
        labels = np.concatenate([scene(name)[1].reshape(-1) for name in names])
        labelled = labels[labels != 255]
        assert found[split] == {
            "images": len(names), "void": round(float(np.mean(labels == 255)), 6), "absent": []
        }  # fmt: skip
        table = {
            row["class"]: row
            for row in rows(tmp_path / "look" / "classes.csv")
            if row["split"] == split
        }
        assert {name: int(row["pixels"]) for name, row in table.items()} == {
            name: int(np.sum(labelled == value)) for value, name in enumerate(CLASSES)
        }
        assert [float(row["share"]) for row in table.values()] == pytest.approx(
            [np.mean(labelled == value) for value in range(3)], abs=1e-6
        )
        assert {row["images"] for row in table.values()} == {str(len(names))}
        counted = [(int(r["height"]), int(r["width"]),
        int(r["images"])) for r in rows(tmp_path / "look" / "sizes.csv")
                   if r["split"] == split]  # fmt: skip
        assert sorted(size for *size, n in counted for _ in range(n)) == sorted(
            list(SIZES[name]) for name in names
        )


def test_the_same_records_give_the_same_bytes(data, tmp_path):
    seen = []
    for name in ("one", "two"):
        look.run(data, tmp_path / name, 2, lambda done, total: seen.append((done, total)))
    assert seen == [(1, 2), (2, 2)] * 2
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_more_images_than_there_are_is_all_of_them(data, tmp_path):
    seen = []
    look.run(data, tmp_path / "look", 1000, lambda done, total: seen.append((done, total)))
    assert seen == [(n, 5) for n in range(1, 6)]


def test_records_that_are_not_there_leave_nothing(tmp_path):
    with pytest.raises(UserError, match="run the stage `records` again"):
        look.run(tmp_path / "no", tmp_path / "look", 3)
    assert list(tmp_path.iterdir()) == []


def test_the_images_drawn_are_evenly_spread(monkeypatch, tmp_path):
    stored = [(f"{n}", GREY, np.zeros((10, 20), np.uint8)) for n in range(9)]
    monkeypatch.setattr(
        records, "read", lambda folder, split, only: (stored[n] for n in sorted(only))
    )
    for wanted, names in ((1, "0"), (2, "08"), (3, "048"), (9, "012345678")):
        assert "".join(name for name, *_ in look._spread(tmp_path, 9, wanted)) == names


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((480, 360), (240, 180)), ((500, 375), (240, 180)), ((375, 500), (135, 180)), ((1000, 10),
        (240, 2)),
        ((2000, 1), (240, 1)), ((240, 180), (240, 180)), ((121, 91), (121, 91)), ((120, 90), (240,
        180)),
        ((100, 50), (200, 100)),
    ],
)  # fmt: skip
def test_pictures_are_reduced_to_the_box_and_enlarged_by_whole_factors(size, expected):
    width, height = size
    label = (np.arange(height * width, dtype=np.int64).reshape(height, width) % 3 * 100).astype(
        np.uint8
    )
    _, image, small = look._reduced("x", np.zeros((height, width, 3), np.uint8), label)
    assert (image.shape[1::-1], small.shape[::-1]) == (expected, expected)
    assert set(np.unique(small)) <= {0, 100, 200}, "labels are never mixed"


def test_a_sheet_has_the_pictures_in_rows_with_their_labels_painted_over():
    label = np.zeros((10, 20), np.uint8)
    label[:, 10:], label[0, 0] = 1, 255
    sheet = look.contact_sheet(
        [(f"p{n}", GREY, label) for n in range(8)], ["background", "cat", "dog"]
    )
    # Six columns of 20 + 6 and a gap; two rows of 10 + 11 + 12; one line of 20 for the colours, and
    # two gaps.
    assert sheet.size == (6 * 26 + 6, 2 * 33 + 20 + 12)
    for x, y in ((6, 6), (6 + 5 * 26, 6), (6 + 26, 6 + 33)):
        # background is as it was; cat and void are 0.6 of their colour (128, 0, 0), (224, 224, 192)
        # over grey 100
        assert [sheet.getpixel((x + 5, y + 5)), sheet.getpixel((x + 15, y + 5)), sheet.getpixel((x,
        y))] == [
            (100, 100, 100), (117, 40, 40), (174, 174, 155),
        ]  # fmt: skip
    assert sheet.getpixel((6 + 2 * 26 + 5, 6 + 33 + 5)) == (255, 255, 255), (
        "two pictures in the second row"
    )
    key = np.asarray(sheet)[-26:].reshape(-1, 3).tolist()
    assert [128, 0, 0] in key
    assert [224, 224, 192] in key
    assert [0, 128, 0] not in key, "dog is on no picture"
    assert np.any(np.asarray(sheet)[17:28, 6:32] < 255), "the id below the first picture"


def test_a_first_class_that_is_no_background_is_painted_and_explained():
    label = np.zeros((10, 20), np.uint8)
    sheet = look.contact_sheet([("p", GREY, label)], ["wall", "sky"])
    assert sheet.getpixel((10, 10)) == (40, 40, 40)
    key = visualize.legend(["wall", "sky"], [0], 20)
    assert (
        sheet.crop((6, sheet.height - 6 - key.height, 26, sheet.height - 6)).tobytes()
        == key.tobytes()
    )


def test_of_a_long_id_the_end_is_shown():
    font = ImageFont.load_default(11)
    long = "a_folder_with_a_long_name_2007_000032"
    shown = look._fitting(long, font, 80)
    assert long.endswith(shown)
    assert font.getlength(shown) <= 80 < font.getlength(long[-len(shown) - 1 :])
    assert look._fitting("short", font, 80) == "short"


def test_the_picture_is_a_png(data, tmp_path):
    look.run(data, tmp_path / "look", 2)
    with Image.open(tmp_path / "look" / "contact.png") as picture:
        assert (picture.format, picture.mode) == ("PNG", "RGB")
