"""Bilinear interpolation as a strided transposed convolution: its kernel, and
the same without one.
"""

from typing import Any

import keras
import numpy as np
from keras import ops


def bilinear_kernel(factor: int) -> np.ndarray:
    """The 2-D kernel that upsamples by `factor`.

    Args:
        factor: how many output pixels stand for one input pixel, at least 1.

    Returns:
        float32 (2*factor, 2*factor); for factor 2 the outer product of [.25, .75, .75, .25] with
        itself. With stride `factor` the weights that meet in an output pixel sum to 1.

    Raises:
        ValueError: factor below 1.

    Source: `upsample_filt` of the authors' surgery.py, for the even kernel sizes that the nets use.

    Example:
        >>> bilinear_kernel(2)[0].tolist()
        [0.0625, 0.1875, 0.1875, 0.0625]
    """
    if factor < 1:
        raise ValueError(f"an upsampling factor is at least 1, got {factor}")
    distance = np.abs(np.arange(2 * factor) - (factor - 0.5)) / factor
    return np.outer(1 - distance, 1 - distance).astype(np.float32)


@keras.saving.register_keras_serializable("fcn")
class Bilinear(keras.initializers.Initializer):  # type: ignore[misc]
    """Initialises a Conv2DTranspose kernel (k, k, out, in) to bilinear upsampling of every channel
    by itself.
    """

    def __call__(self, shape: tuple[int, ...], dtype: Any = None, **_: Any) -> Any:
        """Returns the kernel, the 2-D one on the channel diagonal and 0 elsewhere.

        Raises:
            ValueError: the kernel is not square, not even, or mixes different numbers of channels.
        """
        height, width, channels_out, channels_in = shape
        if height != width or height % 2 or channels_out != channels_in:
            raise ValueError(
                f"bilinear upsampling needs a kernel (2f, 2f, C, C), got {tuple(shape)}"
            )
        kernel = bilinear_kernel(height // 2)[:, :, None, None] * np.eye(
            channels_out, dtype=np.float32
        )
        return ops.cast(kernel, dtype or "float32")


@keras.saving.register_keras_serializable("fcn")
class Upsample(keras.layers.Layer):  # type: ignore[misc]
    """Conv2DTranspose of stride `factor` with the kernel of `Bilinear`, but without a kernel.

    `bilinear_kernel` is the product of a column and a row, so all that it does is two products with
    a small matrix: of the columns of a map, then of its rows. A Conv2DTranspose multiplies every
    class by every other: for 150 classes and a factor of 32 by 92 million weights, of which 614
    thousand are not 0. On a GPU, products also repeat to the bit; sums of a transposed convolution
    need not.

    Example:
        >>> line = np.array([0.0, 4.0], np.float32).reshape(1, 1, 2, 1)  # (N, h, w, C)
        >>> np.asarray(Upsample(2, "same")(line))[0, 0, :, 0].tolist()  # 0.75 of it is in row 0
        [0.0, 0.75, 2.25, 2.25]
    """

    def __init__(self, factor: int, padding: str, **kwargs: Any) -> None:
        """`factor`: pixels for a cell, at least 1; `padding`: "valid" or "same", as of
        Conv2DTranspose.
        """
        super().__init__(**kwargs)
        self.factor, self.padding = factor, padding

    def call(self, maps: Any) -> Any:
        """Maps (N, h, w, C) -> (N, H, W, C): with "valid" H = factor (h + 1), with "same" H =
        factor h; W likewise.

        Args:
            maps: float (N, h, w, C).
        """
        number, height, width, channels = ops.shape(maps)
        maps = ops.matmul(self.shares(width), maps)
        whole_rows = ops.reshape(maps, (number, height, -1))  # as one large product for each image
        return ops.reshape(
            ops.matmul(self.shares(height), whole_rows),
            (number, self.enlarged(height), -1, channels),
        )

    def enlarged(self, length: Any) -> Any:
        """The height or width that comes of a height or width, or of many.

        Args:
            length: in cells.
        """
        return self.factor * (length if self.padding == "same" else length + 1)

    def shares(self, length: Any) -> Any:
        """(enlarged, length): the share of every cell in every pixel of a line, by the formula of
        `bilinear_kernel`.

        Args:
            length: in cells.
        """
        pixels = ops.cast(ops.arange(self.enlarged(length)), self.compute_dtype)[:, None]
        cells = ops.cast(ops.arange(length), self.compute_dtype)[None]
        # leaves out the first pixels of "valid", and as many or one more of the last
        if self.padding == "same":
            pixels += self.factor // 2
        return ops.maximum(
            1 - ops.abs(pixels - self.factor * cells - (self.factor - 0.5)) / self.factor, 0
        )

    def compute_output_shape(self, shape: Any) -> Any:
        """Larger, as `call` says.

        Args:
            shape: (N, h, w, C); a side that is not known yet is None.
        """
        return (shape[0], *(length and self.enlarged(length) for length in shape[1:3]), shape[3])

    def get_config(self) -> dict[str, Any]:
        """What `__init__` takes."""
        return {**super().get_config(), "factor": self.factor, "padding": self.padding}
