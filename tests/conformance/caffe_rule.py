"""Caffe's loss and update rule in numpy, and the check that training through Keras follows them."""

import keras
import numpy as np
import pytest

from fcn.train.losses import PixelLoss

CLASSES = 3
RATE, DECAY, BIAS_RATE = 1e-3, 0.5, 2.0


def softmax_loss(scores, label):
    """Caffe's SoftmaxWithLoss, `normalize: false`, `ignore_label: 255`: the loss of (H, W, C)
    scores and its gradient.
    """
    softmax = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    valid = label != 255
    error = (softmax - np.eye(scores.shape[-1])[np.where(valid, label, 0)]) * valid[..., None]
    return -np.log(softmax[valid, label[valid]]).sum(), error


def caffe_steps(kernel, bias, examples, momentum):
    """Caffe's SGDSolver (Regularize, ComputeUpdateValue, Update) on a 1 x 1 convolution under that
    loss.
    """
    values, history, losses = [kernel[0, 0], bias], [0.0, 0.0], []
    multipliers = [(1.0, DECAY), (BIAS_RATE, 0.0)]  # lr_mult, decay_mult * weight_decay
    for image, label in examples:
        loss, error = softmax_loss(image @ values[0] + values[1], label)
        losses.append(loss)
        gradients = [np.tensordot(image, error, ((0, 1), (0, 1))), error.sum((0, 1))]
        for n, (rate_factor, decay_factor) in enumerate(multipliers):
            gradient = gradients[n] + decay_factor * values[n]
            history[n] = momentum * history[n] + RATE * rate_factor * gradient
            values[n] = values[n] - history[n]
    return losses, values[0][None, None], values[1]


def assert_steps_are_caffes(make_optimizer, momentum=0.9, loss=None):
    """Eight steps through compile and train_on_batch, on images of several sizes with void: losses
    and weights.

    `make_optimizer` takes (rate, momentum, decay, bias rate); `loss` is PixelLoss("sum") if not
    given.
    """
    random = np.random.default_rng(6)
    image = keras.Input((None, None, 2))
    conv = keras.layers.Conv2D(CLASSES, 1, name="score_fr")
    net = keras.Model(image, conv(image))
    kernel, bias = random.normal(size=(1, 1, 2, CLASSES)), random.normal(size=CLASSES)
    conv.set_weights([kernel, bias])
    net.compile(
        make_optimizer(RATE, momentum, DECAY, BIAS_RATE),
        loss or PixelLoss("sum"),
        jit_compile=False,
    )
    sizes = [(4, 5), (3, 7), (6, 2), (4, 5), (5, 5), (1, 9), (8, 3), (4, 4)]
    examples = [
        (random.normal(size=(*size, 2)), random.choice([0, 1, 2, 255], size=size)) for size in sizes
    ]
    losses, expected_kernel, expected_bias = caffe_steps(kernel, bias, examples, momentum)
    found = [
        net.train_on_batch(x[None].astype(np.float32), y[None].astype(np.uint8))
        for x, y in examples
    ]
    assert np.abs(expected_kernel - kernel).max() > 0.02, (
        "the steps are too small to prove anything"
    )
    assert found == pytest.approx(losses, rel=1e-5), "the losses"
    np.testing.assert_allclose(
        conv.kernel, expected_kernel, rtol=1e-5, atol=1e-6, err_msg="the kernel"
    )
    np.testing.assert_allclose(conv.bias, expected_bias, rtol=1e-5, atol=1e-6, err_msg="the bias")
