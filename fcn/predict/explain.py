"""What a net does with a photograph, step by step: its scores at every stride, and what each skip
adds.

Shown by `fcn.predict.explained_page`.
"""

from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from fcn.net import Upsample
from fcn.score import evaluation
from fcn.spec import BACKBONES, VARIANTS, ModelSpec


@dataclass(frozen=True)
class Stage:
    """The net as it would answer with the skips so far.

    Attributes:
        layer: whose scores these are, e.g. `score_fr`, `fuse_pool4`.
        stride: pixels from one cell of them to the next.
        scores: float32 (h, w, C), a cell for each `stride` pixels.
        skip: float32 (h, w, C): the scores of the pooling layer that are added here; None at the
            coarsest.
        upsampled: height and width of the scores enlarged by `stride`, before the crop.
        offset: rows and columns that the crop leaves out at the top and the left.
        labels: uint8 (H, W), the best class of every pixel of the image after the crop.
    """

    layer: str
    stride: int
    scores: np.ndarray
    skip: np.ndarray | None
    upsampled: tuple[int, int]
    offset: int
    labels: np.ndarray


def explain(model: keras.Model, spec: ModelSpec, image: np.ndarray) -> list[Stage]:
    """Runs the net once and answers from each of its score maps, from the coarsest to the net's own
    answer.

    Every map is enlarged at once by its stride, as the net of that stride does it: the paper's
    FCN-32s and FCN-16s inside of an FCN-8s. Only the last one's labels are what the net says.

    Args:
        model: see `fcn.net.model.build`.
        spec: of it.
        image: uint8 RGB (H, W, 3), taken whole: a few hundred pixels a side.
    """
    variant, pad = VARIANTS[spec.variant], BACKBONES[spec.backbone].paddings[spec.padding]
    names = ["score_fr", *(f"fuse_{pool}" for pool in variant.skips)]
    fused = [model.get_layer(name) for name in names[1:]]
    wanted = [
        model.get_layer("score_fr").output,
        *(each.output for each in fused),
        *(each.input[1] for each in fused),
    ]
    net = keras.Model(model.input, wanted)
    net.compile(jit_compile=evaluation.COMPILED)
    found = [np.asarray(each)[0] for each in net.predict_on_batch(image[None])]
    maps, skips = found[: len(names)], [None, *found[len(names) :]]
    stages, height, width = [], image.shape[0], image.shape[1]
    for number, (name, scores, skip) in enumerate(zip(names, maps, skips, strict=True)):
        stride = variant.stride * 2 ** (len(names) - 1 - number)
        large = ops.convert_to_numpy(Upsample(stride, pad.rest)(scores[None]))[0]
        offset = pad.score_offset[stride]
        window = large[offset : offset + height, offset : offset + width]
        labels = window.argmax(-1).astype(np.uint8)
        stages.append(Stage(name, stride, scores, skip, large.shape[:2], offset, labels))
    return stages


def kernels(model: keras.Model, spec: ModelSpec) -> dict[str, tuple[int, np.ndarray | None]]:
    """The upsampling layers by name: their factor, and the kernel that one of them has learned:
    float32 (2f, 2f), the mean over the classes; None where it is the fixed bilinear one.
    """
    found: dict[str, tuple[int, np.ndarray | None]] = {}
    for name, factor in VARIANTS[spec.variant].upsamplings():
        weights = model.get_layer(name).get_weights()
        found[name] = (
            factor,
            np.einsum("hwcc->hw", weights[0]) / weights[0].shape[-1] if weights else None,
        )
    return found
