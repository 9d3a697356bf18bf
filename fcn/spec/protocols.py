"""The ways in which papers and programs score a net, as data, to see how far the same weights drift
between them.
"""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Le

from fcn.errors import UserError
from fcn.spec.bounds import CHECKED, Precision


@dataclass(frozen=True)
class Protocol:
    """How an image and its truth are shown and how the net looks at them, in this order.

    Attributes:
        shorter: pixels that the shorter side of image (bilinear) and truth (nearest) is resized to.
            0: as they are.
        window: side of a square, in pixels, cut from their middle; where they are smaller it has
            the mean colour and void. 0: all of it.
        scales: factors at which the net sees the image; its softmax probabilities, brought back to
            the image's size bilinearly, are averaged before the argmax.
        mirror: it sees each of them mirrored as well.
    """

    shorter: int = 0
    window: int = 0
    scales: tuple[float, ...] = (1.0,)
    mirror: bool = False


HEADLINE = "fcn"
PROTOCOLS = {
    # Whole images and their truth at their own size: the paper's, the authors' score.py and the VOC
    # server's.
    HEADLINE: Protocol(),
    # pytorch/vision, references/segmentation/presets.py: SegmentationPresetEval with base_size 520.
    # The truth is resized too.
    "resize520": Protocol(shorter=520),
    # tensorflow/models, research/deeplab: eval_crop_size 513, smaller images padded with the mean
    # pixel and the ignore label. It pads at the bottom right, here it is done all around.
    "center513": Protocol(window=513),
    # VainF/DeepLabV3Plus-Pytorch, --crop_val: the ends of the longer side are never scored.
    "resize513_center": Protocol(shorter=513, window=513),
    # arXiv:1606.00915, section 4: multi-scale inputs, here with mirrored ones and the mean instead
    # of the maximum.
    "multiscale": Protocol(scales=(0.75, 1.0, 1.25), mirror=True),
}
"""By the names that `evaluate.protocols` takes."""


@dataclass(frozen=True)
class Evaluate:
    """How the stage `evaluate` scores a model.

    Attributes:
        overlays: how many validation images are drawn.
        protocols: keys of `PROTOCOLS` that are scored besides `fcn`, which always is. Each costs at
            least as much again.
        precision: in which the layers up to fc7 compute, "float32" or "bfloat16".
    """

    __pydantic_config__ = CHECKED

    overlays: Annotated[int, Ge(1), Le(10_000)]
    protocols: tuple[str, ...] = ()
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        """Raises UserError for names that are not known."""
        known = [name for name in PROTOCOLS if name != HEADLINE]
        for name in self.protocols:
            if name not in known or self.protocols.count(name) > 1:
                raise UserError(
                    f"protocols: expected any of {', '.join(known)}, each once; got {name!r}"
                )
