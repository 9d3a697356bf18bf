"""What every command costs with a full-width FCN-8s: seconds, processor seconds and memory, beside
the bound.

    python -m tests.benchmarks.full_width [--only WORD ...] [--padding same|caffe] [--keep FOLDER]

Every step has a process of its own, and works on what the ones before it left: `--only` tells of
the steps with one of these words in their names, and runs what they need. What can be typed is
typed: `fcn predict`, `export`, `serve`, `web`, `submit`.
The bound is 3 times the weights (537 MB) plus 1 GB. Training has two more sets of weights, its
momentum and its gradients, and two more in its bound, and 1 GB for TensorFlow's pool (see
`cpu.keep_memory`; with TF_ONEDNN_USE_SYSTEM_ALLOCATOR=1 it does without). A picture has `PIXEL`
bytes more for each of its pixels. A step beyond its bound ends with exit code 1, after all.
"""

import argparse
import base64
import contextlib
import json
import shutil
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.benchmarks import child

WEIGHTS = 4 * 134_358_000
BOUND, TRAINING = 3 * WEIGHTS + 10**9, 5 * WEIGHTS + 2 * 10**9
PIXEL = 20
"""Bytes: the picture, its labels and the picture of both, with the copies that Pillow makes."""
TRAINED, VALIDATED, SUBMITTED, REPORTED = 10, 100, 1456, 1449
CONTAINERS = ("keras 2.h5", "caffe.caffemodel", "caffe-tensorflow.npy", "matconvnet.mat")
PICTURES = {
    "500x375": (500, 375),
    "12 megapixels": (4000, 3000),
    "48 megapixels": (8000, 6000),
}
"""Width and height."""
SMALL = (125, 94)
"""Of the pictures to submit: what their number costs in memory shows without an hour's work."""
PROFILE = "benchmark"
CHAIN = ("fcn32s", "fcn16s", "fcn8s")


def spec(variant: str, padding: str = "same") -> Any:
    from fcn.datasets import voc
    from fcn.spec import MEAN_BGR, ModelSpec

    return ModelSpec(variant, "vgg16", voc.CLASSES, 1.0, 4096, padding, "fixed", 0.5, MEAN_BGR)


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
    (folder / variant).mkdir(exist_ok=True)
    surgery.save(net, spec(variant, padding), folder / variant)


def records(folder: Path) -> None:
    from fcn.datasets import voc
    from fcn.datasets.pairs import Listing
    from fcn.records import writing
    from tests.benchmarks import pairs

    (folder / "pairs").mkdir()
    made = pairs.made(folder / "pairs", TRAINED + VALIDATED)
    listing = Listing(voc.CLASSES, {"train": made[:TRAINED], "val": made[TRAINED:]})
    splits = {"train": "train", "val": "val"}
    writing.write(listing, splits, folder / "records", 2, 1, "stop", lambda *_: None)


def train(folder: Path, steps: str) -> None:
    """From the checkpoint, if there is one, to a step; then it is interrupted, which makes a
    checkpoint.
    """
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
        if step == int(steps):
            raise KeyboardInterrupt

    with contextlib.suppress(KeyboardInterrupt):
        validation = inputs.validation(folder / "records", "val", 1)
        told = training.Listener(report=report)
        training.train(
            net, stream, lambda: validation, folder / "checkpoint.npz", told, seconds=1e9
        )
    assert (folder / "checkpoint.npz").is_file()


def load(folder: Path) -> None:
    from fcn.net import surgery

    surgery.load(folder / "fcn8s")


def evaluate(folder: Path) -> None:
    from fcn.evaluate import score
    from fcn.spec.protocols import Evaluate

    how = Evaluate(6, (), "bfloat16")
    score.run(
        folder / "fcn8s",
        folder / "records",
        folder / "m.json",
        folder / "plots",
        how,
        lambda *_: None,
    )


def register(folder: Path) -> None:
    """As the evaluation does it, in a workspace with nothing else in it."""
    import os
    from unittest import mock

    from fcn.io import files
    from tasks.tracking import forward, forwarder, registry, scoring

    (folder / "workspace").mkdir()
    os.chdir(folder / "workspace")
    sha = files.digest(folder / "fcn8s" / "weights.npz")
    # MLflow is told in this process, which is the one that is measured.
    with (
        mock.patch.object(forwarder, "wake"),
        scoring(f"fcn-{PROFILE}", "fcn8s", sha, params={}, tags={}) as run,
    ):
        registry.register(run, PROFILE, "fcn8s", folder / "fcn8s", 0.5, "val", "data", sha)
    outcome = forward.forward_all()
    assert (outcome.done, outcome.left, outcome.refused) == (1, 0, 0), outcome
    print(f"MLflow has it: {outcome}")


def registered(folder: Path) -> None:
    """Loads the version as MLflow's own servers do, and asks it."""
    import mlflow
    import pandas as pd  # type: ignore[import-untyped]

    mlflow.set_tracking_uri(f"sqlite:///{folder / 'workspace' / 'mlflow.db'}")
    net = mlflow.pyfunc.load_model(f"models:/fcn-{PROFILE}@fcn8s")
    [answer] = net.predict(pd.DataFrame({"image": [_encoded(folder)]}))
    assert answer["width"] == 500


def picture(path: Path, width: int, height: int, seed: int = 0) -> None:
    """Noise in large spots: a photograph's sizes at once, and a file that is not as large."""
    import numpy as np
    from PIL import Image

    spots = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    Image.fromarray(spots).resize((width, height)).save(path, quality=90)


def pictures(folder: Path) -> None:
    """All that the commands are given."""
    for name, (width, height) in PICTURES.items():
        picture(folder / f"{name}.jpg", width, height)
    (folder / "JPEGImages").mkdir()
    names = [f"2012_{number:06d}" for number in range(SUBMITTED)]
    for number, name in enumerate(names):
        picture(folder / "JPEGImages" / f"{name}.jpg", *SMALL, number)
    (folder / "test.txt").write_text("".join(f"{name}\n" for name in names))


def _encoded(folder: Path) -> str:
    return base64.b64encode((folder / "500x375.jpg").read_bytes()).decode()


def ask_server(folder: Path, address: str) -> None:
    body = json.dumps({"inputs": {"image": [_encoded(folder)]}}).encode()
    said = _sent(f"{address}/invocations", body, {"Content-Type": "application/json"})
    assert json.loads(said)["predictions"][0]["width"] == 500


def ask_page(folder: Path, address: str) -> None:
    """What a browser does when a picture is dropped on the page."""
    body = (folder / "500x375.jpg").read_bytes()
    said = _sent(f"{address.rstrip('/')}/segment?net=fcn8s", body, {"Content-Type": "image/jpeg"})
    assert json.loads(said.splitlines()[-1])["found"]["labels"], said[:1000]


def _sent(url: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> str:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(urllib.request.Request(url, body, headers or {}), timeout=600) as answer:
        text: str = answer.read().decode()
    return text


@dataclass(frozen=True)
class Step:
    """What Python is told, the bound in bytes, and who asks if it is a server."""

    arguments: tuple[str | Path, ...]
    bound: int = BOUND
    ask: Callable[[Path, str], None] | None = None


PARTS: dict[str, Callable[..., None]] = {
    work.__name__: work
    for work in (
        convert, surgery, records, pictures, train, load, evaluate, register, registered,
    )
}  # fmt: skip


def steps(folder: Path, padding: str) -> dict[str, Step]:
    """All of them, by name."""

    def part(work: Callable[..., None], *arguments: str, bound: int = BOUND) -> Step:
        own = ("-m", "tests.benchmarks.full_width", "--part", work.__name__, folder)
        return Step((*own, *arguments), bound)

    def fcn(command: str, *arguments: str | Path, bound: int = BOUND, ask: Any = None) -> Step:
        return Step(("-m", "fcn", command, *arguments), bound, ask)

    def predict(name: str, precision: str) -> Step:
        width, height = PICTURES[name]
        return fcn(
            "predict", folder / f"{name}.jpg", *net, "--precision", precision, "--out",
            folder / "predicted", bound=BOUND + PIXEL * width * height,
        )  # fmt: skip

    net = ("--model", folder / "fcn8s")
    exported = ("export", *net, "--out", folder / "exported", "--format")
    fixed = ("--height", "375", "--width", "500")
    return {
        **{f"convert {name}": part(convert, name) for name in CONTAINERS},
        **{f"surgery and save {name}": part(surgery, name, padding) for name in CHAIN},
        "load": part(load),
        "records": part(records),
        "pictures": part(pictures),
        "train 2 steps, checkpoint": part(train, "2", bound=TRAINING),
        "resume, 2 steps, checkpoint": part(train, "4", bound=TRAINING),
        "predict 500x375": predict("500x375", "float32"),
        "predict 12 megapixels": predict("12 megapixels", "float32"),
        "predict 12 megapixels, bfloat16": predict("12 megapixels", "bfloat16"),
        "predict 48 megapixels, bfloat16": predict("48 megapixels", "bfloat16"),
        f"evaluate {VALIDATED} images, bfloat16": part(evaluate),
        "export onnx, any size": fcn(*exported, "onnx"),
        "export onnx, 500x375": fcn(*exported, "onnx", *fixed),
        "export onnx, 500x375, labels": fcn(*exported, "onnx", *fixed, "--argmax"),
        "export onnx, 8 bits": fcn(*exported, "onnx", "--bits", "8"),
        "export tflite, 500x375": fcn(*exported, "tflite", *fixed),
        "export tflite, 500x375, 8 bits": fcn(*exported, "tflite", *fixed, "--bits", "8"),
        "export savedmodel": fcn(*exported, "savedmodel"),
        "export int8": fcn(*exported, "int8"),
        "MLflow: register": part(register),
        "MLflow: load, an answer": part(registered),
        "serve: cold start, an answer": fcn("serve", *net, "--port", "0", ask=ask_server),
        "web: cold start, an answer": fcn("web", *net, "--port", "0", ask=ask_page),
        f"submit {SUBMITTED} images of {SMALL[0]}x{SMALL[1]}, bfloat16": fcn(
            "submit", "--images", folder / "JPEGImages", "--ids", folder / "test.txt", *net,
            "--precision", "bfloat16", "--out", folder / "submission.tgz",
        ),
        f"report, gallery of {REPORTED} images": Step(
            ("-m", "tests.benchmarks.report", "--images", str(REPORTED))
        ),
    }  # fmt: skip


def cost(folder: Path, name: str, step: Step) -> child.Cost:
    """Runs a step, and removes what no later one reads."""
    ask = partial(step.ask, folder) if step.ask else None
    container = folder / name.removeprefix("convert ")
    if name.startswith("convert"):
        child.run("-m", "tests.benchmarks.weights", "--write", container)
    found = child.run(*step.arguments, asked=ask)
    if name.startswith("convert"):
        container.unlink()
    for left in ("exported", "predicted"):
        shutil.rmtree(folder / left, ignore_errors=True)
    return found


@contextlib.contextmanager
def place(kept: Path | None) -> Iterator[Path]:
    if kept:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept.resolve()
    else:
        with tempfile.TemporaryDirectory() as name:
            yield Path(name)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", default=[""], metavar="WORD", help="of the names")
    parser.add_argument("--padding", choices=("same", "caffe"), default="same")
    parser.add_argument("--keep", type=Path, help="leave nets and pictures there for a next run")
    parser.add_argument("--part", nargs="+", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.part:
        name, folder, *arguments = args.part
        PARTS[name](Path(folder), *arguments)
        return 0
    needed = ("convert caffe.caffemodel", "surgery", "records", "pictures", "train")
    within = True
    heads = ("step", "seconds", "processor seconds", "peak memory, MB", "bound, MB")
    print(f"| {' | '.join(heads)} |\n{'|---' * len(heads)}|", flush=True)
    with place(args.keep) as folder:
        done = folder / "done"
        before = done.read_text().splitlines() if done.exists() else []
        for name, step in steps(folder, args.padding).items():
            chosen = any(word in name for word in args.only)
            if not chosen and (name in before or not name.startswith(needed)):
                continue
            found = cost(folder, name, step)
            with open(done, "a") as file:
                file.write(f"{name}\n")
            if chosen and name != "pictures":
                within &= found.peak <= step.bound
                row = f"{found.seconds:.1f} | {found.processor:.1f} | {found.peak / 1e6:.0f}"
                beyond = "" if found.peak <= step.bound else ": beyond it"
                print(f"| {name} | {row} | {step.bound / 1e6:.0f}{beyond} |", flush=True)
    return int(not within)


if __name__ == "__main__":
    sys.exit(main())
