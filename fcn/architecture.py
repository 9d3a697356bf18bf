"""What the networks are made of, as data: the VGG backbones and the four FCN variants. Imports no framework."""

from dataclasses import dataclass, field


def _blocks(*depths: int) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(f"conv{b}_{i}" for i in range(1, n + 1)) for b, n in enumerate(depths, 1))


BACKBONES: dict[str, tuple[tuple[str, ...], ...]] = {
    "vgg16": _blocks(2, 2, 3, 3, 3),
    "vgg19": _blocks(2, 2, 4, 4, 4),
}
"""Convolutions of each block; block n ends with the max pooling `pool<n>`. After pool5 come fc6 and fc7.
Simonyan and Zisserman, arXiv:1409.1556, table 1, columns D and E."""

BLOCK_FILTERS = (64, 128, 256, 512, 512)
"""Filters of every convolution in blocks 1 to 5 at width 1."""

MEAN_BGR = (104.00699, 116.66877, 122.67892)
"""The mean that the authors subtract from a BGR image of range 0..255."""


@dataclass(frozen=True)
class Variant:
    """One row of the paper's figure 3.

    Attributes:
        stride: pixels between two predictions of the finest scores, before the last upsampling: 32, 16 or 8.
        skips: the pooling layers whose scores are added, coarse to fine.
        parent: the variant that this one's training starts from; None: the classifier.
        scales: factors put on a pooling layer before it is scored (the at-once net; PAMI, section 4.3).
    """

    stride: int
    skips: tuple[str, ...] = ()
    parent: str | None = None
    scales: dict[str, float] = field(default_factory=dict)

    def upsamplings(self) -> tuple[tuple[str, int], ...]:
        """Deconvolutions as (layer name, factor), first to last; every kernel has twice the factor for a side."""
        inner = [("upscore2", 2), ("upscore_pool4", 2)][: len(self.skips)]
        return (*inner, ("upscore" if self.stride == 32 else f"upscore{self.stride}", self.stride))

    def head(self) -> tuple[str, ...]:
        """Names of the layers with weights that come after fc7."""
        return ("score_fr", *(f"score_{pool}" for pool in self.skips), *(name for name, _ in self.upsamplings()))


VARIANTS: dict[str, Variant] = {
    "fcn32s": Variant(32),
    "fcn16s": Variant(16, skips=("pool4",), parent="fcn32s"),
    "fcn8s": Variant(8, skips=("pool4", "pool3"), parent="fcn16s"),
    "fcn8s_atonce": Variant(8, skips=("pool4", "pool3"), scales={"pool4": 0.01, "pool3": 0.0001}),
}


@dataclass(frozen=True)
class ModelSpec:
    """All that is needed to build a net again; stored as `model.json` beside its weights.

    Attributes:
        variant: a key of `VARIANTS`.
        backbone: a key of `BACKBONES`.
        classes: names of the classes in the order of their label values, background first.
        width: factor on the filters of the convolutions; 1 is VGG.
        fc_units: filters of fc6 and fc7; 4096 in VGG.
        padding: "caffe", the authors' 100 pixels of border around the image and no padding after it; or "same", which
            pads every layer by just what it needs, at less than half the work.
        upsampling: "fixed" bilinear (PAMI) or "learned": the inner deconvolutions are trained, the last stays fixed (CVPR).
        dropout: share of fc6's and fc7's values dropped in training, 0.5 in the paper.
        mean_bgr: subtracted from the image, in units of 0..255.
    """

    variant: str
    backbone: str
    classes: tuple[str, ...]
    width: float
    fc_units: int
    padding: str
    upsampling: str
    dropout: float
    mean_bgr: tuple[float, float, float]
