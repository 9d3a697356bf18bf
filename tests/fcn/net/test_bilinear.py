import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from fcn.net.bilinear import Bilinear, Upsample, bilinear_kernel


def upsample(values, factor, padding="valid"):
    """One map (H, W) upsampled."""
    return np.asarray(Upsample(factor, padding)(np.asarray(values, np.float32)[None, :, :, None]))[
        0, :, :, 0
    ]


def test_kernel_of_factor_2_by_hand():
    expected = np.array([[1, 3, 3, 1], [3, 9, 9, 3], [3, 9, 9, 3], [1, 3, 3, 1]]) / 16
    kernel = bilinear_kernel(2)
    assert kernel.dtype == np.float32
    np.testing.assert_array_equal(kernel, expected)


def test_kernel_of_factor_4_by_hand():
    line = np.array([1, 3, 5, 7, 7, 5, 3, 1]) / 8
    np.testing.assert_array_equal(bilinear_kernel(4), np.outer(line, line))


def test_kernel_of_factor_1_is_the_mean_of_the_neighbours():
    np.testing.assert_array_equal(bilinear_kernel(1), np.full((2, 2), 0.25))


@pytest.mark.parametrize("factor", [2, 8, 16, 32])
def test_weights_that_meet_in_a_pixel_sum_to_1(factor):
    kernel = bilinear_kernel(factor)
    meeting = sum(kernel[i : i + factor, j : j + factor] for i in (0, factor) for j in (0, factor))
    np.testing.assert_allclose(meeting, np.ones((factor, factor)), rtol=1e-6)


def test_a_factor_below_1_is_refused():
    with pytest.raises(ValueError, match="at least 1, got 0"):
        bilinear_kernel(0)


def test_channels_do_not_mix():
    kernel = np.asarray(Bilinear()((4, 4, 3, 3)))
    for out in range(3):
        for into in range(3):
            np.testing.assert_array_equal(
                kernel[:, :, out, into], bilinear_kernel(2) if out == into else np.zeros((4, 4))
            )


@pytest.mark.parametrize("shape", [(4, 6, 2, 2), (3, 3, 2, 2), (4, 4, 2, 3)])
def test_other_kernels_are_refused(shape):
    with pytest.raises(ValueError, match="needs a kernel"):
        Bilinear()(shape)


def test_a_constant_stays_constant_away_from_the_border():
    big = upsample(np.full((4, 5), -3.0), 8)
    assert big.shape == (40, 48)
    np.testing.assert_allclose(big[8:-8, 8:-8], -3, rtol=1e-6)
    # and fades to 0 beyond: 1/16 of it in each direction
    assert big[0, 0] == pytest.approx(-3 / 256)


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_a_ramp_stays_a_ramp(factor):
    rows, columns = np.mgrid[:6, :7]
    big = upsample(2 * rows + 3 * columns, factor)
    y, x = (np.mgrid[: big.shape[0], : big.shape[1]] - (2 * factor - 1) / 2) / factor
    inside = (slice(factor, -factor),) * 2
    np.testing.assert_allclose(big[inside], (2 * y + 3 * x)[inside], atol=1e-4)


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_equals_pillows_bilinear_resize_away_from_the_border(factor):
    """Pillow resizes with half-pixel centres; SAME padding leaves just the pixels of the input's
    area.
    """
    values = np.random.default_rng(0).normal(size=(6, 9)).astype(np.float32)
    expected = Image.fromarray(values).resize((9 * factor, 6 * factor), Image.Resampling.BILINEAR)
    inside = (slice(factor // 2, -(factor // 2)),) * 2
    np.testing.assert_allclose(
        upsample(values, factor, "same")[inside], np.asarray(expected)[inside], atol=1e-5
    )


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("factor", [1, 2, 3, 4, 16])
def test_upsampling_without_a_kernel_is_the_transposed_convolution_gradients_included(
    factor, padding
):
    maps = np.random.default_rng(factor).normal(size=(2, 5, 3, 4))
    deconvolution = keras.layers.Conv2DTranspose(
        4, 2 * factor, factor, padding, use_bias=False, kernel_initializer=Bilinear(),
        dtype="float64"
    )  # fmt: skip
    found = []
    for layer in (Upsample(factor, padding, dtype="float64"), deconvolution):
        x = keras.Input((None, None, 4), dtype="float64")
        net = keras.Model(x, layer(x))

        @tf.function  # where the sides are known only when it runs, as in the nets
        def run(x, net=net):
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = net(x)
                loss = tf.reduce_sum(tf.sin(3 * y))
            return y, tape.gradient(loss, x)

        found.append(run(tf.constant(maps)))
    assert found[0][0].shape[1] == (6 if padding == "valid" else 5) * factor
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6 * np.abs(theirs).max())
    np.testing.assert_allclose(
        Upsample(factor, padding)(maps.astype(np.float32)), found[0][0], rtol=0, atol=1e-6
    )


def test_upsampling_has_no_weights_and_says_its_shape_before_it_is_run():
    layer = Upsample(8, "valid")
    assert layer(keras.Input((None, 6, 150))).shape == (None, None, 56, 150)
    assert Upsample(8, "same")(keras.Input((5, None, 3))).shape == (None, 40, None, 3)
    assert layer.weights == []


def test_upsampling_is_restored_from_its_configuration():
    layer = Upsample(4, "same", name="upscore4")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is Upsample
    assert again.get_config() == layer.get_config()
