"""tf.data input: whole images at their native size, in a shuffled order that depends on the seed and the step alone."""

from pathlib import Path

import tensorflow as tf

from fcn import records


def training(folder: Path, split: str, seed: int, start: int = 0) -> tf.data.Dataset:
    """An endless stream of batches of one image, each epoch in a new order.

    The order of epoch e is a permutation drawn from (seed, e), so a training that is resumed at step `start` sees just the
    images that it would have seen without the break.

    Args:
        folder: of the records.
        split: name of the split.
        seed: of the order.
        start: steps already done.

    Returns:
        Batches (image uint8 (1, H, W, 3) RGB, label uint8 (1, H, W)).

    Raises:
        UserError: records that are not there.
    """
    count = records.split_info(folder, split)["images"]
    # The encoded examples of the largest set that is trained on here (SBD, 8 498 images) are 1 GB: they are kept in
    # memory, which makes every order free. Decoded, they would be 60 GB.
    encoded = tf.data.TFRecordDataset(records.shard_paths(folder, split)).batch(count).get_single_element()

    def order(epoch: tf.Tensor) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensor_slices(tf.random.experimental.index_shuffle(
            tf.range(count), tf.cast(tf.stack([seed, epoch]), tf.int32), count - 1
        ))  # fmt: skip

    epochs = tf.data.Dataset.range(start // count, tf.int64.max).flat_map(order).skip(start % count)
    images = epochs.map(lambda index: records.parse(encoded[index]), num_parallel_calls=tf.data.AUTOTUNE)
    return images.map(lambda example: (example["image"], example["label"])).batch(1).prefetch(tf.data.AUTOTUNE)


def validation(folder: Path, split: str) -> tf.data.Dataset:
    """Every image of a split once, in stored order, never resized.

    Returns:
        Dictionaries of `image` uint8 (1, H, W, 3) RGB, `label` uint8 (1, H, W), `id` string (1,).

    Raises:
        UserError: records that are not there.
    """
    dataset = tf.data.TFRecordDataset(records.shard_paths(folder, split))
    return dataset.map(records.parse, num_parallel_calls=tf.data.AUTOTUNE).batch(1).prefetch(tf.data.AUTOTUNE)
