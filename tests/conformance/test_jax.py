"""The same saved nets under Keras' JAX backend, in a process of its own, against TensorFlow's in
this one.
"""

import os
import subprocess
import sys
from pathlib import Path

import backend_numbers
import keras
import numpy as np
import pytest
from caffe_nets import assert_same_scores

from fcn.net import model, surgery
from fcn.spec import MEAN_BGR, ModelSpec

ROOT = Path(__file__).parents[2]
CLASSES = ("background", "cat", "dog")
SPECS = {
    "with_border": ModelSpec(
        "fcn8s", "vgg16", CLASSES, 1 / 32, 8, "caffe", "learned", 0.0, MEAN_BGR
    ),
    "same": ModelSpec("fcn16s", "vgg16", CLASSES, 1 / 32, 8, "same", "fixed", 0.0, MEAN_BGR),
}


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    """By name, TensorFlow's and JAX's number or array."""
    folder = tmp_path_factory.mktemp("backends")
    random = np.random.default_rng(3)
    for name, spec in SPECS.items():
        net = model.build(spec)
        for weight_name, weight in surgery.named_weights(net).items():
            if not weight_name.startswith("upscore"):
                scale = (
                    0.5 / np.sqrt(weight.shape[-2])
                    if "score" in weight_name and len(weight.shape) == 4
                    else None
                )
                weight.assign(
                    random.normal(size=weight.shape)
                    * (scale or np.sqrt(2 / np.prod(weight.shape[:-1])))
                )
        (folder / name).mkdir()
        surgery.save(net, spec, folder / name)
    done = subprocess.run(
        [sys.executable, backend_numbers.__file__, folder, folder / "jax.npz"],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT), "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu"},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    jax = dict(np.load(folder / "jax.npz"))
    assert str(jax.pop("backend")) == "jax"
    tensorflow = backend_numbers.all_numbers(folder)
    assert list(jax) == list(tensorflow)
    return {name: (tensorflow[name], jax[name]) for name in jax}


def test_scores_and_labels(numbers):
    for name in ("scores", "same/scores"):
        assert_same_scores(*numbers[name][::-1], tolerance=1e-4)
    for name in ("labels", "same/labels"):
        ours, theirs = numbers[name]
        assert np.unique(ours).size > 1
        assert (ours != theirs).mean() < 1e-3  # where two classes score the same to 6 digits


def test_the_loss(numbers):
    ours, theirs = numbers["loss"]
    assert ours > 0
    assert theirs == pytest.approx(ours, rel=1e-4)
    for of_the_step in numbers["loss of the step"]:
        assert of_the_step == pytest.approx(ours, rel=1e-4)


def test_one_step_of_training(numbers):
    """The velocity after the first step is the step: compared to 1e-4 of its own size, not of the
    weights'.
    """
    steps = [name for name in numbers if name.startswith("velocity/")]
    # kernels and biases; the learned inner upsampling has no bias
    assert len(steps) == 2 * 13 + 2 * 2 + 2 * 3 + 2
    for name in steps:
        ours, theirs = numbers[name]
        assert np.abs(ours).max() > 0, name
        np.testing.assert_allclose(
            theirs, ours, atol=1e-4 * np.abs(ours).max(), rtol=0, err_msg=name
        )
    for name in [name for name in numbers if name.startswith("weights/")]:
        ours, theirs = numbers[name]
        np.testing.assert_allclose(
            theirs, ours, atol=1e-4 * np.abs(ours).max(), rtol=0, err_msg=name
        )


def test_the_training_loop_with_a_resume(numbers):
    curve = [numbers[f"curve/{step}"] for step in (1, 2, 3, 4)]
    assert len({float(ours) for ours, _ in curve}) == 4
    for ours, theirs in curve:
        assert theirs == pytest.approx(ours, rel=1e-4)
    for name in [name for name in numbers if name.startswith("trained/")]:
        ours, theirs = numbers[name]
        np.testing.assert_allclose(
            theirs, ours, atol=1e-4 * np.abs(ours).max(), rtol=0, err_msg=name
        )


def test_this_process_runs_tensorflow():
    assert keras.backend.backend() == "tensorflow"
