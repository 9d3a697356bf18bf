"""Whether records, training's input and evaluation take the same memory, however many images there
are.

    python -m tests.benchmarks.memory [--images 100 1000 10000]

So many images to train on and as many to validate on, 64x64 pixels of noise, so that each is about
13 kB in the records. Every part has a process of its own: writing the records; an epoch of the
training's batches; the first batch of a resume at the end of the third epoch; the evaluation of a
tiny net. What is told is the most memory of the process, all libraries included.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

from tests.benchmarks import child

SIDE = 64
CLASSES = ("background", "thing")


def make(folder: Path, count: int) -> None:
    """Twice `count` pictures and labels."""
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(0)
    for number in range(2 * count):
        pixels = random.integers(0, 256, (SIDE, SIDE, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:06d}.jpg.png", compress_level=0)
        label = np.zeros((SIDE, SIDE), np.uint8)
        label[8:40, 8 : 10 + number % 50] = 1
        Image.fromarray(label).save(folder / f"{number:06d}.png")


def records(folder: Path) -> None:
    from fcn.datasets.pairs import Listing, Pair
    from fcn.records import writing

    images = sorted(folder.glob("*.jpg.png"))
    pairs = [Pair(path.name[:6], path, path.with_name(f"{path.name[:6]}.png")) for path in images]
    half = len(pairs) // 2
    listing = Listing(CLASSES, {"train": pairs[:half], "val": pairs[half:]})
    writing.write(
        listing, {"train": "train", "val": "val"}, folder / "records", 4, 1, "stop", lambda *_: None
    )


def batches(folder: Path, start: int, count: int) -> None:
    """Reads batches; prints the seconds until the first."""
    from fcn.hardware import devices
    from fcn.input import stream
    from fcn.spec.recipe import TrainSpec

    devices.prepare(1)
    recipe = TrainSpec("sgd", 1e-2, 0.9, 5e-4, 2.0, "mean", 20, 2, 10, 1)
    begin = time.perf_counter()
    for number, _ in enumerate(
        stream.Stream(folder / "records", "train", recipe).batches(start).take(count)
    ):
        if not number:
            print(f"first {time.perf_counter() - begin:.2f}")


def evaluate(folder: Path) -> None:
    from fcn.evaluate import score
    from fcn.net import model, surgery
    from fcn.spec import ModelSpec
    from fcn.spec.protocols import Evaluate

    spec = ModelSpec("fcn4s", "lenet", CLASSES, 1 / 5, 8, "caffe", "fixed", 0.0, (0.0, 0.0, 0.0))
    (folder / "model").mkdir()
    surgery.save(model.build(spec), spec, folder / "model")
    score.run(
        folder / "model",
        folder / "records",
        folder / "m.json",
        folder / "plots",
        Evaluate(1),
        lambda *_: None,
    )


PARTS = {
    "pictures": make,
    "records": lambda folder, count: records(folder),
    "training": lambda folder, count: batches(folder, 0, count),
    "resume": lambda folder, count: batches(folder, 3 * count - 1, 1),
    "evaluation": lambda folder, count: evaluate(folder),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument("--part", nargs=3, metavar=("PART", "FOLDER", "N"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.part:
        part, folder, count = args.part
        PARTS[part](Path(folder), int(count))
        return
    print(
        "| images | part | seconds | seconds to the first batch | peak memory, MB "
        "|\n|---|---|---|---|---|"
    )
    for count in args.images:
        with tempfile.TemporaryDirectory() as folder:
            for part in PARTS:
                cost = child.run(
                    "-m", "tests.benchmarks.memory", "--part", part, folder, str(count)
                )
                first = next(
                    (
                        line.split()[1]
                        for line in cost.output.splitlines()
                        if line.startswith("first ")
                    ),
                    "",
                )
                if part != "pictures":
                    print(
                        f"| {count} | {part} | {cost.seconds:.1f} | {first} | "
                        f"{cost.peak / 1e6:.0f} |",
                        flush=True,
                    )


if __name__ == "__main__":
    os.nice(5)
    main()
