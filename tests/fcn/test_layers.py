import keras
import numpy as np
import pytest
from PIL import Image

from fcn.architecture import MEAN_BGR
from fcn.layers import Crop, Grey, MeanBGR


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_mean_is_subtracted_after_the_flip_to_bgr(dtype):
    red = np.array([[[[200, 30, 7]]]], dtype)  # RGB
    np.testing.assert_allclose(MeanBGR(MEAN_BGR)(red)[0, 0, 0], [7 - 104.00699, 30 - 116.66877, 200 - 122.67892], rtol=1e-6)


def test_mean_of_bytes_does_not_wrap_around():
    np.testing.assert_array_equal(MeanBGR((1, 2, 3))(np.zeros((1, 1, 1, 3), np.uint8))[0, 0, 0], [-1, -2, -3])


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


def test_crop_says_its_shape_before_it_is_run():
    source, like = keras.Input((None, None, 5)), keras.Input((3, 4, 9))
    assert Crop(2)(source, like).shape == (None, 3, 4, 5)


@pytest.mark.parametrize("layer", [MeanBGR((1.5, 2, 3)), Grey(), Crop(19)])
def test_layers_are_restored_from_their_configuration(layer):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is type(layer)
    assert again.get_config() == layer.get_config()
