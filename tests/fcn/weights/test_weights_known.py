"""What a file does not say of itself, told from known values; and how two files are compared."""

import numpy as np
import pytest
from weight_files import classifier, hwio, write_mat

from fcn.errors import UserError
from fcn.io import files
from fcn.spec import BACKBONES
from fcn.weights import account, readers
from fcn.weights.conversion import convert

# Printed by somebody else's VGG-16 on the same picture, at these rows, columns and channels, after
# ReLU.
INDEX = np.array([0, 1, 2, -3, -2, -1])


@pytest.fixture
def real(realdata):
    """The published conv1_1, in Caffe's shapes."""
    known = files.load_arrays(realdata / "vgg" / "vgg16_partial.npz")
    return known["block1_conv1/kernel"].transpose(3, 2, 0, 1), known["block1_conv1/bias_q11"]


@pytest.fixture
def layers(real):
    """A VGG-16 whose first layer is the published one."""
    rng = np.random.default_rng(1)
    return classifier() | {
        "conv1_1": real,
        "conv1_2": (rng.normal(size=(2, 64, 3, 3)).astype("f4"), np.zeros(2, "f4")),
    }


def conv1_1(picture, weights):
    """ReLU(conv1_1) of a picture H x W x 3 at the printed places, as (6, 6, 6)."""
    padded = np.pad(picture, ((1, 1), (1, 1), (0, 0)))
    places = INDEX % picture.shape[0]
    patches = np.stack([[padded[y : y + 3, x : x + 3] for x in places] for y in places])
    scores = (
        np.tensordot(patches, weights["conv1_1/kernel"].astype("f8"), 3) + weights["conv1_1/bias"]
    )
    return np.maximum(scores, 0)[:, :, INDEX]


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("forms", "order", "action"),
    [
        ({}, "rgb", "copied with channels flipped"),
        # the mean image lies, the values win
        ({"mean": (103.939, 116.779, 123.68)}, "rgb", "copied with channels flipped"),
        (
            {"columns_first": True},
            "rgb",
            "copied with channels flipped with rows and columns swapped",
        ),
    ],
    ids=["as published", "with the mean of BGR", "columns first"],
)
def test_the_axis_order_of_matconvnet_by_a_known_activation(
    tmp_path, realdata, layers, forms, order, action
):
    write_mat(tmp_path / "vgg", hwio(layers), **forms)
    found = readers.read(tmp_path / "vgg")
    weights, report = convert(found.layers, "vgg16", "it", found.axes, found.channels)
    assert report[0]["action"] == action
    assert (report[0]["input_order"], report[0]["input_order_by"]) == (order, "values")
    # Only the first layer is the published one, and of that the bias is rounded.
    assert report[0]["published"] is None
    assert report[0]["differing"] == BACKBONES["vgg16"].convolutions()
    folder = realdata / "vgg" / "reference_activations"
    picture = np.loadtxt(folder / "persian_cat.txt").reshape(224, 224, 3)  # BGR minus the mean
    printed = np.load(folder / "printed_activations.npz")["conv1_1"]
    assert printed.max() > 300
    np.testing.assert_allclose(conv1_1(picture, weights), printed, rtol=0, atol=0.02)
    # The other orders are far off, so this does decide.
    kernel = weights["conv1_1/kernel"]
    for wrong in (kernel[:, :, ::-1], kernel.transpose(1, 0, 2, 3), kernel[::-1, ::-1]):
        assert np.abs(conv1_1(picture, {**weights, "conv1_1/kernel": wrong}) - printed).max() > 1
    # And where the first layer's rows are columns, so are those of every other one.
    straight, _ = convert(layers, "vgg16")
    np.testing.assert_array_equal(weights["fc6/kernel"], straight["fc6/kernel"])
    np.testing.assert_array_equal(weights["conv3_2/kernel"], straight["conv3_2/kernel"])


@pytest.mark.realdata
@pytest.mark.parametrize(("flip", "order"), [(1, "bgr"), (-1, "rgb")])
def test_the_published_vgg16_tells_its_channel_order_and_becomes_bgr(layers, real, flip, order):
    kernel, bias = real
    layers["conv1_1"] = (kernel[:, ::flip], bias)
    weights, report = convert(layers, "vgg16")
    assert (report[0]["input_order"], report[0]["input_order_by"]) == (order, "values")
    # Published: bias 0.7339 0.0933 0.0674 0.8862 ..., kernel mean -0.0024, std 0.2067.
    assert (report[0]["mean"], report[0]["std"]) == (
        pytest.approx(-0.0024, abs=5e-5),
        pytest.approx(0.2067, abs=5e-5),
    )
    np.testing.assert_array_equal(weights["conv1_1/kernel"], kernel.transpose(2, 3, 1, 0))


@pytest.mark.realdata
def test_the_published_vgg16_is_known_by_all_of_its_convolutions(realdata):
    found = readers.read(realdata / "vgg" / "vgg16_notop.h5")
    weights, report = convert(found.layers, "vgg16", "it", found.axes, found.channels)
    assert (found.container, len(weights)) == ("Keras .h5", 26)
    assert (report[0]["published"], report[0]["differing"]) == ("vgg16", [])
    assert (report[0]["input_order"], report[0]["input_order_by"]) == ("bgr", "values")
    kernel, bias = found.layers["conv4_2"]
    kernel = kernel.copy()
    kernel[0, 0, 0, 0] += 1e-3
    _, report = convert(
        {**found.layers, "conv4_2": (kernel, bias)}, "vgg16", "it", found.axes, found.channels
    )
    assert (report[0]["published"], report[0]["differing"]) == (None, ["conv4_2"])


def test_the_published_vgg19_is_known_by_its_biases_alone():
    layers = classifier("vgg19")
    bias = np.array([0.7301776, 0.06493629, 0.03428847, 1], np.float32)
    layers["conv1_1"] = (np.ones((4, 3, 3, 3), np.float32), bias)
    layers["conv1_2"] = (np.ones((2, 4, 3, 3), np.float32), np.ones(2, np.float32))
    _, report = convert(layers, "vgg19", channels="rgb")
    assert (report[0]["published"], report[0]["input_order"], report[0]["input_order_by"]) == (
        "vgg19",
        "rgb",
        "container",
    )


def test_an_rgb_kernel_becomes_bgr_and_no_other_changes():
    layers = classifier()
    weights, report = convert(layers, "vgg16", channels="rgb")
    expected, _ = convert(layers, "vgg16")
    # blue was last
    np.testing.assert_array_equal(
        weights["conv1_1/kernel"][0, 2, 0], layers["conv1_1"][0][:, 2, 0, 2]
    )
    assert [name for name in weights if weights[name].tobytes() != expected[name].tobytes()] == [
        "conv1_1/kernel"
    ]
    assert report[0]["action"] == "transposed with channels flipped"


def test_the_same_weights_differ_by_nothing():
    first, _ = convert(classifier(), "vgg16")
    rows = account.differences(first, {name: array.copy() for name, array in first.items()}, "b.h5")
    assert [(row["layer"], row["array"]) for row in rows] == [
        tuple(name.split("/")) for name in first
    ]
    assert {row["largest"] for row in rows} == {0}
    assert not any("explained_by" in row for row in rows)


def test_the_largest_difference_is_that_of_the_numbers():
    first = {
        "a/kernel": np.zeros((3, 3, 2, 2), np.float32),
        "a/bias": np.array([1, -4], np.float32),
    }
    first["a/kernel"][0, 1, 0, 1] = 8
    second = {name: array.copy() for name, array in first.items()}
    second["a/kernel"][2, 2, 1, 1] = -0.5
    second["a/bias"][0] = 1.001
    kernel, bias = account.differences(first, second, "b")
    assert kernel == {
        "layer": "a",
        "array": "kernel",
        "largest": 0.5,
        "share": 0.0625,
        "explained_by": None,
    }
    assert (bias["largest"], bias["share"]) == (
        pytest.approx(0.001, rel=1e-3),
        pytest.approx(0.00025, rel=1e-3),
    )


@pytest.mark.parametrize(
    ("layer", "mistake", "why"),
    [
        ("conv1_1", lambda k: k[:, :, ::-1], "input channels flipped"),
        ("conv2_1", lambda k: k.transpose(1, 0, 2, 3), "rows and columns swapped"),
        ("conv2_1", lambda k: k[::-1, ::-1], "turned by 180 degrees"),
        (
            "fc6",
            lambda k: k.transpose(2, 0, 1, 3).reshape(k.shape),
            "a C x H x W matrix cut up as H x W x C",
        ),
        ("conv2_1", lambda k: k + 1, None),
    ],
)
def test_a_known_mistake_is_named(layer, mistake, why):
    first, _ = convert(classifier(), "vgg16")
    second = {**first, f"{layer}/kernel": mistake(first[f"{layer}/kernel"])}
    rows = {
        row["layer"]: row
        for row in account.differences(first, second, "b.h5")
        if "explained_by" in row
    }
    assert {name: row["explained_by"] for name, row in rows.items()} == {layer: why}


def test_another_network_cannot_be_compared():
    first, _ = convert(classifier(), "vgg16")
    second, _ = convert(classifier(width=3), "vgg16")
    with pytest.raises(
        UserError,
        match=r"b\.h5: wanted the same network .* is \(3, 3, 3, 3\) and not \(3, 3, 3, 2\)",
    ):
        account.differences(first, second, "b.h5")
