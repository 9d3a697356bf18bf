"""Bilinear interpolation as the kernel of a strided transposed convolution."""

from typing import Any

import keras
import numpy as np


def bilinear_kernel(factor: int) -> np.ndarray:
    """The 2-D kernel that upsamples by `factor`.

    Args:
        factor: how many output pixels stand for one input pixel, at least 1.

    Returns:
        float32 (2*factor, 2*factor); for factor 2 the outer product of [.25, .75, .75, .25] with itself. With stride
        `factor` the weights that meet in an output pixel sum to 1.

    Raises:
        ValueError: factor below 1.

    Source: `upsample_filt` of the authors' surgery.py, for the even kernel sizes that the nets use.
    """
    if factor < 1:
        raise ValueError(f"an upsampling factor is at least 1, got {factor}")
    distance = np.abs(np.arange(2 * factor) - (factor - 0.5)) / factor
    return np.outer(1 - distance, 1 - distance).astype(np.float32)


@keras.saving.register_keras_serializable("fcn")
class Bilinear(keras.initializers.Initializer):  # type: ignore[misc]
    """Initialises a Conv2DTranspose kernel (k, k, out, in) to bilinear upsampling of every channel by itself."""

    def __call__(self, shape: tuple[int, ...], dtype: Any = None, **_: Any) -> Any:
        """Returns the kernel, the 2-D one on the channel diagonal and 0 elsewhere.

        Raises:
            ValueError: the kernel is not square, not even, or mixes different numbers of channels.
        """
        height, width, channels_out, channels_in = shape
        if height != width or height % 2 or channels_out != channels_in:
            raise ValueError(f"bilinear upsampling needs a kernel (2f, 2f, C, C), got {tuple(shape)}")
        kernel = bilinear_kernel(height // 2)[:, :, None, None] * np.eye(channels_out, dtype=np.float32)
        return keras.ops.cast(kernel, dtype or "float32")
