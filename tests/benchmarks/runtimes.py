"""How fast one net is in Keras and, exported, in other runtimes, and how many labels they change.

    python -m tests.benchmarks.runtimes MODEL [--size 500x375] [--rounds 3] [--only WORD ...]
        [--openvino-python PYTHON]

Every runtime has a process of its own in every round, all take turns, and what is told is the
median of the rounds. Each loads the net, labels one image that does not count and then `IMAGES`.
OpenVINO is no dependency of this project: PYTHON is an interpreter that has it, and without one its
rows are left out.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks import child

IMAGES = 5
EXPORTS = {
    "savedmodel": ("savedmodel",),
    "onnx": ("onnx", "--height", "{height}", "--width", "{width}", "--argmax"),
    "onnx8": ("onnx", "--height", "{height}", "--width", "{width}", "--argmax", "--bits", "8"),
    "tflite": ("tflite", "--height", "{height}", "--width", "{width}", "--argmax"),
    "tflite8": ("tflite", "--height", "{height}", "--width", "{width}", "--argmax", "--bits", "8"),
}
"""What `fcn export` makes of the net, by the name of a folder."""
RUNTIMES = {
    "Keras, fp32": ("keras", "", "float32"),
    "Keras, bf16": ("keras", "", "bfloat16"),
    "SavedModel": ("savedmodel", "savedmodel", ""),
    "onnxruntime": ("onnx", "onnx", ""),
    "onnxruntime, 8 bits": ("onnx", "onnx8", ""),
    "OpenVINO, fp32": ("openvino", "onnx", "f32"),
    "OpenVINO, bf16": ("openvino", "onnx", "bf16"),
    "TensorFlow Lite": ("tflite", "tflite", ""),
    "TensorFlow Lite, 8 bits": ("tflite", "tflite8", ""),
}
"""Who runs it, which of `EXPORTS` (or the model folder itself), and in which precision."""
Labels = Callable[[np.ndarray], Any]
"""RGB float32 (1, H, W, 3) -> labels (1, H, W)."""


def keras(model: Path, precision: str) -> Labels:
    """As `fcn predict` does it."""
    from fcn.hardware import devices
    from fcn.net import surgery
    from fcn.score import evaluation

    devices.prepare(1, precision, training=False)
    return evaluation.labeler(surgery.load(model)[0])


def savedmodel(folder: Path, _: str) -> Labels:
    """TensorFlow's own runtime."""
    import tensorflow as tf

    loaded = tf.saved_model.load(folder)
    scores = loaded.signatures["serving_default"]
    return lambda image: scores(image=tf.constant(image))["scores"].numpy().argmax(-1)


def onnx(folder: Path, _: str) -> Labels:
    """With the runtime's defaults but one: threads that wait sleep."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(
        folder / "model.onnx", options, providers=["CPUExecutionProvider"]
    )
    return lambda image: session.run(None, {"image": image})[0]


def openvino(folder: Path, precision: str) -> Labels:
    """Reads ONNX."""
    from openvino import Core

    net = Core().compile_model(
        folder / "model.onnx",
        "CPU",
        {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"},
    )
    return lambda image: net([image])[0]


def tflite(folder: Path, _: str) -> Labels:
    """With the interpreter's defaults: XNNPACK, and a thread for every core."""
    import tensorflow as tf

    interpreter = tf.lite.Interpreter(
        str(folder / "model.tflite"), num_threads=len(os.sched_getaffinity(0))
    )
    interpreter.allocate_tensors()
    [given], [found] = interpreter.get_input_details(), interpreter.get_output_details()

    def labels(image: np.ndarray) -> Any:
        interpreter.set_tensor(given["index"], image)
        interpreter.invoke()
        return interpreter.get_tensor(found["index"])

    return labels


def measure(runtime: str, net: str, how: str, pictures: str, out: str) -> None:
    """One process: writes the labels, prints seconds and processor seconds of an image, and the
    peak.
    """
    import resource
    import time

    load: Callable[[Path, str], Labels] = globals()[runtime]
    labels = load(Path(net), how)
    first, *images = np.load(pictures)
    labels(first)
    begin = time.perf_counter(), time.process_time()
    answers = [np.asarray(labels(image)) for image in images]
    each = [
        (now - then) / len(images)
        for now, then in zip((time.perf_counter(), time.process_time()), begin, strict=True)
    ]
    np.save(out, np.stack(answers).astype(np.uint8))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": each[0], "processor": each[1], "peak": peak}))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="a model folder")
    parser.add_argument("--size", default="500x375", help="width x height")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", default=[""], metavar="WORD", help="of the names")
    parser.add_argument("--openvino-python", help="an interpreter that has OpenVINO")
    args = parser.parse_args()
    width, height = map(int, args.size.split("x"))
    chosen = {
        name: how
        for name, how in RUNTIMES.items()
        if any(word in name for word in args.only)
        and (how[0] != "openvino" or args.openvino_python)
    }
    costs: dict[str, list[dict[str, float]]] = {name: [] for name in chosen}
    labels: dict[str, np.ndarray] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        noise = np.random.default_rng(0).integers(0, 256, (IMAGES + 1, 1, height, width, 3))
        np.save(folder / "pictures.npy", noise.astype(np.float32))
        for made in {export for _, export, _ in chosen.values() if export}:
            options = [part.format(height=height, width=width) for part in EXPORTS[made]]
            child.run(
                "-m", "fcn", "export", "--model", args.model.resolve(), "--out", folder / made,
                "--format", *options,
            )  # fmt: skip
        for _ in range(args.rounds):
            for name, (who, export, how) in chosen.items():
                net = folder / export if export else args.model
                python = args.openvino_python if who == "openvino" else sys.executable
                done = subprocess.run(
                    [
                        python, "-m", "tests.benchmarks.runtimes", "--part", who, net, how,
                        folder / "pictures.npy", folder / "labels.npy",
                    ],
                    env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
                    stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True,
                )  # fmt: skip
                costs[name].append(json.loads(done.stdout.splitlines()[-1]))
                labels[name] = np.load(folder / "labels.npy")
    first = next(iter(chosen))
    print(
        f"| runtime | s an image | x {first} | processor s an image | x {first} | other labels | "
        "peak memory, MB |\n|---|---|---|---|---|---|---|"
    )
    for name, found in costs.items():
        row = [name]
        for clock in ("seconds", "processor"):
            ratios = [a[clock] / b[clock] for a, b in zip(costs[first], found, strict=True)]
            row.append(f"{statistics.median(cost[clock] for cost in found):.3f}")
            row.append(f"{statistics.median(ratios):.2f}")
        row.append(f"{(labels[name] != labels[first]).mean():.3%}")
        row.append(f"{max(cost['peak'] for cost in found) / 1e6:.0f}")
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--part"]:
        measure(*sys.argv[2:])
    else:
        main()
