import keras
import numpy as np
import pytest
from PIL import Image
from tiny import echo

from fcn.errors import UserError
from fcn.evaluate import views
from fcn.score import evaluation, metrics
from fcn.spec.protocols import PROTOCOLS, Evaluate, Protocol

MEAN = np.array([123, 117, 104], np.uint8)


def pair(height, width, seed=0):
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (height, width, 3), np.uint8), random.choice(
        [0, 1, 2, 255], (height, width)
    ).astype(np.uint8)


def test_the_headline_is_the_image_itself():
    image, truth = pair(37, 50)
    for given, found in zip(
        (image, truth), views.shown(PROTOCOLS["fcn"], image, truth, MEAN), strict=True
    ):
        np.testing.assert_array_equal(found, given)
    assert PROTOCOLS["fcn"] == Protocol()


# 520 x 500 / 375 = 693.3, 520 x 500 / 333 = 780.8, 520 x 500 / 281 = 925.3
@pytest.mark.parametrize(("size", "wanted"), [
    ((500, 375), (693, 520)), ((375, 500), (520, 693)), ((500, 333), (780, 520)), ((500, 281),
    (925, 520)),
    ((500, 500), (520, 520)), ((1040, 2080), (520, 1040)),
])  # fmt: skip
def test_resize520_has_torchvisions_sizes(size, wanted):
    width, height = size
    assert views.resized(width, height, 520) == wanted


def test_resize520_takes_pillows_bilinear_image_and_nearest_truth():
    image, truth = pair(26, 40)
    image2, truth2 = views.shown(PROTOCOLS["resize520"], image, truth, MEAN)
    assert image2.shape == (520, 800, 3)
    np.testing.assert_array_equal(truth2, truth.repeat(20, 0).repeat(20, 1))
    np.testing.assert_array_equal(
        image2, np.asarray(Image.fromarray(image).resize((800, 520), Image.Resampling.BILINEAR))
    )


def test_center513_puts_a_smaller_image_into_the_middle_of_mean_and_void():
    image, truth = pair(375, 500)
    shown, label = views.shown(PROTOCOLS["center513"], image, truth, MEAN)
    assert shown.shape == (513, 513, 3)
    # (513 - 375) / 2 = 69, (513 - 500) / 2 = 6.5
    np.testing.assert_array_equal(shown[69:444, 6:506], image)
    np.testing.assert_array_equal(label[69:444, 6:506], truth)
    outside = np.ones((513, 513), bool)
    outside[69:444, 6:506] = False
    assert (shown[outside] == MEAN).all()
    assert (label[outside] == 255).all()


def test_center513_cuts_the_middle_out_of_a_larger_one():
    image, truth = pair(600, 400)
    shown, label = views.shown(PROTOCOLS["center513"], image, truth, MEAN)
    # (600 - 513) / 2 = 43.5, (513 - 400) / 2 = 56.5
    np.testing.assert_array_equal(shown[:, 56:456], image[43:556])
    np.testing.assert_array_equal(label[:, 56:456], truth[43:556])
    assert (label == 255).sum() == 513 * 113 + (truth[43:556] == 255).sum()


def test_resize513_center_leaves_out_the_ends_of_the_longer_side():
    truth = np.zeros((171, 342), np.uint8)
    # x 3: the window begins at 1026 / 2 - 256.5 = column 256 of 1026
    truth[:, :85], truth[:, 257:] = 1, 2
    _, label = views.shown(
        PROTOCOLS["resize513_center"], np.zeros((171, 342, 3), np.uint8), truth, MEAN
    )
    assert label.shape == (513, 513)
    assert (label == 0).all()


def test_a_perfect_net_is_perfect_by_every_protocol_and_void_is_not_counted():
    image = np.zeros((60, 90, 3), np.uint8)
    truth = np.zeros((60, 90), np.uint8)
    truth[:, 30:60], truth[:, 60:] = 1, 255
    image[..., 0], image[:, 30:60] = 200, (0, 200, 0)
    batch = {"image": image[None], "label": truth[None]}
    # The two stripes' pixels: 60 x 30 each; enlarged to 520 x 780: 520 x 260 each.
    for name, pixels in {"fcn": 1800, "center513": 1800, "resize520": 135_200}.items():
        seen = views.views([batch], PROTOCOLS[name], MEAN)
        found = evaluation.evaluate(evaluation.labeler(echo()), seen, 3)
        np.testing.assert_array_equal(found, np.diag([pixels, pixels, 0]), err_msg=name)
        assert metrics.scores(found)["mean_iu"] == 1


def test_once_at_the_own_scale_is_the_plain_argmax():
    image, _ = pair(21, 34)
    found = evaluation.averaged(echo(), (1.0,), False)(image[None])
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, evaluation.labeler(echo())(image[None]))


def softmax(scores):
    raised = np.exp(scores - scores.max(-1, keepdims=True))
    return raised / raised.sum(-1, keepdims=True)


def test_mirrored_testing_is_the_mean_of_both_ways_round():
    """By a net that looks to the left neighbour, so that the two differ."""
    image = keras.Input((None, None, 3))
    conv = keras.layers.Conv2D(3, (1, 3), use_bias=False, padding="same")
    net = keras.Model(image, conv(image))
    kernel = np.zeros((1, 3, 3, 3))
    kernel[0, 0] = np.eye(3) * 0.02
    conv.set_weights([kernel])
    pixels, _ = pair(6, 9)
    padded = np.pad(pixels.astype(float), ((0, 0), (1, 1), (0, 0)))
    left, right = softmax(padded[:, :-2] * 0.02), softmax(padded[:, 2:] * 0.02)
    found = evaluation.averaged(net, (1.0,), True)(pixels[None])[0]
    np.testing.assert_array_equal(found, (left + right).argmax(-1))
    assert (found != left.argmax(-1)).any()


def bilinear(array, height, width):
    """Half-pixel centres, edges repeated; enlarging only."""

    def taps(small, large):
        at = np.clip((np.arange(large) + 0.5) * small / large - 0.5, 0, small - 1)
        low = np.floor(at).astype(int)
        return low, np.minimum(low + 1, small - 1), at - low

    y0, y1, fy = taps(array.shape[0], height)
    x0, x1, fx = taps(array.shape[1], width)
    rows = array[y0] * (1 - fy)[:, None, None] + array[y1] * fy[:, None, None]
    return rows[:, x0] * (1 - fx)[:, None] + rows[:, x1] * fx[:, None]


def test_several_scales_are_the_mean_of_probabilities_brought_back():
    """Doubled and at its own scale, with a net that scores 2 x 2 blocks; the way back halves, which
    is their mean.
    """
    image = keras.Input((None, None, 3))
    net = keras.Model(image, keras.layers.Rescaling(0.03)(image))
    pixels, _ = pair(8, 12, seed=3)
    doubled = softmax(bilinear(pixels.astype(float), 16, 24) * 0.03)
    # Bilinear without smoothing takes, at half the size, the mean of the four pixels around each
    # centre.
    back = doubled.reshape(8, 2, 12, 2, 3).mean((1, 3))
    wanted = softmax(pixels * 0.03) + back
    found = evaluation.averaged(net, (1.0, 2.0), False)(pixels[None])[0]
    np.testing.assert_array_equal(found, wanted.argmax(-1))
    assert (found != pixels.argmax(-1)).any()


def test_unknown_protocols_are_refused_with_those_that_there_are():
    with pytest.raises(UserError) as error:
        Evaluate(6, ("resize520", "resize500"))
    assert str(error.value) == (
        "protocols: expected any of resize520, center513, resize513_center, multiscale, each once; "
        "got 'resize500'"
    )
    for wrong in (("fcn",), ("center513", "center513")):
        with pytest.raises(UserError, match="each once"):
            Evaluate(6, wrong)
