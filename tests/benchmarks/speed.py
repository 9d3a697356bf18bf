"""How fast FCN-8s trains and predicts, beside wkentaro/pytorch-fcn's model and torchvision's
fcn_resnet50 on the same images, in one run.

    python -m tests.benchmarks.speed [--peer CHECKOUT --peer-python PYTHON] [--images VOC] [--size
    500x375] [--steps N]

The table of one GPU is one command:

    python -m tests.benchmarks.speed --device gpu --backend jax --batch 1 8 --torchvision
    --peer CHECKOUT --peer-python PYTHON

PYTHON is an interpreter that has PyTorch; without `--peer` its rows are left out. Every case runs
in a process of its own, all cases take turns in every round, and what is told is the median of the
rounds, since a machine is rarely quiet: what counts are the ratios, by the clock and, on a CPU, by
the processor's time, which other programs disturb less. Static means that all images are resized to
one size; varying, that every step has another one.

A step of ours is what `fcn.train.training` does: `fit`, with deterministic operations and the watch
for numbers that are not finite (but a `--batch` is of one size, without the mask of a padded one);
an inference what `fcn.score.evaluation` does, up to the labels in the host's memory. The peer's are
written in `speed_peer`.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fcn.spec import MEAN_BGR, ModelSpec, operations
from tests.benchmarks import pairs
from tests.benchmarks.pairs import CLASSES

SIZES = ((500, 375), (375, 500), (500, 333), (333, 500))
"""Width and height of most VOC images; what varying means where images are made."""

Sizes = list[tuple[int, int]]
Round = dict[tuple[str, str, str, str], dict[str, Any]]
"""What came of every case, by (task, precision, side, padding)."""

SIDES = (("ours", "same"), ("ours", "caffe"), ("peer", "caffe"), ("torchvision", "its own"))
PRECISIONS = {"cpu": ("fp32", "bf16"), "gpu": ("fp32", "tf32", "bf16")}


def net(padding: str, narrower: float) -> ModelSpec:
    """Ours, the published one, or with a share of its filters."""
    units = round(4096 * narrower)
    return ModelSpec("fcn8s", "vgg16", CLASSES, narrower, units, padding, "fixed", 0.5, MEAN_BGR)


def inputs(voc: Path | None, size: tuple[int, int], steps: int, folder: Path) -> dict[str, Sizes]:
    """Writes `static.npz` and `varying.npz`, images and labels by step, and returns their sizes."""
    found = pairs.real(voc)[:steps] if voc else pairs.made(folder, steps)
    sizes: dict[str, Sizes] = {"static": [], "varying": []}
    for kind in sizes:
        arrays = {}
        for n, pair in enumerate(found):
            with Image.open(pair.image) as image, Image.open(pair.label) as label:
                to = size if kind == "static" else image.size if voc else SIZES[n % len(SIZES)]
                sizes[kind].append(to)
                arrays[f"image{n}"] = np.asarray(image.convert("RGB").resize(to))
                arrays[f"label{n}"] = np.asarray(label.resize(to, Image.Resampling.NEAREST))
        np.savez(folder / f"{kind}.npz", allow_pickle=False, **arrays)
    return sizes


def case(
    args: argparse.Namespace, folder: Path, side: str, batch: int, **what: str
) -> dict[str, Any]:
    """Runs one case in its own process: seconds of all steps by kind of sizes, the peak, the matrix
    product's speed.
    """
    ours = side == "ours"
    python = sys.executable if ours else args.peer_python
    task = {
        **what,
        "side": side,
        "folder": str(folder),
        "device": args.device,
        "batch": batch,
        "narrower": args.narrower,
        "peer": str(args.peer),
        "tuned": args.tuned or args.device == "gpu",
    }
    # PyTorch's threads would else spin while they wait, at the cost of the others.
    calm = {"KERAS_BACKEND": args.backend} if ours else {"OMP_WAIT_POLICY": "passive"}
    hidden = {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"} if args.device == "cpu" else {}
    done = subprocess.run(
        [python, "-m", f"tests.benchmarks.speed_{'ours' if ours else 'peer'}", json.dumps(task)],
        env={**os.environ, **hidden, **calm, "TF_CPP_MIN_LOG_LEVEL": "3"}, stdout=subprocess.PIPE,
        text=True, check=True,
    )  # fmt: skip
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def table(rounds: list[Round], sizes: dict[str, Sizes], batch: int, narrower: float) -> None:
    """Prints a row for every case and kind of sizes: medians over the rounds.

    The operations are those of our net: what a cleverer way to the same scores leaves out is
    counted all the same.
    """
    heads = (
        "task", "sizes", "precision", "net", "images/s", "x the peer", "x the peer in fp32",
        "processor s/image", "x the peer",
        "x the peer in fp32", "peak memory", "of the product",
    )  # fmt: skip
    products = {
        precision: max(
            result["product"]
            for results in rounds
            for case, result in results.items()
            if case[1] == precision
        )
        for precision in sorted({case[1] for case in rounds[0]})
    }
    for precision, found in products.items():
        print(f"fastest product in {precision}: {found / 1e12:.3g} TFLOP/s")
    print(f"| {' | '.join(heads)} |\n{'|---' * len(heads)}|")
    for (task, precision, side, padding), kind in sorted(
        product(rounds[0], sizes), key=lambda row: (row[0][0], row[1])
    ):
        work = (
            batch
            * (3 if task == "training" else 1)
            * sum(
                operations(net(padding, narrower), *size[::-1])
                for size in sizes[kind]
                if side != "torchvision"
            )
        )
        mine = [results[task, precision, side, padding] for results in rounds]
        seconds, processor = (
            [result["seconds"][kind][clock] for result in mine] for clock in (0, 1)
        )

        def times(
            other: str, clock: int, own: list[float], task: str = task, kind: str = kind
        ) -> str:
            peer = [results.get((task, other, "peer", "caffe")) for results in rounds]
            found = [
                theirs["seconds"][kind][clock] / ours
                for theirs, ours in zip(peer, own, strict=True)
                if theirs
            ]
            return f"{statistics.median(found):.2f}" if found else "-"

        images = batch * len(sizes[kind])
        speed = statistics.median(images / second for second in seconds)
        share = statistics.median(work / second / products[precision] for second in seconds)
        peak = max(result["peak"] for result in mine)
        used = f"{share:.0%}" if work else "-"  # torchvision's is another net
        print(
            f"| {task} | {kind} | {precision} | {side}, {padding} | {speed:.3g} | "
            f"{times(precision, 0, seconds)} | {times('fp32', 0, seconds)} | "
            f"{statistics.median(processor) / images:.3g} | {times(precision, 1, processor)} | "
            f"{times('fp32', 1, processor)} | {peak / 1e6:.0f} MB | {used} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peer", type=Path, help="a checkout of wkentaro/pytorch-fcn")
    parser.add_argument(
        "--peer-python", default=sys.executable, help="the interpreter that runs it"
    )
    parser.add_argument(
        "--images", type=Path, help="a folder in VOC's layout instead of images made here"
    )
    parser.add_argument("--size", default="500x375", help="width x height of static images")
    parser.add_argument(
        "--steps",
        type=int,
        default=4,
        help="steps of every case in a round, each with an image of its own",
    )
    parser.add_argument(
        "--batch",
        type=int,
        nargs="+",
        default=[1],
        help="how often a step's image is in its batch; a table for each",
    )
    parser.add_argument(
        "--narrower",
        type=float,
        default=1.0,
        metavar="SHARE",
        help="of the filters of our net, to try the script in seconds",
    )
    parser.add_argument("--torchvision", action="store_true", help="fcn_resnet50, too")
    parser.add_argument("--backend", choices=("tensorflow", "jax"), default="tensorflow")
    parser.add_argument("--tuned", action="store_true", help="PyTorch as on a GPU; see speed_peer")
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS["gpu"], help="of the rows")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--device",
        choices=("cpu", "gpu"),
        default="gpu" if Path("/dev/nvidiactl").exists() else "cpu",
    )
    parser.add_argument(
        "--tasks", nargs="+", default=["training", "inference"], choices=("training", "inference")
    )
    args = parser.parse_args()
    wanted = {"ours": True, "peer": args.peer, "torchvision": args.torchvision}
    sides = [side for side in SIDES if wanted[side[0]]]
    precisions = args.precisions or PRECISIONS[args.device]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        width, height = map(int, args.size.split("x"))
        sizes = inputs(args.images, (width, height), args.steps, folder)
        for batch in args.batch:
            rounds = list[Round]()
            for number in range(args.rounds):
                rounds.append({})
                for task, precision, (side, padding) in product(args.tasks, precisions, sides):
                    what = {"task": task, "precision": precision, "padding": padding}
                    found = case(args, folder, side, batch, **what)
                    rounds[-1][task, precision, side, padding] = found
                    print(number + 1, batch, side, what, found, file=sys.stderr, flush=True)
            for line in sorted(
                {f"{result['versions']}, {result['device']}" for result in rounds[0].values()}
            ):
                print(line)
            print(f"batch {batch}")
            table(rounds, sizes, batch, args.narrower)


if __name__ == "__main__":
    main()
