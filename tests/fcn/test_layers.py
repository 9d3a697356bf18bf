import keras
import numpy as np
import pytest

from fcn.architecture import MEAN_BGR
from fcn.layers import Crop, MeanBGR


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_mean_is_subtracted_after_the_flip_to_bgr(dtype):
    red = np.array([[[[200, 30, 7]]]], dtype)  # RGB
    np.testing.assert_allclose(MeanBGR(MEAN_BGR)(red)[0, 0, 0], [7 - 104.00699, 30 - 116.66877, 200 - 122.67892], rtol=1e-6)


def test_mean_of_bytes_does_not_wrap_around():
    np.testing.assert_array_equal(MeanBGR((1, 2, 3))(np.zeros((1, 1, 1, 3), np.uint8))[0, 0, 0], [-1, -2, -3])


def test_crop_takes_the_window_at_the_offset():
    source = np.arange(2 * 6 * 7 * 2, dtype=np.float32).reshape(2, 6, 7, 2)
    window = np.asarray(Crop(2)(source, np.zeros((2, 3, 4, 9), np.float32)))
    np.testing.assert_array_equal(window, source[:, 2:5, 2:6])


def test_crop_says_its_shape_before_it_is_run():
    source, like = keras.Input((None, None, 5)), keras.Input((3, 4, 9))
    assert Crop(2)(source, like).shape == (None, 3, 4, 5)


@pytest.mark.parametrize("layer", [MeanBGR((1.5, 2, 3)), Crop(19)])
def test_layers_are_restored_from_their_configuration(layer):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is type(layer)
    assert again.get_config() == layer.get_config()
