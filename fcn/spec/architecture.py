"""What the networks are made of, as data: the classifiers, their geometry and the FCN variants.
Imports no framework.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from fcn.errors import UserError
from fcn.reading import Classes, quoted

MEAN_BGR = (104.00699, 116.66877, 122.67892)
"""The mean that the authors subtract from a BGR image of range 0..255."""


MARK = ("model.json", '"variant"')
"""By which a folder is known as a model's; see `files.replacing_folder`."""


@dataclass(frozen=True)
class Padding:
    """How a net keeps its maps aligned.

    Attributes:
        border: pixels of zeros around the image.
        rest: Keras' padding of the first convolution, the dense layers and the deconvolutions.
        skip_offset: where the scores of a pooling layer are cropped to the upsampled ones.
        score_offset: by stride, where the upsampled scores are cropped to the image.
    """

    border: int
    rest: str
    skip_offset: dict[str, int]
    score_offset: dict[int, int]


# Where the offsets come from. Measure in pixels of the image, x = 0 being its first pixel's centre.
# Upsampling by f, kernel 2f, VALID, puts output q on input cell (q - (2f - 1)/2) / f.
#
# VGG: with the border of 100 and conv1_1 VALID, cell r of pool<n> (stride s = 2^n) is centred on
# s*r + (s - 1)/2 - 99. fc6 (7x7 VALID) shifts by 3 cells of 32, so score_fr[j] sits on 32*j + 96 +
# 15.5 - 99.
#   32s: upscore[q]  on 32*(q - 31.5)/32 + 12.5       = q - 19            -> image pixel 0 is
# upscore[19]
#   16s: upscore2[q] on 32*(q - 1.5)/2 + 12.5         = 16*q - 11.5, and pool4[r] on 16*r - 91.5: r
# = q + 5
#        upscore16[q] on 16*(q - 15.5)/16 - 11.5      = q - 27
#   8s:  upscore_pool4[q] on 16*(q - 1.5)/2 - 11.5    = 8*q - 23.5, and pool3[r] on 8*r - 95.5: r =
# q + 9
#        upscore8[q] on 8*(q - 7.5)/8 - 23.5          = q - 31
# With SAME everything is anchored at the top left: every offset is 0, and it is the upsampled map
# that is cropped.
_VGG = {
    "caffe": Padding(100, "valid", {"pool4": 5, "pool3": 9}, {32: 19, 16: 27, 8: 31}),
    "same": Padding(0, "same", {"pool4": 0, "pool3": 0}, {32: 0, 16: 0, 8: 0}),
}
# LeNet, all VALID: conv1 (5x5) shifts by 2 pixels, pool1 by 0.5, conv2 by 2 cells of 2, pool2 by
# half a cell of 2, ip1 (4x4) by 1.5 cells of 4: score_fr[j] sits on 4*j + 2 + 0.5 + 4 + 1 + 6 -
# border = 4*j + 1.5 with a border of 12, and sees the 28 pixels from 4*j - 12 on. So score_fr[3]
# sees a digit of 28 pixels whole, as LeNet does.
#   4s:  upscore4[q] on 4*(q - 3.5)/4 + 1.5           = q - 2             -> image pixel 0 is
# upscore4[2] There is no "same": it pads the 4x4 kernel, which has no middle, on one side more than
# on the other, and upscore4[q] lands on q + 2, where no crop can help.
_LENET = {"caffe": Padding(12, "valid", {}, {4: 2})}


@dataclass(frozen=True)
class Dense:
    """A fully connected layer as a convolution: its `name`, its kernel's `side`, and the `dropout`
    layer after it, if any.
    """

    name: str
    side: int
    dropout: str | None = None


@dataclass(frozen=True)
class Backbone:
    """A classifier, and what it becomes.

    Attributes:
        input: what it takes: "bgr", blue, green and red of 0..255 minus a mean; or "grey", of
            0..255 divided by 256.
        blocks: the convolutions as (name, filters at width 1), by block; block n ends with the max
            pooling `pool<n>`.
        side: of every convolution's kernel.
        padding: Keras' padding of every convolution but the first, which has `Padding.rest`.
        activation: after every convolution; the dense layers have ReLU.
        dense: the fully connected layers that are kept, as convolutions. The last one is scored.
        dropped: the last one, its classes, which is not.
        paddings: the geometries that it can have, by the names that `ModelSpec.padding` takes.
    """

    input: str
    blocks: tuple[tuple[tuple[str, int], ...], ...]
    side: int
    padding: str
    activation: str | None
    dense: tuple[Dense, ...]
    dropped: str
    paddings: dict[str, Padding]

    @property
    def channels(self) -> int:
        """Of its input."""
        return {"bgr": 3, "grey": 1}[self.input]

    def convolutions(self) -> list[str]:
        """Names of the convolutions, first to last."""
        return [name for block in self.blocks for name, _ in block]

    def dense_names(self) -> list[str]:
        """Names of the fully connected layers that are kept, first to last."""
        return [dense.name for dense in self.dense]

    def layers(self) -> dict[str, int]:
        """The layers with weights that an FCN keeps, by name, first to last:
        their kernels' sides.
        """
        return dict.fromkeys(self.convolutions(), self.side) | {
            dense.name: dense.side for dense in self.dense
        }


def _vgg(*depths: int) -> Backbone:
    sizes = enumerate(zip(depths, (64, 128, 256, 512, 512), strict=True), 1)
    blocks = tuple(
        tuple((f"conv{block}_{n}", filters) for n in range(1, depth + 1))
        for block, (depth, filters) in sizes
    )
    return Backbone(
        input="bgr", blocks=blocks, side=3, padding="same", activation="relu",
        dense=(Dense("fc6", 7, "drop6"), Dense("fc7", 1, "drop7")), dropped="fc8", paddings=_VGG,
    )  # fmt: skip


BACKBONES: dict[str, Backbone] = {
    "vgg16": _vgg(2, 2, 3, 3, 3),
    "vgg19": _vgg(2, 2, 4, 4, 4),
    "lenet": Backbone(
        input="grey", blocks=((("conv1", 20),), (("conv2", 50),)), side=5, padding="valid",
        activation=None,
        dense=(Dense("ip1", 4),), dropped="ip2", paddings=_LENET,
    ),
}  # fmt: skip
"""VGG: Simonyan and Zisserman, arXiv:1409.1556, table 1, columns D and E. LeNet: BVLC/caffe,
examples/mnist/lenet.prototxt.
"""


def check_dense(found: Iterable[str], backbone: str, new_layers: Sequence[str], where: str) -> None:
    """Raises UserError if a file is the convolutions alone and its fully connected layers do not
    begin anew.

    Args:
        found: names of the layers that the file holds.
        backbone: key of `BACKBONES`.
        new_layers: those that begin anew.
        where: the file, for messages.
    """
    net = BACKBONES[backbone]
    dense, layers = net.dense_names(), {*found}
    others = [name for name in new_layers if name not in dense]
    if others:
        raise UserError(f"new_layers: expected some of {', '.join(dense)}; got {', '.join(others)}")
    missing = [name for name in dense if name not in {*layers, *new_layers}]
    if missing and layers == set(net.convolutions()):
        raise UserError(
            f"{where}: it holds the convolutions alone, and the recipe needs "
            f"{' and '.join(missing)} from the file. Take a file with the fully connected layers, "
            f"or let them begin anew: `new_layers: [{', '.join(dense)}]` in the recipe, as the "
            "recipe `transfer` has it"
        )


@dataclass(frozen=True)
class Variant:
    """One row of the paper's figure 3.

    Attributes:
        stride: pixels between two predictions of the finest scores, before the last upsampling: 32,
            16 or 8; LeNet's 4.
        skips: the pooling layers whose scores are added, coarse to fine.
        parent: the variant that this one's training starts from; None: the classifier.
        scales: factors put on a pooling layer before it is scored (the at-once net; PAMI, section
            4.3).
        backbones: those that it can be built on: their last stride is `stride` doubled by every
            skip.
    """

    stride: int
    skips: tuple[str, ...] = ()
    parent: str | None = None
    scales: dict[str, float] = field(default_factory=dict)
    backbones: tuple[str, ...] = ("vgg16", "vgg19")

    def upsamplings(self) -> tuple[tuple[str, int], ...]:
        """Deconvolutions as (layer name, factor), first to last; every kernel has twice the factor
        for a side.
        """
        inner = [("upscore2", 2), ("upscore_pool4", 2)][: len(self.skips)]
        return (*inner, ("upscore" if self.stride == 32 else f"upscore{self.stride}", self.stride))

    def head(self, upsampling: str) -> tuple[str, ...]:
        """Names of the layers with weights that come after the backbone's last; for `upsampling`
        see `ModelSpec`.
        """
        deconvolutions = (
            [name for name, _ in self.upsamplings()][:-1] if upsampling == "learned" else []
        )
        return ("score_fr", *(f"score_{pool}" for pool in self.skips), *deconvolutions)


VARIANTS: dict[str, Variant] = {
    "fcn32s": Variant(32),
    "fcn16s": Variant(16, skips=("pool4",), parent="fcn32s"),
    "fcn8s": Variant(8, skips=("pool4", "pool3"), parent="fcn16s"),
    "fcn8s_atonce": Variant(8, skips=("pool4", "pool3"), scales={"pool4": 0.01, "pool3": 0.0001}),
    "fcn4s": Variant(4, backbones=("lenet",)),
}


MOST = 2**31
"""Weights of a net: 8 GiB in float32, sixteen times the published one's."""


@dataclass(frozen=True)
class ModelSpec:
    """All that is needed to build a net again; stored as `model.json` beside its weights.

    Attributes:
        variant: a key of `VARIANTS`.
        backbone: a key of `BACKBONES` that the variant can be built on.
        classes: names of the classes in the order of their label values, background first.
        width: factor on the filters of the convolutions; 1 is the published net.
        fc_units: filters of the dense layers; 4096 in VGG, 500 in LeNet.
        padding: "caffe", the authors' border around the image and no padding after it; or "same",
            which pads every layer by just what it needs, at less than half the work (VGG alone).
        upsampling: "fixed" bilinear (PAMI) or "learned": the inner deconvolutions are trained, the
            last stays fixed (CVPR).
        dropout: share of fc6's and fc7's values dropped in training, 0.5 in the paper; 0 for LeNet,
            which has none.
        mean_bgr: subtracted from the image, in units of 0..255; zeros for LeNet, which takes grey
            without a mean.
        knows: a sentence for those who use the net, on what it was trained on; may be empty.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(
        strict=True, extra="forbid", allow_inf_nan=False
    )

    variant: str
    backbone: str
    classes: Classes
    width: Annotated[float, Field(gt=0)]
    fc_units: Annotated[int, Field(ge=1)]
    padding: str
    upsampling: str
    dropout: Annotated[float, Field(ge=0, lt=1)]
    mean_bgr: tuple[float, float, float]
    knows: Annotated[str, Field(max_length=300)] = ""


def parameters(spec: ModelSpec) -> int:
    """The numbers in the layers of a net's backbone, which are nearly all that it has."""
    net = BACKBONES[spec.backbone]
    total, inputs = 0, net.channels
    sizes = [(net.side, filters(spec, count)) for block in net.blocks for _, count in block]
    for side, outputs in (*sizes, *((dense.side, spec.fc_units) for dense in net.dense)):
        total += (side * side * inputs + 1) * outputs
        inputs = outputs
    return total


def filters(spec: ModelSpec, count: int) -> int:
    """The filters of a convolution that has `count` at width 1."""
    return max(1, round(count * spec.width))


def check(spec: ModelSpec) -> None:
    """Looks whether there can be such a net, before any memory is asked for.

    Raises:
        UserError: a name is not in its table, the backbone does not go with the rest, or the net is
            too large.
    """
    choices: dict[str, Collection[str]] = {
        "variant": VARIANTS, "backbone": BACKBONES, "upsampling": ("fixed", "learned"),
    }  # fmt: skip
    for key, allowed in choices.items():
        if getattr(spec, key) not in allowed:
            raise UserError(
                f"{key}: expected one of {', '.join(allowed)}; got {quoted(getattr(spec, key))}"
            )
    net, fitting = BACKBONES[spec.backbone], VARIANTS[spec.variant].backbones
    if spec.backbone not in fitting:
        raise UserError(
            f"backbone: expected {' or '.join(fitting)} for {spec.variant}; got {spec.backbone!r}"
        )
    if spec.padding not in net.paddings:
        raise UserError(
            f"padding: expected one of {', '.join(net.paddings)} with the backbone "
            f"{spec.backbone}; got {quoted(spec.padding)}"
        )
    if spec.dropout and not any(dense.dropout for dense in net.dense):
        raise UserError(f"dropout: {spec.backbone} has none: expected 0; got {spec.dropout}")
    if net.input == "grey" and any(spec.mean_bgr):
        raise UserError(
            f"mean_bgr: {spec.backbone} takes grey without a mean: expected 0, 0, 0; "
            f"got {spec.mean_bgr}"
        )
    if (total := parameters(spec)) > MOST:
        raise UserError(
            f"width, fc_units: expected a net of at most {MOST} weights; with width {spec.width} "
            f"and fc_units {spec.fc_units} it would have {total}"
        )
