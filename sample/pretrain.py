"""Pretrains the sample's VGG-16 as a classifier of what is in the middle of a picture, and writes
it as Caffe would.

A VGG without batch normalisation, on raw BGR minus the mean: He initialisation, Adam with a
warm-up, dropout. It starts on small pictures, where a step costs a fifth: fc6 slides over pool5 and
only its answer in the middle counts, so the weights are the same at every size; the last phase has
224 x 224, where fc6 covers just the 7 x 7 cells of pool5, as a matrix does.
"""

from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from fcn.net.model import backbone
from fcn.spec import MEAN_BGR, ModelSpec
from fcn.weights import caffe
from sample import world

SPEC = ModelSpec(
    "fcn32s", "vgg16", world.CLASSES, 0.125, 128, "same", "fixed", 0.3, MEAN_BGR
)  # fmt: skip
# side, steps, batch, highest rate
PHASES = ((96, 900, 32, 1e-3), (160, 250, 24, 5e-4), (224, 80, 16, 2e-4))
SEED = 7
HELD_OUT = 512


def examples(side: int, count: int, phase: int) -> Iterator[tuple[np.ndarray, int]]:
    """`count` pictures (side, side, 3; uint8 RGB) with their class, none twice; `phase` chooses the
    stream.
    """
    for number in range(count):
        yield world.view(world.generator(world.SEED, SEED, phase, number), side)


def _batches(side: int, count: int, batch: int, phase: int) -> tf.data.Dataset:
    kinds = (tf.TensorSpec((side, side, 3), tf.uint8), tf.TensorSpec((), tf.int32))
    stream = tf.data.Dataset.from_generator(
        lambda: examples(side, count, phase), output_signature=kinds
    )
    return stream.batch(batch).prefetch(4)


def classifier() -> keras.Model:
    """The backbone with fc8 on top: RGB (N, H, W, 3), H = W an odd multiple of 32 -> class scores
    of the middle (N, 7).
    """
    image = keras.Input((None, None, 3), name="image")
    maps = backbone(SPEC, image)["fc7"]
    # raw pixels make large features: start undecided
    small = keras.initializers.RandomNormal(stddev=3e-4)
    scores = keras.layers.Conv2D(len(world.CLASSES), 1, name="fc8", kernel_initializer=small)(maps)
    return keras.Model(image, scores)


def _middle(scores: tf.Tensor) -> tf.Tensor:
    return scores[:, tf.shape(scores)[1] // 2, tf.shape(scores)[2] // 2]


def accuracy(model: keras.Model, side: int = 224) -> float:
    """Share of `HELD_OUT` unseen pictures that are classified right."""
    predict = tf.function(lambda x: tf.argmax(_middle(model(x, training=False)), -1, tf.int32))
    right = [predict(x) == y for x, y in _batches(side, HELD_OUT, 32, phase=99)]
    return float(np.mean(np.concatenate(right)))


def train(model: keras.Model, phase: int) -> None:
    """One phase of `PHASES`: Adam, the rate rising for 100 steps or a fifth, then falling along a
    cosine.
    """
    side, steps, batch, rate = PHASES[phase]
    warm = min(100, steps // 5)
    plan = keras.optimizers.schedules.CosineDecay(
        rate / 50, steps - warm, 0.02, warmup_target=rate, warmup_steps=warm
    )
    adam, weights = keras.optimizers.Adam(plan, global_clipnorm=1.0), model.trainable_variables
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    @tf.function
    def step(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            value = loss(y, _middle(model(x, training=True)))
        adam.apply_gradients(zip(tape.gradient(value, weights), weights, strict=True))
        return value

    recent = []
    for number, (x, y) in enumerate(_batches(side, steps * batch, batch, phase), 1):
        recent.append(float(step(x, y)))
        if number % 100 == 0 or number == steps:
            print(
                f"{side} px: step {number}/{steps}, loss {np.mean(recent[-100:]):.3f}", flush=True
            )


def even_out(model: keras.Model) -> None:
    """Rescale every layer so that its outputs on some scenes have a root mean square of 1; the
    scores stay the same.

    ReLU lets a factor pass. Without this, raw pixels make features of 9 to 21 (root mean
    square), pool3 and pool4 half of fc7's.
    """
    names = [layer.name for layer in model.layers if layer.name.startswith(("conv", "fc"))]
    taps = keras.Model(model.input, [model.get_layer(name).output for name in names[:-1]])
    scenes = [
        np.asarray(world.scene(world.generator(world.SEED, SEED, 98, i))[0])[None]
        for i in range(20)
    ]
    squares = np.array(
        [[float(np.mean(np.square(out))) for out in taps(x, training=False)] for x in scenes]
    )
    before = 1.0
    for name, factor in zip(names, [*squares.mean(0) ** -0.5, 1.0], strict=True):
        kernel, bias = model.get_layer(name).get_weights()
        model.get_layer(name).set_weights(
            [kernel * np.float32(factor / before), bias * np.float32(factor)]
        )
        before = factor


def write_caffemodel(model: keras.Model, target: Path) -> None:
    """Write the classifier with Caffe's axes: kernels O x I x H x W, fc6 to fc8 as matrices over a
    flattened C x H x W.
    """
    found = {}
    for layer in model.layers:
        if layer.name.startswith(("conv", "fc")):
            kernel, bias = layer.get_weights()
            blob, dense = kernel.transpose(3, 2, 0, 1), layer.name.startswith("fc")
            kind = "InnerProduct" if dense else "Convolution"
            found[layer.name] = (kind, (blob.reshape(len(blob), -1) if dense else blob, bias))
    caffe.write(target, "VGG16_small", found)


def main(target: Path) -> None:
    """Train, print the accuracy on unseen pictures, write `target`."""
    keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()
    model = classifier()
    for phase in range(len(PHASES)):
        train(model, phase)
        print(
            f"held-out accuracy at {PHASES[phase][0]} px: {accuracy(model, PHASES[phase][0]):.4f}",
            flush=True,
        )
    even_out(model)
    print(f"held-out accuracy at 224 px, evened out: {accuracy(model):.4f}", flush=True)
    write_caffemodel(model, target)
