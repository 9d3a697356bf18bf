"""The layers that Keras does not have: what Caffe did to the image before the net, and Caffe's Crop."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("fcn")
class MeanBGR(keras.layers.Layer):  # type: ignore[misc]
    """Turns RGB into BGR and then subtracts the mean, in this order; no scaling.

    Inside the net, so that whoever holds a model can only feed it right, and so that `conv1_1` pads with 0 *after* the
    subtraction, as Caffe does.
    """

    def __init__(self, mean_bgr: Sequence[float], **kwargs: Any) -> None:
        """`mean_bgr`: three numbers, in units of 0..255."""
        super().__init__(**kwargs)
        self.mean_bgr = [float(value) for value in mean_bgr]

    def call(self, images: Any) -> Any:
        """RGB (N, H, W, 3), uint8 or float in 0..255 -> BGR minus mean, float."""
        return ops.cast(images, self.compute_dtype)[..., ::-1] - ops.convert_to_tensor(self.mean_bgr, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """What `__init__` takes."""
        return {**super().get_config(), "mean_bgr": self.mean_bgr}


@keras.saving.register_keras_serializable("fcn")
class Grey(keras.layers.Layer):  # type: ignore[misc]
    """Turns RGB into grey, with the weights of Pillow's mode L, and divides it by 256: what LeNet takes."""

    def call(self, images: Any) -> Any:
        """RGB (N, H, W, 3), uint8 or float in 0..255 -> (N, H, W, 1), float in 0..1."""
        red, green, blue = ops.split(ops.cast(images, self.compute_dtype), 3, axis=-1)
        return (0.299 * red + 0.587 * green + 0.114 * blue) / 256

    def compute_output_shape(self, input_shape: Any) -> Any:
        """One channel."""
        return (*input_shape[:-1], 1)


@keras.saving.register_keras_serializable("fcn")
class Crop(keras.layers.Layer):  # type: ignore[misc]
    """Caffe's Crop: the window of `source` that starts at (offset, offset) and has the height and width of `like`."""

    def __init__(self, offset: int, **kwargs: Any) -> None:
        """`offset`: rows and columns of `source` left out at the top and the left."""
        super().__init__(**kwargs)
        self.offset = offset

    def call(self, source: Any, like: Any) -> Any:
        """source (N, h, w, C), like (N, H, W, any) -> (N, H, W, C)."""
        height, width = ops.shape(like)[1:3]
        return source[:, self.offset : self.offset + height, self.offset : self.offset + width]

    def compute_output_shape(self, source_shape: Any, like_shape: Any) -> Any:
        """Batch and channels of `source`, height and width of `like`."""
        return (source_shape[0], *like_shape[1:3], source_shape[3])

    def get_config(self) -> dict[str, Any]:
        """What `__init__` takes."""
        return {**super().get_config(), "offset": self.offset}
