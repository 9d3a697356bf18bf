"""What a net does with a photograph, step by step: the classifier that became a net, its scores at
every stride, what each skip adds, and the kernels between them. `fcn.explain` makes a page of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops
from PIL import Image

from fcn.compare import Counts
from fcn.errors import UserError
from fcn.io import files
from fcn.net import Upsample, bilinear_kernel
from fcn.pixels import visualize
from fcn.score import evaluation
from fcn.spec import BACKBONES, VARIANTS, ModelSpec

FILE = "explained.npz"
"""In the folder of an evaluation."""
SIDE = 500
"""Pixels of the longer side to which a photograph is reduced: that of VOC's."""


@dataclass(frozen=True)
class Stage:
    """The net as it would answer with the skips so far.

    Attributes:
        layer: whose scores these are, e.g. `score_fr`, `fuse_pool4`.
        stride: pixels from one cell of them to the next.
        scores: float32 (h, w, C), a cell for each `stride` pixels.
        pool: the pooling layer whose scores are added here; "" at the coarsest.
        skip: float32 (h, w, C): these scores; None at the coarsest.
        enlarged: uint8 (H', W'), the best class of every pixel of the scores enlarged by `stride`,
            before the crop.
        offset: rows and columns that the crop leaves out at the top and the left.
        labels: uint8 (H, W), the best class of every pixel of the image: the crop's window.
    """

    layer: str
    stride: int
    scores: np.ndarray
    pool: str
    skip: np.ndarray | None
    enlarged: np.ndarray
    offset: int
    labels: np.ndarray


@dataclass(frozen=True)
class Window:
    """The classifier on a window of its own size, beside the cell of the net's scores that lies on
    that window.

    Attributes:
        row: of the cell in `score_fr`.
        column: of the cell.
        top: the window's first row in the image; less than 0 where it begins above.
        left: its first column.
        side: its rows and columns: 224 of VGG.
        alone: float32 (C,), what the classifier says of the window alone, with the mean around it.
        cell: float32 (C,), what the net says there: it sees what lies around the window, too.
    """

    row: int
    column: int
    top: int
    left: int
    side: int
    alone: np.ndarray
    cell: np.ndarray


@dataclass(frozen=True)
class Kernel:
    """An upsampling layer: its name, its factor f, the bilinear kernel that it began with, float32
    (2f, 2f), and the one that it has learned, the mean over the classes; None where it is fixed.
    """

    layer: str
    factor: int
    bilinear: np.ndarray
    learned: np.ndarray | None


@dataclass(frozen=True)
class Explained:
    """All of it.

    Attributes:
        image: uint8 RGB (H, W, 3), as the net took it.
        stages: the coarsest first.
        window: that in which the net is surest of `value`.
        kernels: of the upsampling layers, first to last.
        value: the class with the most pixels, but for a background.
        enlarged: float32 (H', W'), the last stage's scores of `value`, enlarged.
    """

    image: np.ndarray
    stages: list[Stage]
    window: Window
    kernels: list[Kernel]
    value: int
    enlarged: np.ndarray


def explain(model: keras.Model, spec: ModelSpec, image: np.ndarray) -> Explained:
    """Runs the net on a photograph, and on a window of it.

    Args:
        model: see `fcn.net.model.build`.
        spec: of it.
        image: uint8 RGB (H, W, 3); reduced to `SIDE`.
    """
    picture = Image.fromarray(image)
    picture.thumbnail((SIDE, SIDE))
    image = np.asarray(picture)
    found = stages(model, spec, image)
    value, last = values(found[-1].labels, spec)[0], found[-1]
    place = surest(found[0].scores, value)
    beside = window(model, spec, image, found[0].scores, place)
    enlarged = _enlarge(last.scores[..., value : value + 1], last.stride, spec)[..., 0]
    return Explained(image, found, beside, kernels(model, spec), value, enlarged)


def chosen(counts: Counts) -> str:
    """The image to explain, the same for all models: that whose truth has the most classes; of
    several, the one whose largest class is the smallest part of it.
    """
    many = (counts.truth > 0).sum(1).tolist()
    largest = counts.truth.max(1) / np.maximum(1, counts.truth.sum(1))
    return max(zip(many, (-largest).tolist(), counts.images, strict=True))[2]


def values(labels: np.ndarray, spec: ModelSpec) -> list[int]:
    """The classes of labels, uint8 (H, W): the most pixels first, a background behind the
    others.
    """
    counts = np.bincount(labels.ravel(), minlength=len(spec.classes))
    ranked = [int(value) for value in np.argsort(-counts, kind="stable") if counts[value]]
    things = visualize.painted([labels], spec.classes)
    return sorted(ranked, key=lambda value: value not in things)


def save(path: Path, found: Explained) -> None:
    """Writes it; numbers with four digits behind the point, for the sake of the file's size."""
    window = found.window
    place = [window.row, window.column, window.top, window.left, window.side, found.value]
    arrays = {
        "image": found.image,
        "place": np.array(place),
        "alone": window.alone,
        "cell": window.cell,
        "enlarged": found.enlarged,
    }
    for stage in found.stages:
        arrays[f"{stage.layer}/scores"] = stage.scores
        arrays[f"{stage.layer}/enlarged"] = stage.enlarged
        if stage.skip is not None:
            arrays[f"{stage.layer}/skip"] = stage.skip
    arrays |= {each.layer: each.learned for each in found.kernels if each.learned is not None}
    files.save_arrays(
        path,
        {
            name: np.round(array, 4).astype(np.float32) if array.dtype.kind == "f" else array
            for name, array in arrays.items()
        },
        compressed=True,
    )


def load(path: Path, spec: ModelSpec) -> Explained:
    """Reads what `save` wrote for a net.

    Raises:
        UserError: no such file, a damaged one, or that of another net.
    """
    arrays = files.load_arrays(path)
    try:
        row, column, top, left, side, value = (int(each) for each in arrays["place"])
        place = Window(row, column, top, left, side, arrays["alone"], arrays["cell"])
        image = arrays["image"]
        height, width = image.shape[:2]
        found = []
        for layer, stride, pool, offset in _stages(spec):
            enlarged = arrays[f"{layer}/enlarged"]
            labels = enlarged[offset : offset + height, offset : offset + width]
            scores = arrays[f"{layer}/scores"]
            skip = arrays[f"{layer}/skip"] if pool else None
            found.append(Stage(layer, stride, scores, pool, skip, enlarged, offset, labels))
        upsamplings = [
            Kernel(name, factor, bilinear_kernel(factor), arrays.get(name))
            for name, factor in VARIANTS[spec.variant].upsamplings()
        ]
        made = Explained(image, found, place, upsamplings, value, arrays["enlarged"])
        if not _fits(made, len(spec.classes)):
            raise ValueError
    except (KeyError, ValueError, IndexError) as error:
        raise UserError(
            f"{path}: expected what a {spec.variant} does with an image; evaluate the model again"
        ) from error
    return made


def _fits(found: Explained, classes: int) -> bool:
    """Whether the parts of a file go with each other and with a net of so many classes."""
    height, width = found.image.shape[:2]
    grids = [each for stage in found.stages for each in (stage.scores, stage.skip)]
    painted = [each for stage in found.stages for each in (stage.enlarged, stage.labels)]
    window = found.window
    return (
        found.image.dtype == np.uint8
        and found.image.shape == (height, width, 3)
        and 0 < height <= SIDE
        and 0 < width <= SIDE
        and 0 <= found.value < classes
        and 0 < window.side <= SIDE
        and window.alone.shape == window.cell.shape == (classes,)
        and all(each is None or (each.shape[2:] == (classes,) and each.size) for each in grids)
        and all(each.dtype == np.uint8 and each.max() < classes for each in painted)
        and all(stage.labels.shape == (height, width) for stage in found.stages)
        and found.enlarged.ndim == 2
        and all(each.learned is None or each.learned.ndim == 2 for each in found.kernels)
    )


def _stages(spec: ModelSpec) -> Iterator[tuple[str, int, str, int]]:
    """Layer, stride, pool and offset of every stage; see `Stage`."""
    variant, pad = VARIANTS[spec.variant], BACKBONES[spec.backbone].paddings[spec.padding]
    for number, pool in enumerate(("", *variant.skips)):
        stride = variant.stride * 2 ** (len(variant.skips) - number)
        yield f"fuse_{pool}" if pool else "score_fr", stride, pool, pad.score_offset[stride]


def stages(model: keras.Model, spec: ModelSpec, image: np.ndarray) -> list[Stage]:
    """Runs the net once and answers from each of its score maps, from the coarsest to the net's own
    answer.

    Every map is enlarged at once by its stride, as the net of that stride does it: the paper's
    FCN-32s and FCN-16s inside of an FCN-8s. Only the last one's labels are what the net says.

    Args:
        model: see `fcn.net.model.build`.
        spec: of it.
        image: uint8 RGB (H, W, 3), taken whole: a few hundred pixels a side.
    """
    listed = [*_stages(spec)]
    fused = [model.get_layer(layer) for layer, _, pool, _ in listed if pool]
    outputs = [each.output for each in fused]
    wanted = [model.get_layer("score_fr").output, *outputs, *(each.input[1] for each in fused)]
    net = keras.Model(model.input, wanted)
    net.compile(jit_compile=evaluation.COMPILED)
    answers = net.predict_on_batch(image[None])
    # of one output, Keras answers with no list
    found = [np.asarray(each)[0] for each in (answers if len(wanted) > 1 else [answers])]
    maps, skips = found[: len(listed)], [None, *found[len(listed) :]]
    made, height, width = [], image.shape[0], image.shape[1]
    for (layer, stride, pool, offset), scores, skip in zip(listed, maps, skips, strict=True):
        enlarged = _enlarge(scores, stride, spec).argmax(-1).astype(np.uint8)
        labels = enlarged[offset : offset + height, offset : offset + width]
        made.append(Stage(layer, stride, scores, pool, skip, enlarged, offset, labels))
    return made


def _enlarge(scores: np.ndarray, factor: int, spec: ModelSpec) -> np.ndarray:
    """Scores, float32 (h, w, C), as the net's last layer enlarges them: (H', W', C)."""
    rest = BACKBONES[spec.backbone].paddings[spec.padding].rest
    return np.asarray(
        ops.convert_to_numpy(Upsample(factor, rest, dtype="float32")(scores[None]))[0]
    )


def kernels(model: keras.Model, spec: ModelSpec) -> list[Kernel]:
    """The upsampling layers, first to last."""
    made = []
    for name, factor in VARIANTS[spec.variant].upsamplings():
        weights = model.get_layer(name).get_weights()
        learned = np.einsum("hwcc->hw", weights[0]) / weights[0].shape[-1] if weights else None
        made.append(Kernel(name, factor, bilinear_kernel(factor), learned))
    return made


def surest(scores: np.ndarray, value: int) -> tuple[int, int]:
    """Row and column of the cell, of scores (h, w, C), in which a class leads the others most."""
    others = np.delete(scores, value, axis=-1)
    lead = scores[..., value] - (others.max(-1) if others.size else 0)
    row, column = np.unravel_index(lead.argmax(), lead.shape)
    return int(row), int(column)


def window(
    model: keras.Model, spec: ModelSpec, image: np.ndarray, scores: np.ndarray, at: tuple[int, int]
) -> Window:
    """The window around a cell, given to the classifier alone.

    Args:
        model: see `stages`.
        spec: of it.
        image: see `stages`.
        scores: of the stage `score_fr`.
        at: row and column of the cell.
    """
    row, column = at
    first, stride, side = field(spec)
    top, left = first + row * stride, first + column * stride
    height, width = image.shape[:2]
    rows, columns = (
        slice(max(0, begin), max(0, min(end, begin + side)))
        for begin, end in ((top, height), (left, width))
    )
    alone = np.broadcast_to(_nothing(spec), (side, side, 3)).copy()
    seen = image[rows, columns]
    down, right = rows.start - top, columns.start - left
    alone[down : down + seen.shape[0], right : right + seen.shape[1]] = seen
    answer = _classifier(model, spec, alone)
    return Window(row, column, top, left, side, answer, scores[row, column])


def field(spec: ModelSpec) -> tuple[int, int, int]:
    """Where the classifier stands on the image, by the geometry in `fcn.spec.vgg`.

    Returns:
        (the first row of the window of cell 0, pixels to that of the next cell, rows of a window).
    """
    net, pad = BACKBONES[spec.backbone], BACKBONES[spec.backbone].paddings[spec.padding]
    stride, side = 2 ** len(net.blocks), net.dense[0].side
    before = (side - 1) // 2 * stride
    kept = net.padding == "same"  # a convolution keeps the size of its map
    for block in reversed(net.blocks):
        side = 2 * side + (0 if kept else (net.side - 1) * len(block))
    if pad.rest == "same":
        return -before, stride, side
    return -pad.border + (net.side // 2 if kept else 0), stride, side


def _nothing(spec: ModelSpec) -> np.ndarray:
    """The colour that is 0 behind the net's first layer, as its border is: float32 (3,), RGB."""
    grey = BACKBONES[spec.backbone].input == "grey"
    return np.asarray([0, 0, 0] if grey else spec.mean_bgr[::-1], np.float32)


def _classifier(model: keras.Model, spec: ModelSpec, image: np.ndarray) -> np.ndarray:
    """The scores of one window, (C,): the net's layers in the place where the classifier has them,
    each with the padding that it has there.
    """
    net, pad = BACKBONES[spec.backbone], BACKBONES[spec.backbone].paddings[spec.padding]
    x: Any = model.get_layer("data")(image[None])
    if pad.rest == "valid" and net.padding == "same":  # the net's border stands for this, too
        around = [net.side // 2] * 2
        x = ops.pad(x, [[0, 0], around, around, [0, 0]])
    for number, block in enumerate(net.blocks, 1):
        for name in (*(name for name, _ in block), f"pool{number}"):
            x = model.get_layer(name)(x)
    for name in (*net.dense_names(), "score_fr"):
        x = model.get_layer(name)(x)
    # The one cell, or of a net that pads its dense layers, too, the one that sees no padding.
    found = ops.convert_to_numpy(x)[0]
    return np.asarray(found[found.shape[0] // 2, found.shape[1] // 2])
