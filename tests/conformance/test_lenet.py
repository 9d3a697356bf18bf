"""LeNet as an FCN: its score map holds LeNet's own class scores, against OpenCV, which runs the
classifier as it is.
"""

import keras
import numpy as np
import pytest
from caffe_nets import (
    OpenCV,
    assert_same_scores,
    convolution,
    crop,
    deconvolution,
    inner_product,
    pooling,
    random_weights,
    relu,
    scores,
)

from fcn.net import model, surgery
from fcn.spec import ModelSpec
from fcn.weights import caffe, conversion
from sample import toy

REAL = ["v1_layers/lenet_iter_10000", "v2_layer/lenet_iter_10000"]
DIGITS = tuple("0123456789")


def lenet(filters=(20, 50), hidden=500):
    """BVLC/caffe, examples/mnist/lenet.prototxt."""
    first, second = filters
    return [
        convolution("conv1", "data", 1, first, 5), pooling("pool1", "conv1"),
        convolution("conv2", "pool1", first, second, 5), pooling("pool2", "conv2"),
        inner_product("ip1", "pool2", 16 * second, hidden), relu(1, "ip1"), inner_product("ip2",
        "ip1", hidden, 10),
    ]  # fmt: skip


def toy_fcn(filters, hidden):
    """The same as an FCN, by hand: a border of 12, and the crop that brings
    back what it shifted.
    """
    first, second = filters
    return [
        convolution("conv1", "data", 1, first, 5, pad=12), pooling("pool1", "conv1"),
        convolution("conv2", "pool1", first, second, 5), pooling("pool2", "conv2"),
        convolution("ip1", "pool2", second, hidden, 4), relu(1, "ip1"), convolution("score_fr",
        "ip1", hidden, 10, 1),
        deconvolution("upscore4", "score_fr", 10, 8, 4), crop("score", "upscore4", "data", 2),
    ]  # fmt: skip


def converted(path):
    """LeNet's caffemodel as an FCN-4s, whose score layer is ip2 as a 1x1 convolution."""
    blobs = caffe.read(path)
    weights, _ = conversion.convert(blobs, "lenet", str(path))
    kernel, bias = blobs["ip2"]
    weights |= {"score_fr/kernel": kernel.T[None, None], "score_fr/bias": bias}
    width, units = weights["conv1/bias"].size / 20, weights["ip1/bias"].size
    ours = model.build(
        ModelSpec("fcn4s", "lenet", DIGITS, width, units, "caffe", "fixed", 0.0, (0.0, 0.0, 0.0))
    )
    surgery.transplant(ours, weights)
    return keras.Model(ours.input, ours.get_layer("score_fr").output)


def rgb(grey):
    return grey[..., None].repeat(3, -1)


def canvas(height, width):
    """White strokes on black, as LeNet knows them; uint8."""
    random, picture = np.random.default_rng(6), np.zeros((height, width), np.uint8)
    for top, left in random.integers(0, (height - 8, width - 8), (height * width // 150, 2)):
        high, wide = random.permutation([3, 12])
        picture[top : top + high, left : left + wide] = random.integers(150, 256)
    return picture


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Makes LeNet twice from one caffemodel, a real one or one of random weights: OpenCV's
    classifier, and our score map.
    """
    made = {}

    def get(path):
        if path not in made:
            folder = tmp_path_factory.mktemp("lenet")
            layers, file = lenet(), path
            if path == "random":
                layers, file = lenet((4, 10), 30), folder / "lenet.caffemodel"
                weights = random_weights(layers, 3)
                for _, (_, bias) in weights.values():
                    bias /= 100  # made for images of 0..255
                caffe.write(file, "LeNet", weights)
            made[path] = OpenCV(layers, file, folder, (1, 1, 28, 28)), converted(file)
        return made[path]

    return get


@pytest.fixture(params=["random", *REAL])
def both(request, pair):
    if request.param == "random":
        return pair("random")
    return pair(request.getfixturevalue("realdata") / "caffemodel" / f"{request.param}.caffemodel")


def test_the_score_map_of_a_digit_holds_lenets_own_scores(both):
    theirs, ours = both
    digit = canvas(28, 28)
    found = scores(ours, rgb(digit))
    assert found.shape == (7, 7, 10)
    expected = theirs(digit[None, None] / 256)[0]
    assert_same_scores(found[3, 3], expected, tolerance=1e-5)
    # No other cell is it: they see other windows.
    others = np.delete(np.abs(found - expected).max(-1), 3 * 7 + 3)
    assert others.min() > 0.01 * np.abs(expected).max()


@pytest.mark.parametrize("size", [(44, 60), (41, 55), (28, 93)])
def test_every_cell_of_a_canvas_holds_lenets_scores_of_its_window(both, size):
    """Sides that are no multiple of 4 leave a last cell that sees less than 28 pixels, which LeNet
    cannot be asked about.
    """
    theirs, ours = both
    picture = canvas(*size)
    found = scores(ours, rgb(picture))
    padded = np.pad(picture, 12)
    rows, columns = ((side - 28) // 4 + 1 for side in padded.shape)
    windows = [padded[4 * j : 4 * j + 28, 4 * i : 4 * i + 28] for j, i in np.ndindex(rows, columns)]
    expected = theirs(np.stack(windows)[:, None] / 256).reshape(rows, columns, 10)
    assert (rows, columns) == (size[0] // 4, size[1] // 4)
    assert_same_scores(found[:rows, :columns], expected, tolerance=1e-5)
    assert expected.std((0, 1)).max() > 0.05 * np.abs(expected).max(), (
        "all windows look alike: this proves nothing"
    )


@pytest.mark.parametrize("size", [(64, 64), (45, 58), (97, 33), (28, 28), (1, 1)])
def test_fcn4s_scores_like_the_net_written_by_hand(tmp_path, size):
    layers = toy_fcn((4, 10), 30)
    weights = random_weights(layers, 2)
    caffe.write(tmp_path / "toy.caffemodel", "toy", weights)
    theirs = OpenCV(layers, tmp_path / "toy.caffemodel", tmp_path, (1, 1, *size))
    spec = ModelSpec("fcn4s", "lenet", DIGITS, 0.2, 30, "caffe", "fixed", 0.0, (0.0, 0.0, 0.0))
    ours = model.build(spec)
    found = {
        f"{name}/kernel": blobs[0].transpose(2, 3, 1, 0) for name, (_, blobs) in weights.items()
    }
    found |= {f"{name}/bias": blobs[1] for name, (_, blobs) in weights.items() if len(blobs) == 2}
    surgery.transplant(ours, found, dropped=["upscore4"])  # it is bilinear, and so is ours
    picture = np.random.default_rng(4).integers(0, 256, size, np.uint8)
    assert_same_scores(scores(ours, rgb(picture)), theirs(picture[None, None] / 256)[0])


def test_the_toys_lenet_is_written_as_caffe_reads_it(tmp_path):
    keras.utils.set_random_seed(5)
    classifier = toy.classifier()
    for layer in classifier.layers:
        if layer.weights:
            layer.bias.assign(keras.random.normal(layer.bias.shape, stddev=0.1))
    toy.write_caffemodel(classifier, tmp_path / "toy.caffemodel")
    images, _ = toy.digits()["val"]
    seen = toy.views(images[:8], 20, np.random.default_rng(0))
    theirs = OpenCV(lenet(), tmp_path / "toy.caffemodel", tmp_path, (8, 1, 28, 28))
    found = np.asarray(classifier(seen, training=False))[:, 0, 0]
    assert_same_scores(found, theirs(seen.transpose(0, 3, 1, 2)), tolerance=1e-5)
