"""The same net for padded batches: what lies outside of an image changes neither its scores nor its
gradient.
"""

from typing import Any

import keras
from keras import layers, ops

from fcn.net.bilinear import Upsample
from fcn.net.layers import Crop, Grey, MeanBGR

Sizes = Any
"""int32 (N, 2): rows and columns of a map, counted from the top left, that belong to each image."""


@keras.saving.register_keras_serializable("fcn")
class Inside(layers.Layer):  # type: ignore[misc]
    """Sets what lies outside of each image's own part of a map to `fill`."""

    def __init__(self, fill: float = 0.0, **kwargs: Any) -> None:
        """`fill`: any number; of -inf no gradient comes back."""
        super().__init__(**kwargs)
        self.fill = fill

    def call(self, maps: Any, sizes: Sizes) -> Any:
        """Maps (N, H, W, C), sizes int (N, 2) -> (N, H, W, C)."""
        height, width = ops.shape(maps)[1:3]
        # Reshaped, not indexed with None: TensorFlow's optimizer of graphs gets that wrong on top
        # of the stacking in `masked`.
        sizes = ops.cast(sizes, "int32")
        rows = ops.reshape(ops.arange(height), (1, -1, 1, 1)) < ops.reshape(
            sizes[:, 0], (-1, 1, 1, 1)
        )
        columns = ops.reshape(ops.arange(width), (1, 1, -1, 1)) < ops.reshape(
            sizes[:, 1], (-1, 1, 1, 1)
        )
        return ops.where(ops.logical_and(rows, columns), maps, ops.cast(self.fill, maps.dtype))

    def compute_output_shape(self, maps_shape: Any, sizes_shape: Any) -> Any:
        """That of `maps`."""
        return maps_shape

    def get_config(self) -> dict[str, Any]:
        """What `__init__` takes."""
        return {**super().get_config(), "fill": self.fill}


_POINTWISE = (MeanBGR, Grey, Crop, layers.Add, layers.Dropout, layers.Rescaling)
"""What takes every cell for itself."""


def masked(net: keras.Model) -> keras.Model:
    """The net with the same layers, and so the same weights, for batches that `inputs.Stream` has
    padded.

    Before every layer that looks beyond its own cell, all that lies outside of the images is set to
    what the layer would have found there had each image come alone: 0, which is what convolutions
    pad with, or for a pooling layer nothing (-inf). So the loss over valid pixels and its gradient
    are those of the images one by one, summed; but for dropout, whose random numbers fall
    elsewhere.

    Args:
        net: see `model.build`.

    Returns:
        A model from images (N, H, W, 4), RGB and a channel that is 0 around the image and another
        number in it, each image at the top left, to scores (N, H, W, C). Those around the images
        mean nothing: the labels are void there.
    """
    image = keras.Input((None, None, 4), name="image", dtype=net.input.dtype)
    colours, there = image[..., :3], ops.cast(ops.not_equal(image[..., 3], 0), "int32")
    sizes = ops.stack([ops.sum(there[:, :, 0], axis=1), ops.sum(there[:, 0], axis=1)], axis=1)
    # by map: its sizes; those that are 0 around the images
    inside, clear = {colours: sizes}, set[Any]()

    def call(layer: layers.Layer, *inputs: Any, **options: Any) -> Any:
        """Calls a layer as `net` does, but clears what it would see around the images, and notes
        the sizes of its map.
        """
        inputs = keras.tree.map_structure(lambda x: colours if x is image else x, inputs)
        # of several the last: what Crop makes the other one like
        sizes = inside[keras.tree.flatten(inputs)[-1]]
        pools, looks_around = isinstance(layer, layers.MaxPooling2D), _looks_around(layer)
        if looks_around and (pools or inputs[0] not in clear):
            fill = float("-inf") if pools else 0.0
            inputs = (
                Inside(fill, name=f"{layer.name}_inside", dtype=layer.dtype_policy)(
                    inputs[0], sizes
                ),
            )
        output, sizes = layer(*inputs, **options), _resized(layer, sizes)
        if pools:  # at once, since a score layer would come next, and -inf times 0 is no number
            output = Inside(name=f"{layer.name}_clear", dtype=layer.dtype_policy)(output, sizes)
            clear.add(output)
        inside[output] = sizes
        return output

    return keras.models.clone_model(
        net, input_tensors=image, clone_function=lambda layer: layer, call_function=call
    )


def _looks_around(layer: layers.Layer) -> bool:
    return not isinstance(layer, _POINTWISE) and getattr(layer, "kernel_size", None) != (1, 1)


def _resized(layer: layers.Layer, sizes: Sizes) -> Sizes:
    """The sizes of a layer's map from those of its input."""
    if isinstance(layer, _POINTWISE):
        return sizes
    if isinstance(layer, layers.ZeroPadding2D):
        return sizes + sum(layer.padding[0])
    if isinstance(layer, layers.MaxPooling2D):
        return -(-sizes // layer.strides[0])
    if isinstance(layer, layers.Conv2D):
        return sizes if layer.padding == "same" else sizes - (layer.kernel_size[0] - 1)
    if isinstance(layer, Upsample):
        return layer.enlarged(sizes)
    if isinstance(layer, layers.Conv2DTranspose):
        factor = layer.strides[0]
        return sizes * factor + (0 if layer.padding == "same" else layer.kernel_size[0] - factor)
    raise TypeError(f"{layer.name}: nothing is known of how a {type(layer).__name__} changes sizes")
