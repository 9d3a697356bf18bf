"""Losses over pixels, void left out: cross entropy of the softmax, and Dice."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from fcn.spec import VOID


@keras.saving.register_keras_serializable("fcn")
class PixelLoss(keras.losses.Loss):  # type: ignore[misc]
    """Cross entropy of the softmax, summed or averaged over the valid pixels of the whole batch.

    Caffe's SoftmaxWithLoss with `ignore_label: 255`; "sum" is `normalize: false` (the heavy
    recipe), "mean" divides by the number of valid pixels (CVPR). Own code, since Keras' own mean
    divides by other counts when pixels are ignored.

    "dice" is 1 less the mean soft Dice, 2 sum(p t) / (sum(p) + sum(t)), of the classes that the
    batch shows in truth, with p the softmax and t 0 or 1, over the valid pixels: a small class
    counts as much as a large one (Milletari et al., V-Net, 2016, with plain sums in the
    denominator). It is not added up from parts of a batch, so it is for one device.

    For 187 500 pixels of 21 classes the first sum is 187 500 ln 21 = 570 848, beyond fp16: logits
    are cast to float32.

    Example:
        >>> import numpy as np
        >>> labels = np.array([[[0, 1, 255]]])  # (N, H, W); the last pixel is void
        >>> scores = np.zeros((1, 1, 3, 2))  # (N, H, W, C): both classes alike, ln 2 for each pixel
        >>> round(float(PixelLoss("sum")(labels, scores)), 4)
        1.3863
        >>> round(float(PixelLoss("mean")(labels, scores)), 4)
        0.6931
    """

    def __init__(
        self,
        reduction: str = "sum",
        total: Callable[[Any], Any] = lambda x: x,
        name: str = "pixel_loss",
        weights: Sequence[float] = (),
        **kwargs: Any,
    ) -> None:
        """What the loss is made of.

        On several devices that each see their part, every one's loss is the sum over its own
        pixels, or that divided by the pixels of all: what the engine adds up is then the loss of
        the whole batch, however unevenly void is spread.

        Args:
            reduction: "sum", "mean" or "dice".
            total: from a number of this device's part of the batch to that of the whole.
            name: of the loss.
            weights: of each class, for its pixels ("mean" divides by the sum of their weights) or
                for its Dice; none: all 1.
            kwargs: Keras'.

        Raises:
            ValueError: another reduction.
        """
        if reduction not in ("sum", "mean", "dice"):
            raise ValueError(f"loss: expected sum, mean or dice, got {reduction!r}")
        super().__init__(reduction=None, name=name, dtype="float32")
        self.over_pixels, self.total, self.weights = reduction, total, tuple(weights)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Labels (N, H, W), 0..C-1 or 255; scores (N, H, W, C) -> a float32 scalar, 0 if every
        pixel is void.
        """
        labels = ops.cast(y_true, "int32")
        valid = ops.cast(ops.not_equal(labels, VOID), "float32")
        scores = ops.cast(y_pred, "float32")
        known = ops.where(ops.equal(labels, VOID), 0, labels)
        if self.over_pixels == "dice":
            return self._dice(known, valid, scores)
        if self.weights:
            valid = valid * ops.take(ops.convert_to_tensor(self.weights, "float32"), known)
        # A label beyond the classes would silently take another class's score; records are checked
        # when written.
        log_likelihood = ops.take_along_axis(
            ops.log_softmax(scores, axis=-1), known[..., None], axis=-1
        )[..., 0]
        total = -ops.sum(log_likelihood * valid)
        if self.over_pixels == "sum":
            return total
        return total / ops.maximum(self.total(ops.sum(valid)), 1e-6 if self.weights else 1.0)

    def _dice(self, known: Any, valid: Any, scores: Any) -> Any:
        classes = scores.shape[-1]
        truth = ops.one_hot(known, classes, dtype="float32") * valid[..., None]
        predicted = ops.softmax(scores, axis=-1) * valid[..., None]
        both, shown, guessed = (
            ops.sum(each, axis=(0, 1, 2)) for each in (truth * predicted, truth, predicted)
        )
        counted = ops.cast(shown > 0, "float32")
        if self.weights:
            counted = counted * ops.convert_to_tensor(self.weights, "float32")
        lost = 1 - 2 * both / ops.maximum(shown + guessed, 1e-6)
        return ops.sum(counted * lost) / ops.maximum(ops.sum(counted), 1e-6)

    def get_config(self) -> dict[str, Any]:
        """What `__init__` takes."""
        return {"reduction": self.over_pixels, "name": self.name, "weights": self.weights}
