import math

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
            total, count = total - math.log(exponentials[labels[place]] / exponentials.sum()), count + 1
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
    assert float(PixelLoss("sum")(np.array([[[0, 255]]], np.uint8), scores)) == pytest.approx(math.log(3))
    assert float(PixelLoss("mean")(np.array([[[0, 255]]], np.uint8), scores)) == pytest.approx(math.log(3))


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
    np.testing.assert_array_equal(gradient(PixelLoss(reduction), void, SCORES), np.zeros_like(SCORES))


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
    batch = tf.data.Dataset.from_tensors((RANDOM.normal(size=(1, 300, 400, 3)), np.ones((1, 300, 400), np.uint8)))
    history = model.fit(batch, verbose=0, shuffle=False)
    assert history.history["loss"][0] == pytest.approx(120_000 * math.log(3), rel=1e-5)


def test_other_reductions_are_refused_and_the_configuration_restores_it():
    with pytest.raises(ValueError, match="expected sum or mean, got 'median'"):
        PixelLoss("median")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(PixelLoss("mean")))
    assert again.over_pixels == "mean"
