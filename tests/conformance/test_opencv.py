"""Our nets against OpenCV's Caffe importer, which runs the authors' nets with the same random
weights.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from caffe_nets import (
    VARIANTS,
    OpenCV,
    assert_same_scores,
    convolution,
    fcn,
    inner_product,
    pair,
    picture,
    pooling,
    random_weights,
    relu,
    scores,
    vgg,
)

from fcn.net import model, surgery
from fcn.weights import caffe, conversion

HERE = Path(__file__).parent
SIZES = [(64, 64), (45, 58), (97, 33), (101, 160), (1, 1)]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    made = {}

    def get(variant, backbone="vgg16"):
        if (variant, backbone) not in made:
            made[variant, backbone] = pair(
                variant, tmp_path_factory.mktemp(variant), backbone=backbone
            )
        return made[variant, backbone]

    return get


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_scores_are_those_of_the_authors_net(pairs, variant, size):
    theirs, ours = pairs(variant)
    image = picture(*size)
    assert_same_scores(scores(ours, image), theirs.on_image(image))


@pytest.mark.parametrize("variant", ["fcn16s", "fcn8s_atonce"])
def test_with_fixed_upsampling_too(tmp_path, variant):
    """All of it bilinear, as in the published nets, where ours has no kernels."""
    theirs, ours = pair(variant, tmp_path, learned=False)
    assert not [weight for weight in ours.weights if "upscore" in weight.path]
    image = picture(45, 58)
    assert_same_scores(scores(ours, image), theirs.on_image(image))


def test_on_vgg19_too(pairs):
    theirs, ours = pairs("fcn8s", "vgg19")
    image = picture(75, 52)
    assert_same_scores(scores(ours, image), theirs.on_image(image))


INNER = [
    "pool1",
    "pool3",
    "pool4",
    "pool5",
    "drop6",
    "drop7",
    "score_fr",
    "upscore2",
    "score_pool3c",
    "fuse_pool3",
]


@pytest.mark.parametrize("name", INNER)
def test_what_flows_inside_is_the_same_and_has_the_same_name(pairs, name):
    theirs, ours = pairs("fcn8s")
    image = picture(83, 66)
    inner = keras.Model(ours.input, ours.get_layer(name).output)
    assert_same_scores(scores(inner, image), theirs.on_image(image, name))


@pytest.mark.parametrize("variant", ["fcn16s", "fcn8s", "fcn8s_atonce"])
def test_every_stream_weighs_enough_to_be_missed(pairs, variant):
    """Without one of its score layers a net is far from OpenCV's."""
    theirs, ours = pairs(variant)
    image = picture(70, 91)
    expected = theirs.on_image(image)
    for layer in [
        layer for layer in ours.layers if layer.name.startswith("score_") and layer.weights
    ]:
        kernel = layer.kernel.numpy()
        layer.kernel.assign(0 * kernel)
        with pytest.raises(AssertionError, match="off by"):
            assert_same_scores(scores(ours, image), expected, tolerance=0.05)
        layer.kernel.assign(kernel)
    assert_same_scores(scores(ours, image), expected)


@pytest.mark.parametrize("matrices", [True, False])
def test_the_convolutionalised_classifier_gives_the_classifiers_own_values(
    small, tmp_path, matrices
):
    """VGG-16 as published, fc6 and fc7 inner products over 224 x 224 pixels: its fc7 is the middle
    cell of our map.
    """
    width, fc = 1 / 16, 24
    channels = int(512 * width)
    layers = [
        *vgg("vgg16", width, 1),
        inner_product("fc6", "pool5", channels * 49, fc),
        relu(6, "fc6"),
    ]
    layers += [
        inner_product("fc7", "fc6", fc, fc),
        relu(7, "fc7"),
        inner_product("fc8", "fc7", fc, 10),
    ]
    caffe.write(tmp_path / "vgg.caffemodel", "VGG", random_weights(layers, 4))
    theirs = OpenCV(layers, tmp_path / "vgg.caffemodel", tmp_path, (1, 3, 224, 224))
    blobs = caffe.read(tmp_path / "vgg.caffemodel")
    if not matrices:  # as some files have them
        blobs["fc6"] = (blobs["fc6"][0].reshape(fc, channels, 7, 7), blobs["fc6"][1])
        blobs["fc7"] = (blobs["fc7"][0].reshape(fc, fc, 1, 1), blobs["fc7"][1])
    weights, _ = conversion.convert(blobs, "vgg16")
    ours = model.build(small(padding="same", width=width, fc_units=fc))
    surgery.transplant(ours, weights, new=["score_fr"])
    image = picture(224, 224)
    inner = keras.Model(ours.input, ours.get_layer("fc7").output)
    assert_same_scores(scores(inner, image)[3, 3], theirs.on_image(image, "relu7"))


def test_opencv_pools_in_ceil_mode_as_caffe_does(tmp_path):
    """What the comparisons rest on: 5 pixels become 3, the last row and column by themselves."""
    layers = [pooling("pool1", "data")]
    caffe.write(
        tmp_path / "pool.caffemodel",
        "pool",
        random_weights([convolution("unused", "data", 1, 1, 1)], 0),
    )
    found = OpenCV(layers, tmp_path / "pool.caffemodel", tmp_path, (1, 1, 5, 5))(
        np.arange(25.0).reshape(1, 1, 5, 5)
    )
    np.testing.assert_array_equal(found[0, :, :, 0], [[6, 8, 9], [16, 18, 19], [21, 23, 24]])


def test_the_prototxts_state_the_papers_numbers_of_parameters():
    """Trainable ones: all but the fixed upsampling kernels and scales."""
    counts = {
        variant: sum(
            int(np.prod(shape))
            for layer in fcn(variant, 21)
            if layer.kind == "Convolution"
            for shape in layer.blobs
        )
        for variant in VARIANTS
    }
    assert counts == {
        "fcn32s": 134_346_581,
        "fcn16s": 134_357_354,
        "fcn8s": 134_362_751,
        "fcn8s_atonce": 134_362_751,
    }


FULL = """
import json, resource, sys
from pathlib import Path
sys.path.insert(0, {here!r})
from caffe_nets import assert_same_scores, pair, picture, scores
theirs, ours = pair("fcn8s", Path({folder!r}), classes=21, width=1.0, fc=4096)
image = picture(39, 50)
found, expected = scores(ours, image), theirs.on_image(image)
assert_same_scores(found, expected)
kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({{"shape": found.shape, "parameters": ours.count_params(), "gib": kib / 2**20}}))
"""


def test_fcn8s_at_full_width(tmp_path):
    """The original itself: 21 classes, 134 million random weights, by way of a caffemodel of 538
    MB.
    """
    code = FULL.format(here=str(HERE), folder=str(tmp_path))
    root = str(HERE.parents[1])
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=root,
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
    )
    # pytest keeps its folders of the last runs
    (tmp_path / "fcn8s.caffemodel").unlink(missing_ok=True)
    assert done.returncode == 0, done.stderr[-3000:]
    facts = json.loads(done.stdout.splitlines()[-1])
    inner = 2 * 21 * 21 * 4 * 4  # upsampling that was learned
    assert facts["shape"] == [39, 50, 21]
    assert facts["parameters"] == 134_362_751 + inner
    if sys.platform == "linux":  # where ru_maxrss counts KiB
        assert facts["gib"] < 6
