"""What scoring costs beyond the net: seconds of the bare forward passes and of the whole
evaluation, and the memory.

    python -m tests.benchmarks.evaluation --images 20 --width 1.0 --precision bfloat16

On N and on 4N images of VOC's size, with a net of random weights: the bare passes (read, predict,
throw away), and `fcn.evaluate.score.run` as the stage calls it, without other protocols; each in a
process of its own. What an image costs is the difference over 3N images, so that what is done once
does not count. One round after another, both ways in each.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Literal

import keras

from fcn.datasets.pairs import Listing
from fcn.evaluate import score
from fcn.hardware import devices
from fcn.input import stream
from fcn.net import model, surgery
from fcn.records import writing
from fcn.score import evaluation
from fcn.spec import MEAN_BGR, ModelSpec
from fcn.spec.protocols import Evaluate
from tests.benchmarks import pairs


def write(folder: Path, images: int) -> Path:
    """Records with so many validation images, and one to train on."""
    source, out = folder / f"pairs{images}", folder / f"records{images}"
    source.mkdir()
    found = pairs.made(source, images + 1)
    listing = Listing(
        classes=pairs.CLASSES, splits={"train": found[images:], "val": found[:images]}
    )
    writing.write(listing, {"train": "train", "val": "val"}, out, 2, 1, "stop", lambda *_: None)
    return out


def save_net(folder: Path, width: float, padding: str) -> Path:
    """The folder of an FCN-8s that predicts several classes."""
    devices.prepare(0)
    spec = ModelSpec(
        "fcn8s", "vgg16", pairs.CLASSES, width, round(4096 * width), padding, "fixed", 0.5, MEAN_BGR
    )
    net = model.build(spec)
    for layer in net.layers:
        # they begin as 0, and every pixel would be background
        if layer.name.startswith("score_") and layer.weights:
            layer.kernel.assign(keras.random.normal(layer.kernel.shape, stddev=0.01, seed=1))
    (folder / "net").mkdir()
    surgery.save(net, spec, folder / "net")
    return folder / "net"


def one(way: str, data: Path, net: Path, precision: Literal["float32", "bfloat16"]) -> None:
    """Goes through all images in one way; prints seconds by the clock, seconds of all cores, and
    the peak of memory in MiB.
    """
    folder = data.parent
    devices.prepare(0, precision, training=False)
    begin, cpu = time.perf_counter(), time.process_time()
    if way == "bare":
        label = evaluation.labeler(surgery.load(net)[0])
        for batch in stream.validation(data, "val"):
            label(batch["image"])
    else:
        how = Evaluate(6, (), precision)
        score.run(net, data, folder / "metrics.json", folder / "plots", how, lambda *_: None)
    seconds = time.perf_counter() - begin, time.process_time() - cpu
    # Linux counts in KiB
    print(json.dumps([*seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--padding", default="same")
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument("--one", nargs=3, metavar=("WAY", "RECORDS", "NET"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        way, records, net = args.one
        return one(way, Path(records), Path(net), args.precision)
    with tempfile.TemporaryDirectory() as name:
        folder, count = Path(name), args.images
        sets = write(folder, count), write(folder, 4 * count)
        net = save_net(folder, args.width, args.padding)

        def measured(way: str, data: Path) -> tuple[float, float, float]:
            command = [
                sys.executable,
                "-m",
                "tests.benchmarks.evaluation",
                "--precision",
                args.precision,
                "--one",
                way,
            ]
            done = subprocess.run([*command, data, net], stdout=subprocess.PIPE, check=True)
            return tuple(json.loads(done.stdout.splitlines()[-1]))

        print(
            f"width {args.width}, {args.padding}, {args.precision}, {count} and {4 * count} images"
        )
        for number in range(1, args.rounds + 1):
            found = {way: [measured(way, data) for data in sets] for way in ("bare", "whole")}
            (clock, cores), (whole_clock, whole_cores) = (
                [(many[n] - few[n]) / (3 * count) * 1000 for n in (0, 1)]
                for few, many in found.values()
            )
            few, many = found["whole"]
            print(
                f"round {number}: bare {clock:.0f} ms an image, whole {whole_clock:.0f}, ratio "
                f"{whole_clock / clock:.3f}; of all cores {cores:.0f} and {whole_cores:.0f}, ratio "
                f"{whole_cores / cores:.3f}; peak {few[2]:.0f} MiB with {count} images, "
                f"{many[2]:.0f} with {4 * count}",
                flush=True,
            )


if __name__ == "__main__":
    main()
