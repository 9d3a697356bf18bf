"""CamVid, and with it every data set of images and index PNGs, on a made-up one of its layout."""

import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from fcn.datasets import DatasetSpec, catalog
from fcn.datasets.sets.camvid import DATASET
from fcn.errors import UserError
from fcn.input import records
from fcn.records import writing

CLASSES = (
    "sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian",
    "bicyclist",
)  # fmt: skip


@pytest.fixture
def camvid(tmp_path):
    """367, 101 and 233 pictures of 12 x 8 pixels; label n shows the values n % 12 and 3."""
    rng = np.random.default_rng(5)
    for split, count in (("train", 367), ("val", 101), ("test", 233)):
        for folder in (split, f"{split}annot"):
            (tmp_path / "CamVid" / folder).mkdir(parents=True)
        for number in range(count):
            name = f"{split}_{number:05d}.png"
            picture = rng.integers(0, 256, (8, 12, 3), np.uint8)
            label = np.full((8, 12), number % 12, np.uint8)
            label[:, 6:] = 3
            Image.fromarray(picture).save(tmp_path / "CamVid" / split / name)
            Image.fromarray(label).save(tmp_path / "CamVid" / f"{split}annot" / name)
    return tmp_path / "CamVid"


def load(root, train="train", val="val", classes=()):
    return catalog.load("camvid", DatasetSpec({"camvid": root}, classes, train, val, 1))


def test_pairs_and_their_labels(camvid):
    listing = load(camvid)
    assert (listing.classes, listing.notes, listing.own) == (CLASSES, (), False)
    assert {split: len(pairs) for split, pairs in listing.splits.items()} == {
        "train": 367, "val": 101,
    }  # fmt: skip
    first, last = listing.splits["train"][0], listing.splits["train"][11]
    assert (first.id, first.label.parent.name) == ("train_00000", "trainannot")
    assert (first.draw()[0, 0], first.draw()[0, 11]) == (0, 3)
    assert (last.draw()[0, 0], last.draw()[0, 11]) == (255, 3), "11 is void"
    assert len(load(camvid, val="test").splits["val"]) == 233


def test_its_records(camvid, tmp_path):
    lists = {"train": "train", "val": "val"}
    index = writing.write(load(camvid), lists, tmp_path / "out", 2, 1, "stop", lambda *_: None)
    val = index["splits"]["val"]
    assert records.read_index(tmp_path / "out")["classes"] == list(CLASSES)
    half = 8 * 6  # pixels: the left half of a label, whose values are 0 to 11 in turn
    assert val["void_pixels"] == 8 * half  # 11, 23, ... 95
    assert val["pixels"]["road"] == (101 + 9) * half
    assert val["pixels"]["sky"] == 9 * half
    assert val["pixels"]["bicyclist"] == 8 * half


def test_what_is_wrong_with_it_is_said(camvid):
    with pytest.raises(UserError, match=r"records\.val: expected one of train, val, test; got all"):
        load(camvid, val="all")
    with pytest.raises(UserError, match=r"records\.classes: 2 names, but .* has 11 classes"):
        load(camvid, classes=("a", "b"))
    Image.fromarray(np.full((8, 12), 12, np.uint8)).save(camvid / "valannot/val_00000.png")
    with pytest.raises(UserError, match=r"val_00000\.png: values \[12\], which the table"):
        load(camvid).splits["val"][0].draw()
    (camvid / "valannot/val_00000.png").unlink()
    with pytest.raises(UserError, match=r"1 names have no label in .*valannot: val_00000"):
        load(camvid)
    (camvid / "val/val_00001.png").unlink()
    with pytest.raises(UserError, match=re.escape("val: expected 101 images, the list has 100")):
        load(camvid)


def test_without_a_void_of_its_own_255_is_void():
    meaning = replace(DATASET, void=(255,)).meaning()
    assert meaning[:12].tolist() == [*range(11), -1]
    assert (meaning[255], meaning[254]) == (255, -1)
