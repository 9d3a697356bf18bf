"""The layers that Keras does not have: what Caffe did to the image before the net, its Crop, and
its dense layers.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from fcn.hardware import cpu


@keras.saving.register_keras_serializable("fcn")
class MeanBGR(keras.layers.Layer):  # type: ignore[misc]
    """Turns RGB into BGR and then subtracts the mean, in this order; no scaling.

    Inside the net, so that whoever holds a model can only feed it right, and so that `conv1_1` pads
    with 0 *after* the subtraction, as Caffe does.
    """

    def __init__(self, mean_bgr: Sequence[float], **kwargs: Any) -> None:
        """`mean_bgr`: three numbers, in units of 0..255."""
        super().__init__(**kwargs)
        self.mean_bgr = [float(value) for value in mean_bgr]

    def call(self, images: Any) -> Any:
        """RGB (N, H, W, 3), uint8 or float in 0..255 -> BGR minus mean, float."""
        return ops.cast(images, self.compute_dtype)[..., ::-1] - ops.convert_to_tensor(
            self.mean_bgr, self.compute_dtype
        )

    def get_config(self) -> dict[str, Any]:
        """What `__init__` takes."""
        return {**super().get_config(), "mean_bgr": self.mean_bgr}


@keras.saving.register_keras_serializable("fcn")
class Grey(keras.layers.Layer):  # type: ignore[misc]
    """Turns RGB into grey, with the weights of Pillow's mode L, and divides it by 256: what LeNet
    takes.
    """

    def call(self, images: Any) -> Any:
        """RGB (N, H, W, 3), uint8 or float in 0..255 -> (N, H, W, 1), float in 0..1."""
        red, green, blue = ops.split(ops.cast(images, self.compute_dtype), 3, axis=-1)
        return (0.299 * red + 0.587 * green + 0.114 * blue) / 256

    def compute_output_shape(self, input_shape: Any) -> Any:
        """One channel."""
        return (*input_shape[:-1], 1)


@keras.saving.register_keras_serializable("fcn")
class Crop(keras.layers.Layer):  # type: ignore[misc]
    """Caffe's Crop: the window of `source` that starts at (offset, offset) and has the height and
    width of `like`.

    Example:
        >>> import numpy as np
        >>> from fcn.spec import BACKBONES
        >>> BACKBONES["vgg16"].paddings["caffe"].score_offset  # by stride
        {32: 19, 16: 27, 8: 31}
        >>> row = np.arange(6.0).reshape(1, 1, 6, 1).repeat(6, axis=1)  # (N, h, w, C)
        >>> np.asarray(Crop(2)(row, np.zeros((1, 3, 3, 1))))[0, 0, :, 0].tolist()
        [2.0, 3.0, 4.0]
    """

    def __init__(self, offset: int, **kwargs: Any) -> None:
        """`offset`: rows and columns of `source` left out at the top and the left."""
        super().__init__(**kwargs)
        self.offset = offset

    def call(self, source: Any, like: Any) -> Any:
        """Source (N, h, w, C), like (N, H, W, any) -> (N, H, W, C)."""
        (number, _, _, channels), (_, height, width, _) = ops.shape(source), ops.shape(like)
        # Not source[:, a:b, c:d]: the gradient of that is copied element by element on one thread,
        # this one's is padding.
        return ops.slice(
            source, (0, self.offset, self.offset, 0), (number, height, width, channels)
        )

    def compute_output_shape(self, source_shape: Any, like_shape: Any) -> Any:
        """Batch and channels of `source`, height and width of `like`."""
        return (source_shape[0], *like_shape[1:3], source_shape[3])

    def get_config(self) -> dict[str, Any]:
        """What `__init__` takes."""
        return {**super().get_config(), "offset": self.offset}


@keras.saving.register_keras_serializable("fcn")
class BlockedConv2D(keras.layers.Conv2D):  # type: ignore[misc]
    """A convolution computed in blocks of its filters where that is faster (`cpu.filters_at_once`),
    with the same sums.
    """

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """Inputs (N, h, w, in), kernel (side, side, in, out) -> (N, h', w', out), as of Conv2D."""
        convolve, at_once = super().convolution_op, cpu.filters_at_once(inputs, kernel)
        if at_once >= self.filters:
            return convolve(inputs, kernel)
        blocks = ops.split(kernel, range(at_once, self.filters, at_once), axis=-1)
        return ops.concatenate([convolve(inputs, block) for block in blocks], axis=-1)


@keras.saving.register_keras_serializable("fcn")
class DenseConv2D(keras.layers.Conv2D):  # type: ignore[misc]
    """A convolution with stride 1, computed as what it was before it became one: a product of
    patches and kernel.

    fc6's kernel, 7x7x512x4096, is larger than all maps of the net together. On a CPU a convolution
    brings it into another layout first, and its gradient back: the product takes it as it lies
    there, at 2 to 7 times the speed. The patches hold every value of a map 49 times, but of the
    smallest map of the net: 19 MB of float32 for an image of 500x375 with the border. A GPU's
    convolution makes the same product without the patches in memory; there the plain layer may be
    as fast.
    """

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """Inputs (N, h, w, in), kernel (side, side, in, out) -> (N, h', w', out), h' and w' as of
        Conv2D.
        """
        side = self.kernel_size[0]
        if self.padding == "same":
            before, after = (side - 1) // 2, side // 2
            inputs = ops.pad(inputs, [[0, 0], [before, after], [before, after], [0, 0]])
        if side > 1:  # channels in the kernel's order: rows, columns, inputs
            inputs = _neighbours(_neighbours(inputs, 2, side), 1, side)
        *place, depth = ops.shape(inputs)
        # As matrices: the product of a map and a matrix would be one product per row, and so many
        # gradients of the kernel.
        product = ops.matmul(
            ops.reshape(inputs, (-1, depth)), ops.reshape(kernel, (depth, self.filters))
        )
        return ops.reshape(product, (*place, self.filters))


def _neighbours(maps: Any, axis: int, count: int) -> Any:
    """Every cell's channels and behind them those of the next cells along `axis`, `count` cells in
    all.
    """
    shape = list(ops.shape(maps))
    shape[axis] -= count - 1
    starts = ([n if a == axis else 0 for a in range(4)] for n in range(count))
    return ops.concatenate([ops.slice(maps, start, shape) for start in starts], axis=-1)
