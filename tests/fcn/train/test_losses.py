import json
import math
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from fcn.train.losses import PixelLoss

RANDOM = np.random.default_rng(3)
SCORES = RANDOM.normal(size=(2, 4, 5, 3)).astype(np.float32) * 4
LABELS = RANDOM.choice([0, 1, 2, 255], size=(2, 4, 5)).astype(np.uint8)


def by_hand(labels, scores):
    """Summed cross entropy and count of valid pixels, pixel by pixel in float64."""
    total, count = 0.0, 0
    for place in np.ndindex(labels.shape):
        if labels[place] != 255:
            exponentials = np.exp(scores[place].astype(np.float64))
            total, count = (
                total - math.log(exponentials[labels[place]] / exponentials.sum()),
                count + 1,
            )
    return total, count


def gradient(loss, labels, scores):
    scores = tf.constant(scores)
    with tf.GradientTape() as tape:
        tape.watch(scores)
        value = loss(labels, scores)
    return tape.gradient(value, scores).numpy()


def test_sum_and_mean_over_valid_pixels():
    total, count = by_hand(LABELS, SCORES)
    assert 0 < count < LABELS.size
    assert float(PixelLoss("sum")(LABELS, SCORES)) == pytest.approx(total, rel=1e-6)
    assert float(PixelLoss("mean")(LABELS, SCORES)) == pytest.approx(total / count, rel=1e-6)


def test_class_0_counts_and_void_does_not():
    scores = np.array([[[[0, 0, 0], [0, 0, 0]]]], np.float32)
    assert float(PixelLoss("sum")(np.array([[[0, 255]]], np.uint8), scores)) == pytest.approx(
        math.log(3)
    )
    assert float(PixelLoss("mean")(np.array([[[0, 255]]], np.uint8), scores)) == pytest.approx(
        math.log(3)
    )


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_gradient_is_softmax_minus_one_hot_and_0_on_void(reduction):
    softmax = np.exp(SCORES) / np.exp(SCORES).sum(-1, keepdims=True)
    expected = softmax - np.eye(3)[np.where(LABELS == 255, 0, LABELS)]
    expected[LABELS == 255] = 0
    expected /= 1 if reduction == "sum" else (LABELS != 255).sum()
    np.testing.assert_allclose(gradient(PixelLoss(reduction), LABELS, SCORES), expected, atol=1e-6)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_nothing_but_void_is_0_with_gradient_0(reduction):
    void = np.full_like(LABELS, 255)
    assert float(PixelLoss(reduction)(void, SCORES)) == 0
    np.testing.assert_array_equal(
        gradient(PixelLoss(reduction), void, SCORES), np.zeros_like(SCORES)
    )


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_first_loss_of_a_voc_image_fits_in_any_compute_type(dtype):
    """187 500 pixels of 21 classes with equal scores: 570 848, where float16 ends at 65 504."""
    scores, labels = tf.zeros((1, 375, 500, 21), dtype), np.zeros((1, 375, 500), np.uint8)
    loss = PixelLoss("sum")(labels, scores)
    assert loss.dtype == tf.float32
    assert float(loss) == pytest.approx(187_500 * math.log(21), rel=1e-6)
    assert round(187_500 * math.log(21)) == 570_848
    assert float(PixelLoss("mean")(labels, scores)) == pytest.approx(math.log(21), rel=1e-6)


def test_large_scores_stay_finite():
    scores = np.array([[[[1e4, -1e4]]]], np.float32)
    assert float(PixelLoss("sum")(np.array([[[1]]]), scores)) == 2e4
    assert float(PixelLoss("sum")(np.array([[[0]]]), scores)) == 0


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_through_compile_and_fit_the_loss_is_the_same_number(policy):
    """Keras neither rescales it nor computes it in the compute type of the net."""
    image = keras.Input((None, None, 3))
    dtype = keras.DTypePolicy(policy)
    output = keras.layers.Conv2D(3, 1, kernel_initializer="zeros", dtype=dtype)(image)
    model = keras.Model(image, output)
    model.compile(optimizer=keras.optimizers.SGD(0.0), loss=PixelLoss("sum"), jit_compile=False)
    batch = tf.data.Dataset.from_tensors(
        (RANDOM.normal(size=(1, 300, 400, 3)), np.ones((1, 300, 400), np.uint8))
    )
    history = model.fit(batch, verbose=0, shuffle=False)
    assert history.history["loss"][0] == pytest.approx(120_000 * math.log(3), rel=1e-5)


def test_other_reductions_are_refused_and_the_configuration_restores_it():
    with pytest.raises(ValueError, match="expected sum, mean or dice, got 'median'"):
        PixelLoss("median")
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(PixelLoss("mean"))
    )
    assert again.over_pixels == "mean"


WEIGHTS = (0.5, 4.0, 1.0)
BY_NAME = {
    f"{loss}{' weighted' * bool(weights)}": (loss, weights)
    for loss in ("sum", "mean", "dice")
    for weights in ((), WEIGHTS)
}


def weighted_by_hand(labels, scores, loss, weights):
    """Each loss pixel by pixel, class by class, in float64."""
    weights = weights or (1.0,) * 3
    total, weight, both, truth, guess = 0.0, 0.0, [0.0] * 3, [0.0] * 3, [0.0] * 3
    for place in np.ndindex(labels.shape):
        if labels[place] == 255:
            continue
        exponentials = np.exp(scores[place].astype(np.float64))
        likely, label = exponentials / exponentials.sum(), labels[place]
        total, weight = total - weights[label] * math.log(likely[label]), weight + weights[label]
        both[label], truth[label] = both[label] + likely[label], truth[label] + 1
        guess = [before + p for before, p in zip(guess, likely, strict=True)]
    if loss != "dice":
        return total / (weight if loss == "mean" else 1)
    shown = [n for n in range(3) if truth[n]]
    lost = sum(weights[n] * (1 - 2 * both[n] / (truth[n] + guess[n])) for n in shown)
    return lost / sum(weights[n] for n in shown)


RARE = np.where(LABELS == 2, 0, LABELS)
"""Without a pixel of class 2."""
EXPECTED = {
    name: [weighted_by_hand(labels, SCORES, *of) for labels in (LABELS, RARE)]
    for name, of in BY_NAME.items()
}
PRINT = """
import json, sys, numpy as np
from fcn.train.losses import PixelLoss
given = np.load(sys.argv[1])
print(json.dumps({
    name: [float(PixelLoss(loss, weights=weights)(given[labels], given["scores"])) \
for labels in ("labels", "rare")]
    for name, (loss, weights) in json.loads(sys.argv[2]).items()
}))
"""


def test_weights_and_dice_by_hand():
    for name, (loss, weights) in BY_NAME.items():
        found = [
            float(PixelLoss(loss, weights=weights)(labels, SCORES)) for labels in (LABELS, RARE)
        ]
        assert found == pytest.approx(EXPECTED[name], rel=1e-5), name


def test_weights_and_dice_on_jax(tmp_path):
    np.savez(tmp_path / "given.npz", labels=LABELS, rare=RARE, scores=SCORES)
    root = Path(__file__).parents[3]
    environment = {
        **os.environ,
        "PYTHONPATH": str(root),
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
    }
    command = [sys.executable, "-c", PRINT, str(tmp_path / "given.npz"), json.dumps(BY_NAME)]
    done = subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout.splitlines()[-1])
    assert list(found) == list(EXPECTED)
    for name, values in found.items():
        assert values == pytest.approx(EXPECTED[name], rel=1e-5), name


def test_a_perfect_dice_is_0_and_a_wrong_one_1():
    right = np.array([[[[90, 0, 0], [0, 90, 0]]]], np.float32)
    labels = np.array([[[0, 1]]], np.uint8)
    assert float(PixelLoss("dice")(labels, right)) == pytest.approx(0, abs=1e-6)
    assert float(PixelLoss("dice")(1 - labels, right)) == pytest.approx(1)
    void = np.full_like(labels, 255)
    assert float(PixelLoss("dice")(void, right)) == 0
    np.testing.assert_array_equal(gradient(PixelLoss("dice"), void, right), np.zeros_like(right))


def test_descending_the_dice_finds_a_class_of_one_pixel():
    """Of 40 pixels; the mean cross entropy of the constant answer is low, its Dice is not."""
    labels = np.zeros((1, 5, 8), np.uint8)
    labels[0, 2, 3] = 1
    scores = np.zeros((1, 5, 8, 2), np.float32)
    for _ in range(60):
        scores -= 20 * gradient(PixelLoss("dice"), labels, scores)
    np.testing.assert_array_equal(scores.argmax(-1), labels)
