"""Real weights: what they give in our nets, and how they are read, against
other people's programs.
"""

import keras
import numpy as np
import pytest
from caffe_nets import (
    MEAN,
    Layer,
    OpenCV,
    assert_same_scores,
    convolution,
    inner_product,
    pooling,
    relu,
    vgg,
)
from keras import layers

from fcn.net import model, surgery
from fcn.weights import caffe, conversion, readers

pytestmark = pytest.mark.realdata

PRINTED = ["conv1_1", "conv1_2", "pool1", "conv2_1", "conv2_2", "pool2"]


def test_true_vgg16_gives_the_activations_that_others_printed(small, realdata):
    """Order of channels, mean, orientation of the kernels, padding and pooling, proven from
    outside.
    """
    net = model.build(small(width=1.0, fc_units=1, padding="same"))
    stored = np.load(realdata / "vgg" / "vgg16_partial.npz")
    weights: dict[str, np.ndarray] = {}
    for name in ("conv1_1", "conv1_2", "conv2_1", "conv2_2"):
        # conv1_2 is block1_conv2 there
        theirs = name.replace("conv", "block").replace("_", "_conv")
        weights |= {
            f"{name}/kernel": stored[f"{theirs}/kernel"],
            f"{name}/bias": stored[f"{theirs}/bias_q11"],
        }
    known = {name.split("/")[0] for name in weights}
    surgery.transplant(
        net, weights, new={layer.name for layer in net.layers if hasattr(layer, "kernel")} - known
    )
    folder = realdata / "vgg" / "reference_activations"
    cat = np.array((folder / "persian_cat.txt").read_text().split(), np.float32).reshape(
        224, 224, 3
    )
    # RGB, as our nets take it; the file is BGR minus the mean
    image = (cat + MEAN.astype(np.float32))[None, :, :, ::-1]
    printed = np.load(folder / "printed_activations.npz")
    inner = keras.Model(net.input, [net.get_layer(name).output for name in PRINTED])
    for name, values in zip(PRINTED, inner(image), strict=True):
        picked = np.asarray(values)[0][np.ix_(*[[0, 1, 2, -3, -2, -1]] * 3)]
        assert printed[name].max() > 100
        assert np.abs(picked - printed[name]).max() < 0.02, name


def test_all_five_blocks_of_the_true_vgg16_agree_with_opencv(small, realdata, tmp_path):
    """Keras' file through the conversion, and the same file's arrays through OpenCV, on a
    photograph.
    """
    found = readers.read(realdata / "vgg" / "vgg16_notop.h5")
    weights, _ = conversion.convert(found.layers, "vgg16", "it", found.axes, found.channels)
    kinds = {
        n: ("Convolution", (k.transpose(3, 2, 0, 1).copy(), b))
        for n, (k, b) in found.layers.items()
    }
    caffe.write(tmp_path / "vgg.caffemodel", "vgg", kinds)
    net = model.build(small(width=1.0, fc_units=1, padding="same"))
    dense = [
        layer.name
        for layer in net.layers
        if hasattr(layer, "kernel") and not layer.name.startswith("conv")
    ]
    surgery.transplant(net, weights, new=dense)
    folder = realdata / "vgg" / "reference_activations"
    cat = np.array((folder / "persian_cat.txt").read_text().split(), np.float32).reshape(
        224, 224, 3
    )
    pools = [f"pool{block}" for block in range(1, 6)]
    inner = keras.Model(net.input, [net.get_layer(name).output for name in pools])
    ours = inner((cat + MEAN.astype(np.float32))[None, :, :, ::-1])
    opencv = OpenCV(
        vgg("vgg16", 1.0, 1), tmp_path / "vgg.caffemodel", tmp_path, (1, 3, 224, 224)
    ).net
    opencv.setInput(cat.transpose(2, 0, 1)[None])
    for name, mine, theirs in zip(pools, ours, opencv.forward(pools), strict=True):
        mine, theirs = np.asarray(mine), theirs.transpose(0, 2, 3, 1)
        assert theirs.max() > 10
        assert np.abs(mine - theirs).max() <= 1e-5 * theirs.max(), name


def prelu(number, bottom, channels):
    return Layer("PReLU", f"PReLU{number}", (bottom,), "", ((channels,),))


LENET = [
    convolution("conv1", "data", 1, 20, 5), pooling("pool1", "conv1"),
    convolution("conv2", "pool1", 20, 50, 5), pooling("pool2", "conv2"),
    inner_product("ip1", "pool2", 800, 500), relu(1, "ip1"), inner_product("ip2", "ip1", 500, 10),
]  # fmt: skip
# Of the two below only what has weights is true to the original: they are not run.
CIFAR10 = [
    convolution("conv1", "data", 3, 32, 5, 2), pooling("pool1", "conv1"),
    convolution("conv2", "pool1", 32, 32, 5, 2), pooling("pool2", "conv2"),
    convolution("conv3", "pool2", 32, 64, 5, 2), pooling("pool3", "conv3"),
    inner_product("ip1", "pool3", 1024, 64), inner_product("ip2", "ip1", 64, 10),
]  # fmt: skip
DET1 = [
    convolution("conv1", "data", 3, 10, 3), prelu(1, "conv1", 10),
    convolution("conv2", "PReLU1", 10, 16, 3), prelu(2, "conv2", 16),
    convolution("conv3", "PReLU2", 16, 32, 3), prelu(3, "conv3", 32),
    convolution("conv4-1", "PReLU3", 32, 2, 1), convolution("conv4-2", "PReLU3", 32, 4, 1),
]  # fmt: skip


@pytest.mark.parametrize(
    ("file", "net", "shape"),
    [
        ("v1_layers/lenet_iter_10000", LENET, (1, 1, 28, 28)),
        ("v2_layer/lenet_iter_10000", LENET, (1, 1, 28, 28)),
        ("v1_layers/cifar10_quick_iter_5000", CIFAR10, (1, 3, 32, 32)),
        ("v2_layer/det1", DET1, (1, 3, 12, 12)),
    ],
)
def test_real_caffemodels_hold_what_opencv_reads_from_them(realdata, tmp_path, file, net, shape):
    path = realdata / "caffemodel" / f"{file}.caffemodel"
    theirs, found = OpenCV(net, path, tmp_path, shape).net, caffe.read(path)
    with_weights = [layer for layer in net if layer.blobs]
    assert list(found) == [layer.name for layer in with_weights]
    for layer in with_weights:
        assert tuple(blob.shape for blob in found[layer.name]) == layer.blobs
        assert len(theirs.getLayer(layer.name).blobs) == len(layer.blobs)
        for n, blob in enumerate(found[layer.name]):
            # OpenCV gives vectors more axes, not always as many.
            expected = theirs.getParam(layer.name, n)
            expected = expected.reshape(-1) if blob.ndim == 1 else expected
            np.testing.assert_array_equal(blob, expected, err_msg=f"{layer.name}, blob {n}")
            assert np.unique(blob).size > 1


@pytest.mark.parametrize("file", ["v1_layers/lenet_iter_10000", "v2_layer/lenet_iter_10000"])
def test_lenet_from_parsed_weights_computes_what_opencv_computes(realdata, tmp_path, file):
    path = realdata / "caffemodel" / f"{file}.caffemodel"
    blobs = caffe.read(path)
    image = keras.Input((28, 28, 1))
    x = layers.MaxPooling2D(name="pool1")(layers.Conv2D(20, 5, name="conv1")(image))
    x = layers.MaxPooling2D(name="pool2")(layers.Conv2D(50, 5, name="conv2")(x))
    x = layers.Conv2D(500, 4, activation="relu", name="ip1")(x)
    x = layers.Conv2D(10, 1, name="ip2")(x)
    net = keras.Model(image, layers.Flatten()(x))
    # the matrix as a convolution over C x H x W
    shapes = {"ip1": (500, 50, 4, 4), "ip2": (10, 500, 1, 1)}
    for name, (kernel, bias) in blobs.items():
        net.get_layer(name).set_weights(
            [kernel.reshape(shapes.get(name, kernel.shape)).transpose(2, 3, 1, 0), bias]
        )
    digits = np.random.default_rng(8).integers(0, 256, (6, 28, 28)) / 256
    expected = OpenCV(LENET, path, tmp_path, (6, 1, 28, 28))(digits[:, None])
    assert_same_scores(
        np.asarray(net(digits[..., None].astype(np.float32))), expected, tolerance=1e-5
    )
