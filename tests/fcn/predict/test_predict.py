import itertools

import keras
import numpy as np
import pytest
from keras import ops

from fcn.errors import UserError
from fcn.net import model, surgery
from fcn.predict import predictor as predict

CORNERS = [(1, 1), (1, 9), (7, 1), (40, 30), (31, 65), (100, 33), (97, 96)]
"""Heights and widths."""


@pytest.fixture
def colour(lenet):
    """A net whose scores are the red, green and blue of each pixel, divided by 100, called LeNet
    for its small tiles.
    """
    keras.config.set_dtype_policy("float32")
    image = keras.Input((None, None, 3), dtype="float32")
    return keras.Model(image, image / 100), lenet(classes=("red", "green", "blue"))


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def blobs(height, width, seed=0):
    """Coloured squares of 20 pixels under noise: what shows in the maps of all strides."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (-(-height // 20), -(-width // 20), 3))
    large = np.kron(coarse, np.ones((20, 20, 1), int))[:height, :width]
    return (large + rng.integers(-30, 30, large.shape)).clip(0, 255).astype(np.uint8)


def untrained(spec):
    """A net in which every map has a say, with scores that differ by about 1 on `blobs`."""
    net, rng = model.build(spec), np.random.default_rng(5)
    weights = surgery.named_weights(net)
    for name, weight in weights.items():
        if name.endswith("kernel") and "upscore" not in name:
            weight.assign(rng.normal(0, 1, weight.shape) * np.sqrt(2 / np.prod(weight.shape[:3])))
    spread = float(ops.std(net(blobs(200, 200, seed=1)[None])))
    for name, weight in weights.items():
        if name.startswith("score"):
            weight.assign(weight / spread)
    return net


@pytest.mark.parametrize(("height", "width"), CORNERS)
def test_labels_and_probabilities_by_hand_at_every_size(colour, height, width):
    net, spec = colour
    image = noise(height, width)
    found = predict.Predictor(net, spec, tile=44).predict(image, probabilities=True)
    assert found.probabilities is not None
    assert (found.labels.dtype, found.probabilities.dtype) == (np.uint8, np.float32)
    np.testing.assert_array_equal(found.labels, image.argmax(-1))
    powers = np.exp(image / 100)
    np.testing.assert_allclose(
        found.probabilities, powers / powers.sum(-1, keepdims=True), rtol=1e-5
    )


def test_probabilities_only_where_asked_for(colour):
    net, spec = colour
    image = noise(50, 60)
    found = predict.Predictor(net, spec, tile=44).predict(image)
    assert found.probabilities is None
    np.testing.assert_array_equal(found.labels, image.argmax(-1))


def test_the_graph_is_not_made_anew_for_every_size(colour):
    _, spec = colour
    traced = []

    def count(image):
        traced.append(image.shape)
        return image

    image = keras.Input((None, None, 3), dtype="float32")
    predictor = predict.Predictor(
        keras.Model(image, keras.layers.Lambda(count)(image)), spec, tile=1024
    )
    before = len(traced)
    for height, width in CORNERS:
        predictor.predict(noise(height, width))
    # of fixed sides, and one after the other left open by TensorFlow as it varies
    assert len(traced) - before <= 3


@pytest.mark.parametrize(
    ("variant", "changes", "tile"),
    [
        ("fcn32s", {"padding": "caffe"}, 576),
        ("fcn8s", {"padding": "caffe"}, 576),
        ("fcn8s", {"padding": "same"}, 576),
        ("fcn16s", {"padding": "same", "backbone": "vgg19"}, 640),
    ],
)
def test_tiles_give_what_the_whole_image_gives(small, variant, changes, tile, monkeypatch):
    spec = small(variant, **changes)
    net, image = untrained(spec), blobs(75, 853)
    whole = predict.Predictor(net, spec, 4096).predict(image, probabilities=True)
    seen = []
    # more tiles, less to compute
    monkeypatch.setattr(predict.Predictor, "_longer", lambda self, short: self.tile)
    tiled = predict.Predictor(net, spec, tile).predict(
        image, probabilities=True, done=lambda *count: seen.append(count)
    )
    assert len(seen) >= 5
    assert seen == [(number, len(seen)) for number in range(1, len(seen) + 1)]
    assert np.ptp(whole.probabilities) > 0.5
    np.testing.assert_allclose(tiled.probabilities, whole.probabilities, atol=1e-5)
    assert (tiled.labels != whole.labels).mean() < 1e-4
    # The margin is what does it: with less of it, the cut edges show.
    careless = predict.Predictor(net, spec, tile)
    careless.margin = 64
    rough = careless.predict(image, probabilities=True).probabilities
    assert rough is not None
    assert np.abs(rough - whole.probabilities).max() > 1e-3


def test_tiles_of_lenet_too(lenet):
    spec = lenet()
    net, image = untrained(spec), noise(90, 107)
    whole = predict.Predictor(net, spec, 4096).predict(image, probabilities=True)
    # 44 are a multiple of its stride of 4
    tiled = predict.Predictor(net, spec, 47).predict(image, probabilities=True)
    np.testing.assert_allclose(tiled.probabilities, whole.probabilities, atol=1e-5)
    np.testing.assert_array_equal(tiled.labels, whole.labels)


def test_tiles_of_a_thin_image_are_long_and_give_the_same(lenet):
    spec = lenet()
    net, image = untrained(spec), noise(5, 900)
    whole = predict.Predictor(net, spec, 4096).predict(image)
    for picture in (image, image.swapaxes(0, 1)):
        predictor = predict.Predictor(net, spec, 100)
        seen: list[tuple[int, ...]] = []
        tiled = predictor.predict(picture, done=lambda *count, seen=seen: seen.append(count))
        assert seen == [(1, 2), (2, 2)]  # of 100 pixels' length they would be 15
        assert tiled.labels.shape == picture.shape[:2]
        if picture is image:
            np.testing.assert_array_equal(tiled.labels, whole.labels)


def test_the_cost_of_an_image_by_hand(lenet, small):
    """LeNet has a border of 12 and a stride of 4; VGG-16 with `padding: caffe` 100 and 32."""
    net, spec = _nothing(lenet())
    predictor = predict.Predictor(net, spec, tile=44)
    assert predictor.cost(40, 30) == (40 + 24) * (32 + 24)
    # Margins of 20: tiles of 44 pixels begin at 0, 4, 8, ..., 56, so there are 15 of them along 100
    # pixels.
    assert predictor.cost(100, 44) == 15 * (44 + 24) * (44 + 24)
    vgg = predict.Predictor(*_nothing(small("fcn8s", padding="caffe")))
    assert vgg.cost(500, 375) == (512 + 200) * (384 + 200)
    assert (
        vgg.cost(1, 24_000_000) == vgg.cost(24_000_000, 1) > predict.MOST > vgg.cost(16_320, 12_240)
    )


def _nothing(spec):
    image = keras.Input((None, None, 3), dtype="float32")
    return keras.Model(image, image), spec


def test_whoever_runs_the_steps_may_end_them(colour, monkeypatch):
    net, spec = colour
    ran = []
    predictor = predict.Predictor(net, spec, tile=44)

    def labels(tile):
        ran.append(1)
        return tile[..., 0].astype(np.uint8)

    monkeypatch.setattr(predictor, "_labels", labels)
    steps = predictor.steps(noise(44, 100))
    assert [next(steps), next(steps)] == [(1, 15), (2, 15)]
    steps.close()
    assert len(ran) == 2


@pytest.mark.parametrize(
    ("variant", "backbone", "expected"),
    [
        ("fcn32s", "vgg16", 256),
        ("fcn16s", "vgg16", 256),
        ("fcn8s", "vgg16", 256),
        ("fcn8s", "vgg19", 288),
    ],
)
def test_how_far_a_pixel_sees(small, variant, backbone, expected):
    """Against the net: one column of an image is changed, and the scores that
    change are looked at.
    """
    spec = small(variant, backbone=backbone, padding="same")
    assert predict.reach(spec) == expected
    net = model.build(spec)
    for name, weight in surgery.named_weights(net).items():
        if name.endswith("kernel") and "upscore" not in name:
            # positive: nothing cancels, no ReLU is shut
            weight.assign(np.full(weight.shape, 1 / np.prod(weight.shape[:3])))
    image = np.full((1, 32, 1184, 3), 200, np.float32)
    for column in range(592, 624, 5):
        changed = image.copy()
        changed[:, :, column] = 255
        moved = np.flatnonzero(
            np.abs(ops.convert_to_numpy(net(changed) - net(image))).max((0, 1, 3)) > 0
        )
        assert column - moved.min() <= expected
        assert moved.max() - column <= expected
        assert moved.max() - moved.min() > 1.5 * expected


def test_lenet_sees_13_and_a_half_pixels_and_what_its_upsampling_adds(lenet):
    assert predict.reach(lenet()) == 20  # 13.5 + 3.5 = 17, in cells of 4


@pytest.mark.parametrize(
    ("side", "tile", "margin"),
    [*itertools.product([1, 95, 96, 97, 128, 500, 1000], [96, 128], [32])],
)
def test_windows_cover_a_side_without_gap_or_overlap(side, tile, margin):
    found = predict.windows(side, tile, margin)
    assert [value for window in found for value in range(side)[window.kept]] == list(range(side))
    for number, window in enumerate(found):
        assert window.seen.start % 32 == 0
        assert window.seen.stop - window.seen.start <= tile
        assert window.kept.start - window.seen.start == (margin if number else 0)
        assert window.seen.stop - window.kept.stop == (margin if number < len(found) - 1 else 0)
    assert (len(found) == 1) == (side <= tile)


def test_windows_by_hand():
    found = predict.windows(200, 96, 32)
    assert [(each.seen.start, each.seen.stop, each.kept.start,
    each.kept.stop) for each in found] == [
        (0, 96, 0, 64), (32, 128, 64, 96), (64, 160, 96, 128), (96, 192, 128, 160), (128, 200, 160,
        200),
    ]  # fmt: skip


def test_tiles_that_are_nothing_but_margin_are_refused(small):
    spec = small("fcn8s", padding="same")
    with pytest.raises(
        UserError,
        match=r"tile: expected at least 544 pixels, since fcn8s on vgg16 sees 256 .* got 543",
    ):
        predict.Predictor(model.build(spec), spec, 543)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3)),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_what_is_no_image_is_refused(colour, image):
    with pytest.raises(UserError, match=r"expected an image of uint8 RGB \(H, W, 3\), got "):
        predict.Predictor(*colour).predict(image)


def test_a_model_folder_is_loaded_with_its_weights(small, tmp_path):
    spec = small("fcn16s", padding="same")
    net, image = untrained(spec), noise(40, 50)
    surgery.save(net, spec, tmp_path)
    loaded = predict.load(tmp_path, 640)
    assert (loaded.spec, loaded.tile, loaded.margin) == (spec, 640, 256)
    np.testing.assert_array_equal(
        loaded.predict(image).labels, ops.convert_to_numpy(net(image[None]))[0].argmax(-1)
    )


def test_bfloat16_is_near_float32(small, tmp_path):
    spec, image = small("fcn8s", padding="same"), blobs(80, 90)
    surgery.save(untrained(spec), spec, tmp_path)
    exact = predict.load(tmp_path).predict(image, probabilities=True).probabilities
    try:
        rough = (
            predict.load(tmp_path, precision="bfloat16")
            .predict(image, probabilities=True)
            .probabilities
        )
    finally:
        keras.config.set_dtype_policy("float32")
    assert rough is not None
    assert exact is not None
    assert rough.dtype == np.float32
    assert 0 < np.abs(rough - exact).max() < 0.05


def test_a_folder_that_is_no_model_is_named(tmp_path):
    with pytest.raises(
        UserError, match=r"expected a model folder with model\.json and weights\.npz"
    ):
        predict.load(tmp_path)
