"""What scoring costs beyond the net: seconds of the bare forward passes and of the whole evaluation, and the memory.

    python -m tests.benchmarks.evaluation --images 20 --width 1.0 --precision bfloat16

On N and on 4N images of VOC's size, with a net of random weights: the bare passes (read, predict, throw away), and
`fcn.score.run` as the stage calls it, without other protocols. What an image costs is the difference over 3N images, so that
loading the net, which is done once, does not count; it is printed by itself. One round after another, both ways in each.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import keras

from fcn import devices, evaluation, inputs, model, score, surgery, writing
from fcn.architecture import MEAN_BGR, ModelSpec
from fcn.datasets.pairs import Listing
from fcn.protocols import Evaluate
from tests.benchmarks import pairs


def write(folder: Path, images: int) -> Path:
    """Records with so many validation images, and one to train on."""
    source, out = folder / f"pairs{images}", folder / f"records{images}"
    source.mkdir()
    found = pairs.made(source, images + 1)
    listing = Listing(classes=pairs.CLASSES, splits={"train": found[images:], "val": found[:images]})
    writing.write(listing, {"train": "train", "val": "val"}, out, 2, 1, "stop", lambda *_: None)
    return out


def save_net(folder: Path, width: float, padding: str) -> Path:
    """The folder of an FCN-8s that predicts several classes."""
    devices.prepare(0)
    spec = ModelSpec("fcn8s", "vgg16", pairs.CLASSES, width, round(4096 * width), padding, "fixed", 0.5, MEAN_BGR)
    net = model.build(spec)
    for layer in net.layers:
        if layer.name.startswith("score_") and layer.weights:  # they begin as 0, and every pixel would be background
            layer.kernel.assign(keras.random.normal(layer.kernel.shape, stddev=0.01, seed=1))
    (folder / "net").mkdir()
    surgery.save(net, spec, folder / "net")
    return folder / "net"


def peak() -> float:
    """MiB that the process has held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # Linux counts in KiB


def timed(task: Callable[[Path], None], data: Path) -> tuple[float, float]:
    """Seconds by the clock, and of all processor cores."""
    begin, cpu = time.perf_counter(), time.process_time()
    task(data)
    return time.perf_counter() - begin, time.process_time() - cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--padding", default="same")
    parser.add_argument("--precision", default="bfloat16")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, count = Path(name), args.images
        few, many = write(folder, count), write(folder, 4 * count)
        net = save_net(folder, args.width, args.padding)
        device = devices.prepare(0, args.precision, training=False)
        label = evaluation.labeler(surgery.load(net)[0])

        def bare(data: Path) -> None:
            for batch in inputs.validation(data, "val"):
                label(batch["image"])

        def whole(data: Path) -> None:
            how = Evaluate(6, (), args.precision)
            score.run(net, data, folder / "metrics.json", folder / "plots", how, lambda *_: None)

        print(f"{device}, width {args.width}, {args.precision}, {count} and {4 * count} images")
        bare(few)  # compiles
        whole(few)
        for number in range(1, args.rounds + 1):
            sums = {}
            for way in (bare, whole):
                short = timed(way, few)
                held = peak()
                long = timed(way, many)
                sums[way] = [(b - a) / (3 * count) * 1000 for a, b in zip(short, long, strict=True)]
                if way is whole:
                    once = short[0] - sums[way][0] * count / 1000
            clock, cores = ([sums[way][n] for way in (bare, whole)] for n in (0, 1))
            print(
                f"round {number}: bare {clock[0]:.1f} ms an image, whole {clock[1]:.1f}, ratio {clock[1] / clock[0]:.3f}; "
                f"of all cores {cores[0]:.1f} and {cores[1]:.1f}, ratio {cores[1] / cores[0]:.3f}; once {once:.1f} s; "
                f"peak {held:.0f} MiB after {count} images, {peak():.0f} after {4 * count}",
                flush=True,
            )


if __name__ == "__main__":
    main()
