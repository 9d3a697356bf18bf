"""How fast records are written, against Pillow alone decoding the same files; and how much memory
that takes.

    python -m tests.benchmarks.records [--images N] [--voc ROOT] [--workers N]

Both take turns in one run, since a machine is rarely quiet; what counts is the ratio. It is meant
to be at least 0.5. Where others work on the same cores, the ratio of the processor time is the
steadier one.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
from PIL import Image

from fcn.datasets.pairs import Pair
from fcn.records import writing
from tests.benchmarks import pairs as pairs_of

LISTS = {"train": "train", "val": "val"}


def decode(pairs: list[Pair], workers: int) -> None:
    """Image and label into Pillow's memory, nothing else."""

    def both(pair: Pair) -> None:
        for path in (pair.image, pair.label):
            with Image.open(path) as image:
                image.load()

    with ThreadPoolExecutor(workers) as pool:
        for _ in pool.map(both, pairs):
            pass


def write(pairs: list[Pair], workers: int, out: Path, done: writing.Done = lambda *_: None) -> None:
    writing.write(pairs_of.listing(pairs), LISTS, out, 4, 1, "stop", done, workers)


def seconds(work: Callable[[], None]) -> tuple[float, float]:
    """By the clock, and of all cores together."""
    begin, used = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - begin, time.process_time() - used


def compare(pairs: list[Pair], workers: int, out: Path, rounds: int) -> None:
    """Prints both speeds and the median of the rounds' ratios."""
    # reads every file once, so that all rounds find them in the system's memory
    write(pairs, workers, out)
    ratios = []
    for _ in range(rounds):
        alone, ours = (
            seconds(lambda: decode(pairs, workers)),
            seconds(lambda: write(pairs, workers, out)),
        )
        ratios.append((alone[0] / ours[0], alone[1] / ours[1]))
        print(
            f"Pillow alone {len(pairs) / alone[0]:5.0f} pairs/s, records "
            f"{len(pairs) / ours[0]:5.0f}/s: ratio {ratios[-1][0]:.2f}, of the processor time "
            f"{ratios[-1][1]:.2f}"
        )
    clock, used = (statistics.median(column) for column in zip(*ratios, strict=True))
    print(
        f"{len(pairs)} pairs, {workers} threads: {clock:.2f} of Pillow's speed ({used:.2f} by "
        "processor time)"
    )


def growth(folder: Path, count: int, workers: int) -> float:
    """MB by which a process grows between its 20th pair and the last of `count`."""
    arguments = [
        sys.executable,
        "-m",
        "tests.benchmarks.records",
        "--grow",
        str(folder),
        str(count),
        "--workers",
        str(workers),
    ]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    return float(done.stdout.splitlines()[-1])


def grow(folder: Path, count: int, workers: int) -> None:
    """Prints what `growth` wants, of the pairs that lie in `folder` already."""
    found = [
        Pair(path.stem, path, path.with_suffix(".png"))
        for path in sorted(folder.glob("*.jpg"))[:count]
    ]
    process, seen = psutil.Process(), []
    write(found, workers, folder / "out", lambda *_: seen.append(process.memory_info().rss))
    print((max(seen) - seen[20]) / 1e6)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=500, help="pairs to make")
    parser.add_argument(
        "--voc",
        type=Path,
        help="use the pairs of this VOC folder instead, and leave out the memory",
    )
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--grow", nargs=2, metavar=("FOLDER", "N"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.grow:
        grow(Path(args.grow[0]), int(args.grow[1]), args.workers)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if args.voc:
            compare(pairs_of.real(args.voc), args.workers, folder / "out", args.rounds)
            return
        made = pairs_of.made(folder, 4 * args.images)
        compare(made[: args.images], args.workers, folder / "out", args.rounds)
        for count in (args.images, 4 * args.images):
            print(f"{count} pairs: {growth(folder, count, args.workers):.1f} MB more than after 20")


if __name__ == "__main__":
    main()
