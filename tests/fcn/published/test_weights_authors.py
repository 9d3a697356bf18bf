"""Whole FCN caffemodels become model folders that score as the original would."""

import numpy as np
import pytest
from published_nets import FILES, blobs, net, write

from fcn.errors import UserError
from fcn.net import surgery
from fcn.published import scores as published
from fcn.published.authors import convert_net

CLASSES = tuple(f"class {n}" for n in range(21))


def deconvolve(scores, kernel, stride):
    """Caffe's Deconvolution in plain loops: C x H x W with a kernel C x O x K x K."""
    outputs, size = kernel.shape[1:3]
    height, width = ((n - 1) * stride + size for n in scores.shape[1:])
    result = np.zeros((outputs, height, width))
    for c, y, x in np.ndindex(*scores.shape):
        result[:, y * stride : y * stride + size, x * stride : x * stride + size] += (
            scores[c, y, x] * kernel[c]
        )
    return result


@pytest.mark.parametrize("variant", FILES)
def test_every_net_becomes_a_model_folder_with_its_own_weights(tmp_path, variant):
    layers = net(variant)
    write(tmp_path / FILES[variant], layers)
    published.to_model_folder(tmp_path / FILES[variant], variant, CLASSES, tmp_path / "model")
    model, spec = surgery.load(tmp_path / "model")
    assert (spec.variant, spec.backbone, spec.padding, spec.upsampling) == (
        variant,
        "vgg16",
        "caffe",
        "fixed",
    )
    assert (spec.width, spec.fc_units, spec.classes) == (1 / 32, 8, CLASSES)
    weights = {name: np.asarray(weight) for name, weight in surgery.named_weights(model).items()}
    learned = {name: arrays for name, (kind, arrays) in layers.items() if kind == "Convolution"}
    assert sum(len(arrays) for arrays in learned.values()) == len(weights)
    for name, arrays in learned.items():
        kernel = weights[f"{name}/kernel"]
        assert kernel[-1, 0, 1, 0] == arrays[0][0, 1, -1, 0], name
        assert np.sort(kernel, axis=None).tobytes() == np.sort(arrays[0], axis=None).tobytes(), name
        np.testing.assert_array_equal(weights[f"{name}/bias"], arrays[1])


def test_a_learned_upsampling_kernel_does_what_it_did_in_caffe(tmp_path):
    """Not symmetric, not diagonal: shows which axis is input and which output."""
    layers = net("fcn16s", classes=3, learned=True)
    weights, spec = convert_net(blobs(layers), ("a", "b", "c"), "it")
    assert spec.upsampling == "learned"
    from fcn.net.model import build

    model = build(spec)
    surgery.transplant(model, weights)
    scores = np.random.default_rng(5).normal(size=(3, 4, 5))
    found = np.asarray(model.get_layer("upscore2")(scores.transpose(1, 2, 0)[None].astype("f4")))[
        0
    ].transpose(2, 0, 1)
    expected = deconvolve(scores, layers["upscore2"][1][0].astype("f8"), 2)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    swapped = deconvolve(scores, layers["upscore2"][1][0].transpose(1, 0, 2, 3).astype("f8"), 2)
    assert np.abs(found - swapped).max() > 1


def without(name):
    return lambda layers: layers.pop(name)


def with_layer(name, *arrays):
    return lambda layers: layers.update({name: ("Convolution", list(arrays))})


ONES = np.ones


@pytest.mark.parametrize(
    ("variant", "change", "message"),
    [
        ("fcn8s", without("score_pool3"), "next to fcn8s on vgg16 it lacks score_pool3"),
        (
            "fcn32s",
            with_layer("prelu", ONES(3)),
            "next to fcn32s on vgg16 it lacks nothing and has prelu besides",
        ),
        ("fcn16s", with_layer("score-fr", ONES(3)), "names of the nets released in 2014"),
        (
            "fcn16s",
            with_layer("score_pool4", ONES((20, 16, 1, 1)), ONES(20)),
            r"score_pool4: wanted blobs of shapes \[\(21, 16",
        ),
        (
            "fcn32s",
            with_layer("upscore", ONES((21, 21, 63, 63))),
            "upscore: wanted blobs of shapes .* are there other classes",
        ),
        (
            "fcn32s",
            with_layer("upscore", ONES((21, 21, 64, 64)), ONES(21)),
            "upscore: wanted blobs of shapes",
        ),
        (
            "fcn8s",
            with_layer("upscore8", ONES((21, 21, 16, 16))),
            "upscore8: wanted the bilinear kernel, as of all these nets",
        ),
        (
            "fcn8s_atonce",
            with_layer("scale_pool3", ONES(8)),
            "scale_pool3: wanted 0.0001 everywhere, but it holds 1 to 1",
        ),
        ("fcn8s", with_layer("fc6", ONES((8, 16, 3, 3)), ONES(8)), "fc6: wanted a kernel of"),
    ],
)
def test_what_is_not_one_of_these_nets_is_refused(variant, change, message):
    layers = net(variant)
    change(layers)
    with pytest.raises(UserError, match=message) as error:
        convert_net(blobs(layers), CLASSES, "x.caffemodel")
    assert str(error.value).startswith("x.caffemodel: ")


def test_the_classifier_is_no_fcn():
    layers = {name: arrays for name, arrays in blobs(net("fcn32s")).items() if "score" not in name}
    with pytest.raises(UserError, match="it has no score layers: it is no FCN"):
        convert_net(layers, CLASSES, "vgg.caffemodel")


def test_another_variant_than_the_one_wanted_is_named(tmp_path):
    write(tmp_path / "x", net("fcn8s"))
    with pytest.raises(
        UserError, match="x: wanted fcn8s_atonce, but its layers are those of fcn8s"
    ):
        published.to_model_folder(tmp_path / "x", "fcn8s_atonce", CLASSES, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_the_verdict_is_about_all_four_scores():
    expected = (90.48, 76.48, 63.63, 83.46)
    assert published.judge("a", (90.58, 76.38, 63.73, 83.46), expected, 0.1).passed
    for place in range(4):
        measured = [*expected]
        measured[place] -= 0.11
        assert not published.judge("a", measured, expected, 0.1).passed


def test_the_table_shows_both_scores_and_the_furthest():
    good = published.judge("fcn32s", (90.5, 76.48, 63.63, 83.46), (90.48, 76.48, 63.63, 83.46), 0.1)
    bad = published.judge("fcn8s", (91.22, 77.61, 64.0, 84.54), (91.22, 77.61, 65.51, 84.54), 0.1)
    lines = published.table([good, bad]).splitlines()
    assert lines[2].split("|")[1].strip() == "fcn32s"
    assert [cell.strip() for cell in lines[2].split("|")[4:8]] == [
        "63.63 (63.63)",
        "83.46 (83.46)",
        "+0.02",
        "PASS",
    ]
    assert [cell.strip() for cell in lines[3].split("|")[4:8]] == [
        "64.00 (65.51)",
        "84.54 (84.54)",
        "-1.51",
        "FAIL",
    ]
    assert len({len(line) for line in lines}) == 1
