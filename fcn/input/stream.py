"""tf.data input: whole images, or padded batches, in a shuffled order that depends on the seed and
the step alone.
"""

import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from fcn.hardware import ONE, Share
from fcn.input import batches, records
from fcn.input.examples import Examples
from fcn.spec import MEAN_BGR, VOID, Augment, TrainSpec

BUCKETS = 8
"""How many different canvases padded batches have at most."""

_AT_ONCE = min(16, os.cpu_count() or 1)
_AHEAD = 4


@dataclass(frozen=True)
class Stream:
    """What a training sees: an endless stream of batches, each epoch in a new order.

    The order of epoch e is a permutation drawn from (seed, e), and what is done to an image depends
    on (seed, e, its number), so a training that is resumed at a step sees just what it would have
    seen without the break. An epoch has ceil(images / batch) steps, see `batches.plan`. Images are
    read when their turn comes: memory does not grow with them.

    Attributes:
        folder: of the records.
        split: name of the split.
        recipe: its `seed` is that of the order and of the augmentation, its `batch` the images per
            step. 1: whole images at their native size. More: images that fit on the same canvas,
            each at its top left, and around it the mean colour, and void. Its `augment` says how
            images are changed at random.
        mean_bgr: the colour of what is no image, in units of 0..255.
        share: who computes: each process reads its own part of every batch, and that part alone.
    """

    folder: Path
    split: str
    recipe: TrainSpec
    mean_bgr: Sequence[float] = MEAN_BGR
    share: Share = ONE

    @functools.cached_property
    def _info(self) -> dict:
        return records.split_info(self.folder, self.split)

    @functools.cached_property
    def classes(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(records.read_index(self.folder)["classes"])

    @property
    def pixels(self) -> float:
        """How many pixels the images of a step have together, on average."""
        pixels = sum(self._info["pixels"].values()) + self._info["void_pixels"]
        image = pixels / max(self._info["images"], 1)
        if self.recipe.augment.crop:
            image = min(image, self.recipe.augment.crop**2)
        return float(image * self.recipe.batch)

    @functools.cached_property
    def _examples(self) -> Examples:
        return Examples(self.folder, self.split)

    def batches(self, start: int = 0) -> tf.data.Dataset:
        """The stream from a step on.

        Args:
            start: steps already done.

        Returns:
            Batches (image uint8 (N, H, W, 3) RGB, label uint8 (N, H, W)). With `batch` above 1 the
            images have a fourth channel, like the alpha of a PNG: 255 on the image and 0 around it,
            for `masked.masked`. The last batch of an epoch is filled up with images that are void
            everywhere, which changes neither loss nor gradient: every device gets its part of each.

        Raises:
            UserError: records that are not there.
        """
        examples, augment, batch = self._examples, self.recipe.augment, self.recipe.batch
        colour = np.rint(self.mean_bgr[::-1]).astype(np.uint8)

        def one(row: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            example = records.parse(examples.tensor(row[0]))
            return _moved(example["image"], example["label"], row[1:8], augment, colour)

        def load(rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            if batch == 1:
                image, label = one(rows[0])
                return image[None], label[None]
            canvas = tf.reduce_max(rows[:, 8:], axis=0)
            rows, real = _part(rows, batch, self.share)
            kinds = (
                tf.TensorSpec((None, None, 4), tf.uint8),
                tf.TensorSpec((None, None), tf.uint8),
            )
            pair = tf.map_fn(
                lambda row: _on_canvas(*one(row), canvas, colour), rows, fn_output_signature=kinds
            )
            return pair[0], tf.where(real[:, None, None], pair[1], np.uint8(VOID))

        return _read(self._plan(start), load)

    def ids(self, step: int) -> list[str]:
        """The images that `batches` gives at a step.

        Args:
            step: the first is 0.

        Raises:
            UserError: records that are not there.
        """
        rows = next(self._plan(step).as_numpy_iterator())
        return [self._info["ids"][number] for number in rows[:, 0]]

    def _plan(self, start: int) -> tf.data.Dataset:
        """Batches of rows of `batches.epoch` from a step on, without end."""
        count, sizes = self._info["images"], np.array(self._info["sizes"])
        seed, batch, augment = self.recipe.seed, self.recipe.batch, self.recipe.augment
        steps = -(-count // batch)

        def epoch(number: tf.Tensor) -> tf.data.Dataset:
            order = tf.random.experimental.index_shuffle(
                tf.range(count), tf.cast(tf.stack([seed, number]), tf.int32), count - 1
            )  # fmt: skip
            # With anything stateful in it, TensorFlow's deterministic mode would run the whole
            # stream without parallelism.
            table = tf.numpy_function(
                lambda order, number: batches.epoch(order, sizes, seed, int(number), batch,
                BUCKETS, augment),
                [order, number], tf.int32, stateful=False,
            )  # fmt: skip
            return tf.data.Dataset.from_tensor_slices(tf.ensure_shape(table, (count, 10))).batch(
                batch
            )

        return (
            tf.data.Dataset.range(start // steps, tf.int64.max).flat_map(epoch).skip(start % steps)
        )


def _read(dataset: tf.data.Dataset, load: Callable[[tf.Tensor], Any]) -> tf.data.Dataset:
    """Loads examples in several threads, some steps ahead.

    As many as are set here, not as TensorFlow would find out: with the thread that does so (2.21)
    the net had only one of two cores in half of all evaluations, from the first image to the last.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.map(load, num_parallel_calls=_AT_ONCE).prefetch(_AHEAD).with_options(options)


def _part(rows: tf.Tensor, batch: int, share: Share) -> tuple[tf.Tensor, tf.Tensor]:
    """This process's rows of a batch that may be short, and which of them are more than a filling,
    bool (N,).
    """
    count, size = tf.shape(rows)[0], batch // share.processes
    rows = tf.concat([rows, tf.repeat(rows[-1:], batch - count, axis=0)], axis=0)
    mine = slice(share.process * size, (share.process + 1) * size)
    return rows[mine], (tf.range(batch) < count)[mine]


def _moved(
    image: tf.Tensor, label: tf.Tensor, move: tf.Tensor, augment: Augment, colour: np.ndarray
) -> tuple[tf.Tensor, tf.Tensor]:
    """Does to one image and its label what a row of `augment.moves` says."""
    height, width, mirrored, top, left, rows, columns = tf.unstack(move)
    if augment.scale != (1.0, 1.0):
        size = [height, width]
        image = tf.image.resize(image, size, antialias=True)
        image = tf.cast(tf.clip_by_value(tf.round(image), 0, 255), tf.uint8)
        label = tf.image.resize(label[..., None], size, "nearest")[..., 0]
    if augment.mirror:
        image, label = (
            tf.cond(mirrored > 0, lambda x=x: tf.reverse(x, [1]), lambda x=x: x)
            for x in (image, label)
        )
    if augment.jitter:
        image, label = _surrounded(image, label, [[augment.jitter] * 2] * 2, colour)
    if augment.jitter or augment.crop:
        image, label = (x[top : top + rows, left : left + columns] for x in (image, label))
    return image, label


def _on_canvas(
    image: tf.Tensor, label: tf.Tensor, canvas: tf.Tensor, colour: np.ndarray
) -> tuple[tf.Tensor, tf.Tensor]:
    """Adds the channel that says where the image is, and fills the canvas."""
    image = tf.pad(image, [[0, 0], [0, 0], [0, 1]], constant_values=255)
    height, width = tf.unstack(canvas - tf.shape(label))
    return _surrounded(image, label, [[0, height], [0, width]], np.append(colour, np.uint8(0)))


def _surrounded(
    image: tf.Tensor, label: tf.Tensor, borders: list, colour: np.ndarray
) -> tuple[tf.Tensor, tf.Tensor]:
    """Puts the colour around an image, and void around its label; `borders`
    are those of `tf.pad`.
    """
    (top, bottom), (left, right) = borders
    height, width = tf.unstack(tf.shape(label))

    def block(rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
        return tf.broadcast_to(colour, [rows, columns, len(colour)])

    image = tf.concat([block(height, left), image, block(height, right)], axis=1)
    image = tf.concat(
        [block(top, left + width + right), image, block(bottom, left + width + right)], axis=0
    )
    return image, tf.pad(label, borders, constant_values=VOID)


def validation(folder: Path, split: str, most: int = 0) -> tf.data.Dataset:
    """Every image of a split once, in stored order, never resized.

    Args:
        folder: of the records.
        split: name of the split.
        most: if the split has more images, every n-th of them, the smallest n that leaves no more
            than this; 0: all.

    Returns:
        Dictionaries of `image` uint8 (1, H, W, 3) RGB, `label` uint8 (1, H, W), `id` string (1,).

    Raises:
        UserError: records that are not there.
    """
    dataset = tf.data.TFRecordDataset(records.shard_paths(folder, split))
    return _read(dataset.shard(_every(folder, split, most), 0), records.parse).batch(1)


def count(folder: Path, split: str, most: int = 0) -> int:
    """How many images `validation`, called with the same arguments, gives."""
    return -(-int(records.split_info(folder, split)["images"]) // _every(folder, split, most))


def _every(folder: Path, split: str, most: int) -> int:
    images = int(records.split_info(folder, split)["images"])
    return -(-images // most) if most else 1
