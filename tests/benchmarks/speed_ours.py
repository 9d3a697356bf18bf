"""One case of `speed` on this project's side."""

import json
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from fcn.hardware import devices
from fcn.monitor import watches
from fcn.net import model
from fcn.score import evaluation
from fcn.train.losses import PixelLoss
from tests.benchmarks import speed
from tests.recipe import optimizer

Seconds = tuple[float, float]
"""By the clock, and of the processor (of all threads of this process together)."""

PRECISIONS = {"fp32": "float32", "tf32": "float32", "bf16": "bfloat16"}


def steps(path: Path, batch: int) -> list[tuple[np.ndarray, np.ndarray]]:
    with np.load(path) as arrays:
        count = len(arrays.files) // 2
        return [
            (np.stack([arrays[f"image{n}"]] * batch), np.stack([arrays[f"label{n}"]] * batch))
            for n in range(count)
        ]


def clocks() -> Seconds:
    return time.perf_counter(), time.process_time()


def since(begin: Seconds) -> Seconds:
    now = clocks()
    return now[0] - begin[0], now[1] - begin[1]


class Timer(keras.callbacks.Callback):
    """Seconds of every epoch. Keras fetches its mean loss at the end of each, so what is counted is
    done.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[Seconds] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.begin = clocks()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.seconds.append(since(self.begin))


def train(net: keras.Model, data: list[tuple[np.ndarray, np.ndarray]]) -> Seconds:
    """One round through the data, after one that does not count."""

    def endless() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        while True:
            yield from data

    timer = Timer()
    net.fit(
        endless(), shuffle=False, verbose=0, callbacks=[timer], steps_per_epoch=len(data), epochs=2
    )
    return timer.seconds[-1]


def predict(net: keras.Model, data: list[tuple[np.ndarray, np.ndarray]]) -> Seconds:
    label = evaluation.labeler(net)
    for _ in range(2):
        begin = clocks()
        for image, _label in data:
            label(image)
    return since(begin)


def product(dtype: str, sides: tuple[int, ...]) -> float:
    """Operations per second of the fastest of some square matrix products."""
    best = 0.0
    for side in sides:
        a = ops.cast(keras.random.normal((side, side)), dtype)
        for _ in range(5):
            begin = time.perf_counter()
            for _ in range(5):
                b = ops.matmul(a, a)
            float(b[0, 0])  # waits for it
            best = max(best, 5 * 2 * side**3 / (time.perf_counter() - begin))
    return best


def peak(device: str) -> int:
    """Bytes of the process, or of the GPU's memory, that were in use at most."""
    if device == "cpu":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts in KiB
    if keras.backend.backend() == "jax":
        import jax

        return int(jax.devices()[0].memory_stats()["peak_bytes_in_use"])
    import tensorflow as tf

    return int(tf.config.experimental.get_memory_info("GPU:0")["peak"])


def allow_tf32(allowed: bool) -> None:
    """Whether a GPU may round what it multiplies in float32 to 10 bits."""
    if keras.backend.backend() == "jax":
        import jax

        jax.config.update("jax_default_matmul_precision", "tensorfloat32" if allowed else "highest")
    else:
        import tensorflow as tf

        tf.config.experimental.enable_tensor_float_32_execution(allowed)


def main() -> None:
    task = json.loads(sys.argv[1])
    dtype = PRECISIONS[task["precision"]]
    allow_tf32(task["precision"] == "tf32")
    device = devices.prepare(1, dtype, training=task["task"] == "training")
    net = model.build(speed.net(task["padding"], task["narrower"]))
    for layer in net.layers:
        # they begin as 0, and so would all gradients
        if layer.name.startswith("score_") and layer.weights:
            layer.kernel.assign(keras.random.normal(layer.kernel.shape, stddev=0.01))
    made = optimizer("sgd", 1e-10, 0.99, 5e-4, 2.0)
    made.build(net.trainable_variables)
    watch = watches.NotFinite(100)
    net.compile(
        optimizer=made, loss=PixelLoss("sum"), metrics=[watch], jit_compile=evaluation.COMPILED
    )
    run = {"training": train, "inference": predict}[task["task"]]
    kinds = ("static", "varying")
    seconds = {
        kind: run(net, steps(Path(task["folder"]) / f"{kind}.npz", task["batch"])) for kind in kinds
    }
    # before the product, which takes memory too
    result = {"seconds": seconds, "peak": peak(task["device"])}
    sides = (1024, 2048, 4096) if task["device"] == "cpu" else (4096, 8192)
    result["product"] = product(dtype, sides if task["narrower"] == 1 else (256,))
    result["versions"] = f"Keras {keras.__version__} on {keras.backend.backend()} {_version()}"
    print(json.dumps({**result, "device": device}))


def _version() -> str:
    from importlib.metadata import version

    return version(keras.backend.backend())


if __name__ == "__main__":
    main()
