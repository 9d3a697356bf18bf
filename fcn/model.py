"""The networks of the paper: one function builds all four variants on either backbone.

Names of layers are the paper's and the authors' (`net.py` of shelhamer/fcn.berkeleyvision.org).
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from fcn.architecture import BACKBONES, BLOCK_FILTERS, VARIANTS, ModelSpec
from fcn.bilinear import Bilinear
from fcn.errors import UserError
from fcn.layers import Crop, MeanBGR


@dataclass(frozen=True)
class Padding:
    """How a net keeps its maps aligned.

    Attributes:
        border: pixels of zeros around the image.
        rest: Keras' padding of conv1_1, fc6 and the deconvolutions.
        skip_offset: where the scores of a pooling layer are cropped to the upsampled ones.
        score_offset: by stride, where the upsampled scores are cropped to the image.
    """

    border: int
    rest: str
    skip_offset: dict[str, int]
    score_offset: dict[int, int]


# Where the offsets come from. Measure in pixels of the image, x = 0 being its first pixel's centre. With the border of
# 100 and conv1_1 VALID, cell r of pool<n> (stride s = 2^n) is centred on s*r + (s - 1)/2 - 99. fc6 (7x7 VALID) shifts
# by 3 cells of 32, so score_fr[j] sits on 32*j + 96 + 15.5 - 99. Upsampling by f, kernel 2f, VALID, puts output q on
# input cell (q - (2f - 1)/2) / f.
#   32s: upscore[q]  on 32*(q - 31.5)/32 + 12.5       = q - 19            -> image pixel 0 is upscore[19]
#   16s: upscore2[q] on 32*(q - 1.5)/2 + 12.5         = 16*q - 11.5, and pool4[r] on 16*r - 91.5: r = q + 5
#        upscore16[q] on 16*(q - 15.5)/16 - 11.5      = q - 27
#   8s:  upscore_pool4[q] on 16*(q - 1.5)/2 - 11.5    = 8*q - 23.5, and pool3[r] on 8*r - 95.5: r = q + 9
#        upscore8[q] on 8*(q - 7.5)/8 - 23.5          = q - 31
# With SAME everything is anchored at the top left: every offset is 0, and it is the upsampled map that is cropped.
PADDINGS = {
    "caffe": Padding(100, "valid", {"pool4": 5, "pool3": 9}, {32: 19, 16: 27, 8: 31}),
    "same": Padding(0, "same", {"pool4": 0, "pool3": 0}, {32: 0, 16: 0, 8: 0}),
}


def _conv(name: str, filters: int, size: int, padding: str = "same", **kwargs: Any) -> layers.Layer:
    return layers.Conv2D(filters, size, padding=padding, name=name, kernel_initializer="he_normal", **kwargs)


def backbone(spec: ModelSpec, image: Any) -> dict[str, Any]:
    """The convolutionalised classifier up to fc7.

    Args:
        spec: width, padding and the rest.
        image: RGB (N, H, W, 3), uint8 or float, 0..255.

    Returns:
        The maps that are scored: `pool3`, `pool4` and `fc7` (strides 8, 16 and 32), before any score layer.
    """
    pad, maps = PADDINGS[spec.padding], {}
    x = MeanBGR(spec.mean_bgr, name="data")(image)
    if pad.border:
        x = layers.ZeroPadding2D(pad.border, name="border")(x)
    for number, (names, filters) in enumerate(zip(BACKBONES[spec.backbone], BLOCK_FILTERS, strict=True), 1):
        for name in names:
            padding = pad.rest if name == "conv1_1" else "same"
            x = _conv(name, max(1, round(filters * spec.width)), 3, padding, activation="relu")(x)
        # SAME pooling of an odd side leaves a last cell of one row: Caffe's ceil mode.
        x = layers.MaxPooling2D(2, padding="same", name=f"pool{number}")(x)  # stride 2, 4, 8, 16, 32
        maps[f"pool{number}"] = x
    x = _conv("fc6", spec.fc_units, 7, pad.rest, activation="relu")(x)
    x = layers.Dropout(spec.dropout, name="drop6")(x)
    x = _conv("fc7", spec.fc_units, 1, activation="relu")(x)
    maps["fc7"] = layers.Dropout(spec.dropout, name="drop7")(x)
    return maps


def build(spec: ModelSpec) -> keras.Model:
    """Builds a network with fresh weights: scores zero, upsampling bilinear, the rest random.

    Args:
        spec: see `ModelSpec`.

    Returns:
        A model from RGB images (N, H, W, 3), uint8 or float of range 0..255 and any H and W, to scores
        (N, H, W, len(spec.classes)), float32, before the softmax.

    Raises:
        UserError: a name of the spec is not in its table.
    """
    _check(spec)
    variant, pad, classes = VARIANTS[spec.variant], PADDINGS[spec.padding], len(spec.classes)

    def score(name: str, x: Any) -> Any:
        return layers.Conv2D(classes, 1, name=name, kernel_initializer="zeros")(x)

    def upsample(name: str, factor: int, x: Any, learned: bool) -> Any:
        return layers.Conv2DTranspose(
            classes, 2 * factor, factor, pad.rest,
            use_bias=False, kernel_initializer=Bilinear(), trainable=learned, name=name,
        )(x)  # fmt: skip

    image = keras.Input((None, None, 3), name="image")
    maps = backbone(spec, image)
    x = score("score_fr", maps["fc7"])  # stride 32
    *inner, last = variant.upsamplings()
    for pool, (name, factor) in zip(variant.skips, inner, strict=True):
        x = upsample(name, factor, x, spec.upsampling == "learned")  # stride 16, then 8
        skip = maps[pool]
        if pool in variant.scales:
            skip = layers.Rescaling(variant.scales[pool], name=f"scale_{pool}")(skip)
        skip = score(f"score_{pool}", skip)
        if spec.padding == "caffe":
            skip = Crop(pad.skip_offset[pool], name=f"score_{pool}c")(skip, x)
        else:
            x = Crop(pad.skip_offset[pool], name=f"{name}c")(x, skip)
        x = layers.Add(name=f"fuse_{pool}")([x, skip])
    x = upsample(*last, x, learned=False)  # stride 1
    x = Crop(pad.score_offset[variant.stride], name="score", dtype="float32")(x, image)
    return keras.Model(image, x, name=spec.variant)


def _check(spec: ModelSpec) -> None:
    choices: dict[str, Collection[str]] = {
        "variant": VARIANTS, "backbone": BACKBONES, "padding": PADDINGS, "upsampling": ("fixed", "learned"),
    }  # fmt: skip
    for key, allowed in choices.items():
        if getattr(spec, key) not in allowed:
            raise UserError(f"{key}: expected one of {', '.join(allowed)}; got {getattr(spec, key)!r}")
