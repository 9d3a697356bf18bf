"""Predicts labels at each image's own size and counts them, the one while the other goes on."""

import itertools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import keras
import numpy as np
from keras import ops

from fcn.hardware import Share
from fcn.score import metrics

Labeler = Callable[[Any], np.ndarray]
"""RGB images (N, H, W, 3), uint8 or float 0..255 -> labels uint8 (N, H, W)."""
COMPILED = keras.backend.backend() == "jax"
"""Whether XLA compiles nets. It does so for every size of image, which costs TensorFlow more than
it gains; JAX knows no other way to run a whole net at once."""
T = TypeVar("T")

_THREADS = min(8, os.cpu_count() or 1)


def labeler(model: keras.Model) -> Labeler:
    """The net followed by the argmax over its classes, on the device, so that labels and not scores
    travel back.

    Args:
        model: from images (N, H, W, 3) to scores (N, H, W, C), C up to 256. Its weights are shared,
            not copied.

    Returns:
        A function; where two classes score the same, the lower index wins.
    """
    net = keras.Model(model.input, ops.cast(ops.argmax(model.output, axis=-1), "uint8"))
    net.compile(jit_compile=COMPILED)
    # JAX takes no tensors of TensorFlow's
    return lambda images: net.predict_on_batch(np.asarray(images))


class Divided:
    """A labeler of as many batches at a time as there are devices: the same labels, sooner."""

    def __init__(self, model: keras.Model, share: Share) -> None:
        """`model` as of `labeler`, made within `share.scope()`; `share` of two devices or more."""
        net = keras.Model(model.input, ops.cast(ops.argmax(model.output, axis=-1), "uint8"))
        self.count, self.label = share.here, share.apart(net)


def divided(model: keras.Model, share: Share) -> Labeler | Divided:
    """What `each` takes to predict on all devices of `share` that this process has; see `labeler`
    and `Divided`.
    """
    return labeler(model) if share.devices == 1 else Divided(model, share)


def each(
    label: Labeler | Divided,
    examples: Iterable[dict[str, Any]],
    work: Callable[[dict[str, Any], np.ndarray], T],
) -> Iterator[T]:
    """Predicts batch after batch; what is made of the predictions is worked out in threads
    meanwhile.

    Args:
        label: see `divided`.
        examples: batches with `image` uint8 (N, H, W, 3).
        work: called with a batch and its predicted labels (N, H, W), in any order and at the same
            time as others. NumPy, SciPy and Pillow compute without Python's lock, so the device
            need not wait for them.

    Yields:
        What `work` returns, in the order of the examples. Only a few batches are held at a time,
        however many there are.
    """
    with ThreadPoolExecutor(_THREADS) as pool:
        waiting: deque[Future[T]] = deque()
        for batch, found in _labelled(label, examples):
            waiting.append(pool.submit(work, batch, found))
            while len(waiting) > 2 * _THREADS or (waiting and waiting[0].done()):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _labelled(
    label: Labeler | Divided, examples: Iterable[dict[str, Any]]
) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
    if not isinstance(label, Divided):
        for batch in examples:
            yield batch, label(batch["image"])
        return
    waiting = iter(examples)
    while group := list(itertools.islice(waiting, label.count)):
        found = label.label([np.asarray(batch["image"]) for batch in group])
        yield from zip(group, found, strict=True)


def evaluate(
    label: Labeler | Divided,
    examples: Iterable[dict[str, Any]],
    classes: int,
    seen: Callable[[dict[str, Any], np.ndarray], None] | None = None,
) -> np.ndarray:
    """Scores a set at the native size of its images.

    Args:
        label: see `divided`.
        examples: batches with `image` uint8 (N, H, W, 3) and `label` uint8 (N, H, W), 255 being
            void.
        classes: how many there are.
        seen: called with each batch and its predicted labels (N, H, W), in order.

    Returns:
        The confusion of the whole set: int64 (classes, classes), rows true; see
        `fcn.score.metrics`.
    """

    def count(
        batch: dict[str, Any], predicted: np.ndarray
    ) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
        return batch, predicted, metrics.confusion(np.asarray(batch["label"]), predicted, classes)

    histogram = np.zeros((classes, classes), np.int64)
    for batch, predicted, counted in each(label, examples, count):
        histogram += counted
        if seen:
            seen(batch, predicted)
    return histogram


def averaged(model: keras.Model, scales: Iterable[float], mirror: bool) -> Labeler:
    """A labeler that looks at every image several times; see `protocols.Protocol`.

    Args:
        model: as for `labeler`.
        scales: factors on height and width.
        mirror: whether each of them is looked at mirrored, too.

    Returns:
        A function; where two classes have the same probability, the lower index wins.
    """
    net, scales = keras.Model(model.input, ops.softmax(model.output)), tuple(scales)
    net.compile(jit_compile=COMPILED)

    def label(images: Any) -> np.ndarray:
        images = ops.convert_to_tensor(images, "float32")
        size, total = images.shape[1:3], 0.0
        for scale in scales:
            seen = images
            if scale != 1:
                scaled = [max(1, round(side * scale)) for side in size]
                seen = ops.image.resize(images, scaled, "bilinear", antialias=True)
            total += ops.image.resize(net.predict_on_batch(seen), size, "bilinear")
            if mirror:
                back = ops.flip(net.predict_on_batch(ops.flip(seen, 2)), 2)
                total += ops.image.resize(back, size, "bilinear")
        return np.asarray(ops.cast(ops.argmax(total, axis=-1), "uint8"))

    return label
