"""Classes and how sure the net is of them, at a size that is chosen: by hand, and against the whole
arrays.
"""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from fcn.net import surgery
from fcn.net.model import build
from fcn.predict import scaled
from fcn.predict.predictor import Predictor


def last(steps):
    """What a generator yields, and what it returns."""
    told = []
    while True:
        try:
            told.append(next(steps))
        except StopIteration as end:
            return told, end.value


@pytest.fixture
def net(small):
    spec = small("fcn32s", padding="same")
    model, draw = build(spec), np.random.default_rng(3)
    for weight in surgery.named_weights(model).values():
        if weight.path.endswith("kernel"):
            weight.assign(draw.normal(0, 1.4 / np.sqrt(np.prod(weight.shape[:-1])), weight.shape))
    return Predictor(model, spec, tile=640)


@pytest.mark.parametrize(
    ("given", "side", "wanted"),
    [
        ((4000, 3000), 500, (500, 375)),
        ((3000, 4000), 500, (375, 500)),
        ((500, 20), 500, (500, 20)),
        ((16000, 1), 500, (500, 1)),
        ((4000, 3000), None, (4000, 3000)),
    ],
)
def test_the_size_at_which_a_picture_is_computed(given, side, wanted):
    width, height = given
    assert scaled.size(width, height, side) == wanted


def test_at_its_own_size_tiles_give_what_the_whole_arrays_give(net):
    image = np.random.default_rng(0).integers(0, 256, (700, 900, 3), np.uint8)
    whole = net.predict(image, probabilities=True)
    told, found = last(scaled.steps(net, image, None))
    assert told == [(tile, net.tiles(900, 700)) for tile in range(1, net.tiles(900, 700) + 1)]
    assert len(told) > 1
    assert len(np.unique(found.labels)) > 1
    np.testing.assert_array_equal(found.labels, whole.labels)
    np.testing.assert_array_equal(found.sure, np.rint(100 * whole.probabilities.max(-1)))
    assert found.computed == (900, 700)


def test_a_large_picture_is_computed_smaller_and_answered_at_its_own_size(net):
    image = np.random.default_rng(0).integers(0, 256, (300, 1000, 3), np.uint8)
    told, found = last(scaled.steps(net, image, 500))
    assert told == [(1, 1)]
    assert found.computed == (500, 150)
    assert found.labels.shape == found.sure.shape == (300, 1000)
    small = net.predict(scaled.reduced(image, 500), probabilities=True).probabilities
    planes = [Image.fromarray(small[..., value].copy()) for value in range(small.shape[2])]
    wide = [plane.resize((1000, 300), Image.Resampling.BILINEAR) for plane in planes]
    large = np.stack([np.asarray(plane) for plane in wide], -1)
    np.testing.assert_array_equal(found.labels, large.argmax(-1))
    np.testing.assert_array_equal(found.sure, np.rint(100 * large.max(-1)))


def test_bands_of_rows_give_what_the_whole_picture_gives(monkeypatch):
    soft = np.random.default_rng(1).dirichlet(np.ones(4), (30, 40)).astype(np.float32)
    whole = scaled.enlarged(soft, (160, 1000))
    monkeypatch.setattr(scaled, "_BAND", 7)
    banded = scaled.enlarged(soft, (160, 1000))
    assert (banded[0] != whole[0]).mean() < 1e-4  # rounding, where two are as likely
    np.testing.assert_allclose(banded[1].astype(int), whole[1], atol=1)


def test_of_classes_that_are_as_likely_the_lower_one_is_taken():
    soft = np.array([[[0.5, 0.5, 0.0], [0.0, 0.2, 0.8]]], np.float32)
    labels, sure = scaled.enlarged(soft, (2, 1))
    assert (labels.tolist(), sure.tolist()) == ([[0, 2]], [[50, 80]])


def test_no_more_than_a_tile_of_probabilities_is_held(net):
    """At the picture's own size."""
    shapes = []

    def parts(image, probabilities):
        for part in net.parts(image, probabilities):
            shapes.append(part.probabilities.shape)
            yield part

    spied = SimpleNamespace(parts=parts, tiles=net.tiles)
    last(scaled.steps(spied, np.zeros((700, 1300, 3), np.uint8), None))
    assert sum(height * width for height, width, _ in shapes) == 700 * 1300
    assert max(height * width for height, width, _ in shapes) <= 640 * 640
