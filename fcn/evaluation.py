"""Predicts labels at each image's own size and counts them."""

from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np
from keras import ops

from fcn import metrics

Labeler = Callable[[Any], np.ndarray]
"""RGB images (N, H, W, 3), uint8 or float 0..255 -> labels uint8 (N, H, W)."""


def labeler(model: keras.Model) -> Labeler:
    """The net followed by the argmax over its classes, on the device, so that labels and not scores travel back.

    Args:
        model: from images (N, H, W, 3) to scores (N, H, W, C), C up to 256. Its weights are shared, not copied.

    Returns:
        A function; where two classes score the same, the lower index wins.
    """
    net = keras.Model(model.input, ops.cast(ops.argmax(model.output, axis=-1), "uint8"))
    # Sizes vary from image to image, and XLA compiles for every one. JAX knows no other way to compute a whole net at once.
    net.compile(jit_compile=keras.backend.backend() == "jax")
    return lambda images: net.predict_on_batch(np.asarray(images))  # JAX takes no tensors of TensorFlow's


def evaluate(
    label: Labeler,
    examples: Iterable[dict[str, Any]],
    classes: int,
    seen: Callable[[dict[str, Any], np.ndarray], None] | None = None,
) -> np.ndarray:
    """Scores a set at the native size of its images.

    Args:
        label: see `labeler`.
        examples: batches with `image` uint8 (N, H, W, 3) and `label` uint8 (N, H, W), 255 being void.
        classes: how many there are.
        seen: called with each batch and its predicted labels (N, H, W).

    Returns:
        The confusion of the whole set: int64 (classes, classes), rows true; see `fcn.metrics`.
    """
    histogram = np.zeros((classes, classes), np.int64)
    for batch in examples:
        predicted = label(batch["image"])
        histogram += metrics.confusion(np.asarray(batch["label"]), predicted, classes)
        if seen:
            seen(batch, predicted)
    return histogram
