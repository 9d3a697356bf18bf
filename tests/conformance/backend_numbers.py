"""What a saved net computes and how a step of training changes it, under whatever backend Keras
has; run by `test_jax.py`.
"""

import contextlib
import sys
import types
from pathlib import Path

import keras
import numpy as np

from fcn.hardware import distribution
from fcn.io import files
from fcn.net import surgery
from fcn.score import evaluation
from fcn.spec.recipe import TrainSpec
from fcn.train import training
from fcn.train.losses import PixelLoss
from tests.recipe import optimizer

RATE = 1e-9


def example(size=(45, 58)):
    """A batch of one image and its labels with void."""
    random = np.random.default_rng(12)
    image = random.integers(0, 256, (1, *size, 3)).astype(np.uint8)
    return image, random.choice([0, 1, 2, 255], (1, *size)).astype(np.uint8)


def forward(net):
    """Scores and predicted labels."""
    image, _ = example()
    return {"scores": net(image, training=False), "labels": evaluation.labeler(net)(image)}


def step(net):
    """The loss and one step by Caffe's rule: the weights after it, and the velocity, which is the
    step itself.
    """
    image, label = example()
    loss = PixelLoss("sum")
    net.compile(optimizer("sgd", RATE, 0.99, 5e-4, 2.0), loss, jit_compile=False)
    numbers = {
        "loss": loss(label, net(image, training=False)),
        "loss of the step": net.train_on_batch(image, label),
    }
    numbers |= {f"weights/{name}": weight for name, weight in surgery.named_weights(net).items()}
    velocities = zip(
        net.trainable_variables,
        net.optimizer.variables[-len(net.trainable_variables) :],
        strict=True,
    )
    return numbers | {f"velocity/{weight.path}": velocity for weight, velocity in velocities}


def several_steps(net, checkpoint):
    """Four steps of the project's own training loop, stopped after the third and gone on from the
    checkpoint.
    """
    image, label = example((33, 40))
    recipe = TrainSpec("sgd", RATE, 0.9, 5e-4, 2.0, "sum", 4, 1, 2, 0)

    def batches(done):
        for number in range(done, recipe.iterations):
            yield np.roll(image, number, 2), label

    def stop(number, values):
        if number == 3 and "loss" in values:
            raise KeyboardInterrupt

    def validation():
        return [{"image": image, "label": label}]

    stream = types.SimpleNamespace(
        recipe=recipe, batches=batches, share=distribution.ONE, classes=(), pixels=33 * 40
    )
    told = training.Listener(report=stop)
    with contextlib.suppress(KeyboardInterrupt):
        training.train(net, stream, validation, checkpoint, told, seconds=-1e9)
    history = training.train(net, stream, validation, checkpoint)
    numbers = {f"curve/{row['step']}": row["loss"] for row in history if "loss" in row}
    return numbers | {
        f"trained/{name}": weight for name, weight in surgery.named_weights(net).items()
    }


def all_numbers(folder):
    """Of the model folders `with_border` and `same`."""
    net, _ = surgery.load(folder / "with_border")
    found = forward(net) | step(net)
    net, _ = surgery.load(folder / "same")
    found |= {f"same/{name}": value for name, value in forward(net).items()}
    found |= several_steps(net, folder / f"{keras.backend.backend()}-checkpoint.npz")
    return {name: np.asarray(value) for name, value in found.items()}


if __name__ == "__main__":
    numbers = all_numbers(Path(sys.argv[1]))
    files.save_arrays(sys.argv[2], numbers | {"backend": np.asarray(keras.backend.backend())})
