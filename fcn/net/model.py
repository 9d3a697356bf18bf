"""The networks of the paper: one function builds every variant on every backbone.

Names of layers are the paper's and the authors' (`net.py` of shelhamer/fcn.berkeleyvision.org).
What differs between the nets is in the tables of `fcn.spec.architecture`; `fcn.spec.vgg` derives
every crop offset.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from fcn.hardware import cpu
from fcn.net.bilinear import Bilinear, Upsample
from fcn.net.layers import BlockedConv2D, Crop, DenseConv2D, Grey, MeanBGR
from fcn.spec import BACKBONES, VARIANTS, ModelSpec, check, filters, parameters

Kernels = dict[str, np.ndarray]
"""Arrays by "layer/kernel", (H, W, in, out)."""
LARGE = 2**24
"""Weights from which on a net's memory matters more than the time that it takes to ask for it."""


def _initial(kernel: str, kernels: Kernels) -> Callable[..., Any]:
    """What a kernel begins as: the array of its name, taken out of `kernels`, if it fits; else
    0.
    """

    def begin(shape: Any, dtype: Any) -> Any:
        if kernel in kernels and kernels[kernel].shape == tuple(shape):
            return ops.cast(cpu.tensor(kernels.pop(kernel).astype(np.float32, copy=False)), dtype)
        return ops.zeros(shape, dtype)

    return begin


def backbone(spec: ModelSpec, image: Any, kernels: Kernels | None = None) -> dict[str, Any]:
    """The convolutionalised classifier up to its last layer but the classes.

    Args:
        spec: width, padding and the rest.
        image: RGB (N, H, W, 3), uint8 or float, 0..255.
        kernels: see `build`.

    Returns:
        The maps that can be scored, by name: the pooling layers (strides 2, 4, ...) and, last, the
        dense layers; of VGG `pool3`, `pool4` and `fc7` (strides 8, 16 and 32) are. All of them
        before any score layer.
    """
    net, maps = BACKBONES[spec.backbone], {}

    def conv(
        name: str,
        count: int,
        size: int,
        padding: str,
        activation: str | None,
        kind: Any = BlockedConv2D,
    ) -> layers.Layer:
        initial = "he_normal" if kernels is None else _initial(f"{name}/kernel", kernels)
        return kind(
            count,
            size,
            padding=padding,
            activation=activation,
            name=name,
            kernel_initializer=initial,
        )

    pad, first = net.paddings[spec.padding], next(iter(net.layers()))
    data = {"name": "data", "dtype": "float32"}  # the mean has more digits than bfloat16
    x = MeanBGR(spec.mean_bgr, **data)(image) if net.input == "bgr" else Grey(**data)(image)
    if pad.border:
        x = layers.ZeroPadding2D(pad.border, name="border")(x)
    for number, block in enumerate(net.blocks, 1):
        for name, count in block:
            padding = pad.rest if name == first else net.padding
            x = conv(name, filters(spec, count), net.side, padding, net.activation)(x)
        # SAME pooling of an odd side leaves a last cell of one row: Caffe's ceil mode.
        # stride 2, 4, 8, ...
        maps[f"pool{number}"] = x = layers.MaxPooling2D(2, padding="same", name=f"pool{number}")(x)
    for dense in net.dense:
        x = conv(dense.name, spec.fc_units, dense.side, pad.rest, "relu", DenseConv2D)(x)
        if dense.dropout:
            x = layers.Dropout(spec.dropout, name=dense.dropout)(x)
        maps[dense.name] = x
    return maps


def build(spec: ModelSpec, kernels: Kernels | None = None) -> keras.Model:
    """Builds a network with fresh weights: scores zero, upsampling bilinear, the rest random.

    Args:
        spec: see `ModelSpec`.
        kernels: what those of the backbone begin as, instead of random numbers: those that fit are
            taken out of it, one at a time, for little memory; the others begin as 0.

    Returns:
        A model from RGB images (N, H, W, 3), uint8 or float of range 0..255 and any H and W, to
        scores (N, H, W, len(spec.classes)), float32, before the softmax.

    Raises:
        UserError: a name of the spec is not in its table, or the backbone does not go with the
            rest.
    """
    check(spec)
    if parameters(spec) > LARGE:
        cpu.give_back_memory()
    variant, net, classes = VARIANTS[spec.variant], BACKBONES[spec.backbone], len(spec.classes)
    pad = net.paddings[spec.padding]

    # Whatever the precision of the backbone, scores are float32: added up over skips, they would
    # lose digits in bfloat16.
    def score(name: str, x: Any) -> Any:
        return layers.Conv2D(classes, 1, name=name, kernel_initializer="zeros", dtype="float32")(x)

    def upsample(name: str, factor: int, x: Any, learned: bool) -> Any:
        if not learned:
            return Upsample(factor, pad.rest, name=name, dtype="float32")(x)
        return layers.Conv2DTranspose(
            classes, 2 * factor, factor, pad.rest,
            use_bias=False, kernel_initializer=Bilinear(), name=name, dtype="float32",
        )(x)  # fmt: skip

    image = keras.Input((None, None, 3), name="image", dtype="float32")
    maps = backbone(spec, image, kernels)
    x = score("score_fr", maps[net.dense[-1].name])  # fc7, stride 32; LeNet: ip1, stride 4
    *inner, last = variant.upsamplings()
    for pool, (name, factor) in zip(variant.skips, inner, strict=True):
        x = upsample(name, factor, x, spec.upsampling == "learned")  # stride 16, then 8
        skip = maps[pool]
        if pool in variant.scales:
            skip = layers.Rescaling(variant.scales[pool], name=f"scale_{pool}", dtype="float32")(
                skip
            )
        skip = score(f"score_{pool}", skip)  # score_pool4, score_pool3
        if spec.padding == "caffe":  # the offsets are derived in fcn.spec.vgg
            skip = Crop(pad.skip_offset[pool], name=f"score_{pool}c", dtype="float32")(skip, x)
        else:
            x = Crop(pad.skip_offset[pool], name=f"{name}c", dtype="float32")(x, skip)
        x = layers.Add(name=f"fuse_{pool}", dtype="float32")([x, skip])
    x = upsample(*last, x, learned=False)  # stride 1
    x = Crop(pad.score_offset[variant.stride], name="score", dtype="float32")(x, image)
    return keras.Model(image, x, name=spec.variant)
