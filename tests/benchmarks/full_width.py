"""What every step costs with a full-width FCN-8s: seconds, processor seconds and memory, beside the
bound.

    python -m tests.benchmarks.full_width [--only WORD ...] [--padding same|caffe]

Every step has a process of its own, and works on what the ones before it left: `--only` tells of
the steps with one of these words in their names, and runs what they need.
The bound is 3 times the weights (537 MB) plus 1 GB. Training has two more sets of weights, its
momentum and its gradients, and two more in its bound. A step beyond its bound ends with exit code
1, after all.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.benchmarks import child

WEIGHTS = 4 * 134_358_000
BOUND, TRAINING = 3 * WEIGHTS + 10**9, 5 * WEIGHTS + 10**9
IMAGES = 20
CONTAINERS = ("keras 2.h5", "caffe.caffemodel", "caffe-tensorflow.npy", "matconvnet.mat")
SIZES = {"500x375": (375, 500), "12 megapixels": (3000, 4000), "48 megapixels": (6000, 8000)}
"""Height and width."""


def spec(variant: str, padding: str = "same") -> Any:
    from fcn.spec import MEAN_BGR, ModelSpec

    classes = tuple(f"class{n}" for n in range(21))
    return ModelSpec(variant, "vgg16", classes, 1.0, 4096, padding, "fixed", 0.5, MEAN_BGR)


def convert(folder: Path, container: str) -> None:
    """As the stage does it; the file was made before."""
    from fcn.io import files
    from fcn.weights import conversion, readers

    found = readers.read(folder / container)
    weights, _ = conversion.convert(found.layers, "vgg16", container, found.axes, found.channels)
    files.save_arrays(folder / "vgg.npz", weights)


def surgery(folder: Path, variant: str, padding: str) -> None:
    """A net from its parent, saved; its scores are random, so that labels differ."""
    import keras

    from fcn.net import surgery

    parent = {"fcn32s": "vgg.npz", "fcn16s": "fcn32s", "fcn8s": "fcn16s"}[variant]
    net, _ = surgery.start(spec(variant, padding), folder / parent)
    for layer in net.layers:
        if layer.name.startswith("score_") and hasattr(layer, "kernel"):
            layer.kernel.assign(
                keras.random.normal(layer.kernel.shape, stddev=0.01, seed=len(layer.name))
            )
    (folder / variant).mkdir()
    surgery.save(net, spec(variant, padding), folder / variant)


def records(folder: Path) -> None:
    from fcn.records import writing
    from tests.benchmarks import pairs

    (folder / "pairs").mkdir()
    listing = pairs.listing(pairs.made(folder / "pairs", IMAGES))
    listing = replace(
        listing,
        splits={split: listing.splits["train"][n::2] for n, split in enumerate(("train", "val"))},
    )
    writing.write(
        listing, {"train": "train", "val": "val"}, folder / "records", 2, 1, "stop", lambda *_: None
    )


def train(folder: Path, steps: int) -> None:
    """From the checkpoint, if there is one, to a step; then it is interrupted, which makes a
    checkpoint.
    """
    import contextlib

    from fcn.hardware import devices
    from fcn.input import stream as inputs
    from fcn.net import surgery
    from fcn.spec.recipe import TrainSpec
    from fcn.train import training

    recipe = TrainSpec("sgd", 1e-10, 0.99, 5e-4, 2.0, "sum", 100, 1, 100, 1, precision="bfloat16")
    devices.prepare(1, recipe.precision)
    net, known = surgery.load(folder / "fcn8s")
    stream = inputs.Stream(folder / "records", "train", recipe, known.mean_bgr)

    def report(step: int, values: dict[str, float]) -> None:
        if step == steps:
            raise KeyboardInterrupt

    with contextlib.suppress(KeyboardInterrupt):
        validation = inputs.validation(folder / "records", "val", 1)
        training.train(
            net, recipe, stream, lambda: validation, folder / "checkpoint.npz", report, seconds=1e9
        )
    assert (folder / "checkpoint.npz").is_file()


def load(folder: Path) -> None:
    from fcn.net import surgery

    surgery.load(folder / "fcn8s")


def predict(folder: Path, size: str, precision: str) -> None:
    import numpy as np

    from fcn.predict import predictor

    height, width = SIZES[size]
    row = np.random.default_rng(0).integers(0, 256, (height, 1, 3), np.uint8)
    predictor.load(folder / "fcn8s", precision=precision).predict(np.repeat(row, width, 1))


def evaluate(folder: Path) -> None:
    from fcn.evaluate import score
    from fcn.spec.protocols import Evaluate

    score.run(
        folder / "fcn8s",
        folder / "records",
        folder / "m.json",
        folder / "plots",
        Evaluate(1),
        lambda *_: None,
    )


def export(folder: Path, form: str, *size: int) -> None:
    import shutil

    from fcn.net import surgery
    from fcn.predict import export

    net, known = surgery.load(folder / "fcn8s")
    options = {"size": size, "labels": True} if size else {}
    print(f"off by {export.write(net, known, folder / 'exported', form, **options):.1e}")
    shutil.rmtree(folder / "exported")


def serve(folder: Path) -> None:
    """What `mlflow models serve` does before it answers, and the answer."""
    import base64
    import io

    import numpy as np
    from PIL import Image

    from fcn.predict import predictor, serving

    picture = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (375, 500, 3), np.uint8)).save(
        picture, "PNG"
    )
    net = predictor.load(folder / "fcn8s")
    predict = serving.within(net, serving.Turns(), 600)
    asked = [base64.b64encode(picture.getvalue()).decode()]
    serving.answers(asked, predict, serving.OPACITY, net.cost)


def steps(padding: str) -> dict[str, tuple[Callable[..., None], tuple[Any, ...], int]]:
    """By name: what is called with the folder and these arguments, and its bound."""
    return {
        **{f"convert {name}": (convert, (name,), BOUND) for name in CONTAINERS},
        **{
            f"surgery and save {name}": (surgery, (name, padding), BOUND)
            for name in ("fcn32s", "fcn16s", "fcn8s")
        },
        "load": (load, (), BOUND),
        "records": (records, (), BOUND),
        "train 2 steps, checkpoint": (train, (2,), TRAINING),
        "resume, 2 steps, checkpoint": (train, (4,), TRAINING),
        "predict 500x375": (predict, ("500x375", "float32"), BOUND),
        "predict 12 megapixels": (predict, ("12 megapixels", "float32"), BOUND),
        "predict 12 megapixels, bfloat16": (predict, ("12 megapixels", "bfloat16"), BOUND),
        "predict 48 megapixels, bfloat16": (predict, ("48 megapixels", "bfloat16"), BOUND),
        f"evaluate {IMAGES // 2} images": (evaluate, (), BOUND),
        "export onnx": (export, ("onnx",), BOUND),
        "export onnx, fixed size, labels": (export, ("onnx", 375, 500), BOUND),
        "export savedmodel": (export, ("savedmodel",), BOUND),
        "export int8": (export, ("int8",), BOUND),
        "serve: cold start and an answer": (serve, (), BOUND),
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", nargs="+", default=[""], metavar="WORD", help="of the steps' names"
    )
    parser.add_argument("--padding", choices=("same", "caffe"), default="same")
    parser.add_argument("--part", nargs=2, metavar=("STEP", "FOLDER"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    parts = steps(args.padding)
    if args.part:
        work, arguments, _ = parts[args.part[0]]
        work(Path(args.part[1]), *arguments)
        return 0
    needed = ("convert caffe.caffemodel", "surgery", "records", "train")
    within = True
    print(
        "| step | seconds | processor seconds | peak memory, MB | bound, MB "
        "|\n|---|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory() as name:
        for step, (_, arguments, bound) in parts.items():
            chosen = any(word in step for word in args.only)
            if not chosen and not step.startswith(needed):
                continue
            if step.startswith("convert"):
                child.run("-m", "tests.benchmarks.weights", "--write", Path(name, arguments[0]))
            cost = child.run(
                "-m", "tests.benchmarks.full_width", "--padding", args.padding, "--part", step, name
            )
            if step.startswith("convert"):
                Path(name, arguments[0]).unlink()
            if chosen:
                within &= cost.peak <= bound
                row = (
                    f"{cost.seconds:.1f} | {cost.processor:.1f} | {cost.peak / 1e6:.0f} | "
                    f"{bound / 1e6:.0f}"
                )
                print(f"| {step} | {row} |", flush=True)
    return int(not within)


if __name__ == "__main__":
    sys.exit(main())
