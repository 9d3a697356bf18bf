"""Mistakes of other implementations with files and data sets, put in on purpose: an assertion
catches each one.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny_voc

from fcn.errors import UserError
from fcn.io import files
from fcn.records import writing
from fcn.weights import caffe

ROOT = Path(__file__).parents[2]

# ---- files


def refusal(call, *args):
    """What a call says to what it refuses; nothing if it takes it."""
    try:
        call(*args)
    except UserError as error:
        return str(error)
    return ""


def check_refusal(read, path):
    """An error page is refused, and the message says what it is."""
    message = refusal(read, path)
    assert message, f"{path.name} was taken for weights"
    assert "an HTML page" in message, f"refused, but not for what it is: {message}"


@pytest.mark.parametrize(
    ("name", "read"), [("vgg.caffemodel", caffe.read), ("vgg.npz", files.load_arrays)]
)
def test_an_error_page_saved_as_weights_would_be_caught(tmp_path, name, read):
    path = tmp_path / name
    path.write_bytes(
        b"<!DOCTYPE html>\n<html><title>404 Not Found</title>" + b" " * 2000 + b"</html>"
    )
    check_refusal(read, path)
    with pytest.raises(AssertionError, match="taken for weights"):
        check_refusal(
            lambda path: {"conv1_1": np.frombuffer(path.read_bytes()[:2000], np.float32)}, path
        )
    with pytest.raises(AssertionError, match="not for what it is"):
        check_refusal(np_load, path)


def np_load(path):
    try:
        return np.load(path, allow_pickle=False)
    except ValueError as error:
        raise UserError(str(error)) from error


# ---- lists


def check_overlap(root, out):
    """Lists that share images are refused, and what they share is named."""
    message = refusal(tiny_voc.write_records, root, out, "all_of_sbd", "val")
    assert message, "trained and validated on the same images"
    assert "share 1: w. Scores on images that were trained on mean nothing" in message


def test_lists_that_overlap_would_be_caught(tmp_path, monkeypatch):
    root = tiny_voc.write_images(tmp_path / "world", {"all_of_sbd": "abcw", "val": "vw"})
    check_overlap(root, tmp_path / "records")
    assert not (tmp_path / "records").exists()
    monkeypatch.setattr(writing, "leaks", lambda *_: None)
    with pytest.raises(AssertionError):  # by their pixels they are found all the same
        check_overlap(root, tmp_path / "records")
    monkeypatch.setattr(writing, "_refuse_same", lambda *_: None)
    with pytest.raises(AssertionError, match="same images"):
        check_overlap(root, tmp_path / "records")


@pytest.mark.realdata
def test_the_real_lists_overlap_through_sbd(realdata, tmp_path):
    """SBD's val images, which are trained on in many places, hold 1 103 of VOC2012 val; train_aug
    and val share none.

    The files here are empty: what is refused or not is a matter of the lists alone.
    """
    splits = realdata / "splits"
    lists = {
        "sbd": splits / "sds/val.txt", "val": splits / "voc2012/val.txt",
        "train_aug": splits / "voc2012/train_aug.txt", "seg11valid": splits / "fcn/seg11valid.txt",
    }  # fmt: skip
    ids = {name: path.read_text().split() for name, path in lists.items()}
    assert len(set(ids["sbd"]) & set(ids["val"])) == 1103
    kept = {
        name: [each for each in names if each.startswith("2008_00")] for name, names in ids.items()
    }
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (tmp_path / folder).mkdir(parents=True)
    for name, names in kept.items():
        (tmp_path / f"ImageSets/Segmentation/{name}.txt").write_text("\n".join(names))
        for each in names:
            (tmp_path / f"JPEGImages/{each}.jpg").touch()
            (tmp_path / f"SegmentationClass/{each}.png").touch()
    shared = len(set(kept["sbd"]) & set(kept["val"]))
    assert shared > 50
    with pytest.raises(UserError, match=rf"share {shared}: "):
        tiny_voc.write_records(tmp_path, tmp_path / "out", "sbd", "val")
    for train, val in (("train_aug", "val"), ("train_aug", "seg11valid")):
        # the lists were taken, the empty files were not
        with pytest.raises(UserError, match="expected a picture"):
            tiny_voc.write_records(tmp_path, tmp_path / "out", train, val)


# ---- memory

MEASURE = """
import json, sys
import psutil
from pathlib import Path
from fcn.input import stream as inputs
from fcn.spec.recipe import TrainSpec

RECIPE = TrainSpec("sgd", 1e-2, 0.9, 5e-4, 2.0, "mean", 20, 2, 10, 1)
folder = Path(sys.argv[1])

def growth(examples):
    process, start, peak = psutil.Process(), None, 0
    for example in examples:
        start = start or process.memory_info().rss
        peak = max(peak, process.memory_info().rss)
    return peak - start

def all_at_once(folder):
    kept = []
    for example in inputs.validation(folder, "train"):
        kept.append(example)
        yield example

print(json.dumps({
    "training": growth(inputs.Stream(folder, "train", RECIPE).batches().take(64)),
    "validation": growth(inputs.validation(folder, "train")),
    "all at once": growth(all_at_once(folder)),
}))
"""


def test_a_whole_data_set_in_memory_would_be_caught(tmp_path):
    """64 pictures of 4 MB each, decoded: how much a process grows while it looks at one after the
    other.
    """
    names = [f"n{n}" for n in range(65)]
    lists = {"train": names[:64], "val": names[64:]}
    tiny_voc.write_images(
        tmp_path / "world", lists, {**dict.fromkeys(names, (1000, 1000)), "n64": (100, 100)}
    )
    data = tiny_voc.write_records(tmp_path / "world", tmp_path / "records")
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, data], cwd=ROOT, env={**os.environ,
        "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    grown, everything = json.loads(done.stdout.splitlines()[-1]), 64 * 1000 * 1000 * 4

    def check(how):
        # A decoder works ahead, by a few images for each processor core.
        assert grown[how] < everything / 2, (
            f"{how}: {grown[how] / 1e6:.0f} of {everything / 1e6:.0f} MB"
        )

    check("training")
    check("validation")
    with pytest.raises(AssertionError):
        check("all at once")
