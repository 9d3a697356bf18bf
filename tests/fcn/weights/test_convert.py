import hashlib

import numpy as np
import pytest
from weight_files import classifier, hwio, lenet

from fcn.errors import UserError
from fcn.io import files
from fcn.spec import BACKBONES
from fcn.weights import caffe
from fcn.weights.conversion import convert


def convolve(image, kernel, bias):
    """Cross-correlation of H x W x C with kernel H x W x I x O where it fits as a whole, in plain
    loops.
    """
    high, wide = kernel.shape[:2]
    out = np.empty((image.shape[0] - high + 1, image.shape[1] - wide + 1, kernel.shape[3]))
    for y, x in np.ndindex(out.shape[:2]):
        out[y, x] = np.tensordot(image[y : y + high, x : x + wide].astype("f8"), kernel, 3) + bias
    return out


@pytest.mark.parametrize("backbone", ["vgg16", "vgg19"])
def test_all_layers_but_fc8_are_there_in_the_projects_shapes(backbone):
    weights, _ = convert(classifier(backbone), backbone)
    names = [name for block in BACKBONES[backbone].blocks for name, _ in block]
    assert list(weights) == [
        f"{name}/{array}" for name in (*names, "fc6", "fc7") for array in ("kernel", "bias")
    ]
    assert weights["conv1_1/kernel"].shape == (3, 3, 3, 2)
    assert weights["conv3_1/kernel"].shape == (3, 3, 4, 8)
    assert weights["fc6/kernel"].shape == (7, 7, 16, 5)
    assert weights["fc7/kernel"].shape == (1, 1, 5, 6)
    assert weights["fc7/bias"].shape == (6,)
    assert {array.dtype for array in weights.values()} == {np.dtype("f4")}
    assert all(array.flags.c_contiguous for array in weights.values())


def test_a_kernel_keeps_every_weight_in_its_place():
    layers = classifier()
    weights, _ = convert(layers, "vgg16")
    # Caffe: output, input, row, column.
    assert weights["conv2_1/kernel"][0, 2, 1, 3] == layers["conv2_1"][0][3, 1, 0, 2]
    np.testing.assert_array_equal(weights["conv2_1/bias"], layers["conv2_1"][1])


def test_fc6_and_fc7_as_convolutions_give_what_the_matrices_gave():
    layers = classifier()
    weights, _ = convert(layers, "vgg16")
    pool5 = np.random.default_rng(1).normal(size=(16, 7, 7))  # C x H x W, as Caffe flattens it
    hidden = layers["fc6"][0].astype("f8") @ pool5.reshape(-1) + layers["fc6"][1]
    scores = layers["fc7"][0].astype("f8") @ hidden + layers["fc7"][1]
    map6 = convolve(pool5.transpose(1, 2, 0), weights["fc6/kernel"], weights["fc6/bias"])
    map7 = convolve(map6, weights["fc7/kernel"], weights["fc7/bias"])
    assert map6.shape == (1, 1, 5)
    np.testing.assert_allclose(map6[0, 0], hidden, rtol=1e-12)
    np.testing.assert_allclose(map7[0, 0], scores, rtol=1e-12)
    # The orientation that is right only for matrices made for an H x W x C input.
    wrong = convolve(
        pool5.transpose(1, 2, 0), layers["fc6"][0].T.reshape(7, 7, 16, 5), weights["fc6/bias"]
    )
    assert not np.allclose(wrong[0, 0], hidden, rtol=0.1)


def test_layers_that_are_convolutions_already_give_the_same():
    layers = classifier()
    expected, _ = convert(layers, "vgg16")
    layers["fc6"] = (layers["fc6"][0].reshape(5, 16, 7, 7), layers["fc6"][1])
    layers["fc7"] = (layers["fc7"][0].reshape(6, 5, 1, 1), layers["fc7"][1])
    del layers["fc8"]
    weights, report = convert(layers, "vgg16")
    assert {name: array.tobytes() for name, array in weights.items()} == {
        n: a.tobytes() for n, a in expected.items()
    }
    assert {row["action"] for row in report} == {"transposed", "copied"}


def test_the_report_accounts_for_every_array_of_the_file():
    layers = classifier()
    weights, report = convert(layers, "vgg16")
    rows = {(row["layer"], row["array"]): row for row in report}
    assert len(rows) == len(report) == 2 * len(layers)
    kernel = layers["fc6"][0].astype("f8")
    assert rows["fc6", "kernel"] == {
        "layer": "fc6",
        "array": "kernel",
        "source_shape": [5, 784],
        "result_shape": [7, 7, 16, 5],
        "action": "convolutionalised",
        "mean": pytest.approx(kernel.mean(), rel=1e-5),
        "std": pytest.approx(kernel.std(), rel=1e-5),
        "sha256": hashlib.sha256(weights["fc6/kernel"].tobytes()).hexdigest()[:16],
    }
    assert rows["conv1_2", "kernel"]["action"] == "transposed"
    assert rows["conv1_2", "bias"]["action"] == "copied"
    assert rows["fc7", "kernel"]["action"] == "convolutionalised"
    for array in ("kernel", "bias"):
        assert rows["fc8", array]["action"] == "dropped"
        assert rows["fc8", array]["result_shape"] is rows["fc8", array]["sha256"] is None
    assert rows["fc8", "bias"]["mean"] == pytest.approx(layers["fc8"][1].mean(), rel=1e-5)
    assert [row["layer"] for row in report if "input_order" in row] == ["conv1_1"]
    assert (report[0]["input_order"], report[0]["input_order_by"], report[0]["published"]) == (
        "bgr",
        "container",
        None,
    )


def test_statistics_of_large_arrays_are_those_of_numpy():
    layers = classifier(hidden=1500)  # fc6: 1.2 million, more than one piece
    _, report = convert(layers, "vgg16")
    row = next(row for row in report if (row["layer"], row["array"]) == ("fc6", "kernel"))
    assert row["mean"] == pytest.approx(layers["fc6"][0].mean(dtype="f8"), rel=1e-5)
    assert row["std"] == pytest.approx(layers["fc6"][0].std(dtype="f8"), rel=1e-5)


def test_from_file_to_file_the_bytes_repeat(tmp_path):
    kinds = {"c": "Convolution", "f": "InnerProduct"}
    caffe.write(
        tmp_path / "x.caffemodel",
        "vgg",
        {n: (kinds[n[0]], blobs) for n, blobs in classifier().items()},
    )
    for name in ("1.npz", "2.npz"):
        files.save_arrays(
            tmp_path / name, convert(caffe.read(tmp_path / "x.caffemodel"), "vgg16")[0]
        )
    assert (tmp_path / "1.npz").read_bytes() == (tmp_path / "2.npz").read_bytes()
    expected, _ = convert(classifier(), "vgg16")
    for name, array in files.load_arrays(tmp_path / "1.npz").items():
        np.testing.assert_array_equal(array, expected[name], strict=True)


def without(name):
    return lambda layers: layers.pop(name)


def with_layer(**changes):
    return lambda layers: layers.update(changes)


ONES = np.ones


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("conv4_2"), "lacks conv4_2"),
        (without("fc6"), "lacks fc6"),
        (with_layer(prelu=(ONES(3),)), "has prelu, unknown to vgg16"),
        (with_layer(score_fr=(ONES((21, 6, 1, 1)), ONES(21))), "has score_fr, .*looks like an FCN"),
        (
            with_layer(conv1_2=(ONES((2, 2, 3, 3)),)),
            "conv1_2: wanted a kernel and a bias, but there are 1",
        ),
        (
            with_layer(conv1_1=(ONES((2, 1, 3, 3)), ONES(2))),
            "conv1_1: wanted a kernel of O x 3 x 3 x 3 .*is 2 x 1 x 3 x 3",
        ),
        (
            with_layer(conv1_2=(ONES((2, 2, 5, 5)), ONES(2))),
            "conv1_2: wanted a kernel of O x 2 x 3 x 3 .*is 2 x 2 x 5 x 5",
        ),
        (
            with_layer(conv2_1=(ONES((4, 3, 3, 3)), ONES(4))),
            "conv2_1: .*after a layer with 2 outputs, but it is 4 x 3",
        ),
        (
            with_layer(conv2_1=(ONES((4, 2, 3, 3)), ONES(5))),
            r"conv2_1: wanted one bias per output \(4\), but .* is 5",
        ),
        (
            with_layer(fc6=(ONES((5, 16 * 36)), ONES(5))),
            "fc6: .* O x 16 x 7 x 7 or O x 784 .*is 5 x 576",
        ),
        # DeepLab's reduced VGG
        (with_layer(fc6=(ONES((5, 16, 3, 3)), ONES(5))), "fc6: .*is 5 x 16 x 3 x 3"),
        (with_layer(fc7=(ONES((6, 4)), ONES(6))), "fc7: .* O x 5 x 1 x 1 or O x 5 .*is 6 x 4"),
        (
            with_layer(fc7=(np.full((6, 5), np.nan), ONES(6))),
            "fc7: the kernel holds numbers that are not finite",
        ),
    ],
)
def test_what_is_not_that_vgg_is_refused_naming_file_and_layer(change, message):
    layers = classifier()
    change(layers)
    with pytest.raises(UserError, match=message) as error:
        convert(layers, "vgg16", "raw/vgg.caffemodel")
    assert str(error.value).startswith("raw/vgg.caffemodel: ")


@pytest.mark.parametrize(("wanted", "other"), [("vgg16", "vgg19"), ("vgg19", "vgg16")])
def test_the_other_vgg_is_recognised(wanted, other):
    with pytest.raises(UserError, match=f"conv3_4.*those of {other}: set the backbone to {other}"):
        convert(classifier(other), wanted)


def test_another_network_is_listed():
    with pytest.raises(UserError, match="it is another network, with the layers conv1, ip1"):
        convert({"conv1": (ONES((2, 3, 3, 3)), ONES(2)), "ip1": (ONES((2, 2)), ONES(2))}, "vgg16")


def test_lenets_layers_but_ip2_are_there_in_the_projects_shapes():
    weights, report = convert(lenet(), "lenet")
    assert {name: array.shape for name, array in weights.items()} == {
        "conv1/kernel": (5, 5, 1, 2), "conv1/bias": (2,), "conv2/kernel": (5, 5, 2, 4),
        "conv2/bias": (4,),
        "ip1/kernel": (4, 4, 4, 5), "ip1/bias": (5,),
    }  # fmt: skip
    assert {(row["layer"], row["action"]) for row in report if row["array"] == "kernel"} == {
        ("conv1", "transposed"), ("conv2", "transposed"), ("ip1", "convolutionalised"), ("ip2",
        "dropped"),
    }  # fmt: skip
    assert {row["action"] for row in report if row["array"] == "bias"} == {"copied", "dropped"}
    assert (report[0]["input_order"], report[0]["input_order_by"], report[0]["published"]) == (
        "grey",
        "network",
        None,
    )


def test_ip1_as_a_convolution_gives_what_the_matrix_gave_at_every_place():
    layers = lenet()
    weights, _ = convert(layers, "lenet")
    # C x H x W, larger than the matrix' 4 x 4
    pool2 = np.random.default_rng(1).normal(size=(4, 5, 6))
    map1 = convolve(pool2.transpose(1, 2, 0), weights["ip1/kernel"], weights["ip1/bias"])
    assert map1.shape == (2, 3, 5)
    for y, x in np.ndindex(2, 3):
        expected = (
            layers["ip1"][0].astype("f8") @ pool2[:, y : y + 4, x : x + 4].reshape(-1)
            + layers["ip1"][1]
        )
        np.testing.assert_allclose(map1[y, x], expected, rtol=1e-12)
    wrong = convolve(
        pool2.transpose(1, 2, 0), layers["ip1"][0].T.reshape(4, 4, 4, 5), weights["ip1/bias"]
    )
    assert not np.allclose(wrong, map1, rtol=0.1)


def test_the_convolutions_alone_are_taken_but_not_a_part_of_the_fully_connected_layers():
    layers = lenet()
    weights, report = convert({name: layers[name] for name in ("conv1", "conv2")}, "lenet")
    whole, _ = convert(layers, "lenet")
    assert (
        list(weights)
        == ["conv1/kernel", "conv1/bias", "conv2/kernel", "conv2/bias"]
        == [f"{r['layer']}/{r['array']}" for r in report]
    )
    assert all(np.array_equal(array, whole[name]) for name, array in weights.items())
    with pytest.raises(UserError, match=r"lacks ip1; it is another network, or not complete"):
        convert({name: layers[name] for name in ("conv1", "conv2", "ip2")}, "lenet")


def test_lenet_of_another_containers_axes_is_the_same():
    """And an order of colours, which a container may claim, means nothing to it."""
    expected, _ = convert(lenet(), "lenet")
    weights, report = convert(hwio(lenet()), "lenet", axes="HWIO", channels="rgb")
    assert {name: array.tobytes() for name, array in weights.items()} == {
        n: a.tobytes() for n, a in expected.items()
    }
    assert report[0]["input_order"] == "grey"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("conv2"), "lacks conv2; it is another network, or not complete"),
        (with_layer(conv3=(ONES(3),)), "has conv3, unknown to lenet; it is another network"),
        (with_layer(score_fr=(ONES((21, 6, 1, 1)), ONES(21))), "has score_fr, .*looks like an FCN"),
        (
            with_layer(conv1=(ONES((2, 3, 5, 5)), ONES(2))),
            "conv1: wanted a kernel of O x 1 x 5 x 5 for lenet .*is 2 x 3 x 5 x 5",
        ),
        (
            with_layer(conv2=(ONES((4, 50)), ONES(4))),
            "conv2: wanted a kernel of O x 2 x 5 x 5 for lenet .*is 4 x 50: .* not lenet",
        ),
        (
            with_layer(ip1=(ONES((5, 100)), ONES(5))),
            "ip1: wanted a kernel of O x 4 x 4 x 4 or O x 64 .*is 5 x 100",
        ),
    ],
)
def test_what_is_not_lenet_is_refused_naming_file_and_layer(change, message):
    layers = lenet()
    change(layers)
    with pytest.raises(UserError, match=message) as error:
        convert(layers, "lenet", "raw/lenet.caffemodel")
    assert str(error.value).startswith("raw/lenet.caffemodel: ")


@pytest.mark.parametrize(
    ("layers", "backbone", "message"),
    [
        (
            classifier("vgg19"),
            "lenet",
            "wanted the layers of lenet, .*its layers are those of vgg19: set the backbone to "
            "vgg19",
        ),
        (
            lenet(),
            "vgg16",
            "wanted the layers of vgg16, .*its layers are those of lenet: set the "
            "backbone to lenet",
        ),
    ],
)
def test_another_backbone_is_recognised(layers, backbone, message):
    with pytest.raises(UserError, match=message):
        convert(layers, backbone)


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("file", "backbone", "message"),
    [
        (
            "v1_layers/lenet_iter_10000",
            "vgg16",
            "its layers are those of lenet: set the backbone to lenet",
        ),
        (
            "v2_layer/lenet_iter_10000",
            "vgg19",
            "its layers are those of lenet: set the backbone to lenet",
        ),
        (
            "v1_layers/cifar10_quick_iter_5000",
            "lenet",
            "has conv3, unknown to lenet; it is another network",
        ),
        (
            "v1_layers/cifar10_quick_iter_5000",
            "vgg16",
            "another network, with the layers conv1, conv2, conv3, ip1, ip2",
        ),
        (
            "v2_layer/det1",
            "lenet",
            "lacks ip1 and has PReLU1, .*unknown to lenet; it is another network",
        ),
        ("v2_layer/det1", "vgg16", "it is another network, with the layers PReLU1"),
    ],
)
def test_a_real_file_of_another_architecture_is_refused(realdata, file, backbone, message):
    path = realdata / "caffemodel" / f"{file}.caffemodel"
    with pytest.raises(UserError, match=message) as error:
        convert(caffe.read(path), backbone, str(path))
    assert str(error.value).startswith(f"{path}: wanted the layers of {backbone}")
