"""How many images per second training gets from the records, against a bare Pillow loop and tf.data
on the raw files.

    python -m tests.benchmarks.input [--images N] [--voc ROOT]

All give pairs of uint8 arrays, one image at a time, at its own size. They take turns in one run,
since a machine is rarely quiet; what counts are the ratios. TensorFlow makes colours of a palette
PNG, so what it gets of the raw labels are no class indices; it is here for its speed. The first
image is not counted: with it come the reading and checking of all shards, and the tracing of the
graph.

Then, by the number of cores that the process may use, images per second and per core: as they are,
and in batches of 8 that are scaled, mirrored and cropped. That says how many cores keep a device
busy.
"""

import argparse
import dataclasses
import itertools
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from fcn.datasets.pairs import Pair
from fcn.input import stream
from fcn.records import writing
from fcn.spec.augment import Augment
from fcn.spec.recipe import TrainSpec
from tests.benchmarks import pairs as pairs_of

RECIPE = TrainSpec("sgd", 1e-2, 0.9, 5e-4, 2.0, "mean", 20, 2, 10, 1)
MOVED = Augment(scale=(0.5, 2.0), mirror=True, crop=480)
RECIPES = {
    "as they are": RECIPE,
    "batches of 8, moved": dataclasses.replace(RECIPE, batch=8, augment=MOVED),
}


def pillow(pairs: list[Pair]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for pair in pairs:
        with Image.open(pair.image) as image, Image.open(pair.label) as label:
            yield np.asarray(image.convert("RGB")), np.asarray(label)


def raw(pairs: list[Pair]) -> tf.data.Dataset:
    def load(image: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        pixels = tf.io.decode_jpeg(
            tf.io.read_file(image), channels=3, dct_method="INTEGER_ACCURATE"
        )
        return pixels, tf.io.decode_png(tf.io.read_file(label), channels=1)[..., 0]

    paths = [str(pair.image) for pair in pairs], [str(pair.label) for pair in pairs]
    dataset = tf.data.Dataset.from_tensor_slices(paths).map(
        load, num_parallel_calls=tf.data.AUTOTUNE
    )
    return dataset.batch(1).prefetch(tf.data.AUTOTUNE)


def rate(examples: Iterable[Any]) -> float:
    """Images per second from the second one on."""
    iterator = iter(examples)
    next(iterator)
    begin = time.perf_counter()
    count = sum(1 for _ in iterator)
    return count / (time.perf_counter() - begin)


def by_core(folder: Path, name: str, cores: int, images: int) -> tuple[float, float]:
    """In a process of its own, which may use so many cores: images per second, and per second of a
    core.
    """
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    recipe = RECIPES[name]
    batches = iter(stream.Stream(folder, "train", recipe).batches().take(images // recipe.batch))
    next(batches)
    begin = time.perf_counter(), time.process_time()
    count = recipe.batch * sum(1 for _ in batches)
    return count / (time.perf_counter() - begin[0]), count / (time.process_time() - begin[1])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=500, help="pairs to make")
    parser.add_argument("--voc", type=Path, help="use the pairs of this VOC folder instead")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        pairs = pairs_of.real(args.voc) if args.voc else pairs_of.made(folder, args.images)
        listing, lists = pairs_of.listing(pairs), {"train": "train", "val": "val"}
        writing.write(listing, lists, folder / "records", 4, 1, "stop", lambda *_: None)
        train = listing.splits["train"]
        ways: dict[str, Callable[[], Iterable[Any]]] = {
            "records": lambda: (
                stream.Stream(folder / "records", "train", RECIPE).batches().take(len(train))
            ),
            "Pillow": lambda: pillow(train),
            "raw files": lambda: raw(train),
        }
        rates: dict[str, list[float]] = {way: [] for way in ways}
        for number in range(args.rounds + 1):
            for way, make in ways.items():
                found = rate(make())
                # the first round finds the files on the disk, the others in the system's memory
                if number:
                    rates[way].append(found)
            if number:
                print(", ".join(f"{way} {found[-1]:.0f}/s" for way, found in rates.items()))
        for way in ("Pillow", "raw files"):
            ratio = statistics.median(
                a / b for a, b in zip(rates["records"], rates[way], strict=True)
            )
            print(
                f"{len(train)} images: training reads the records at {ratio:.2f} of the speed of "
                f"{way}"
            )
        print("| images | cores | images/s | images/s of a core |\n|---|---|---|---|")
        own = multiprocessing.get_context("spawn")
        for name, cores in itertools.product(RECIPES, (1, len(os.sched_getaffinity(0)))):
            with own.Pool(1) as pool:
                asked = (folder / "records", name, cores, 2 * len(train))
                found, of_a_core = pool.apply(by_core, asked)
            print(f"| {name} | {cores} | {found:.0f} | {of_a_core:.0f} |")


if __name__ == "__main__":
    main()
