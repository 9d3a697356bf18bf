"""TFRecord files: one schema, the index beside them, one reader. `fcn.records.writing` writes them.

An example holds the image (the JPEG as it came, else a PNG), the label as a grey PNG of class
indices, their common size, the id and the schema's version.
"""

import contextlib
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
import tensorflow as tf
from pydantic import AfterValidator, FailFast, Field, model_validator

from fcn import reading
from fcn.errors import UserError
from fcn.io import files

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


_REMEDY = "run the stage `records` again"
Count = Annotated[int, Field(ge=0, le=2**53)]
Side = Annotated[int, Field(ge=1, le=2**16)]


class _Shard(reading.Model):
    images: Count
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Skipped(reading.Model):
    id: str
    reason: str


_Id = Annotated[str, Field(min_length=1, max_length=1024), AfterValidator(reading.named)]


class _Split(reading.Model):
    name: reading.Name = Field(alias="list")
    digest: str
    images: Annotated[int, Field(ge=1)]
    files: dict[Annotated[str, Field(pattern=r"^[\w-]{1,60}\.tfrecord$")], _Shard]
    height: list[Side]
    width: list[Side]
    pixels: dict[str, Count]
    void_pixels: Count
    images_with: dict[str, Count]
    skipped: list[_Skipped]
    ids: Annotated[list[_Id], FailFast()]
    sizes: Annotated[list[Annotated[list[Side], Field(min_length=2, max_length=2)]], FailFast()]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        stored = sum(shard.images for shard in self.files.values())
        if not self.images == stored == len(self.ids) == len(self.sizes):
            raise ValueError(
                f"as many images, ids, sizes and images in files: {self.images}, {len(self.ids)}, "
                f"{len(self.sizes)}, {stored}"
            )
        return self


class _Index(reading.Model):
    """What `writing.write` leaves; see there."""

    version: Literal[2] = Field(alias="schema")
    classes: reading.Classes
    notes: list[str]
    splits: dict[Annotated[str, Field(pattern=r"^\w{1,60}$")], _Split]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for split in self.splits.values():
            if not list(self.classes) == list(split.pixels) == list(split.images_with):
                raise ValueError("the classes, in their order, in every `pixels` and `images_with`")
        return self


def read_index(folder: Path) -> dict:
    """The index of a records folder.

    Raises:
        UserError: no index, a damaged one, or one of another schema.
    """
    index = reading.read_json(folder / "index.json", _Index, _REMEDY, reading.LARGE)
    return index.model_dump(mode="json", by_alias=True)


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

    Hashing costs about a second per gigabyte. TensorFlow's own checksums are met in the middle of a
    training only, in a message that names no file; a shard that ends between two records, or is
    whole but another one, it reads without a word.

    Raises:
        UserError: the index lacks the split; a file is not there, damaged (see `damage`), or of
            other records.
    """
    paths = []
    for name, shard in split_info(folder, split)["files"].items():
        path = folder / name
        if not path.is_file():
            raise UserError(f"{path}: a shard is missing; {_REMEDY}")
        if files.digest(path) != shard["sha256"]:
            raise UserError(f"{path}: {damage(path, shard['images'])}; {_REMEDY}")
        paths.append(str(path))
    return paths


def damage(path: Path, images: int) -> str:
    """What is wrong with a shard that is not as it was written, in words: where the first bad
    record begins.

    Args:
        path: the shard.
        images: how many records were written to it.

    Returns:
        The record's number, counted from 1, and its offset in bytes; or that all records are whole,
        but too few, too many or those of another file.
    """
    number = offset = 0
    try:
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            number += 1
            # the length in 8 bytes, its checksum and the record's in 4 each
            offset += len(record) + 16
    except tf.errors.DataLossError as error:
        return (
            f"record {number + 1} of {images}, at byte {offset}, is damaged or cut off "
            f"({error.message})"
        )
    if number != images:
        return f"{number} whole records end at byte {offset}, but {images} were written"
    return (
        f"its {number} records are whole, but its sha256 is not the index's: it belongs to "
        "other records"
    )


@contextlib.contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Names the shard if a file of `folder` breaks while what is inside the `with` reads it.

    Raises:
        UserError: instead of TensorFlow's error, if a shard is damaged or gone (see `shard_paths`),
            or holds a record that is none of ours.
    """
    try:
        yield
    except (
        tf.errors.DataLossError,
        tf.errors.InvalidArgumentError,
        tf.errors.NotFoundError,
        UnicodeDecodeError,
    ):
        for split, info in read_index(folder)["splits"].items():
            paths, expected = (
                shard_paths(folder, split),
                zip(info["ids"], info["sizes"], strict=True),
            )
            for path in paths:
                if wrong := _misread(path, expected):
                    raise UserError(f"{path}: {wrong}; {_REMEDY}") from None
        raise


def _misread(path: str, expected: Iterator[tuple[str, list[int]]]) -> str:
    """What is wrong with the first record of a shard that is not as the index says, in words; "" if
    all are.

    Args:
        path: the shard.
        expected: id and [height, width] of its images and of those after it; its own are taken.
    """
    number = 0
    try:
        for number, record in enumerate(tf.data.TFRecordDataset(path), 1):
            example, (name, size) = parse(record), next(expected, ("", []))
            found = example["id"].numpy().decode(errors="backslashreplace")
            shapes = [list(example[key].shape[:2]) for key in ("image", "label")]
            if found != name or shapes != [size, size]:
                return (
                    f"record {number}: expected {reading.quoted(name)} of {size}, got "
                    f"{reading.quoted(found)} of {shapes}"
                )
    except tf.errors.DataLossError as error:
        return f"record {number + 1} is damaged or cut off ({error.message})"
    except UnicodeDecodeError:  # of TensorFlow's own message
        return f"record {number} is none of this version"
    except tf.errors.InvalidArgumentError as error:
        said = re.sub(r"\{\{.*?\}\} ?", "", error.message).splitlines()[0]
        return f"record {number} is none of this version ({said[:200]})"
    return ""


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
    with tf.control_dependencies(
        [tf.debugging.assert_equal(example["schema"], tf.constant(SCHEMA, tf.int64))]
    ):
        # Takes PNG too, going by the first bytes. The accurate transform is Pillow's; the fast
        # default differs by a grey value here and there.
        image = tf.io.decode_jpeg(example["image"], channels=3, dct_method="INTEGER_ACCURATE")
    label = tf.io.decode_png(example["label"], channels=1)[..., 0]
    return {"image": image, "label": label, "id": example["id"]}


def read(
    folder: Path, split: str, only: Collection[int] | None = None
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yields (id, image uint8 (H, W, 3) RGB, label uint8 (H, W)) of a split, in stored order.

    Args:
        folder: of the records.
        split: name of the split.
        only: positions in that order, from 0 on: the others are passed over without being decoded.
            None: all.

    Raises:
        UserError: see `shard_paths`.
    """
    with explained(folder):
        examples = tf.data.TFRecordDataset(shard_paths(folder, split))
        if only is not None:
            wanted = tf.constant(sorted(only), tf.int64)
            examples = (
                examples.enumerate()
                .filter(lambda n, _: tf.reduce_any(n == wanted))
                .map(lambda _, example: example)
            )
        for example in examples.map(parse).as_numpy_iterator():
            yield example["id"].decode(), example["image"], example["label"]
