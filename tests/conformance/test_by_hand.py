"""Gradients, update rule, upsampling, crop and pooling against numpy loops and numbers worked out
by hand.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from caffe_rule import CLASSES, assert_steps_are_caffes
from keras import layers

from fcn.net import model
from fcn.net.bilinear import Bilinear, Upsample
from fcn.net.layers import Crop
from fcn.train.losses import PixelLoss
from tests.recipe import optimizer


def tiny_net():
    """Every kind of layer that an FCN has, once: 3 x 3 convolution with a border, ReLU, pooling,
    score, upsampling, crop.
    """
    image = keras.Input((None, None, 2))
    x = layers.ZeroPadding2D(1)(image)
    x = layers.Conv2D(4, 3, activation="relu", name="conv")(x)
    x = layers.MaxPooling2D(2, padding="same", name="pool")(x)
    x = layers.Conv2D(CLASSES, 1, name="score_fr")(x)
    x = Upsample(2, "valid", name="upscore")(x)
    return keras.Model(image, Crop(1, name="score")(x, image))


def backpropagate(image, labels, weights):
    """Summed loss and its gradient by weight, in float64: one multiplication after the other,
    forwards and back.

    `image` (H, W, 2), `labels` (H, W) with 255 for void; `weights` are conv's and score_fr's
    kernels and biases.
    """
    kernel, bias, score, score_bias = (np.asarray(w, np.float64) for w in weights)
    (height, width), padded = labels.shape, np.pad(image, ((1, 1), (1, 1), (0, 0)))
    conv = np.zeros((height, width, kernel.shape[3]))
    for y, x, f in np.ndindex(conv.shape):
        conv[y, x, f] = (padded[y : y + 3, x : x + 3] * kernel[..., f]).sum() + bias[f]
    active = np.maximum(conv, 0)
    pooled, winner = np.zeros((-(-height // 2), -(-width // 2), conv.shape[2])), {}
    for r, c, f in np.ndindex(pooled.shape):
        cells = [
            (y, x)
            for y in (2 * r, 2 * r + 1)
            for x in (2 * c, 2 * c + 1)
            if y < height and x < width
        ]
        winner[r, c, f] = max(cells, key=lambda at: active[*at, f])
        pooled[r, c, f] = active[*winner[r, c, f], f]
    coarse = np.tensordot(pooled, score[0, 0], 1) + score_bias
    line = [0.25, 0.75, 0.75, 0.25]
    fine = np.zeros((2 * pooled.shape[0] + 2, 2 * pooled.shape[1] + 2, CLASSES))
    for r, c in np.ndindex(pooled.shape[:2]):
        for i in range(4):
            for j in range(4):
                fine[2 * r + i, 2 * c + j] += line[i] * line[j] * coarse[r, c]
    loss, d_fine = 0.0, np.zeros_like(fine)
    for y, x in np.ndindex(height, width):
        if labels[y, x] != 255:
            exponentials = np.exp(fine[y + 1, x + 1])
            softmax = exponentials / exponentials.sum()
            loss -= np.log(softmax[labels[y, x]])
            d_fine[y + 1, x + 1] = softmax - (np.arange(CLASSES) == labels[y, x])
    d_kernel, d_bias, d_score, d_score_bias = (
        np.zeros_like(w) for w in (kernel, bias, score, score_bias)
    )
    for r, c in np.ndindex(pooled.shape[:2]):
        d_coarse = sum(
            line[i] * line[j] * d_fine[2 * r + i, 2 * c + j] for i in range(4) for j in range(4)
        )
        d_score[0, 0] += np.outer(pooled[r, c], d_coarse)
        d_score_bias += d_coarse
        for f, d_pooled in enumerate(score[0, 0] @ d_coarse):
            y, x = winner[r, c, f]
            if conv[y, x, f] > 0:
                d_kernel[..., f] += d_pooled * padded[y : y + 3, x : x + 3]
                d_bias[f] += d_pooled
    return loss, [d_kernel, d_bias, d_score, d_score_bias]


@pytest.mark.parametrize("size", [(6, 8), (7, 5), (1, 3)])
@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_gradient_of_the_loss_with_void_is_the_one_written_out(size, reduction):
    random = np.random.default_rng(11)
    net = tiny_net()
    for variable in net.trainable_variables:
        variable.assign(random.normal(size=variable.shape))
    images = random.normal(size=(2, *size, 2)).astype(np.float32)
    labels = random.choice([0, 1, 2, 255], size=(2, *size), p=[0.3, 0.2, 0.2, 0.3]).astype(np.uint8)
    assert (labels == 255).any(), "no void in this draw"
    assert (labels == 0).any(), "no background in this draw"
    with tf.GradientTape() as tape:
        value = PixelLoss(reduction)(labels, net(images, training=True))
    found = tape.gradient(value, [variable.value for variable in net.trainable_variables])

    weights = [np.asarray(variable) for variable in net.trainable_variables]
    by_image = [
        backpropagate(image, label, weights) for image, label in zip(images, labels, strict=True)
    ]
    count = 1 if reduction == "sum" else (labels != 255).sum()
    assert float(value) == pytest.approx(sum(loss for loss, _ in by_image) / count, rel=1e-5)
    for variable, gradient, *parts in zip(
        net.trainable_variables, found, *(g for _, g in by_image), strict=True
    ):
        expected = sum(parts) / count
        assert np.abs(expected).max() > 0
        np.testing.assert_allclose(
            gradient, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max(), err_msg=variable.path
        )


def test_an_image_of_nothing_but_void_moves_no_weight(small):
    """Without decay, of course; the score layers are set so that a gradient would get through to
    every layer.
    """
    net = model.build(small("fcn8s", padding="same", dropout=0.0))
    for name in ("score_fr", "score_pool4", "score_pool3"):
        net.get_layer(name).kernel.assign(0.1 * np.ones(net.get_layer(name).kernel.shape))
    net.compile(optimizer("sgd", 1.0, 0.9, 0.0, 2.0), PixelLoss("sum"), jit_compile=False)
    before = net.get_weights()
    image = np.full((1, 20, 24, 3), 9, np.uint8)
    assert net.train_on_batch(image, np.full((1, 20, 24), 255, np.uint8)) == 0
    for old, new in zip(before, net.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)


@pytest.mark.parametrize("momentum", [0.9, 0.99])
def test_steps_of_training_are_caffes(momentum):
    """Momentum, coupled decay on the kernel alone, twice the rate on the bias; from the images to
    the weights.
    """
    assert_steps_are_caffes(lambda *recipe: optimizer("sgd", *recipe), momentum)


def caffe_filler(size):
    """Caffe's BilinearFiller, as its source writes it: f = ceil(size / 2), c = (2f - 1 - f mod 2) /
    2f.
    """
    f = -(-size // 2)
    c = (2 * f - 1 - f % 2) / (2 * f)
    return np.array(
        [[(1 - abs(x / f - c)) * (1 - abs(y / f - c)) for x in range(size)] for y in range(size)]
    )


@pytest.mark.parametrize("factor", [2, 8, 16, 32])
def test_bilinear_kernels_of_the_nets_are_caffes_fillers(factor):
    kernel = np.asarray(Bilinear()((2 * factor, 2 * factor, 2, 2)))
    np.testing.assert_allclose(kernel[:, :, 0, 0], caffe_filler(2 * factor), atol=1e-7)
    np.testing.assert_allclose(kernel[:, :, 1, 1], caffe_filler(2 * factor), atol=1e-7)
    assert not kernel[:, :, 0, 1].any()
    assert not kernel[:, :, 1, 0].any()


@pytest.mark.parametrize(
    "layer",
    [
        Upsample(2, "valid"),
        layers.Conv2DTranspose(1, 4, 2, use_bias=False, kernel_initializer=Bilinear()),
    ],
    ids=["fixed", "learned"],
)
def test_two_cells_upsampled_twofold_by_hand(layer):
    """[4, 8]: every output is a share of its two neighbours; rows fade in as the columns do."""
    found = np.asarray(layer(np.array([4, 8], np.float32).reshape(1, 1, 2, 1)))[0, :, :, 0]
    line = np.array([1, 3, 3 + 2, 1 + 6, 6, 2])
    np.testing.assert_array_equal(found, np.outer([0.25, 0.75, 0.75, 0.25], line))


def test_crop_by_hand():
    source = np.arange(42, dtype=np.float32).reshape(1, 6, 7, 1)
    found = np.asarray(Crop(2)(source, np.zeros((1, 2, 3, 5), np.float32)))[0, :, :, 0]
    np.testing.assert_array_equal(found, [[16, 17, 18], [23, 24, 25]])


@pytest.mark.parametrize(
    ("side", "expected"), [(4, [2, 4]), (5, [2, 4, 5]), (1, [1]), (2, [2]), (3, [2, 3])]
)
def test_pooling_rounds_up_by_hand(small, side, expected):
    """The nets' own pooling layer; negative values show that nothing is padded with zeros."""
    pool = model.build(small()).get_layer("pool1")
    rising = np.broadcast_to(np.arange(1, side + 1, dtype=np.float32)[:, None], (side, side))
    found = np.asarray(pool(rising[None, :, :, None]))[0, :, :, 0]
    np.testing.assert_array_equal(
        found, np.broadcast_to(np.array(expected)[:, None], (len(expected),) * 2)
    )
    falling = np.asarray(pool(-rising[None, :, :, None]))[0, :, :, 0]
    np.testing.assert_array_equal(falling[:, 0], [-(1 + 2 * n) for n in range(len(expected))])
