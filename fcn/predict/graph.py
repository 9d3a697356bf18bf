"""A net as a graph of another library's operations, from the tables of `fcn.spec.architecture`:
what layers there are, in which order. What writes them is a subclass.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import keras
import numpy as np

from fcn.net import surgery
from fcn.spec import BACKBONES, VARIANTS, Backbone, ModelSpec, Padding

GREY = np.array([0.299, 0.587, 0.114], np.float32) / np.float32(256)
"""What `layers.Grey` multiplies red, green and blue by."""


@dataclass(frozen=True)
class Map:
    """A tensor of the graph: its name, and height and width where they are fixed."""

    name: str
    size: tuple[int, int] | None


@dataclass(frozen=True)
class Wanted:
    """What is asked of an exported net beyond its scores of any image in 32 bits.

    Attributes:
        size: height and width of the only image that it takes, one at a time; None: any.
        labels: it gives `labels`, uint8 (N, H, W), the classes of the highest scores, instead of
            the scores.
        bits: of a kernel's numbers: 32, or 8 as of `quantize.pack`.
    """

    size: tuple[int, int] | None = None
    labels: bool = False
    bits: int = 32


ALL = Wanted()


class Graph(ABC):
    """A net's layers, one after the other, as `model.build` makes them."""

    def __init__(self, model: keras.Model, spec: ModelSpec, wanted: Wanted, data: BinaryIO) -> None:
        """Nothing is written yet.

        Args:
            model: see `model.build`.
            spec: that it was built from.
            wanted: what becomes of it.
            data: takes the weights.
        """
        self.spec, self.weights, self.data = spec, surgery.named_weights(model), data
        self.size, self.labels, self.bits = wanted.size, wanted.labels, wanted.bits

    @property
    def net(self) -> Backbone:
        """The backbone's table."""
        return BACKBONES[self.spec.backbone]

    @property
    def pad(self) -> Padding:
        """Its border and offsets."""
        return self.net.paddings[self.spec.padding]

    def build(self) -> None:
        """All layers."""
        variant = VARIANTS[self.spec.variant]
        image = self.image()
        maps = self.backbone(image)
        x = self.convolution("score_fr", maps[self.net.dense[-1].name])
        *inner, last = variant.upsamplings()
        for pool, (name, factor) in zip(variant.skips, inner, strict=True):
            x = self.upsample(name, factor, x, self.spec.upsampling == "learned")
            skip = maps[pool]
            if pool in variant.scales:
                skip = self.scaled(pool, skip, variant.scales[pool])
            skip = self.convolution(f"score_{pool}", skip)
            if self.spec.padding == "caffe":
                skip = self.crop(f"score_{pool}c", self.pad.skip_offset[pool], skip, x)
            else:
                x = self.crop(f"{name}c", self.pad.skip_offset[pool], x, skip)
            x = self.fused(f"fuse_{pool}", x, skip)
        offset = self.pad.score_offset[variant.stride]
        x = self.crop("score", offset, self.upsample(*last, x, learned=False), image)
        self.output(x)

    def backbone(self, image: Map) -> dict[str, Map]:
        """Every map that can be scored, as of `model.backbone`."""
        net, maps, first = self.net, {}, next(iter(self.net.layers()))
        # the channels stay RGB here: conv1_1's kernel is turned around instead
        bgr = net.input == "bgr"
        x = self.minus_mean(image) if bgr else self.grey(image)
        for number, block in enumerate(net.blocks, 1):
            for name, _ in block:
                same = (self.pad.rest if name == first else net.padding) == "same"
                border = self.pad.border if name == first else 0
                pads = [net.side // 2 if same else border] * 4
                turned = name == first and bgr
                x = self.convolution(name, x, pads, bool(net.activation), turned)
            maps[f"pool{number}"] = x = self.pooled(f"pool{number}", x)
        for dense in net.dense:
            before, after = (dense.side - 1) // 2, dense.side // 2
            pads = [before, before, after, after] if self.pad.rest == "same" else [0] * 4
            x = maps[dense.name] = self.convolution(dense.name, x, pads, relu=True)
        return maps

    @abstractmethod
    def image(self) -> Map:
        """The input: RGB, 0..255."""

    @abstractmethod
    def minus_mean(self, image: Map) -> Map:
        """RGB minus the mean."""

    @abstractmethod
    def grey(self, image: Map) -> Map:
        """As `layers.Grey`."""

    @abstractmethod
    def convolution(
        self,
        name: str,
        x: Map,
        pads: Sequence[int] = (0, 0, 0, 0),
        relu: bool = False,
        turned: bool = False,
    ) -> Map:
        """A layer of the net, `turned` for an image whose channels come in the other order; `pads`
        at the top, the left, the bottom and the right.
        """

    @abstractmethod
    def pooled(self, name: str, x: Map) -> Map:
        """The largest of 2x2, of what is left at odd edges as well."""

    @abstractmethod
    def upsample(self, name: str, factor: int, x: Map, learned: bool) -> Map:
        """As `bilinear.Upsample`, or with the layer's own kernel."""

    @abstractmethod
    def scaled(self, pool: str, x: Map, factor: float) -> Map:
        """A map times a number."""

    @abstractmethod
    def crop(self, name: str, offset: int, source: Map, like: Map) -> Map:
        """As `layers.Crop`."""

    @abstractmethod
    def fused(self, name: str, one: Map, other: Map) -> Map:
        """The sum of two maps."""

    @abstractmethod
    def output(self, x: Map) -> None:
        """The scores, or the classes of the highest."""


def convolved(size: tuple[int, int] | None, side: int, pads: Sequence[int]) -> Any:
    """Height and width after a convolution of stride 1; None stays None."""
    top, left, bottom, right = pads
    return size and (size[0] + top + bottom - side + 1, size[1] + left + right - side + 1)
