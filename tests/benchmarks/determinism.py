"""What repeating to the same bytes costs: training steps with deterministic operations and without,
in turns, in one run.

    python tests/benchmarks/determinism.py --width 0.25 --steps 5 --rounds 3

Prints the seconds of processor time a step takes (on a GPU, of wall clock), the least of all
rounds, and their ratio. Each measurement is a process of its own, since TensorFlow cannot be made
nondeterministic again.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]


def measure(width: float, steps: int, deterministic: bool) -> tuple[str, float]:
    """The device, and seconds per step of FCN-8s on an image of 500 x 375, after two that do not
    count.
    """
    sys.path.insert(0, str(ROOT))
    import keras
    import numpy as np

    from fcn.hardware import devices
    from fcn.net import model
    from fcn.score import evaluation
    from fcn.spec import MEAN_BGR, ModelSpec
    from fcn.train.losses import PixelLoss
    from tests.recipe import optimizer

    device = devices.prepare(1, deterministic=deterministic)
    classes = tuple(f"class {n}" for n in range(21))
    net = model.build(
        ModelSpec(
            "fcn8s", "vgg16", classes, width, round(4096 * width), "same", "fixed", 0.5, MEAN_BGR
        )
    )
    made = optimizer("sgd", 1e-10, 0.99, 5e-4, 2.0)
    made.build(net.trainable_variables)
    net.compile(optimizer=made, loss=PixelLoss("sum"), jit_compile=evaluation.COMPILED)
    keras.utils.set_random_seed(1)
    random = np.random.default_rng(1)
    image = random.integers(0, 256, (1, 375, 500, 3)).astype(np.uint8)
    label = random.integers(0, 21, (1, 375, 500)).astype(np.uint8)
    clock = time.process_time if device == "CPU" else time.perf_counter
    for step in range(steps + 2):
        if step == 2:
            begin = clock()
        net.train_on_batch(image, label)
    return device, (clock() - begin) / steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--width", type=float, default=0.25)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=("true", "false"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.only:
        print(json.dumps(measure(args.width, args.steps, args.only == "true")))
        return
    least = {"true": float("inf"), "false": float("inf")}
    for _ in range(args.rounds):
        for only in least:
            command = [
                sys.executable,
                __file__,
                "--width",
                str(args.width),
                "--steps",
                str(args.steps),
                "--only",
                only,
            ]
            if only == "true" and os.environ.get("KERAS_BACKEND") == "jax":
                flags = {
                    "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} "
                    "--xla_gpu_deterministic_ops=true"
                }
            else:
                flags = {}
            done = subprocess.run(
                command, env={**os.environ, **flags}, check=True, capture_output=True, text=True
            )
            device, seconds = json.loads(done.stdout.splitlines()[-1])
            least[only] = min(least[only], seconds)
            print(f"{device}, deterministic: {only}: {seconds:.3f} s a step", flush=True)
    print(
        f"with {least['true']:.3f}, without {least['false']:.3f}: "
        f"{least['true'] / least['false']:.2f} times the time"
    )


if __name__ == "__main__":
    main()
