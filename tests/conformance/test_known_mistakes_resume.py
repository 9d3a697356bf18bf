"""What other implementations forget when a training is resumed, forgotten on purpose: an assertion
catches it.
"""

import json
import types

import keras
import numpy as np
import pytest

from fcn.hardware import distribution
from fcn.io import files
from fcn.net import surgery
from fcn.spec.recipe import TrainSpec
from fcn.train import training

RECIPE = TrainSpec(
    "sgd", 1e-2, 0.9, 0.1, 2.0, "sum", iterations=6, log_every=1, validate_every=2, seed=0
)


def net():
    keras.utils.set_random_seed(4)
    image = keras.Input((None, None, 2))
    return keras.Model(
        image, keras.layers.Conv2D(3, 1, name="score_fr")(keras.layers.Dropout(0.5)(image))
    )


def batches(start):
    for step in range(start, RECIPE.iterations):
        random = np.random.default_rng(step)
        yield (
            random.normal(size=(1, 5, 6, 2)).astype(np.float32),
            random.integers(0, 3, (1, 5, 6)).astype(np.uint8),
        )


def run(checkpoint, report=lambda *_: None):
    model = net()
    validation = [{"image": image, "label": label} for image, label in batches(0)]
    stream = types.SimpleNamespace(
        recipe=RECIPE, batches=batches, share=distribution.ONE, classes=(), pixels=30
    )
    told = training.Listener(report=report)
    history = training.train(model, stream, lambda: validation, checkpoint, told, seconds=-1e9)
    return history, {
        name: np.asarray(weight) for name, weight in surgery.named_weights(model).items()
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """History and weights of an uninterrupted training, and the checkpoint of one broken off at
    step 4.
    """

    def stop(step, values):
        if step == 4 and "loss" in values:
            raise KeyboardInterrupt

    folder = tmp_path_factory.mktemp("resume")
    with pytest.raises(KeyboardInterrupt):
        run(folder / "broken.npz", stop)
    return *run(folder / "whole.npz"), files.load_arrays(folder / "broken.npz")


def check_resume(whole, checkpoint, forget):
    """A training goes on from what `forget` leaves of its checkpoint as if nothing had been."""
    whole_history, whole_weights, arrays = whole
    arrays = dict(arrays)
    forget(arrays)
    files.save_arrays(checkpoint, arrays)
    history, weights = run(checkpoint)
    best, whole_best = (
        max(row["val_mean_iu"] for row in rows if "val_mean_iu" in row)
        for rows in (history, whole_history)
    )
    assert best == whole_best, "the best score"
    assert history == whole_history, "the history"
    for name, weight in weights.items():
        assert weight.tobytes() == whole_weights[name].tobytes(), name


def progress(**changes):
    def forget(arrays):
        found = json.loads(arrays["progress"].tobytes())
        assert found["told"] > 0
        assert any("val_mean_iu" in row for row in found["history"])
        arrays["progress"] = np.frombuffer(json.dumps(found | changes).encode(), np.uint8)

    return forget


def restarted(arrays):
    assert arrays["optimizer/0"] > 0
    arrays["optimizer/0"] = np.zeros_like(arrays["optimizer/0"])


def zeros(kind):
    """Every array of one kind that is not a single number."""

    def forget(arrays):
        names = [
            name for name, array in arrays.items() if name.startswith(f"{kind}/") and array.ndim
        ]
        assert any(arrays[name].any() for name in names)
        arrays |= {name: np.zeros_like(arrays[name]) for name in names}

    return forget


FORGOTTEN = {
    "the step counter": restarted,
    "the optimizer's state": zeros("optimizer"),
    "the scores so far, the best among them": progress(history=[]),
    "the random state of the dropout": zeros("seeds"),
    "the weights": zeros("weights"),
}


def test_a_resume_that_forgets_nothing_passes(whole, tmp_path):
    check_resume(whole, tmp_path / "checkpoint.npz", lambda arrays: None)


@pytest.mark.parametrize("what", FORGOTTEN)
def test_a_resume_that_forgets_something_would_be_caught(whole, tmp_path, what):
    with pytest.raises(AssertionError):
        check_resume(whole, tmp_path / "checkpoint.npz", FORGOTTEN[what])
