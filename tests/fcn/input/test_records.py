import json
import shutil
import struct

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tiny import CLASSES, stream

from fcn.datasets import DatasetSpec, voc
from fcn.errors import UserError
from fcn.input import records
from fcn.input import stream as inputs
from fcn.io import files
from fcn.records import encoding, writing


@pytest.fixture
def folder(world, tmp_path):
    """Records of the tiny world in one shard per split, to be spoilt at will; val holds x, v, w."""
    listing = voc.load(DatasetSpec({"voc": world}, CLASSES, "train", "val", 0))
    writing.write(
        listing, {"train": "train", "val": "val"}, tmp_path / "out", 1, 1, "stop", lambda *_: None
    )
    return tmp_path / "out"


def message(call, *arguments):
    with pytest.raises(UserError) as error:
        call(*arguments)
    return str(error.value)


def change_index(folder, change):
    index = json.loads((folder / "index.json").read_text())
    change(index)
    (folder / "index.json").write_text(json.dumps(index))


SHARD = "val-00000-of-00001.tfrecord"

# ---- what reading gives


def test_reading_gives_what_was_written(world, folder):
    for split in ("train", "val"):
        read = list(records.read(folder, split))
        assert [identity for identity, *_ in read] == records.split_info(folder, split)["ids"]
        for identity, image, label in read:
            assert (image.dtype, label.dtype) == (np.uint8, np.uint8)
            assert np.array_equal(
                label, np.asarray(Image.open(world / "SegmentationClass" / f"{identity}.png"))
            )
            assert np.array_equal(
                image, np.asarray(Image.open(world / "JPEGImages" / f"{identity}.jpg"))
            )


def test_an_example_of_another_schema_is_refused(world):
    good = encoding.encode(voc.pairs(world, "val")[0], 3)
    assert records.parse(tf.constant(good.data))["id"].numpy() == b"x"
    example = tf.train.Example.FromString(good.data)
    example.features.feature["schema"].int64_list.value[0] = 1
    with pytest.raises(tf.errors.InvalidArgumentError):
        records.parse(tf.constant(example.SerializeToString()))


# ---- the index


def test_reader_without_an_index(tmp_path):
    assert message(records.read_index, tmp_path) == (
        f"{tmp_path / 'index.json'}: no such file; run the stage `records` again"
    )


def test_reader_of_a_broken_index(tmp_path):
    (tmp_path / "index.json").write_text('{"schema": 2, ')
    assert message(records.read_index, tmp_path).startswith(
        f"{tmp_path / 'index.json'}: expected JSON, but: Expecting property name"
    )


@pytest.mark.parametrize("schema", [1, 3, None])
def test_reader_of_another_schema(folder, schema):
    change_index(folder, lambda index: index.update(schema=schema))
    assert message(records.shard_paths, folder, "val") == (
        f"{folder / 'index.json'}: schema: expected 2, got {schema}; run the stage `records` again"
    )


def test_reader_of_a_split_that_is_not_there(folder):
    assert message(records.split_info, folder, "test") == (
        f"{folder / 'index.json'}: no split 'test', only train, val"
    )


VAL = "splits.val"
WRONG = {
    "classes: expected a valid array, got None": lambda index, val: index.update(classes=None),
    r"classes[1]: expected a name without control characters, got 'a\nb'": lambda index, val: (
        index.update(classes=["sky", "a\nb"])
    ),
    "splits: expected keys with values, got None": lambda index, val: index.update(splits=None),
    f"{VAL}: expected keys with values, got []": lambda index, val: index["splits"].update(val=[]),
    f"{VAL}.files: missing": lambda index, val: val.pop("files"),
    f"{VAL}.files.{SHARD}: expected keys": lambda index, val: val["files"].update({SHARD: None}),
    f"{VAL}.files.{SHARD}.sha256: missing": lambda index, val: val["files"][SHARD].pop("sha256"),
    f"{VAL}.files.../../x.tfrecord: expected pattern": lambda index, val: val.update(
        files={"../../x.tfrecord": {}}
    ),
    f"{VAL}.files.'aaaaaaaaaa": lambda index, val: val.update(files={"a" * 300: {}}),
    f"{VAL}: expected as many images, ids, sizes and images in files: 3, 2, 3, "
    "3": lambda index, val: val["ids"].pop(),
    f"{VAL}: expected as many images": lambda index, val: val.update(images=10**40),
    f"{VAL}.sizes[0]: expected at most 2 items": lambda index, val: val["sizes"][0].append(1),
    "expected the classes, in their order, in every `pixels`": lambda index, val: val["pixels"].pop(
        "red"
    ),
}


@pytest.mark.parametrize("words", WRONG)
def test_reader_of_an_index_with_a_wrong_field(folder, words):
    change_index(folder, lambda index: WRONG[words](index, index["splits"]["val"]))
    said = message(records.split_info, folder, "val")
    assert said.startswith(f"{folder / 'index.json'}: {words}")
    assert said.endswith("; run the stage `records` again")
    assert len(said) < 600
    assert said.isprintable()


# ---- damaged shards


def extents(path):
    """(offset, length of the payload) of each record, by the format's definition: length, checksum,
    payload, checksum.
    """
    data, offset, found = path.read_bytes(), 0, []
    while offset < len(data):
        (length,) = struct.unpack_from("<Q", data, offset)
        found.append((offset, length))
        offset += 8 + 4 + length + 4
    assert offset == len(data)
    return found


def flip(path, position):
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


READERS = {
    "read": lambda folder: list(records.read(folder, "val")),
    "training": lambda folder: next(iter(stream(folder, 1, split="val").batches())),
    "validation": lambda folder: list(inputs.validation(folder, "val")),
}


@pytest.mark.parametrize("reader", READERS)
def test_every_reader_names_the_shard_the_record_and_its_offset(folder, reader):
    READERS[reader](folder)
    offset, length = extents(folder / SHARD)[1]
    flip(folder / SHARD, offset + 12 + length // 2)
    text = message(READERS[reader], folder)
    assert text.startswith(
        f"{folder / SHARD}: record 2 of 3, at byte {offset}, is damaged or cut off ("
    )
    assert text.endswith("; run the stage `records` again")


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("part", ["length", "its checksum", "first byte", "last byte", "checksum"])
def test_a_flipped_bit_anywhere_in_a_record_is_found_there(folder, number, part):
    offset, length = extents(folder / SHARD)[number - 1]
    inside = {
        "length": 0,
        "its checksum": 8,
        "first byte": 12,
        "last byte": 11 + length,
        "checksum": 12 + length,
    }[part]
    flip(folder / SHARD, offset + inside)
    assert (f"{SHARD}: record {number} of 3, at byte {offset}, is damaged") in message(
        records.shard_paths, folder, "val"
    )


@pytest.mark.parametrize("left", ["a length", "half of a payload", "all but a byte"])
def test_a_cut_shard_is_named_with_the_record_that_is_cut(folder, left):
    offset, length = extents(folder / SHARD)[2]
    kept = {"a length": 12, "half of a payload": 12 + length // 2, "all but a byte": 15 + length}[
        left
    ]
    data = (folder / SHARD).read_bytes()
    (folder / SHARD).write_bytes(data[: offset + kept])
    assert (f"{SHARD}: record 3 of 3, at byte {offset}, is damaged or cut off") in message(
        records.shard_paths, folder, "val"
    )


@pytest.mark.parametrize("more", [0, 4, 11])
@pytest.mark.parametrize("kept", [0, 1, 2])
def test_a_shard_that_ends_between_two_records_is_found_out(folder, kept, more):
    """Or in the few bytes before a record's payload: TensorFlow reads such a file without a word,
    as far as it goes.
    """
    offset, _ = extents(folder / SHARD)[kept]
    data = (folder / SHARD).read_bytes()
    (folder / SHARD).write_bytes(data[: offset + more])
    assert len(list(tf.data.TFRecordDataset(str(folder / SHARD)))) == kept
    assert message(records.shard_paths, folder, "val") == (
        f"{folder / SHARD}: {kept} whole records end at byte {offset}, but 3 were written; run the "
        "stage `records` again"
    )


def test_records_that_were_added_are_found_out(folder):
    data = (folder / SHARD).read_bytes()
    offset, length = extents(folder / SHARD)[0]
    (folder / SHARD).write_bytes(data + data[offset : offset + 16 + length])
    end = len(data) + 16 + length
    assert (f"4 whole records end at byte {end}, but 3 were written") in message(
        records.shard_paths, folder, "val"
    )


def test_a_whole_shard_of_other_records_is_found_out(folder):
    data = (folder / SHARD).read_bytes()
    (_, first), (second, length) = extents(folder / SHARD)[:2]
    end = second + 16 + length
    # two records have changed places
    (folder / SHARD).write_bytes(data[second:end] + data[: 16 + first] + data[end:])
    assert message(records.shard_paths, folder, "val") == (
        f"{folder / SHARD}: its 3 records are whole, but its sha256 is not the index's: it belongs "
        "to other records; run the stage `records` again"
    )


@pytest.mark.parametrize("reader", READERS)
def test_a_missing_shard(folder, reader):
    (folder / SHARD).unlink()
    assert message(READERS[reader], folder) == (
        f"{folder / SHARD}: a shard is missing; run the stage `records` again"
    )
    assert len(records.shard_paths(folder, "train")) == 1


def test_a_shard_that_breaks_while_it_is_read_is_explained(folder):
    dataset = inputs.validation(folder, "val")
    offset, _ = extents(folder / SHARD)[0]
    flip(folder / SHARD, offset + 20)

    def read():
        with records.explained(folder):
            list(dataset)

    with pytest.raises(tf.errors.DataLossError):
        list(dataset)
    assert f"{folder / SHARD}: record 1 of 3, at byte 0, is damaged" in message(read)


def example(**changes):
    """A record of the first image of val, x, with other features."""
    image = tf.io.encode_png(np.zeros((41, 43, 3), np.uint8)).numpy()
    label = tf.io.encode_png(np.zeros((41, 43, 1), np.uint8)).numpy()
    values = {
        "schema": 2,
        "id": b"x",
        "image": image,
        "label": label,
        "height": 41,
        "width": 43,
        **changes,
    }
    features = {
        name: tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
        if isinstance(value, int)
        else tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        for name, value in values.items()
        if value is not None
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


@pytest.mark.parametrize("reader", ["read", "validation"])
@pytest.mark.parametrize(
    ("record", "words"),
    [
        (b"junk", "record 1 is none of this version (Feature: height (data type: int64) is "
                  "required"),
        (example(schema=1), "record 1 is none of this version ("),
        (example(label=None), "record 1 is none of this version (Feature: label (data type: "
                              "string) is required"),
        (example(image=b"junk"), "record 1 is none of this version (Unknown image file format"),
        (example(id=b"\xe9"), "record 1: expected 'x' of [41, 43], got '\\\\xe9' of [[41, 43], "
                              "[41, 43]]"),
    ],
)  # fmt: skip
def test_a_record_of_another_kind_in_a_shard_of_the_right_digest_is_named(
    folder, reader, record, words
):
    _, *rest = (each.numpy() for each in tf.data.TFRecordDataset(str(folder / SHARD)))
    with tf.io.TFRecordWriter(str(folder / SHARD)) as writer:
        for each in (record, *rest):
            writer.write(each)
    digest = files.digest(folder / SHARD)
    change_index(folder, lambda index: index["splits"]["val"]["files"][SHARD].update(sha256=digest))

    def read():
        with records.explained(folder):
            for found in READERS[reader](folder):
                if reader == "validation":
                    found["id"].numpy()[0].decode()

    said = message(read)
    assert said.startswith(f"{folder / SHARD}: {words}")
    assert said.endswith("; run the stage `records` again")


def test_a_shard_that_vanishes_before_it_is_read_is_explained(folder):
    dataset = inputs.validation(folder, "val")
    shutil.move(folder / SHARD, folder / "elsewhere")

    def read():
        with records.explained(folder):
            list(dataset)

    assert message(read) == f"{folder / SHARD}: a shard is missing; run the stage `records` again"


def test_an_error_that_has_nothing_to_do_with_the_records_stays_what_it_is(folder):
    with (
        pytest.raises(tf.errors.InvalidArgumentError, match="another matter"),
        records.explained(folder),
    ):
        raise tf.errors.InvalidArgumentError(None, None, "another matter")


def test_single_records_are_read_by_their_position(data):
    everything = list(records.read(data, "train"))
    some = list(records.read(data, "train", {3, 0}))
    assert [name for name, *_ in some] == [everything[0][0], everything[3][0]]
    assert np.array_equal(some[1][1], everything[3][1])
    assert list(records.read(data, "train", ())) == []
