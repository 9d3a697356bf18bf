"""Nets as files to pass on: TensorFlow's SavedModel and ONNX, which run without this project; and a
model folder in 8 bits.

The first two take `image`, RGB float32 (N, H, W, 3) of range 0..255 with any N, H and W, and give
`scores`, float32 (N, H, W, classes) before the softmax: its argmax over the last axis is the class
map. What is done to the image before the net, and the crops, are inside. `model.json` lies beside,
with the names of the classes; an ONNX file, which travels alone, holds them as well.
"""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType

import keras
import numpy as np
from PIL import Image

from fcn.errors import UserError, enumeration
from fcn.hardware import cpu
from fcn.io import files
from fcn.net import quantize, surgery
from fcn.pixels import images
from fcn.predict.graph import ALL, Wanted
from fcn.score import metrics
from fcn.spec import ModelSpec

TOLERANCE = 1e-4
"""By how much the scores of a net that another library runs may differ, as a share of the largest
score.
"""
ROUNDED = 0.1
"""The same, for weights in 8 bits."""
SIZES = ((1, 64, 96), (2, 37, 51), (1, 1, 33))
"""(images, height, width) on which `write` compares: pooling, crops and upsampling meet odd sides
and tiny ones.
"""
LONGEST = 500
"""Pixels of a photograph's longer side, as of VOC's, for `agreement`."""
Scores = Callable[[np.ndarray], np.ndarray]
"""RGB float32 (N, H, W, 3), 0..255 -> scores float32 (N, H, W, classes), or labels uint8 (N, H, W).
"""


def write(
    model: keras.Model,
    spec: ModelSpec,
    out: Path,
    form: str,
    wanted: Wanted = ALL,
    sizes: Sequence[tuple[int, int, int]] = SIZES,
) -> float:
    """Exports a net and compares what was written with it, on images of random pixels.

    Args:
        model: from images to scores, see `model.build`.
        spec: that it was built from.
        out: folder to make: a SavedModel, `model.onnx` or `weights.npz`; and `model.json`.
        form: a key of `FORMATS`.
        wanted: what becomes of it; of a fixed size, that is what is compared on.
        sizes: (images, height, width) to compare on, else.

    Returns:
        The largest difference of any score, divided by the largest score; see `difference`.

    Raises:
        UserError: an unknown format, `out` has files in it, a library is missing, another backend
            than TensorFlow, or the scores differ by more than the format's tolerance. Nothing is
            written then.
    """
    if form not in FORMATS:
        raise UserError(f"format: expected one of {', '.join(FORMATS)}; got {form!r}")
    asked = {name for name, value in vars(wanted).items() if value != getattr(ALL, name)}
    if unknown := asked - FORMATS[form].knows:
        able = [other for other, known in FORMATS.items() if unknown <= known.knows]
        raise UserError(
            f"{enumeration([said for name, said in SAID.items() if name in unknown])}: expected "
            f"one of the formats {enumeration(able)}; got {form}"
        )
    files.check_folder(out)
    with files.replacing_folder(out) as folder:
        FORMATS[form].save(model, spec, folder, wanted)
        files.write_json(folder / "model.json", asdict(spec))
        images = _noise([(1, *wanted.size)] if wanted.size else sizes)
        # One net's answers after the other's: the exported one is gone then, and its memory. Both
        # are called, not `predict`ed, which would trace them anew for every size.
        answers = [*map(FORMATS[form].load(folder), images)]
        scores = [np.asarray(model(image, training=False)) for image in images]
        found = difference(scores, answers)
        allowed = ROUNDED if wanted.bits == 8 or form == "int8" else TOLERANCE
        if not found <= allowed:  # NaN is not
            raise UserError(
                f"{out}: the exported net's scores differ by {found:.1e} of the largest one, "
                f"{allowed:.0e} is allowed; nothing was written. Other versions of TensorFlow or "
                "onnxruntime than the locked ones?"
            )
        FORMATS[form].finish(folder, wanted.size)
    return found


def _noise(sizes: Sequence[tuple[int, int, int]]) -> list[np.ndarray]:
    """Batches of images of random pixels, the same for the same (images, height, width)."""
    pixels = np.random.default_rng(0)
    return [pixels.integers(0, 256, (*size, 3)).astype(np.float32) for size in sizes]


def difference(wanted: Sequence[np.ndarray], got: Sequence[np.ndarray]) -> float:
    """The largest difference between two nets' scores, divided by the largest score.

    Of labels, it is by how much the first net scores them lower than its own.

    Args:
        wanted: a net's scores of some batches, each (N, H, W, classes).
        got: those of one that should be the same, or its labels, uint8 (N, H, W).

    Raises:
        UserError: their scores have different shapes.
    """
    largest = furthest = np.float32(0)
    for scores, answer in zip(wanted, got, strict=True):
        labels = answer.dtype == np.uint8
        if answer.shape != (shape := scores.shape[:-1] if labels else scores.shape):
            what = "labels" if labels else "scores"
            raise UserError(f"the exported net gives {what} {answer.shape}, expected {shape}")
        largest = np.maximum(largest, np.abs(scores).max())
        if labels:
            answer = np.take_along_axis(scores, answer[..., None], -1)[..., 0]
            scores = scores.max(-1)
        furthest = np.maximum(furthest, np.abs(scores - answer).max())  # keeps a NaN
    return float(furthest / largest) if largest else float(furthest)


def agreement(
    model: keras.Model,
    form: str,
    folder: Path,
    pictures: Sequence[Path],
    size: tuple[int, int] | None = None,
) -> tuple[float, float]:
    """What an export makes of photographs, beside the net itself.

    Args:
        model: the net.
        form: of the export.
        folder: that `write` made.
        pictures: files. Of a fixed size they are brought to it; else those with a side of more than
            `LONGEST` pixels are made smaller.
        size: the one that was fixed.

    Returns:
        The share of the pixels with the net's label, and the mean IU with the net's labels as the
        truth.

    Raises:
        UserError: a file that is no picture.
    """
    exported, classes = FORMATS[form].load(folder), model.output_shape[-1]
    histogram = np.zeros((classes, classes), np.int64)
    for path in pictures:
        picture = Image.fromarray(images.read(path))
        if size:
            picture = picture.resize(size[::-1])
        else:
            picture.thumbnail((LONGEST, LONGEST))
        image = np.asarray(picture, np.float32)[None]
        wanted, got = (
            found if found.dtype == np.uint8 else found.argmax(-1).astype(np.uint8)
            for found in (np.asarray(model(image, training=False)), exported(image))
        )
        histogram += metrics.confusion(wanted[0], got[0], classes)
    scores = metrics.scores(histogram)
    return scores["pixel_accuracy"], scores["mean_iu"]


def _save_savedmodel(model: keras.Model, _spec: ModelSpec, folder: Path, _wanted: Wanted) -> None:
    if keras.backend.backend() != "tensorflow":
        raise UserError(
            "a SavedModel needs Keras on TensorFlow; this is "
            f"{keras.backend.backend()}: unset KERAS_BACKEND"
        )
    # without `track`, which would store every weight a second time
    archive = keras.export.ExportArchive()
    signature = [keras.InputSpec(shape=(None, None, None, 3), dtype="float32", name="image")]
    with cpu.portable():
        archive.add_endpoint(
            "serving_default", lambda image: {"scores": model(image, training=False)}, signature
        )
        archive.write_out(str(folder), verbose=False)


def _load_savedmodel(folder: Path) -> Scores:
    layer = keras.layers.TFSMLayer(str(folder), call_endpoint="serving_default")
    return lambda image: np.asarray(layer(image)["scores"])


def _save_onnx(model: keras.Model, spec: ModelSpec, folder: Path, wanted: Wanted) -> None:
    _needed("onnx")
    from fcn.predict import onnx_graph

    folder.mkdir()
    onnx_graph.save(model, spec, folder, wanted)


def _finish_onnx(folder: Path, size: tuple[int, int] | None) -> None:
    from fcn.predict import onnx_graph

    onnx_graph.finish(folder, size)


def _load_onnx(folder: Path) -> Scores:
    runtime = _needed("onnxruntime")
    # for little memory: weights are used where they lie, in no faster layout
    options = runtime.SessionOptions()
    options.add_session_config_entry("session.disable_prepacking", "1")
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    session = runtime.InferenceSession(
        folder / "model.onnx", options, providers=["CPUExecutionProvider"]
    )
    return lambda image: np.asarray(session.run(None, {"image": image})[0])


def _save_int8(model: keras.Model, _spec: ModelSpec, folder: Path, _wanted: Wanted) -> None:
    folder.mkdir()
    packed = quantize.pack(surgery.named_weights(model))
    files.save_arrays(folder / "weights.npz", packed, compressed=True)


def _load_int8(folder: Path) -> Scores:
    model, _ = surgery.load(folder)
    return lambda image: np.asarray(model(image, training=False))


def _save_tflite(model: keras.Model, spec: ModelSpec, folder: Path, wanted: Wanted) -> None:
    from fcn.predict import tflite_graph

    if not wanted.size:
        raise UserError("tflite: a fixed size is needed, --height and --width")
    folder.mkdir()
    tflite_graph.save(model, spec, folder, wanted)


def _load_tflite(folder: Path) -> Scores:
    from fcn.predict import tflite_graph

    return tflite_graph.load(folder)


def _needed(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserError(
            f"{name} is not installed, and ONNX needs it: `make env WITH=onnx` in a clone, or the "
            "extra `onnx`"
        ) from error


@dataclass(frozen=True)
class Format:
    """How a net is `save`d in a folder that is not there yet, and `load`ed from it again.

    `knows`: what of `Wanted` it can do.
    `finish`: what is left to do after they were compared; gets the folder and the fixed size.
    """

    save: Callable[..., None]
    load: Callable[[Path], Scores]
    knows: frozenset[str] = frozenset()
    finish: Callable[[Path, tuple[int, int] | None], None] = lambda folder, size: None


SAID = {"size": "a fixed size", "labels": "labels instead of scores", "bits": "8 bits"}
"""Of `Wanted`, in words."""
FORMATS = {
    "savedmodel": Format(_save_savedmodel, _load_savedmodel),
    "onnx": Format(_save_onnx, _load_onnx, frozenset(SAID), finish=_finish_onnx),
    "tflite": Format(_save_tflite, _load_tflite, frozenset(SAID)),
    "int8": Format(_save_int8, _load_int8),
}
