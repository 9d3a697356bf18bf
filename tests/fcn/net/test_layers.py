import platform
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow.python.util import _pywrap_util_port

from fcn.hardware import cpu
from fcn.net.layers import BlockedConv2D, Crop, DenseConv2D, Grey, MeanBGR
from fcn.spec import MEAN_BGR


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_mean_is_subtracted_after_the_flip_to_bgr(dtype):
    red = np.array([[[[200, 30, 7]]]], dtype)  # RGB
    np.testing.assert_allclose(
        MeanBGR(MEAN_BGR)(red)[0, 0, 0], [7 - 104.00699, 30 - 116.66877, 200 - 122.67892], rtol=1e-6
    )


def test_mean_of_bytes_does_not_wrap_around():
    np.testing.assert_array_equal(
        MeanBGR((1, 2, 3))(np.zeros((1, 1, 1, 3), np.uint8))[0, 0, 0], [-1, -2, -3]
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_grey_is_pillows_divided_by_256(dtype):
    picture = np.random.default_rng(3).integers(0, 256, (4, 5, 3), np.uint8)
    picture[0, 0] = 200, 30, 7  # 0.299 * 200 + 0.587 * 30 + 0.114 * 7
    found = np.asarray(Grey()(picture[None].astype(dtype)))[0, ..., 0]
    assert found.shape == (4, 5)
    assert found[0, 0] == pytest.approx(78.208 / 256)
    pillow = np.asarray(Image.fromarray(picture).convert("L"), float)  # rounded
    np.testing.assert_allclose(256 * found, pillow, rtol=0, atol=0.501)


def test_grey_of_grey_is_the_same_grey():
    values = np.arange(256).reshape(1, 16, 16, 1).repeat(3, -1)
    np.testing.assert_allclose(Grey()(values)[..., 0], values[..., 0] / 256, rtol=1e-6)


def test_grey_says_its_shape_before_it_is_run():
    assert Grey()(keras.Input((None, 7, 3))).shape == (None, None, 7, 1)


def test_crop_takes_the_window_at_the_offset():
    source = np.arange(2 * 6 * 7 * 2, dtype=np.float32).reshape(2, 6, 7, 2)
    window = np.asarray(Crop(2)(source, np.zeros((2, 3, 4, 9), np.float32)))
    np.testing.assert_array_equal(window, source[:, 2:5, 2:6])


def test_the_gradient_of_a_crop_is_zero_around_the_window():
    upstream = np.arange(1, 25, dtype=np.float32).reshape(2, 3, 4, 1)
    with tf.GradientTape() as tape:
        source = tf.Variable(tf.ones((2, 6, 7, 1)))
        total = tf.reduce_sum(Crop(2)(source, upstream) * upstream)
    expected = np.zeros((2, 6, 7, 1))
    expected[:, 2:5, 2:6] = upstream
    np.testing.assert_array_equal(tape.gradient(total, source), expected)


def test_crop_says_its_shape_before_it_is_run():
    source, like = keras.Input((None, None, 5)), keras.Input((3, 4, 9))
    assert Crop(2)(source, like).shape == (None, 3, 4, 5)


@pytest.mark.parametrize(
    "layer", [MeanBGR((1.5, 2, 3)), Grey(), Crop(19), DenseConv2D(5, 7), BlockedConv2D(5, 3)]
)
def test_layers_are_restored_from_their_configuration(layer):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is type(layer)
    assert again.get_config() == layer.get_config()


def compared(kind, padding, side):
    """Scores and gradients of a layer and of Keras' Conv2D with the same weights: 3 channels, 5
    filters.
    """
    random = np.random.default_rng(side)
    image = random.normal(size=(2, 9, 8, 3)).astype(np.float32)
    weights, found = [random.normal(size=(side, side, 3, 5)), random.normal(size=5)], []
    convolutions = []
    for each in (kind, keras.layers.Conv2D):
        layer, x = each(5, side, padding=padding, activation="relu"), keras.Input((None, None, 3))
        net = keras.Model(x, layer(x))
        layer.set_weights(weights)

        @tf.function  # where the sides are known only when it runs, as in the nets
        def run(x, net=net):
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = net(x)
                loss = tf.reduce_sum(tf.sin(y))
            return y, *tape.gradient(loss, [x, *(v.value for v in net.trainable_variables)])

        found.append([value.numpy() for value in run(tf.constant(image))])
        kinds = [
            node.op
            for node in run.get_concrete_function(tf.constant(image)).graph.as_graph_def().node
        ]
        convolutions.append(kinds.count("Conv2D"))
    assert found[0][0].shape == ((2, 9, 8, 5) if padding == "same" else (2, 10 - side, 9 - side, 5))
    return found, convolutions


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("side", [1, 4, 7])
def test_the_dense_convolution_is_a_convolution_gradients_included(padding, side):
    found, convolutions = compared(DenseConv2D, padding, side)
    assert convolutions == [0, 1]
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * np.abs(theirs).max())


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("side", [1, 3])
def test_a_convolution_in_blocks_is_a_convolution_gradients_included(padding, side, monkeypatch):
    monkeypatch.setattr(cpu, "_has_onednn", lambda: True)
    monkeypatch.setattr(cpu, "BLOCK_BYTES", 2 * side * side * 3 * 4)
    found, convolutions = compared(BlockedConv2D, padding, side)
    assert convolutions == [3, 1], "2, 2 and 1 of 5 filters"
    np.testing.assert_allclose(
        found[0][0], found[1][0], rtol=0, atol=1e-6 * np.abs(found[1][0]).max()
    )
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * np.abs(theirs).max())


@pytest.mark.parametrize(
    ("dtype", "channels", "filters", "at_once"),
    [
        ("float32", 3, 64, 64),
        ("float32", 64, 128, 128),
        ("float32", 128, 128, 128),
        ("float32", 256, 512, 64),
        ("float32", 512, 512, 32),
        ("mixed_bfloat16", 512, 512, 512),
        ("bfloat16", 512, 512, 512),
    ],
)
def test_blocks_are_for_large_kernels_in_float32(dtype, channels, filters, at_once, monkeypatch):
    monkeypatch.setattr(cpu, "_has_onednn", lambda: True)
    layer, image = BlockedConv2D(filters, 3, dtype=dtype), keras.Input((None, None, channels))
    net = keras.Model(image, layer(image))
    graph = (
        tf.function(net).get_concrete_function(tf.zeros((1, 5, 5, channels))).graph.as_graph_def()
    )
    assert [node.op for node in graph.node].count("Conv2D") == filters / at_once


def kernel(device):
    """One of 512 to 512 channels that lies somewhere."""
    return types.SimpleNamespace(shape=(3, 3, 512, 512), value=types.SimpleNamespace(device=device))


def test_blocks_are_for_a_cpu_with_onednn(monkeypatch):
    def at_once(device):
        return cpu.filters_at_once(
            tf.zeros((1, 5, 5, 512)), kernel(f"/job:localhost/replica:0/task:0/device:{device}")
        )

    monkeypatch.setattr(cpu, "_has_onednn", lambda: True)
    assert (at_once("CPU:0"), at_once("CPU:1"), at_once("GPU:0")) == (32, 32, 512)
    with cpu.portable():
        assert at_once("CPU:0") == 512
    monkeypatch.setattr(cpu, "_has_onednn", lambda: False)
    assert at_once("CPU:0") == 512


@pytest.mark.parametrize(
    ("machine", "backend", "mkl", "has"),
    [
        ("x86_64", "tensorflow", True, True),
        ("x86_64", "tensorflow", False, False),
        ("x86_64", "jax", True, False),
        ("aarch64", "tensorflow", True, False),
    ],
)
def test_onednn_is_what_tensorflow_says_and_on_x86(machine, backend, mkl, has, monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(keras.backend, "backend", lambda: backend)
    monkeypatch.setattr(_pywrap_util_port, "IsMklEnabled", lambda: mkl)
    assert cpu._has_onednn() is has


def test_the_dense_convolution_has_the_names_and_shapes_of_the_plain_one():
    dense, plain = (
        kind(5, 7, name="fc6", padding="same") for kind in (DenseConv2D, keras.layers.Conv2D)
    )
    for layer in (dense, plain):
        layer.build((None, None, None, 3))
    assert [(w.path, w.shape) for w in dense.weights] == [(w.path, w.shape) for w in plain.weights]
    assert dense.get_config() == plain.get_config()
    assert dense(keras.Input((None, 6, 3))).shape == (None, None, 6, 5)
