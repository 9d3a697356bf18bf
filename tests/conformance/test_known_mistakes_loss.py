"""Mistakes of other implementations in loss and update rule, put in on purpose: an assertion
catches each one.
"""

import numpy as np
import pytest
from caffe_rule import assert_steps_are_caffes, softmax_loss
from keras import ops

from fcn.train.losses import PixelLoss
from fcn.train.optimizers import CaffeSGD
from tests.recipe import optimizer

# ---- the loss


class Masking0(PixelLoss):
    """Takes class 0 for void."""

    def __call__(self, y_true, y_pred, sample_weight=None):
        return super().__call__(
            ops.where(ops.equal(y_true, 0), 255, ops.cast(y_true, "int32")), y_pred
        )


class VoidIsBackground(PixelLoss):
    def __call__(self, y_true, y_pred, sample_weight=None):
        return super().__call__(
            ops.where(ops.equal(y_true, 255), 0, ops.cast(y_true, "int32")), y_pred
        )


class OverAllPixels(PixelLoss):
    """Divides by a count that has the void in it."""

    def __call__(self, y_true, y_pred, sample_weight=None):
        return PixelLoss("sum")(y_true, y_pred) / np.prod(y_true.shape)


def check_loss(kind, reduction):
    random = np.random.default_rng(1)
    scores, labels = (
        3 * random.normal(size=(1, 6, 7, 3)),
        random.choice([0, 1, 2, 255], size=(1, 6, 7)).astype(np.uint8),
    )
    total, _ = softmax_loss(scores[0], labels[0])
    expected = total if reduction == "sum" else total / (labels != 255).sum()
    assert float(kind(reduction)(labels, scores.astype(np.float32))) == pytest.approx(
        expected, rel=1e-5
    )


@pytest.mark.parametrize(("mistake", "reduction"), [
    (Masking0, "sum"), (Masking0, "mean"), (VoidIsBackground, "sum"), (VoidIsBackground, "mean"),
    (OverAllPixels, "mean"),
])  # fmt: skip
def test_a_loss_over_the_wrong_pixels_would_be_caught(mistake, reduction):
    check_loss(PixelLoss, reduction)
    with pytest.raises(AssertionError):
        check_loss(mistake, reduction)


# ---- the update rule


class DecayCollectedOnly(CaffeSGD):
    """Knows the decay, and never adds it to a gradient."""

    def __init__(self, rate, decay, **kwargs):
        super().__init__(rate, decay=0.0, **kwargs)
        self.collected = decay


class Swapped(CaffeSGD):
    """Decay on the biases, twice the rate on the kernels."""

    def build(self, variables):
        super().build(variables)
        self.is_bias = [not each for each in self.is_bias]


class AllAsBiases(CaffeSGD):
    """Twice the rate and no decay on everything."""

    def build(self, variables):
        super().build(variables)
        self.is_bias = [True for _ in self.is_bias]


class AllAsKernels(CaffeSGD):
    """One rate, and decay on everything."""

    def build(self, variables):
        super().build(variables)
        self.is_bias = [False for _ in self.is_bias]


def caffe_like(kind):
    return lambda rate, momentum, decay, bias_rate: kind(
        rate, decay=decay, bias_rate=bias_rate, momentum=momentum
    )


def decoupled(rate, momentum, decay, bias_rate):
    """Keras' own `weight_decay`, past the momentum."""
    optimizer = CaffeSGD(
        rate, decay=0.0, bias_rate=bias_rate, momentum=momentum, weight_decay=decay
    )
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    return optimizer


RULES = {
    "weight decay collected, never added": caffe_like(DecayCollectedOnly),
    "weight decay decoupled from the momentum": decoupled,
    "decay and double rate on each other's variables": caffe_like(Swapped),
    "double rate on kernels too": caffe_like(AllAsBiases),
    "decay on biases, no double rate": caffe_like(AllAsKernels),
    "no double rate": lambda rate, momentum, decay, _: CaffeSGD(
        rate, decay=decay, bias_rate=1.0, momentum=momentum
    ),
    "no momentum": lambda rate, _, decay, bias_rate: CaffeSGD(
        rate, decay=decay, bias_rate=bias_rate, momentum=0.0
    ),
}


@pytest.mark.parametrize("right", [caffe_like(CaffeSGD), lambda *recipe: optimizer("sgd", *recipe)])
def test_the_right_update_rule_passes(right):
    assert_steps_are_caffes(right)


@pytest.mark.parametrize("mistake", RULES)
def test_a_wrong_update_rule_would_be_caught(mistake):
    with pytest.raises(AssertionError):
        assert_steps_are_caffes(RULES[mistake])
