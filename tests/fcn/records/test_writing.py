import hashlib
import itertools
import json
import shutil
import tarfile
import threading
import types
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tiny import CLASSES, scene

from fcn.datasets import voc
from fcn.datasets.pairs import Listing, Pair
from fcn.errors import UserError
from fcn.input import records
from fcn.pixels import labels
from fcn.records import encoding, writing

LISTS = {"train": "train", "val": "val"}


def write(
    root,
    out,
    shards=2,
    seed=1,
    lists=LISTS,
    classes=CLASSES,
    on_bad="stop",
    done=lambda *_: None,
    workers=2,
):
    listing = Listing(
        tuple(classes),
        {split: voc.pairs(root, name) for split, name in lists.items()},
        notes=("no borders",),
    )
    return writing.write(listing, lists, out, shards, seed, on_bad, done, workers)


def digests(folder):
    return {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in folder.rglob("*")
        if p.is_file()
    }


def ids(path):
    """What a TFRecord file holds, by protobuf alone."""
    for data in tf.data.TFRecordDataset([str(path)]).as_numpy_iterator():
        yield tf.train.Example.FromString(data).features.feature["id"].bytes_list.value[0].decode()


# ---- order and bytes


@pytest.mark.parametrize("workers", [1, 3, 16, None])
def test_the_same_pairs_give_the_same_bytes_whatever_the_number_of_threads(
    world, tmp_path, workers
):
    write(world, tmp_path / "one")
    write(world, tmp_path / "two", workers=workers)
    assert digests(tmp_path / "one") == digests(tmp_path / "two")
    names = {f"{split}-0000{n}-of-00002.tfrecord" for split in ("train", "val") for n in (0, 1)}
    assert set(digests(tmp_path / "one")) == names | {"index.json"}


def test_a_pair_that_takes_longer_than_those_after_it_keeps_its_place(world, tmp_path, monkeypatch):
    wanted = write(world, tmp_path / "one", shards=1)
    first, others = wanted["splits"]["train"]["ids"][0], threading.Semaphore(0)

    def slow(pair, *arguments):
        if pair.id == first:
            assert all(others.acquire(timeout=60) for _ in range(4))
        example = encoding.encode(pair, *arguments)
        others.release()
        return example

    monkeypatch.setattr(writing, "encode", slow)
    assert write(world, tmp_path / "two", shards=1, workers=2) == wanted
    assert digests(tmp_path / "one") == digests(tmp_path / "two")


@pytest.mark.parametrize("workers", [1, 3])
def test_threads_run_only_a_few_pairs_ahead(workers):
    """However many pairs there are: each that is ahead holds an encoded image in memory."""
    taken = itertools.count()
    results = writing._in_order(lambda pair: pair, taken, workers)  # type: ignore[return-value]
    for number in range(50):
        assert next(results) == number
    ahead = next(taken) - 50
    assert 1 <= ahead <= 4 * workers
    assert isinstance(results, types.GeneratorType)
    results.close()


def test_the_bytes_do_not_depend_on_where_the_images_lie(world, tmp_path):
    label_37(world)
    write(world, tmp_path / "one", on_bad="skip")
    moved = world.rename(tmp_path / "elsewhere")
    write(moved, tmp_path / "deep" / "two", on_bad="skip")
    assert digests(tmp_path / "one") == digests(tmp_path / "deep" / "two")


def test_another_seed_stores_the_training_images_in_another_order(world, tmp_path):
    indices = [
        write(world, tmp_path / str(seed), shards=1, seed=seed)["splits"] for seed in range(4)
    ]
    found = [splits["train"]["ids"] for splits in indices]
    assert all(sorted(each) == ["a", "b", "c", "d", "e"] for each in found)
    assert len({tuple(each) for each in found}) > 1
    order = np.random.default_rng(2).permutation(5)
    assert found[2] == ["abcde"[n] for n in order]
    assert [splits["val"]["ids"] for splits in indices] == [["x", "v", "w"]] * 4


def test_shards_are_dealt_like_cards(world, tmp_path):
    index = write(world, tmp_path / "out")
    stored = [list(ids(tmp_path / "out" / name)) for name in index["splits"]["val"]["files"]]
    assert stored == [["x", "w"], ["v"]]  # val.txt says x, v, w
    assert index["splits"]["val"]["ids"] == ["x", "w", "v"]


def test_there_are_no_more_shards_than_images(world, tmp_path):
    index = write(world, tmp_path / "out", shards=4)
    assert list(index["splits"]["val"]["files"]) == [
        f"val-0000{n}-of-00003.tfrecord" for n in range(3)
    ]
    held = [len(list(ids(tmp_path / "out" / name))) for name in index["splits"]["train"]["files"]]
    assert (
        held
        == [2, 1, 1, 1]
        == [shard["images"] for shard in index["splits"]["train"]["files"].values()]
    )


# ---- the index, and what is told on the way


def test_the_index_counts_what_is_there(world, tmp_path):
    # Labels small enough to count by eye, in a split of two images of 4x6 and 5x3 (height x width).
    first = np.array(
        [
            [0, 0, 0, 0, 0, 0],
            [0, 1, 1, 255, 0, 0],
            [0, 1, 1, 255, 0, 0],
            [255, 255, 255, 255, 0, 0],
        ],
        np.uint8,
    )
    second = np.array([[2, 2, 2], [2, 2, 2], [0, 0, 0], [0, 0, 0], [0, 0, 1]], np.uint8)
    for name, label in (("p", first), ("q", second)):
        Image.fromarray(np.zeros((*label.shape, 3), np.uint8)).save(
            world / "JPEGImages" / f"{name}.jpg"
        )
        labels.to_image(label).save(world / "SegmentationClass" / f"{name}.png")
    (world / "ImageSets/Segmentation/tiny.txt").write_text("p\nq\n")
    out = tmp_path / "out"
    index = write(world, out, lists={"train": "train", "val": "tiny"}, shards=1)
    digest = hashlib.sha256((out / "val-00000-of-00001.tfrecord").read_bytes()).hexdigest()
    assert index["splits"]["val"] == {
        "list": "tiny",
        "digest": hashlib.sha256(digest.encode()).hexdigest(),
        "images": 2,
        "files": {"val-00000-of-00001.tfrecord": {"images": 2, "sha256": digest}},
        "height": [4, 5],
        "width": [3, 6],
        "pixels": {"background": 14 + 8, "red": 4 + 1, "green": 6},
        "void_pixels": 6,
        "images_with": {"background": 2, "red": 2, "green": 1},
        "skipped": [],
        "ids": ["p", "q"],
        "sizes": [[4, 6], [5, 3]],
    }
    assert (index["schema"], index["classes"], index["notes"]) == (2, list(CLASSES), ["no borders"])
    assert list(index["splits"]) == ["train", "val"]
    assert json.loads((out / "index.json").read_text()) == index == records.read_index(out)
    assert records.split_info(out, "val") == index["splits"]["val"]


def test_a_split_s_digest_is_that_of_its_shards_digests(world, tmp_path):
    split = write(world, tmp_path / "out")["splits"]["train"]
    each = [
        hashlib.sha256((tmp_path / "out" / name).read_bytes()).hexdigest()
        for name in sorted(split["files"])
    ]
    assert split["digest"] == hashlib.sha256("".join(each).encode()).hexdigest()


def test_progress_is_told_after_every_pair(world, tmp_path):
    told = []
    label_37(world)
    write(world, tmp_path / "out", done=lambda *values: told.append(values), on_bad="skip")
    assert told == [("train", n, 5) for n in range(1, 6)] + [("val", n, 3) for n in range(1, 4)]


# ---- bad pairs


def label_37(root, name="v"):
    label = scene(name)[1]
    label[3, 5:9] = 37
    labels.to_image(label).save(root / "SegmentationClass" / f"{name}.png")


def label_of_another_size(root):
    labels.to_image(scene("v")[1][:, :-1]).save(root / "SegmentationClass" / "v.png")


def rgb_label(root):
    Image.fromarray(scene("v")[0]).save(root / "SegmentationClass" / "v.png")


def truncated_label(root):
    path = root / "SegmentationClass" / "v.png"
    path.write_bytes(path.read_bytes()[:-40])


def missing_image(root):
    (root / "JPEGImages" / "v.jpg").unlink()


def truncated_jpeg(root, name="v"):
    path = root / "JPEGImages" / f"{name}.jpg"
    path.write_bytes(path.read_bytes()[:-200])


def html_instead_of_jpeg(root):
    (root / "JPEGImages" / "v.jpg").write_text("<html>404</html>")


def leak(root):
    (root / "ImageSets/Segmentation/val.txt").write_text("x\nc\nv\na\n")


def leak_by_content(root):
    jpeg = np.asarray(Image.open(root / "JPEGImages" / "c.jpg"))
    # another file, the same pixels
    Image.fromarray(jpeg).save(root / "JPEGImages" / "w.jpg", "PNG")
    shutil.copy(root / "SegmentationClass" / "c.png", root / "SegmentationClass" / "w.png")


WRONG = [
    (label_37, ["SegmentationClass/v.png", "label values [37] in 4 pixels", "0..2 and 255"]),
    (
        label_of_another_size,
        ["SegmentationClass/v.png", "the label is 49x35 pixels, its image 50x35"],
    ),
    (rgb_label, ["SegmentationClass/v.png", "got mode RGB"]),
    (truncated_label, ["SegmentationClass/v.png", "cannot be read"]),
    (missing_image, ["JPEGImages/v.jpg", "not there"]),
    (truncated_jpeg, ["JPEGImages/v.jpg", "cannot be read", "truncated"]),
    (html_instead_of_jpeg, ["JPEGImages/v.jpg", "an HTML page"]),
    (leak, ["share 2: a, c"]),
    (
        leak_by_content,
        ["train and val share 1 images under different names, equal pixel by pixel: c = w."],
    ),
]


@pytest.mark.parametrize("before", ["nothing", "older"])
@pytest.mark.parametrize(("spoil", "words"), WRONG, ids=[spoil.__name__ for spoil, _ in WRONG])
def test_what_is_wrong_is_named_and_nothing_is_left_half_written(
    world, tmp_path, spoil, words, before
):
    folder = tmp_path / "data"
    half = folder / ".fcn-part-records"  # as a process that was killed leaves it
    half.mkdir(parents=True)
    (half / "train-00000-of-00002.tfrecord").write_bytes(b"half")
    if before == "older":
        write(world, folder / "records", shards=1)
        half.mkdir()
    was = digests(folder / "records")
    spoil(world)
    with pytest.raises(UserError) as error:
        write(world, folder / "records")
    assert [word for word in words if word not in str(error.value)] == []
    assert digests(folder / "records") == was
    # A leak and a missing file are found before anything is written: the older leftover may still
    # be there then.
    assert [
        p.name for p in folder.iterdir() if p.name not in ("records", ".fcn-part-records")
    ] == []
    if half.exists():
        assert spoil in (leak, missing_image)


def test_a_half_written_output_is_replaced_as_a_whole(world, tmp_path):
    write(world, tmp_path / "wanted" / "records")
    folder = tmp_path / "data"
    for name in ("records", ".fcn-part-records"):
        (folder / name).mkdir(parents=True)
        (folder / name / "train-00007-of-00009.tfrecord").write_bytes(b"half")
    with pytest.raises(
        UserError, match=r"records: .* a folder that this program did not make .* is there"
    ):
        write(world, folder / "records")  # it may be the user's
    (folder / "records" / "index.json").write_text('{"schema": 1}')
    write(world, folder / "records")
    assert digests(folder) == {
        f"records/{name}": value for name, value in digests(tmp_path / "wanted" / "records").items()
    }


def test_all_bad_pairs_are_named_not_only_the_first(world, tmp_path):
    label_37(world, "b")
    truncated_jpeg(world, "d")
    label_37(world, "w")
    with pytest.raises(UserError) as error:
        write(world, tmp_path / "out")
    first, *reasons, last = str(error.value).splitlines()
    assert first == "3 of 8 pairs of image and label cannot be used:"
    paths = [
        world / "JPEGImages/d.jpg",
        world / "SegmentationClass/b.png",
        world / "SegmentationClass/w.png",
    ]
    assert [reason.partition(": ")[0] for reason in (*sorted(reasons[:2]), reasons[2])] == [
        f"- {path}" for path in paths
    ]
    assert last == "Mend them, take them off the lists, or leave them out with `on_bad: skip`."
    assert not (tmp_path / "out").exists()


def test_a_single_bad_pair_is_told_on_one_line(world, tmp_path):
    label_37(world)
    with pytest.raises(UserError) as error:
        write(world, tmp_path / "out")
    path = world / "SegmentationClass" / "v.png"
    assert str(error.value).startswith(
        f"1 of 8 pairs of image and label cannot be used: {path}: label values [37]"
    )


def test_of_many_bad_pairs_some_are_named_and_the_rest_is_counted(world, tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "NAMED", 2)
    for name in "abcd":
        label_37(world, name)
    with pytest.raises(UserError) as error:
        write(world, tmp_path / "out")
    assert str(error.value).startswith("4 of 8 pairs")
    assert str(error.value).count("label values [37]") == 2
    assert "\n- and 2 more\n" in str(error.value)


def test_after_very_many_bad_pairs_the_rest_is_not_looked_at(world, tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "MOST_BAD", 2)
    told = []
    for name in "abcde":
        label_37(world, name)
    # two of train, and val's three are fine
    with pytest.raises(UserError, match="2 of 5 pairs of image and label"):
        write(world, tmp_path / "out", done=lambda *values: told.append(values))
    assert told == [("train", 1, 5), *(("val", n, 3) for n in (1, 2, 3))]


def test_bad_pairs_can_be_left_out_and_are_named_in_the_index(world, tmp_path):
    label_37(world, "v")
    truncated_jpeg(world, "d")
    index = write(world, tmp_path / "out", on_bad="skip")
    train, val = index["splits"]["train"], index["splits"]["val"]
    assert (train["images"], sorted(train["ids"]), val["images"], val["ids"]) == (
        4,
        ["a", "b", "c", "e"],
        2,
        ["x", "w"],
    )
    assert len(train["sizes"]) == 4
    assert [bad["id"] for bad in train["skipped"]] == ["d"]
    assert train["skipped"][0]["reason"].startswith(
        "d.jpg: expected a picture, but it cannot be read"
    )
    assert val["skipped"][0]["id"] == "v"
    assert val["skipped"][0]["reason"].startswith("v.png: label values [37] in 4 pixels")
    assert [identity for identity, *_ in records.read(tmp_path / "out", "train")] == train["ids"]
    # v was alone in its shard, which is empty now.
    assert [shard["images"] for shard in val["files"].values()] == [2, 0]
    assert [identity for identity, *_ in records.read(tmp_path / "out", "val")] == ["x", "w"]
    assert val["void_pixels"] == sum(int((scene(name)[1] == 255).sum()) for name in "xw")


def test_the_pairs_that_are_left_are_written_as_if_the_bad_ones_were_not_listed(world, tmp_path):
    label_37(world, "w")
    skipped = write(world, tmp_path / "one", shards=1, on_bad="skip")["splits"]["val"]
    (world / "ImageSets/Segmentation/val.txt").write_text("x\nv\n")
    listed = write(world, tmp_path / "two", shards=1)["splits"]["val"]
    assert {**skipped, "skipped": []} == listed


def test_a_split_of_bad_pairs_only_stops_in_any_case(world, tmp_path):
    for name in "vwx":
        label_37(world, name)
    with pytest.raises(UserError) as error:
        write(world, tmp_path / "out", on_bad="skip")
    assert str(error.value).startswith("no pair of image and label of val can be used:\n- ")
    assert str(error.value).count("label values [37]") == 3
    assert not (tmp_path / "out").exists()


def test_labels_may_use_every_class_of_the_list_and_void_only(world, tmp_path):
    with pytest.raises(
        UserError, match=r"label values \[2\] in \d+ pixels, expected 0\.\.1 and 255"
    ):
        write(world, tmp_path / "out", classes=CLASSES[:2])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_is_told_and_nothing_is_left(world, tmp_path, monkeypatch):
    writer = tf.io.TFRecordWriter
    monkeypatch.setattr(tf.io, "TFRecordWriter", lambda path: writer("/dev/full"))
    with pytest.raises(
        UserError,
        match=f"No space left on device: make room on the disk of {tmp_path / 'data/out'} and run",
    ):
        write(world, tmp_path / "data" / "out")
    assert list((tmp_path / "data").iterdir()) == []


# ---- leaks


@pytest.mark.parametrize("on_bad", ["stop", "skip"])
def test_every_image_under_two_names_is_named(world, tmp_path, on_bad):
    leak_by_content(world)
    shutil.copy(world / "JPEGImages" / "a.jpg", world / "JPEGImages" / "v.jpg")
    shutil.copy(world / "SegmentationClass" / "a.png", world / "SegmentationClass" / "v.png")
    with pytest.raises(
        UserError, match="share 2 images under different names, equal pixel by pixel: a = v, c = w"
    ):
        write(world, tmp_path / "out", shards=1, on_bad=on_bad)


def test_an_image_of_nearly_the_same_pixels_is_another_one(world, tmp_path):
    """Where the few pixels that are compared first are the same: of its 48 rows and 40 columns the
    fifth and third are not.
    """
    leak_by_content(world)
    path = world / "JPEGImages" / "w.jpg"
    pixels = np.asarray(Image.open(path)).copy()
    pixels[4, 2] ^= 1
    Image.fromarray(pixels).save(path, "PNG")
    same = np.asarray(Image.open(world / "JPEGImages" / "c.jpg")).copy()
    assert (pixels != same).sum() == 3
    train, val = (
        Pair(name, world / f"JPEGImages/{name}.jpg", world / "SegmentationClass/c.png")
        for name in "cw"
    )
    assert encoding.encode(train, 3).sample == encoding.encode(val, 3).sample
    assert write(world, tmp_path / "out")["splits"]["val"]["images"] == 3


def test_the_same_image_twice_in_one_split_is_no_leak(world, tmp_path):
    for folder, ending in (("JPEGImages", "jpg"), ("SegmentationClass", "png")):
        shutil.copy(world / folder / f"a.{ending}", world / folder / f"b.{ending}")
    assert write(world, tmp_path / "out")["splits"]["train"]["images"] == 5


# ---- real images


@pytest.mark.realdata
def test_real_pairs_survive_unchanged(realdata, tmp_path):
    """VOC2012: odd sizes, 4:2:0 colour, void borders. Labels to the bit; images as Pillow decodes
    the same bytes.
    """
    with tarfile.open(realdata / "VOC2012-subset.tar") as tar:
        tar.extractall(tmp_path, filter="data")
    root = tmp_path / "VOCdevkit" / "VOC2012"
    index = write(root, tmp_path / "out", classes=[str(n) for n in range(21)])
    seen, void = 0, 0
    for split in LISTS:
        for identity, image, label in records.read(tmp_path / "out", split):
            with Image.open(root / "SegmentationClass" / f"{identity}.png") as truth:
                assert np.array_equal(label, np.asarray(truth))
            with Image.open(root / "JPEGImages" / f"{identity}.jpg") as picture:
                assert np.array_equal(image, np.asarray(picture.convert("RGB")))
            void += int((label == 255).sum())
            seen += 1
    assert seen == 193
    assert void == sum(index["splits"][split]["void_pixels"] for split in LISTS) > 0
    write(root, tmp_path / "two", classes=[str(n) for n in range(21)], workers=5)
    assert digests(tmp_path / "out") == digests(tmp_path / "two")
