"""TFRecord files: one schema, one writer, one reader.

An example holds the JPEG as it came, the label as a grey PNG of class indices, their common size, the id and the schema's
version. The same pairs in the same order give the same bytes.
"""

import functools
import hashlib
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image, UnidentifiedImageError

from fcn import files, labels
from fcn.datasets import voc
from fcn.datasets.voc import Pair
from fcn.errors import UserError

SCHEMA = 1
"""Raise it when an example's content changes: readers refuse other versions."""

Done = Callable[[str, int, int], None]

_FEATURES = {
    "schema": tf.io.FixedLenFeature([], tf.int64),
    "id": tf.io.FixedLenFeature([], tf.string),
    "image": tf.io.FixedLenFeature([], tf.string),
    "label": tf.io.FixedLenFeature([], tf.string),
    "height": tf.io.FixedLenFeature([], tf.int64),
    "width": tf.io.FixedLenFeature([], tf.int64),
}


@dataclass(frozen=True)
class Example:
    """An encoded example and what the index says of it: `size` is (height, width), `pixels` counts each class."""

    id: str
    data: bytes
    size: tuple[int, int]
    pixels: np.ndarray


def encode(pair: Pair, classes: int) -> Example:
    """Checks one pair and encodes it.

    Args:
        pair: the files.
        classes: label values 0..classes-1 and 255 are allowed.

    Returns:
        The example; `pixels` is int64 (256,), a count by label value.

    Raises:
        UserError: the image is no readable RGB JPEG; the label is unreadable, of another size, or out of range.
    """
    jpeg = pair.image.read_bytes()
    try:
        with Image.open(io.BytesIO(jpeg)) as image:
            image.load()
            kind, mode, (width, height) = image.format, image.mode, image.size
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise UserError(f"{pair.image}: expected a JPEG image, but it cannot be read: {error}") from error
    if kind != "JPEG" or mode not in ("RGB", "L"):
        raise UserError(f"{pair.image}: expected an RGB or grey JPEG, got {kind} of mode {mode}")
    truth = labels.read(pair.label, classes, (width, height))
    values: dict[str, bytes | int] = {
        "schema": SCHEMA, "id": pair.id.encode(), "image": jpeg, "label": labels.encode(truth),
        "height": height, "width": width,
    }  # fmt: skip
    features = {
        name: tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
        if isinstance(value, int)
        else tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        for name, value in values.items()
    }
    example = tf.train.Example(features=tf.train.Features(feature=features))
    data = example.SerializeToString(deterministic=True)
    return Example(pair.id, data, (height, width), np.bincount(truth.reshape(-1), minlength=256))


def write_split(
    pairs: Sequence[Pair], folder: Path, split: str, classes: Sequence[str], shards: int, done: Callable[[int, int], None]
) -> dict:
    """Writes the shards `<split>-00000-of-000NN.tfrecord` of one split into an existing folder.

    Args:
        pairs: in the order in which they shall be stored; shard n takes every `shards`-th, starting with the n-th.
        folder: where to.
        split: name of the split.
        classes: names, whose number bounds the label values.
        shards: how many files, at least 1.
        done: called with (images written, images in all) after each image.

    Returns:
        The split's part of the index: files with their sha256, ids in stored order, counts, sizes, pixels by class, and
        a digest over all shards.

    Raises:
        UserError: see `encode`.
    """
    names = [f"{split}-{n:05d}-of-{shards:05d}.tfrecord" for n in range(shards)]
    pixels, sizes, ids, written = np.zeros(256, np.int64), [], [], 0
    for number, name in enumerate(names):
        with tf.io.TFRecordWriter(str(folder / name)) as writer:
            for pair in pairs[number::shards]:
                example = encode(pair, len(classes))
                writer.write(example.data)
                pixels += example.pixels
                sizes.append(example.size)
                ids.append(example.id)
                written += 1
                done(written, len(pairs))
    digests = [files.digest(folder / name) for name in names]
    heights, widths = zip(*sizes, strict=True)
    return {
        "digest": hashlib.sha256("".join(digests).encode()).hexdigest(),
        "images": len(pairs),
        "files": dict(zip(names, digests, strict=True)),
        "height": [min(heights), max(heights)],
        "width": [min(widths), max(widths)],
        "pixels": {name: int(n) for name, n in zip(classes, pixels, strict=False)},
        "void_pixels": int(pixels[255]),
        "ids": ids,
    }


def write(root: Path, out: Path, splits: Mapping[str, str], classes: Sequence[str], shards: int, seed: int, done: Done) -> dict:
    """Writes the records of a data set in VOC's layout: shards and `index.json`.

    Args:
        root: the folder that holds JPEGImages, SegmentationClass and ImageSets.
        out: folder to make or replace, as a whole and at the end.
        splits: by purpose ("train", "val"), the name of the list; "train" is stored in an order drawn from the seed.
        classes: names by label value.
        shards: files per split.
        seed: of the order.
        done: called with (split, images written, images in all) after each image.

    Returns:
        The index.

    Raises:
        UserError: see `voc.pairs` and `encode`; or an image stands in both lists. Nothing is left behind then.
    """
    listed = {purpose: voc.pairs(root, name) for purpose, name in splits.items()}
    _refuse_overlap(splits, listed)
    order = np.random.default_rng(seed).permutation(len(listed["train"]))
    listed["train"] = [listed["train"][n] for n in order]
    index: dict = {"schema": SCHEMA, "classes": list(classes), "splits": {}}
    with files.replacing(out) as folder:
        folder.mkdir()
        for purpose, pairs in listed.items():
            progress = functools.partial(done, purpose)
            info = write_split(pairs, folder, purpose, classes, min(shards, len(pairs)), progress)
            index["splits"][purpose] = {"list": splits[purpose], **info}
        files.write_json(folder / "index.json", index)
    return index


def _refuse_overlap(splits: Mapping[str, str], listed: Mapping[str, Sequence[Pair]]) -> None:
    train, val = ({pair.id for pair in listed[purpose]} for purpose in ("train", "val"))
    both = sorted(train & val)
    if both:
        raise UserError(
            f"the lists {splits['train']} and {splits['val']} share {len(both)} images ({', '.join(both[:10])}): "
            "scores on images that were trained on mean nothing; choose lists that share none"
        )


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
    """One split's part of the index.

    Raises:
        UserError: the records do not have it.
    """
    splits = read_index(folder)["splits"]
    if split not in splits:
        raise UserError(f"{folder / 'index.json'}: no split {split!r}, only {', '.join(splits)}")
    return dict(splits[split])


def shard_paths(folder: Path, split: str) -> list[str]:
    """The files of a split, in order.

    Raises:
        UserError: the index lacks the split, or a file is not there.
    """
    paths = [folder / name for name in split_info(folder, split)["files"]]
    for path in paths:
        if not path.is_file():
            raise UserError(f"{path}: a shard is missing; run the stage `records` again")
    return [str(path) for path in paths]


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
        # The accurate transform, as Pillow's; the fast default differs by a grey value here and there.
        image = tf.io.decode_jpeg(example["image"], channels=3, dct_method="INTEGER_ACCURATE")
    label = tf.io.decode_png(example["label"], channels=1)[..., 0]
    return {"image": image, "label": label, "id": example["id"]}


def read(folder: Path, split: str) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yields (id, image uint8 (H, W, 3) RGB, label uint8 (H, W)) of a split, in stored order."""
    dataset = tf.data.TFRecordDataset(shard_paths(folder, split)).map(parse)
    for example in dataset.as_numpy_iterator():
        yield example["id"].decode(), example["image"], example["label"]
