"""What reading and converting a classifier costs, whatever its container: seconds, and memory by
the size of its file.

    python -m tests.benchmarks.weights

A VGG-16 of full width and random weights, about 0.55 GB, is written in one container after another,
into a temporary folder, and read and converted as the stage `convert_vgg` does it. Writing and
reading have a process each. The memory is the largest that the process had, Python and its
libraries included; more than `--bound` times the file's size ends with exit code 1.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from fcn.io import files
from fcn.spec import BACKBONES
from fcn.weights import conversion, readers
from tests.fcn import weight_files

NET = BACKBONES["vgg16"]
UNITS = {"fc6": 4096, "fc7": 4096, "fc8": 1000}
Layers = dict[str, tuple[np.ndarray, np.ndarray]]


def vgg(axes: str) -> Layers:
    """Random kernels and biases by layer: "OIHW", matrices O x I; or "HWIO", matrices I x O."""
    random, found, inputs = np.random.default_rng(0), {}, 3

    def add(name: str, outputs: int, *sides: int) -> None:
        shape = (outputs, inputs, *sides) if axes == "OIHW" else (*sides, inputs, outputs)
        kernel = random.random(shape, np.float32) - np.float32(0.5)
        # He et al., so that the net can be trained
        kernel *= np.float32(np.sqrt(24 * outputs / kernel.size))
        found[name] = kernel, random.random(outputs, np.float32)

    for block in NET.blocks:
        for name, filters in block:
            add(name, filters, 3, 3)
            inputs = filters
    inputs *= 49
    for name, units in UNITS.items():
        add(name, units)
        inputs = units
    return found


def numbered(path: Path, layers: Layers) -> None:
    """As Keras 3 writes a `.weights.h5`: conv2d, conv2d_1, ..., dense, dense_1, ..."""
    counts = {"conv2d": 0, "dense": 0}
    with h5py.File(path, "w") as file:
        for name, arrays in layers.items():
            kind = "dense" if name in UNITS else "conv2d"
            group = f"{kind}_{counts[kind]}" if counts[kind] else kind
            counts[kind] += 1
            for number, array in enumerate(arrays):
                file[f"layers/{group}/vars/{number}"] = array


def archive(path: Path, layers: Layers) -> None:
    """As Keras 3 writes a `.keras`."""
    kinds = ["Dense" if name in UNITS else "Conv2D" for name in layers]
    config = {
        "config": {"layers": [{"module": "keras.layers", "class_name": kind} for kind in kinds]}
    }
    weights = path.with_suffix(".h5")
    numbered(weights, layers)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("config.json", json.dumps(config))
        file.write(weights, "model.weights.h5")
    weights.unlink()


def own(path: Path, layers: Layers) -> None:
    """The project's own, which `vgg` gives all of but that its dense layers are convolutions."""
    arrays: dict[str, np.ndarray] = {}
    for name, (kernel, bias) in layers.items():
        if name == NET.dropped:
            continue
        side = NET.layers()[name]
        arrays |= {
            f"{name}/kernel": kernel.reshape(side, side, -1, bias.size),
            f"{name}/bias": bias,
        }
    files.save_arrays(path, arrays)


CONTAINERS: dict[str, tuple[str, Callable[[Path, Layers], None]]] = {
    "keras 2.h5": ("HWIO", lambda path, layers: weight_files.write_h5(path, layers, "keras 2")),
    "keras 3.weights.h5": ("HWIO", numbered),
    "keras 3.keras": ("HWIO", archive),
    "caffe.caffemodel": ("OIHW", weight_files.write_caffemodel),
    "caffe-tensorflow.npy": ("HWIO", weight_files.write_npy),
    "matconvnet.mat": ("HWIO", weight_files.write_mat),
    "matconvnet, compressed.mat": (
        "HWIO",
        lambda path, layers: weight_files.write_mat(path, layers, compressed=True),
    ),
    "own.npz": ("HWIO", own),
}


def write(path: Path) -> None:
    """Makes the file, whose name says which container it is."""
    axes, writer = CONTAINERS[path.name]
    writer(path, vgg(axes))


def read(path: Path) -> None:
    """Reads and converts it; prints seconds and the peak of memory in bytes."""
    begin = time.perf_counter()
    found = readers.read(path)
    weights, _ = conversion.convert(found.layers, "vgg16", str(path), found.axes, found.channels)
    seconds = time.perf_counter() - begin
    assert sum(array.size for array in weights.values()) > 134e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts in KiB
    print(json.dumps([found.container, seconds, peak]))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bound", type=float, default=3.0)
    parser.add_argument(
        "--only", choices=CONTAINERS, metavar="NAME", help=f"one of {', '.join(CONTAINERS)}"
    )
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.write:
        write(args.write)
        return 0
    if args.read:
        read(args.read)
        return 0
    worst = 0.0
    print(f"{'file':28} {'MB':>6} {'seconds':>8} {'peak, MB':>9} {'of the file':>12}")
    for name in [args.only] if args.only else CONTAINERS:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, name)
            command = [sys.executable, "-m", "tests.benchmarks.weights"]
            subprocess.run([*command, "--write", path], check=True)
            done = subprocess.run([*command, "--read", path], stdout=subprocess.PIPE, check=True)
            container, seconds, peak = json.loads(done.stdout.splitlines()[-1])
            size = path.stat().st_size
        worst = max(worst, peak / size)
        times = f"{peak / size:.2f} times"
        print(
            f"{name:28} {size / 1e6:6.0f} {seconds:8.1f} {peak / 1e6:9.0f} {times:>12}  "
            f"{container}",
            flush=True,
        )
    print(f"largest: {worst:.2f} times the file; the bound is {args.bound}")
    return int(worst > args.bound)


if __name__ == "__main__":
    sys.exit(main())
