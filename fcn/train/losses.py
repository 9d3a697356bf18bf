"""Softmax loss over pixels, void left out."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from fcn.spec import VOID


@keras.saving.register_keras_serializable("fcn")
class PixelLoss(keras.losses.Loss):  # type: ignore[misc]
    """Cross entropy of the softmax, summed or averaged over the valid pixels of the whole batch.

    Caffe's SoftmaxWithLoss with `ignore_label: 255`; "sum" is `normalize: false` (the heavy recipe), "mean" divides by the
    number of valid pixels (CVPR). Own code, since Keras' own mean divides by other counts when pixels are ignored.

    For 187 500 pixels of 21 classes the first sum is 187 500 ln 21 = 570 848, beyond fp16: logits are cast to float32.
    """

    def __init__(
        self, reduction: str = "sum", total: Callable[[Any], Any] = lambda x: x, name: str = "pixel_loss", **kwargs: Any
    ) -> None:
        """`reduction`: "sum" or "mean"; `total`: from a number of this device's part of the batch to that of the whole.

        On several devices that each see their part, every one's loss is the sum over its own pixels, or that divided by the
        pixels of all: what the engine adds up is then the loss of the whole batch, however unevenly void is spread.

        Raises:
            ValueError: another reduction.
        """
        if reduction not in ("sum", "mean"):
            raise ValueError(f"loss: expected sum or mean, got {reduction!r}")
        super().__init__(reduction=None, name=name, dtype="float32")
        self.over_pixels, self.total = reduction, total

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Labels (N, H, W), 0..C-1 or 255; scores (N, H, W, C) -> a float32 scalar, 0 if every pixel is void."""
        labels = ops.cast(y_true, "int32")
        valid = ops.cast(ops.not_equal(labels, VOID), "float32")
        scores = ops.cast(y_pred, "float32")
        known = ops.where(ops.equal(labels, VOID), 0, labels)
        # A label beyond the classes would silently take another class's score; records are checked when written.
        log_likelihood = ops.take_along_axis(ops.log_softmax(scores, axis=-1), known[..., None], axis=-1)[..., 0]
        total = -ops.sum(log_likelihood * valid)
        return total if self.over_pixels == "sum" else total / ops.maximum(self.total(ops.sum(valid)), 1.0)

    def get_config(self) -> dict[str, Any]:
        """What `__init__` takes."""
        return {"reduction": self.over_pixels, "name": self.name}
