"""Mistakes of other implementations in the net itself, put in on purpose: the comparison with
OpenCV catches each one.
"""

import keras
import numpy as np
import pytest
from caffe_nets import assert_same_scores, pair, picture, scores
from keras import layers

from fcn.errors import UserError
from fcn.net import model, surgery
from fcn.net.bilinear import Bilinear
from fcn.net.layers import Crop, MeanBGR
from fcn.spec.architecture import ModelSpec

IMAGE = picture(61, 74)
SAME_WIDTH = 16  # of fc7 and pool4, so that they could be added before they are scored


@pytest.fixture(scope="module")
def nets(tmp_path_factory):
    """FCN-16s: OpenCV's scores, and our net."""
    theirs, ours = pair("fcn16s", tmp_path_factory.mktemp("mistakes"), fc=SAME_WIDTH)
    return theirs.on_image(IMAGE), ours


def check(net, expected):
    """The assertion of `test_opencv.py`."""
    assert_same_scores(scores(net, IMAGE), expected)


def with_layers(net, replace):
    """The net again, with the same weights, each layer as `replace` gives it."""
    clone = keras.models.clone_model(
        net,
        clone_function=lambda layer: replace(layer) or type(layer).from_config(layer.get_config()),
    )
    clone.set_weights(net.get_weights())
    return clone


def average_pooling(net):
    return with_layers(
        net,
        lambda layer: (
            layers.AveragePooling2D(2, padding="same", name=layer.name)
            if isinstance(layer, layers.MaxPooling2D)
            else None
        ),
    )


def activation(kind, *names):
    """The named layers with an activation that does not belong there."""

    def wrong(net):
        return with_layers(
            net,
            lambda layer: (
                type(layer).from_config({**layer.get_config(), "activation": kind})
                if layer.name in names
                else None
            ),
        )

    return wrong


def fused_before_scoring(net):
    """Features are added up and scored once; the paper scores each and adds the scores."""
    deep, skip = net.get_layer("drop7").output, net.get_layer("pool4").output
    bilinear = layers.Conv2DTranspose(
        SAME_WIDTH, 4, 2, use_bias=False, kernel_initializer=Bilinear()
    )
    deep = bilinear(deep)
    x = net.get_layer("score_fr")(layers.Add()([deep, Crop(5)(skip, deep)]))
    return keras.Model(net.input, net.get_layer("score")(net.get_layer("upscore16")(x), net.input))


class FlippedAfterTheMean(MeanBGR):
    def call(self, images):
        images = keras.ops.cast(images, self.compute_dtype)
        return (images - keras.ops.convert_to_tensor(self.mean_bgr, self.compute_dtype))[..., ::-1]


class NotFlipped(MeanBGR):
    def call(self, images):
        return keras.ops.cast(images, self.compute_dtype) - keras.ops.convert_to_tensor(
            self.mean_bgr, self.compute_dtype
        )


def preparing(kind):
    return lambda net: with_layers(
        net,
        lambda layer: kind.from_config(layer.get_config()) if isinstance(layer, MeanBGR) else None,
    )


def without_biases(net):
    wrong = with_layers(net, lambda layer: None)
    for layer in wrong.layers:
        if layer.name.startswith(("conv", "fc")):
            layer.bias.assign(0 * layer.bias)
    return wrong


MISTAKES = {
    "average instead of max pooling": average_pooling,
    "skips fused before scoring": fused_before_scoring,
    "softmax before upsampling": activation("softmax", "score_fr", "score_pool4"),
    "ReLU before upsampling": activation("relu", "score_fr"),
    "ReLU on the skip's scores": activation("relu", "score_pool4"),
    "flipped to BGR after the mean was subtracted": preparing(FlippedAfterTheMean),
    "not flipped to BGR": preparing(NotFlipped),
    "biases lost on transfer": without_biases,
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_it_would_be_caught(nets, mistake):
    expected, ours = nets
    check(ours, expected)
    with pytest.raises(AssertionError, match="off by"):
        check(MISTAKES[mistake](ours), expected)


def test_a_copy_without_a_mistake_passes(nets):
    """So that what is caught above is the mistake, and not the copying."""
    expected, ours = nets
    check(with_layers(ours, lambda layer: None), expected)


def check_transfer(transplant):
    """Every weight of the source is in the net afterwards, bit by bit."""
    spec = ModelSpec(
        "fcn32s", "vgg16", ("a", "b"), 1 / 32, 4, "same", "fixed", 0.5, (1.0, 2.0, 3.0)
    )
    net = model.build(spec)
    random = np.random.default_rng(2)
    source = {
        name: random.normal(size=weight.shape).astype(np.float32)
        for name, weight in surgery.named_weights(net).items()
        if not name.startswith(("score", "upscore"))
    }
    transplant(net, source)
    found = surgery.named_weights(net)
    for name, array in source.items():
        assert np.array_equal(found[name], array), f"{name} has not arrived"


def test_biases_lost_on_transfer_would_be_caught():
    def kernels_only(net, source):
        targets = surgery.named_weights(net)
        for name in source:
            if name.endswith("/kernel"):
                targets[name].assign(source[name])

    check_transfer(lambda net, source: surgery.transplant(net, source, new=("score_fr",)))
    with pytest.raises(AssertionError, match="conv1_1/bias has not arrived"):
        check_transfer(kernels_only)
    # and a source that lacks them is refused
    with pytest.raises(UserError, match="conv1_1/bias is missing"):
        check_transfer(
            lambda net, source: surgery.transplant(
                net,
                {name: array for name, array in source.items() if "kernel" in name},
                new=("score_fr",),
            )
        )
