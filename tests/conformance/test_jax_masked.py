"""The masked net under Keras' JAX backend, in a process of its own, against the images one by one
under TensorFlow.
"""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from fcn.io import files
from fcn.net import model, surgery
from fcn.spec import MEAN_BGR, ModelSpec
from fcn.train.losses import PixelLoss

ROOT = Path(__file__).parents[2]
RATE = 1.0  # for steps that are large beside the rounding of the weights
SPEC = ModelSpec(
    "fcn8s", "vgg16", ("background", "cat", "dog"), 1 / 32, 8, "same", "learned", 0.0, MEAN_BGR
)
STEP = f"""
import sys
import keras
import numpy as np
from fcn.io import files
from fcn.net import masking as masked, surgery
from fcn.train.losses import PixelLoss

folder = sys.argv[1]
net, _ = surgery.load(files.Path(folder))
net = masked.masked(net)
net.compile(keras.optimizers.SGD({RATE}), PixelLoss("sum"), jit_compile=False)
batch = files.load_arrays(files.Path(folder) / "batch.npz")
loss = net.train_on_batch(batch["image"], batch["label"])
after = {{"loss": loss, "backend": keras.config.backend(), **surgery.named_weights(net)}}
files.save_arrays(files.Path(folder) / "after.npz", {{name: np.asarray(value) \
for name, value in after.items()}})
"""


def test_a_step_on_a_padded_batch_is_that_of_its_images_one_by_one(tmp_path):
    random, net = np.random.default_rng(4), model.build(SPEC)
    for name, weight in surgery.named_weights(net).items():
        if not name.startswith("upscore"):
            scale = 0.02 if "score" in name else np.sqrt(2 / np.prod(weight.shape[:-1]))
            weight.assign(random.normal(size=weight.shape) * scale)
    surgery.save(net, SPEC, tmp_path)
    image = random.integers(0, 256, (2, 48, 64, 4)).astype(np.uint8)
    label = random.choice([0, 1, 2, 255], (2, 48, 64)).astype(np.uint8)
    image[..., 3], sizes = 0, [(45, 58), (33, 64)]
    for n, (height, width) in enumerate(sizes):
        image[n, :height, :width, 3] = 255
        label[n, height:], label[n, :, width:] = 255, 255
    files.save_arrays(tmp_path / "batch.npz", {"image": image, "label": label})
    done = subprocess.run(
        [sys.executable, "-c", STEP, tmp_path],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    after = dict(np.load(tmp_path / "after.npz"))
    assert (str(after.pop("backend")), keras.config.backend()) == ("jax", "tensorflow")

    before = files.load_arrays(tmp_path / "weights.npz")
    losses, steps = 0.0, {name: np.zeros_like(value) for name, value in before.items()}
    for n, (height, width) in enumerate(sizes):
        net, _ = surgery.load(tmp_path)
        net.compile(keras.optimizers.SGD(RATE), PixelLoss("sum"), jit_compile=False)
        losses += net.train_on_batch(
            image[n : n + 1, :height, :width, :3], label[n : n + 1, :height, :width]
        )
        for name, weight in surgery.named_weights(net).items():
            steps[name] += np.asarray(weight) - before[name]
    assert float(after.pop("loss")) == pytest.approx(losses, rel=1e-5)
    moved = [name for name, step in steps.items() if step.any()]
    assert len(moved) == 2 * 13 + 2 * 2 + 2 * 3 + 2  # all but the last upsampling, which is fixed
    for name in moved:
        step = after[name] - before[name]
        np.testing.assert_allclose(
            step, steps[name], atol=1e-4 * np.abs(steps[name]).max(), rtol=0, err_msg=name
        )
