"""TFRecord files: one schema, the index beside them, one reader. `fcn.writing` writes them.

An example holds the image (the JPEG as it came, else a PNG), the label as a grey PNG of class indices, their common size,
the id and the schema's version.
"""

import contextlib
import json
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from fcn import files
from fcn.errors import UserError

SCHEMA = 2
"""Raise it when an example's content or the index changes: readers refuse other versions."""

MARK = ("index.json", '"schema"')
"""By which a folder is known as one of records; see `files.replacing_folder`."""

_FEATURES = {
    "schema": tf.io.FixedLenFeature([], tf.int64),
    "id": tf.io.FixedLenFeature([], tf.string),
    "image": tf.io.FixedLenFeature([], tf.string),
    "label": tf.io.FixedLenFeature([], tf.string),
    "height": tf.io.FixedLenFeature([], tf.int64),
    "width": tf.io.FixedLenFeature([], tf.int64),
}


def read_index(folder: Path) -> dict:
    """The index of a records folder.

    Raises:
        UserError: no index, or one of another schema.
    """
    path = folder / "index.json"
    try:
        index: dict = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; run the stage `records` first") from error
    except ValueError as error:
        raise UserError(f"{path}: no valid JSON ({error}); run the stage `records` again") from error
    if index.get("schema") != SCHEMA:
        raise UserError(f"{path}: records of schema {index.get('schema')}, this version reads {SCHEMA}; run `records` again")
    return index


def split_info(folder: Path, split: str) -> dict:
    """One split's part of the index: see `writing.write`.

    Raises:
        UserError: the records do not have it.
    """
    splits = read_index(folder)["splits"]
    if split not in splits:
        raise UserError(f"{folder / 'index.json'}: no split {split!r}, only {', '.join(splits)}")
    return dict(splits[split])


def shard_paths(folder: Path, split: str) -> list[str]:
    """The files of a split, in order, after a look at every byte: they are those that were written.

    Hashing costs about a second per gigabyte. TensorFlow's own checksums are met in the middle of a training only, in a
    message that names no file; a shard that ends between two records, or is whole but another one, it reads without a word.

    Raises:
        UserError: the index lacks the split; a file is not there, damaged (see `damage`), or of other records.
    """
    paths = []
    for name, shard in split_info(folder, split)["files"].items():
        path = folder / name
        if not path.is_file():
            raise UserError(f"{path}: a shard is missing; run the stage `records` again")
        if files.digest(path) != shard["sha256"]:
            raise UserError(f"{path}: {damage(path, shard['images'])}; run the stage `records` again")
        paths.append(str(path))
    return paths


def damage(path: Path, images: int) -> str:
    """What is wrong with a shard that is not as it was written, in words: where the first bad record begins.

    Args:
        path: the shard.
        images: how many records were written to it.

    Returns:
        The record's number, counted from 1, and its offset in bytes; or that all records are whole, but too few, too many or
        those of another file.
    """
    number = offset = 0
    try:
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            number += 1
            offset += len(record) + 16  # the length in 8 bytes, its checksum and the record's in 4 each
    except tf.errors.DataLossError as error:
        return f"record {number + 1} of {images}, at byte {offset}, is damaged or cut off ({error.message})"
    if number != images:
        return f"{number} whole records end at byte {offset}, but {images} were written"
    return f"its {number} records are whole, but its sha256 is not the index's: it belongs to other records"


@contextlib.contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Names the shard if a file of `folder` breaks while what is inside the `with` reads it.

    Raises:
        UserError: instead of TensorFlow's error, if a shard is damaged or gone (see `shard_paths`).
    """
    try:
        yield
    except (tf.errors.DataLossError, tf.errors.InvalidArgumentError, tf.errors.NotFoundError):
        for split in read_index(folder)["splits"]:
            shard_paths(folder, split)
        raise


def parse(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
    """Decodes one example inside a tf.data graph.

    Args:
        serialized: a scalar string.

    Returns:
        `image` uint8 (H, W, 3) RGB, `label` uint8 (H, W), `id` string.

    Raises:
        tf.errors.InvalidArgumentError: the example is of another schema, or damaged.
    """
    example = tf.io.parse_single_example(serialized, _FEATURES)
    with tf.control_dependencies([tf.debugging.assert_equal(example["schema"], tf.constant(SCHEMA, tf.int64))]):
        # Takes PNG too, going by the first bytes. The accurate transform is Pillow's; the fast default differs by a grey
        # value here and there.
        image = tf.io.decode_jpeg(example["image"], channels=3, dct_method="INTEGER_ACCURATE")
    label = tf.io.decode_png(example["label"], channels=1)[..., 0]
    return {"image": image, "label": label, "id": example["id"]}


def read(folder: Path, split: str, only: Collection[int] | None = None) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yields (id, image uint8 (H, W, 3) RGB, label uint8 (H, W)) of a split, in stored order.

    Args:
        folder: of the records.
        split: name of the split.
        only: positions in that order, from 0 on: the others are passed over without being decoded. None: all.

    Raises:
        UserError: see `shard_paths`.
    """
    with explained(folder):
        examples = tf.data.TFRecordDataset(shard_paths(folder, split))
        if only is not None:
            wanted = tf.constant(sorted(only), tf.int64)
            examples = examples.enumerate().filter(lambda n, _: tf.reduce_any(n == wanted)).map(lambda _, example: example)
        for example in examples.map(parse).as_numpy_iterator():
            yield example["id"].decode(), example["image"], example["label"]
