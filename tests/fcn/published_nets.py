"""Caffemodels with the layer names and shapes of the authors' published nets, and random weights.

Names and shapes are written down from their prototxts (voc-fcn*/train.prototxt of
shelhamer/fcn.berkeleyvision.org), not taken from `fcn.spec.architecture`.
"""

import numpy as np

from fcn.weights import caffe

DEPTHS, FILTERS = (2, 2, 3, 3, 3), (64, 128, 256, 512, 512)
UPSAMPLING = {
    "fcn32s": {"upscore": 64},
    "fcn16s": {"upscore2": 4, "upscore16": 32},
    "fcn8s": {"upscore2": 4, "upscore_pool4": 4, "upscore8": 16},
    "fcn8s_atonce": {"upscore2": 4, "upscore_pool4": 4, "upscore8": 16},
}
SKIPS = {
    "fcn32s": (),
    "fcn16s": ("pool4",),
    "fcn8s": ("pool4", "pool3"),
    "fcn8s_atonce": ("pool4", "pool3"),
}
FILES = {
    "fcn32s": "fcn32s-heavy-pascal.caffemodel", "fcn16s": "fcn16s-heavy-pascal.caffemodel",
    "fcn8s": "fcn8s-heavy-pascal.caffemodel", "fcn8s_atonce": "fcn8s-atonce-pascal.caffemodel",
}  # fmt: skip


def bilinear(size):
    """The authors' `upsample_filt`, for even sizes."""
    factor = size // 2
    ramp = 1 - np.abs(np.arange(size) - (factor - 0.5)) / factor
    return np.outer(ramp, ramp)


def net(variant, width=1 / 32, units=8, classes=21, seed=0, learned=False):
    """Layer name -> (Caffe's type, blobs)."""
    rng = np.random.default_rng(seed)
    layers, inputs, pools = {}, 3, {}

    def convolution(name, inputs, outputs, side):
        kernel = rng.standard_normal((outputs, inputs, side, side), np.float32) * np.float32(
            (2 / (inputs * side * side)) ** 0.5
        )
        layers[name] = ("Convolution", [kernel, rng.normal(0, 0.1, outputs).astype("f4")])

    for block, (depth, filters) in enumerate(zip(DEPTHS, FILTERS, strict=True), 1):
        for number in range(1, depth + 1):
            convolution(f"conv{block}_{number}", inputs, int(filters * width), 3)
            inputs = int(filters * width)
        pools[f"pool{block}"] = inputs
    convolution("fc6", inputs, units, 7)
    convolution("fc7", units, units, 1)
    convolution("score_fr", units, classes, 1)
    for pool in SKIPS[variant]:
        if variant == "fcn8s_atonce":
            layers[f"scale_{pool}"] = (
                "Scale",
                [np.full(pools[pool], {"pool4": 0.01, "pool3": 0.0001}[pool], np.float32)],
            )
        convolution(f"score_{pool}", pools[pool], classes, 1)
    for name, size in UPSAMPLING[variant].items():
        kernel = bilinear(size) * np.eye(classes)[:, :, None, None]
        if learned and name != list(UPSAMPLING[variant])[-1]:
            kernel = rng.normal(size=kernel.shape)
        layers[name] = ("Deconvolution", [kernel.astype(np.float32)])
    return layers


def write(path, layers):
    caffe.write(path, "fcn", layers)


def blobs(layers):
    """As `caffe.read` gives them."""
    return {name: tuple(arrays) for name, (_, arrays) in layers.items()}
