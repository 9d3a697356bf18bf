"""What `fcn.hardware.cpu.filters_at_once` gains: the 3x3 convolutions of an image of 500x375 with
the border, whole and in blocks.

    python -m tests.benchmarks.blocks [--precision bf16]

Best of `--rounds` by the clock, whole and in blocks in turns, after a look whether both give the
same bits.
"""

import argparse
import time

import keras
import numpy as np
import tensorflow as tf

from fcn.hardware import cpu
from fcn.net.layers import BlockedConv2D

LAYERS = (
    (573, 698, 64, 64),
    (287, 349, 128, 128),
    (144, 175, 256, 256),
    (72, 88, 256, 512),
    (72, 88, 512, 512),
    (36, 44, 512, 512),
)
"""Height and width of a map, its channels, and filters: each size of VGG-16 with `caffe` padding.
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--rounds", type=int, default=6)
    args = parser.parse_args()
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(0)
    dtype = {"fp32": "float32", "bf16": "bfloat16"}[args.precision]
    print("| map | filters | at once | whole, s | in blocks, s | gain |\n|---|---|---|---|---|---|")
    for height, width, channels, filters in LAYERS:
        layer = BlockedConv2D(filters, 3, padding="same", dtype=dtype)
        maps = tf.cast(tf.random.normal((1, height, width, channels)), dtype)
        with cpu.portable():
            whole = tf.function(layer).get_concrete_function(maps)
        forms, seconds = (whole, tf.function(layer).get_concrete_function(maps)), ([], [])  # type: ignore[var-annotated]
        np.testing.assert_array_equal(*(form(maps).numpy() for form in forms))
        for _ in range(args.rounds):
            for form, found in zip(forms, seconds, strict=True):
                begin = time.perf_counter()
                form(maps).numpy()
                found.append(time.perf_counter() - begin)
        one, other = map(min, seconds)
        at_once = cpu.filters_at_once(maps, layer.kernel)
        size = f"{height}x{width}x{channels}"
        print(
            f"| {size} | {filters} | {at_once} | {one:.4f} | {other:.4f} | {one / other:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
