import hashlib
import io
import json
import tarfile

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tiny import CLASSES, SIZES, scene

from fcn import labels, records
from fcn.datasets import voc
from fcn.errors import UserError

SPLITS = {"train": "train", "val": "val"}


def write(root, out, shards=2, seed=1, splits=SPLITS, classes=CLASSES, done=lambda *_: None):
    return records.write(root, out, splits, classes, shards, seed, done)


def digests(folder):
    return {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*") if p.is_file()
    }


def examples(path):
    """What TFRecord files hold, by protobuf alone."""
    for data in tf.data.TFRecordDataset([str(path)]).as_numpy_iterator():
        yield tf.train.Example.FromString(data).features.feature


def pil(jpeg):
    return np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"))


def test_the_same_pairs_give_the_same_bytes(world, tmp_path):
    write(world, tmp_path / "one")
    write(world, tmp_path / "two")
    assert digests(tmp_path / "one") == digests(tmp_path / "two")
    names = {f"{split}-0000{n}-of-00002.tfrecord" for split in ("train", "val") for n in (0, 1)}
    assert set(digests(tmp_path / "one")) == names | {"index.json"}


def test_the_bytes_do_not_depend_on_where_the_images_lie(world, tmp_path):
    write(world, tmp_path / "one")
    moved = world.rename(tmp_path / "elsewhere")
    write(moved, tmp_path / "deep" / "two")
    assert digests(tmp_path / "one") == digests(tmp_path / "deep" / "two")


def test_another_seed_stores_the_training_images_in_another_order(world, tmp_path):
    ids = [write(world, tmp_path / str(seed), shards=1, seed=seed)["splits"]["train"]["ids"] for seed in range(4)]
    assert all(sorted(each) == ["a", "b", "c", "d", "e"] for each in ids)
    assert len({tuple(each) for each in ids}) > 1
    order = np.random.default_rng(2).permutation(5)
    assert ids[2] == ["abcde"[n] for n in order]


def test_an_example_holds_the_file_s_own_jpeg_the_exact_label_its_size_its_id_and_the_schema(world, tmp_path):
    index = write(world, tmp_path / "out")
    stored = []
    for name in index["splits"]["val"]["files"]:
        for feature in examples(tmp_path / "out" / name):
            assert set(feature) == {"schema", "id", "image", "label", "height", "width"}
            identity = feature["id"].bytes_list.value[0].decode()
            stored.append(identity)
            _, label = scene(identity)
            assert list(feature["schema"].int64_list.value) == [1]
            assert (feature["height"].int64_list.value[0], feature["width"].int64_list.value[0]) == SIZES[identity]
            assert feature["image"].bytes_list.value[0] == (world / "JPEGImages" / f"{identity}.jpg").read_bytes()
            png = Image.open(io.BytesIO(feature["label"].bytes_list.value[0]))
            assert (png.format, png.mode) == ("PNG", "L")
            assert np.array_equal(np.asarray(png), label)
    # val.txt says x, v, w; shard 0 takes every second, shard 1 the rest.
    assert stored == index["splits"]["val"]["ids"] == ["x", "w", "v"]


def test_reading_gives_what_was_written(world, tmp_path):
    index = write(world, tmp_path / "out")
    for split in SPLITS:
        read = list(records.read(tmp_path / "out", split))
        assert [identity for identity, *_ in read] == index["splits"][split]["ids"]
        for identity, image, label in read:
            assert (image.dtype, label.dtype) == (np.uint8, np.uint8)
            assert np.array_equal(label, np.asarray(Image.open(world / "SegmentationClass" / f"{identity}.png")))
            assert np.array_equal(image, pil((world / "JPEGImages" / f"{identity}.jpg").read_bytes()))


def test_a_grey_jpeg_is_read_as_three_equal_channels(world, tmp_path):
    path = world / "JPEGImages" / "v.jpg"
    Image.open(path).convert("L").save(path)
    write(world, tmp_path / "out")
    image = {identity: image for identity, image, _ in records.read(tmp_path / "out", "val")}["v"]
    assert np.array_equal(image, pil(path.read_bytes()))
    assert np.array_equal(image[..., 0], image[..., 2])


def test_the_index_counts_what_is_there(world, tmp_path):
    # Labels small enough to count by eye, in a split of two images of 4x6 and 5x3 (height x width).
    first = np.array([[0, 0, 0, 0, 0, 0], [0, 1, 1, 255, 0, 0], [0, 1, 1, 255, 0, 0], [255, 255, 255, 255, 0, 0]], np.uint8)
    second = np.array([[2, 2, 2], [2, 2, 2], [0, 0, 0], [0, 0, 0], [0, 0, 1]], np.uint8)
    for name, label in (("p", first), ("q", second)):
        Image.fromarray(np.zeros((*label.shape, 3), np.uint8)).save(world / "JPEGImages" / f"{name}.jpg")
        labels.to_image(label).save(world / "SegmentationClass" / f"{name}.png")
    (world / "ImageSets/Segmentation/tiny.txt").write_text("p\nq\n")
    out = tmp_path / "out"
    index = write(world, out, splits={"train": "train", "val": "tiny"}, shards=1)
    files = {"val-00000-of-00001.tfrecord": hashlib.sha256((out / "val-00000-of-00001.tfrecord").read_bytes()).hexdigest()}
    assert index["splits"]["val"] == {
        "list": "tiny",
        "digest": hashlib.sha256("".join(files.values()).encode()).hexdigest(),
        "images": 2,
        "files": files,
        "height": [4, 5],
        "width": [3, 6],
        "pixels": {"background": 14 + 8, "red": 4 + 1, "green": 6},
        "void_pixels": 6,
        "ids": ["p", "q"],
    }
    assert (index["schema"], index["classes"]) == (1, list(CLASSES))
    assert json.loads((out / "index.json").read_text()) == index == records.read_index(out)
    assert records.split_info(out, "val") == index["splits"]["val"]


def test_there_are_no_more_shards_than_images(world, tmp_path):
    index = write(world, tmp_path / "out", shards=4)
    assert list(index["splits"]["val"]["files"]) == [f"val-0000{n}-of-00003.tfrecord" for n in range(3)]
    assert len(index["splits"]["train"]["files"]) == 4
    held = [[f["id"].bytes_list.value[0] for f in examples(tmp_path / "out" / n)] for n in index["splits"]["train"]["files"]]
    assert [len(shard) for shard in held] == [2, 1, 1, 1]


def test_progress_is_told_after_every_image(world, tmp_path):
    told = []
    write(world, tmp_path / "out", done=lambda *values: told.append(values))
    assert told == [("train", n, 5) for n in range(1, 6)] + [("val", n, 3) for n in range(1, 4)]


def label_37(root):
    label = scene("v")[1]
    label[3, 5:9] = 37
    labels.to_image(label).save(root / "SegmentationClass" / "v.png")


def label_of_another_size(root):
    labels.to_image(scene("v")[1][:, :-1]).save(root / "SegmentationClass" / "v.png")


def rgb_label(root):
    Image.fromarray(scene("v")[0]).save(root / "SegmentationClass" / "v.png")


def truncated_label(root):
    path = root / "SegmentationClass" / "v.png"
    path.write_bytes(path.read_bytes()[:-40])


def missing_image(root):
    (root / "JPEGImages" / "v.jpg").unlink()


def truncated_jpeg(root):
    path = root / "JPEGImages" / "v.jpg"
    path.write_bytes(path.read_bytes()[:-200])


def cmyk_jpeg(root):
    path = root / "JPEGImages" / "v.jpg"
    Image.open(path).convert("CMYK").save(path)


def png_instead_of_jpeg(root):
    Image.fromarray(scene("v")[0]).save(root / "JPEGImages" / "v.jpg", "PNG")


def html_instead_of_jpeg(root):
    (root / "JPEGImages" / "v.jpg").write_text("<html>404</html>")


def leak(root):
    (root / "ImageSets/Segmentation/val.txt").write_text("x\nc\nv\na\n")


WRONG = [
    (label_37, ["SegmentationClass/v.png", "label values [37] in 4 pixels", "0..2 and 255"]),
    (label_of_another_size, ["SegmentationClass/v.png", "the label is 49x35 pixels, its image 50x35"]),
    (rgb_label, ["SegmentationClass/v.png", "got mode RGB"]),
    (truncated_label, ["SegmentationClass/v.png", "cannot be read"]),
    (missing_image, ["JPEGImages/v.jpg", "not there"]),
    (truncated_jpeg, ["JPEGImages/v.jpg", "cannot be read", "truncated"]),
    (cmyk_jpeg, ["JPEGImages/v.jpg", "expected an RGB or grey JPEG, got JPEG of mode CMYK"]),
    (png_instead_of_jpeg, ["JPEGImages/v.jpg", "expected an RGB or grey JPEG, got PNG of mode RGB"]),
    (html_instead_of_jpeg, ["JPEGImages/v.jpg", "expected a JPEG image, but it cannot be read"]),
    (leak, ["the lists train and val share 2 images (a, c)"]),
]


@pytest.mark.parametrize("before", ["nothing", "older"])
@pytest.mark.parametrize(("spoil", "words"), WRONG, ids=[spoil.__name__ for spoil, _ in WRONG])
def test_what_is_wrong_is_named_and_nothing_is_left_half_written(world, tmp_path, spoil, words, before):
    folder = tmp_path / "data"
    half = folder / ".part-records"  # as a process that was killed leaves it
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
    # A leak and a missing file are found before anything is written: the older leftover may still be there then.
    assert [p.name for p in folder.iterdir() if p.name not in ("records", ".part-records")] == []
    if half.exists():
        assert spoil in (leak, missing_image)


def test_a_half_written_output_is_replaced_as_a_whole(world, tmp_path):
    write(world, tmp_path / "wanted" / "records")
    folder = tmp_path / "data"
    for name in ("records", ".part-records"):
        (folder / name).mkdir(parents=True)
        (folder / name / "train-00007-of-00009.tfrecord").write_bytes(b"half")
    write(world, folder / "records")
    assert digests(folder) == {f"records/{name}": value for name, value in digests(tmp_path / "wanted" / "records").items()}


def test_labels_may_use_every_class_of_the_list_and_void_only(world, tmp_path):
    with pytest.raises(UserError, match=r"label values \[2\] in \d+ pixels, expected 0\.\.1 and 255"):
        write(world, tmp_path / "out", classes=CLASSES[:2])


def message(call, *arguments):
    with pytest.raises(UserError) as error:
        call(*arguments)
    return str(error.value)


def test_reader_without_an_index(tmp_path):
    assert message(records.read_index, tmp_path) == f"{tmp_path / 'index.json'}: no such file; run the stage `records` first"


def test_reader_of_a_broken_index(tmp_path):
    (tmp_path / "index.json").write_text('{"schema": 1, ')
    assert message(records.read_index, tmp_path).startswith(f"{tmp_path / 'index.json'}: no valid JSON (")


def test_reader_of_another_schema(world, tmp_path):
    index = write(world, tmp_path / "out")
    path = tmp_path / "out" / "index.json"
    path.write_text(json.dumps({**index, "schema": 2}))
    assert message(records.shard_paths, tmp_path / "out", "val") == (
        f"{path}: records of schema 2, this version reads 1; run `records` again"
    )


def test_reader_of_a_split_that_is_not_there(data):
    assert message(records.split_info, data, "test") == f"{data / 'index.json'}: no split 'test', only train, val"


def test_reader_without_a_shard(world, tmp_path):
    write(world, tmp_path / "out")
    path = tmp_path / "out" / "val-00001-of-00002.tfrecord"
    path.unlink()
    assert message(records.shard_paths, tmp_path / "out", "val") == f"{path}: a shard is missing; run the stage `records` again"
    assert len(records.shard_paths(tmp_path / "out", "train")) == 2


def test_an_example_of_another_schema_is_refused(world):
    good = records.encode(voc.pairs(world, "val")[0], 3)
    assert records.parse(tf.constant(good.data))["id"].numpy() == b"x"
    example = tf.train.Example.FromString(good.data)
    example.features.feature["schema"].int64_list.value[0] = 2
    with pytest.raises(tf.errors.InvalidArgumentError):
        records.parse(tf.constant(example.SerializeToString()))


@pytest.mark.realdata
def test_real_pairs_survive_unchanged(realdata, tmp_path):
    """VOC2012: odd sizes, 4:2:0 colour, void borders. Labels to the bit; images as Pillow decodes the same bytes."""
    with tarfile.open(realdata / "VOC2012-subset.tar") as tar:
        root = tmp_path / "VOCdevkit" / "VOC2012"
        names = [name for name in tar.getnames() if name.endswith(".png") and "SegmentationClass/" in name][:12]
        ids = [name.rsplit("/", 1)[1].removesuffix(".png") for name in names]
        for identity, name in zip(ids, names, strict=True):
            for member in (name, f"VOCdevkit/VOC2012/JPEGImages/{identity}.jpg"):
                tar.extract(member, tmp_path, filter="data")
    (root / "ImageSets/Segmentation").mkdir(parents=True)
    (root / "ImageSets/Segmentation/train.txt").write_text("\n".join(ids[:6]))
    (root / "ImageSets/Segmentation/val.txt").write_text("\n".join(ids[6:]))
    index = write(root, tmp_path / "out", classes=[str(n) for n in range(21)])
    void = 0
    for split in SPLITS:
        for identity, image, label in records.read(tmp_path / "out", split):
            indices = np.asarray(Image.open(root / "SegmentationClass" / f"{identity}.png"))
            assert np.array_equal(label, indices)
            assert set(np.unique(label)) <= {*range(21), 255}
            assert np.array_equal(image, pil((root / "JPEGImages" / f"{identity}.jpg").read_bytes()))
            void += int((indices == 255).sum())
    assert void == sum(index["splits"][split]["void_pixels"] for split in SPLITS) > 0
