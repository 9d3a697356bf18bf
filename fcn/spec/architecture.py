"""What the networks are made of, as data: the FCN variants, and all that a net is built from.
Imports no framework.
"""

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from fcn.errors import UserError
from fcn.reading import Classes, quoted
from fcn.spec.backbones import BACKBONES

MEAN_BGR = (104.00699, 116.66877, 122.67892)
"""The mean that the authors subtract from a BGR image of range 0..255."""

MARK = ("model.json", '"variant"')
"""By which a folder is known as a model's; see `files.replacing_folder`."""


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

    Example:
        >>> VARIANTS["fcn8s"].upsamplings()
        (('upscore2', 2), ('upscore_pool4', 2), ('upscore8', 8))
        >>> VARIANTS["fcn8s"].backbones
        ('vgg13', 'vgg16', 'vgg19')
    """

    stride: int
    skips: tuple[str, ...] = ()
    parent: str | None = None
    scales: dict[str, float] = field(default_factory=dict)

    @property
    def backbones(self) -> tuple[str, ...]:
        """Those that it can be built on: their last stride is `stride` doubled by every skip."""
        coarsest = self.stride * 2 ** len(self.skips)
        return tuple(name for name, net in BACKBONES.items() if 2 ** len(net.blocks) == coarsest)

    def upsamplings(self) -> tuple[tuple[str, int], ...]:
        """Deconvolutions as (layer name, factor), first to last; every kernel has twice the factor
        for a side.
        """
        inner = [("upscore2", 2), ("upscore_pool4", 2)][: len(self.skips)]
        return (*inner, ("upscore" if self.stride == 32 else f"upscore{self.stride}", self.stride))

    def head(self, upsampling: str) -> tuple[str, ...]:
        """Names of the layers with weights that come after the backbone's last; for `upsampling`
        see `ModelSpec`.

        Args:
            upsampling: "fixed" or "learned".
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
    "fcn4s": Variant(4),
}


MOST = 2**31
"""Weights of a net: 8 GiB in float32, sixteen times the published one's."""


@dataclass(frozen=True)
class ModelSpec:
    """All that is needed to build a net again; stored as `model.json` beside its weights.

    Attributes:
        variant: a key of `VARIANTS`.
        backbone: the classifier that the net is made of.
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
        knows: a sentence for whoever uses the net: what it was trained on, and what it cannot do.
            predict and the page show it.
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
    """The numbers in the layers of a net's backbone, which are nearly all that it has.

    Args:
        spec: of the net.
    """
    net = BACKBONES[spec.backbone]
    total, inputs = 0, net.channels
    sizes = [(net.side, filters(spec, count)) for block in net.blocks for _, count in block]
    for side, outputs in (*sizes, *((dense.side, spec.fc_units) for dense in net.dense)):
        total += (side * side * inputs + 1) * outputs
        inputs = outputs
    return total


def operations(spec: ModelSpec, height: int, width: int) -> float:
    """Operations of one image on its way to the last dense layer; multiplying and adding are two.

    The rest of a net is 1 % of that. A step of training takes three times as many.

    Args:
        spec: of the net.
        height: of the image, in pixels.
        width: of the image, in pixels.
    """
    net, total = BACKBONES[spec.backbone], 0
    pad, inputs, border = net.paddings[spec.padding], net.channels, net.side - 1
    sides = [side + 2 * pad.border for side in (height, width)]
    for number, block in enumerate(net.blocks):
        for place, (_, count) in enumerate(block):
            first = number == place == 0
            if (pad.rest if first else net.padding) == "valid":
                sides = [side - border for side in sides]
            outputs = filters(spec, count)
            total += math.prod(sides) * net.side**2 * inputs * outputs
            inputs = outputs
        sides = [-(-side // 2) for side in sides]
    for dense in net.dense:
        if pad.rest == "valid":
            sides = [side - dense.side + 1 for side in sides]
        total += math.prod(sides) * dense.side**2 * inputs * spec.fc_units
        inputs = spec.fc_units
    return 2.0 * total


def filters(spec: ModelSpec, count: int) -> int:
    """The filters of a convolution that has `count` at width 1.

    Args:
        spec: of the net.
        count: as the published net has it.
    """
    return max(1, round(count * spec.width))


def check(spec: ModelSpec) -> None:
    """Looks whether there can be such a net, before any memory is asked for.

    Args:
        spec: of the net.

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
