from dataclasses import replace

import keras
import numpy as np
import pytest

from fcn.errors import UserError
from fcn.hardware import cpu
from fcn.net import model
from fcn.net.layers import Crop
from fcn.net.surgery import named_weights
from fcn.spec import MEAN_BGR, ModelSpec

VARIANTS = ["fcn32s", "fcn16s", "fcn8s", "fcn8s_atonce"]
PADDINGS = ["caffe", "same"]


def outputs(net, names, image, training=False):
    """What the named layers give for an image (H, W, 3)."""
    inner = keras.Model(net.input, {name: net.get_layer(name).output for name in names})
    values = inner(np.asarray(image, np.float32)[None], training=training)
    return {name: np.asarray(value)[0] for name, value in values.items()}


@pytest.mark.parametrize(
    ("variant", "count"),
    [
        ("fcn32s", 134_346_581),
        ("fcn16s", 134_357_354),
        ("fcn8s", 134_362_751),
        ("fcn8s_atonce", 134_362_751),
    ],
)
def test_full_width_net_has_the_papers_number_of_parameters(variant, count):
    spec = ModelSpec(
        variant, "vgg16", tuple(map(str, range(21))), 1.0, 4096, "caffe", "fixed", 0.5, MEAN_BGR
    )
    with keras.StatelessScope(initialize_variables=False):  # shapes only: nothing is allocated
        net = model.build(spec)
        assert sum(int(np.prod(weight.shape)) for weight in net.trainable_weights) == count


@pytest.mark.parametrize(
    ("variant", "wide", "high"),
    [
        ("fcn32s", {"fc6": 16, "upscore": 544}, {"fc6": 12, "upscore": 416}),
        (
            "fcn16s",
            {"fc6": 16, "upscore2": 34, "upscore16": 560},
            {"fc6": 12, "upscore2": 26, "upscore16": 432},
        ),
        (
            "fcn8s",
            {"fc6": 16, "upscore2": 34, "upscore_pool4": 70, "upscore8": 568},
            {"fc6": 12, "upscore2": 26, "upscore_pool4": 54, "upscore8": 440},
        ),
    ],
)
def test_spatial_chain_of_500_by_375_pixels(small, variant, wide, high):
    wide |= {
        "conv1_1": 698,
        "pool1": 349,
        "pool2": 175,
        "pool3": 88,
        "pool4": 44,
        "pool5": 22,
        "score": 500,
    }
    high |= {
        "conv1_1": 573,
        "pool1": 287,
        "pool2": 144,
        "pool3": 72,
        "pool4": 36,
        "pool5": 18,
        "score": 375,
    }
    found = outputs(
        model.build(small(variant, width=1 / 64, fc_units=2)), list(wide), np.zeros((375, 500, 3))
    )
    assert {name: value.shape[:2] for name, value in found.items()} == {
        name: (high[name], wide[name]) for name in wide
    }


@pytest.mark.parametrize(
    ("side", "sides"),
    [
        (28, (52, 48, 24, 20, 10, 7, 32)),
        (27, (51, 47, 24, 20, 10, 7, 32)),
        (45, (69, 65, 33, 29, 15, 12, 52)),
    ],
)
def test_lenets_spatial_chain_and_its_layers(lenet, side, sides):
    net = model.build(lenet())
    names = ["border", "conv1", "pool1", "conv2", "pool2", "ip1", "upscore4"]
    assert [layer.name for layer in net.layers] == [
        "image",
        "data",
        *names[:-1],
        "score_fr",
        "upscore4",
        "score",
    ]
    found = outputs(net, [*names, "score_fr", "score"], np.zeros((side, side + 28, 3)))
    assert [found[name].shape[0] for name in names] == list(sides)
    # 28 pixels more are 7 cells more.
    assert (found["score_fr"].shape, found["score"].shape) == (
        (sides[5], sides[5] + 7, 3),
        (side, side + 28, 3),
    )


def test_lenet_has_as_many_parameters_as_lenet_and_10_scores_more(lenet):
    spec = lenet(width=1.0, fc_units=500, classes=tuple("0123456789"))
    sizes = {
        name: int(np.prod(weight.shape))
        for name, weight in named_weights(model.build(spec)).items()
    }
    assert sizes == {
        "conv1/kernel": 500, "conv1/bias": 20, "conv2/kernel": 25_000, "conv2/bias": 50,
        "ip1/kernel": 400_000,
        "ip1/bias": 500, "score_fr/kernel": 5_000, "score_fr/bias": 10,
    }  # fmt: skip


def test_lenet_sees_grey_and_has_relu_after_the_dense_layer_alone(lenet):
    keras.utils.set_random_seed(2)
    image = np.random.default_rng(0).uniform(0, 255, (20, 24, 3))
    found = outputs(model.build(lenet()), ["border", "conv1", "conv2", "ip1"], image)
    np.testing.assert_allclose(
        found["border"][12:-12, 12:-12, 0], image @ [0.299, 0.587, 0.114] / 256, rtol=1e-5
    )
    assert found["border"].shape == (44, 48, 1)
    assert found["border"][:12].max() == found["border"][:, -12:].max() == 0
    assert (
        min(found["conv1"].min(), found["conv2"].min())
        < 0
        == found["ip1"].min()
        < found["ip1"].max()
    )


def test_lenets_scores_are_as_large_as_the_image_whatever_its_sides(lenet):
    net = model.build(lenet(width=0.1, fc_units=2))
    for side in range(1, 130):
        assert net(np.zeros((1, side, 130 - side, 3), np.uint8)).shape == (1, side, 130 - side, 3)


def test_crop_offsets_are_the_authors(small):
    found = {
        variant: {
            layer.name: layer.offset
            for layer in model.build(small(variant)).layers
            if isinstance(layer, Crop)
        }
        for variant in VARIANTS
    }
    eight = {"score_pool4c": 5, "score_pool3c": 9, "score": 31}
    assert found == {
        "fcn32s": {"score": 19}, "fcn16s": {"score_pool4c": 5, "score": 27}, "fcn8s": eight,
        "fcn8s_atonce": eight,
    }  # fmt: skip


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_scores_are_as_large_as_the_image_whatever_its_sides(small, variant, padding):
    net = model.build(small(variant, padding=padding, width=1 / 64, fc_units=2))
    for height, width in [(1, 1), (1, 33), (31, 2), (47, 65), (97, 64)]:
        assert net(np.zeros((1, height, width, 3), np.uint8)).shape == (1, height, width, 3)


def test_the_border_is_zero_after_the_mean_was_subtracted(small):
    net = model.build(small())
    black = outputs(net, ["border"], np.zeros((2, 3, 3)))["border"]
    assert black.shape == (202, 203, 3)
    np.testing.assert_allclose(
        black[100:102, 100:103], np.broadcast_to(-np.array(MEAN_BGR), (2, 3, 3)), rtol=1e-6
    )
    assert np.count_nonzero(black) == 2 * 3 * 3


def test_pooling_takes_the_maximum_and_keeps_the_last_odd_row(small):
    found = outputs(
        model.build(small(padding="same")),
        ["conv1_2", "pool1"],
        np.random.default_rng(0).normal(size=(5, 7, 3)),
    )
    tiles = [
        [found["conv1_2"][2 * i : 2 * i + 2, 2 * j : 2 * j + 2].max((0, 1)) for j in range(4)]
        for i in range(3)
    ]
    np.testing.assert_array_equal(found["pool1"], tiles)


def test_dropout_drops_single_values_and_only_in_training(small):
    keras.utils.set_random_seed(1)
    net = model.build(small(fc_units=64))
    image = np.random.default_rng(0).normal(size=(40, 40, 3)) * 60
    resting = outputs(net, ["fc6", "drop6", "fc7", "drop7"], image)
    np.testing.assert_array_equal(resting["drop6"], resting["fc6"])
    np.testing.assert_array_equal(resting["drop7"], resting["fc7"])
    found = outputs(net, ["fc6", "drop6", "fc7", "drop7"], image, training=True)
    for before, after in (("fc6", "drop6"), ("fc7", "drop7")):
        active = found[before] > 0
        dropped = active & (found[after] == 0)
        np.testing.assert_allclose(
            found[after][active & ~dropped], 2 * found[before][active & ~dropped], rtol=1e-6
        )
        assert 0.35 < dropped.sum() / active.sum() < 0.65
        # Single values, not whole channels: some channel is dropped here and kept there.
        assert (dropped.any((0, 1)) & (active & ~dropped).any((0, 1))).any()


@pytest.mark.parametrize(
    ("upsampling", "trained"),
    [("fixed", set()), ("learned", {"upscore2/kernel", "upscore_pool4/kernel"})],
)
def test_only_the_inner_upsampling_is_ever_learned(small, upsampling, trained):
    weights = named_weights(model.build(small("fcn8s", upsampling=upsampling)))
    assert all(weight.trainable for weight in weights.values())
    assert {name for name in weights if name.startswith("upscore")} == trained


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_fresh_net_scores_every_class_with_0(small, variant):
    assert not np.asarray(model.build(small(variant))(np.full((1, 9, 8, 3), 200.0))).any()


def test_vgg19_has_three_more_convolutions(small):
    names = {layer.name for layer in model.build(small(backbone="vgg19")).layers}
    assert names - {layer.name for layer in model.build(small()).layers} == {
        "conv3_4",
        "conv4_4",
        "conv5_4",
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"variant": "fcn4s", "backbone": "vgg16"},
            "backbone: expected lenet for fcn4s; got 'vgg16'",
        ),
        (
            {"variant": "fcn8s", "backbone": "lenet"},
            "backbone: expected vgg13 or vgg16 or vgg19 for fcn8s; got 'lenet'",
        ),
        ({"padding": "same"}, "padding: expected one of caffe with the backbone lenet; got 'same'"),
        ({"dropout": 0.5}, "dropout: lenet has none: expected 0; got 0.5"),
        (
            {"mean_bgr": MEAN_BGR},
            r"mean_bgr: lenet takes grey without a mean: expected 0, 0, 0; got \(104",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(lenet, changes, message):
    with pytest.raises(UserError, match=message):
        model.build(replace(lenet(), **changes))


@pytest.mark.parametrize("key", ["variant", "backbone", "padding", "upsampling"])
def test_an_unknown_name_is_refused_with_the_choices(small, key):
    with pytest.raises(UserError, match=rf"{key}: expected one of \w+.*; got 'nonsense'"):
        model.build(small(**{"variant": "fcn32s", key: "nonsense"}))


def test_only_a_large_net_has_its_memory_given_back(small, monkeypatch):
    told = []
    monkeypatch.setattr(cpu, "give_back_memory", lambda: told.append(True))
    model.build(small("fcn8s"))
    assert told == []
    monkeypatch.setattr(model, "LARGE", 1000)
    model.build(small("fcn8s"))
    assert told == [True]


def test_kernels_that_fit_are_taken_and_the_others_begin_as_zero(small):
    spec = small("fcn8s")
    kernels = {
        name: np.full(weight.shape, 0.5, np.float64)
        for name, weight in named_weights(model.build(spec)).items()
        if name in ("conv1_1/kernel", "fc6/kernel", "conv1_1/bias")
    }
    kernels["conv1_2/kernel"] = np.ones((3, 3, 1, 1), np.float32)
    net = model.build(spec, kernels)
    assert sorted(kernels) == ["conv1_1/bias", "conv1_2/kernel"]
    found = {name: np.asarray(weight) for name, weight in named_weights(net).items()}
    assert (found["fc6/kernel"] == 0.5).all()
    assert found["conv1_1/kernel"].dtype == np.float32
    assert not found["conv1_2/kernel"].any()
    assert not found["conv1_1/bias"].any()
