import numpy as np
import pytest

from fcn.compare import Counts
from fcn.errors import UserError
from fcn.evaluate import explain as steps
from fcn.net import surgery
from fcn.net.bilinear import bilinear_kernel
from fcn.net.model import build
from fcn.score import evaluation

IMAGE = np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8)


def drawn(spec):
    """A net whose weights all matter."""
    model, draw = build(spec), np.random.default_rng(3)
    for name, weight in surgery.named_weights(model).items():
        if name.endswith("kernel") and not name.startswith("upscore"):
            scale = 1.4 / np.sqrt(np.prod(weight.shape[:-1]))
            weight.assign(draw.normal(0, scale, weight.shape))
    [coarsest, *_] = steps.stages(model, spec, IMAGE)
    # so that no class wins everywhere
    surgery.named_weights(model)["score_fr/bias"].assign(-coarsest.scores.mean((0, 1)))
    return model


@pytest.mark.parametrize("padding", ["caffe", "same"])
def test_every_stage_is_what_the_net_of_its_stride_says(small, padding):
    spec = small("fcn8s", padding=padding)
    model = drawn(spec)
    stages = steps.stages(model, spec, IMAGE)
    assert [(stage.layer, stage.stride, stage.pool) for stage in stages] == [
        ("score_fr", 32, ""), ("fuse_pool4", 16, "pool4"), ("fuse_pool3", 8, "pool3"),
    ]  # fmt: skip
    np.testing.assert_array_equal(stages[-1].labels, evaluation.labeler(model)(IMAGE[None])[0])
    weights = surgery.named_weights(model)
    for stage, variant in zip(stages, ("fcn32s", "fcn16s"), strict=False):
        coarser = build(small(variant, padding=padding))
        for name, weight in surgery.named_weights(coarser).items():
            weight.assign(weights[name])
        np.testing.assert_array_equal(stage.labels, evaluation.labeler(coarser)(IMAGE[None])[0])
        assert len(np.unique(stage.labels)) > 1
    assert stages[0].skip is None
    assert stages[1].skip is not None
    assert stages[1].skip.shape == stages[1].scores.shape
    assert [stage.offset for stage in stages] == ([19, 27, 31] if padding == "caffe" else [0, 0, 0])
    # 90 columns: 9 cells of score_fr with the border, (90 + 198) / 32, less 6 of fc6; or 3.
    wide = [32 * 4, 16 * 9, 8 * 19] if padding == "caffe" else [96, 96, 96]
    assert [stage.enlarged.shape[1] for stage in stages] == wide


@pytest.mark.parametrize("padding", ["caffe", "same"])
def test_a_cell_is_the_classifier_on_its_window(small, padding):
    """Something small in the middle of a window, and the mean around it, which is 0 to a net
    without biases: nothing that the net sees beyond the window is another thing to the classifier.
    """
    spec = small("fcn8s", padding=padding, mean_bgr=(104.0, 117.0, 123.0))
    model = drawn(spec)
    weights = surgery.named_weights(model)
    for name in weights:
        if name.endswith("bias") and name.startswith("conv"):
            weights[name].assign(np.zeros(weights[name].shape))
    weights["score_fr/bias"].assign([0.5, -0.5, 0.25])
    first, stride, side = steps.field(spec)
    assert (first, stride, side) == ((-99 if padding == "caffe" else -96), 32, 224)
    image = np.full((400, 420, 3), (123, 117, 104), np.uint8)
    row, column = 5, 6
    middle = [first + 32 * place + 112 for place in (row, column)]
    thing = np.random.default_rng(1).integers(0, 256, (12, 12, 3), np.uint8)
    image[middle[0] - 6 : middle[0] + 6, middle[1] - 6 : middle[1] + 6] = thing
    scores = steps.stages(model, spec, image)[0].scores
    found = steps.window(model, spec, image, scores, (row, column))
    assert (found.top, found.left, found.side) == (first + 160, first + 192, 224)
    np.testing.assert_allclose(found.alone, found.cell, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(found.cell, scores[5, 6])
    other = steps.window(model, spec, image, scores, (row, column + 1))
    assert np.abs(other.alone - found.alone).max() > 0.01


def test_lenet_sees_nothing_but_its_window(lenet):
    """Its convolutions pad nothing, so every cell is the classifier, at the border, too, but for
    the last ones, which pool a row less.
    """
    spec = lenet()
    model = drawn(spec)
    scores = steps.stages(model, spec, IMAGE)[0].scores
    assert steps.field(spec) == (-12, 4, 28)
    for at in ((0, 0), (3, 5), (scores.shape[0] - 2, scores.shape[1] - 2)):
        found = steps.window(model, spec, IMAGE, scores, at)
        np.testing.assert_allclose(found.alone, found.cell, rtol=1e-4, atol=1e-4)


def test_where_a_class_leads_most():
    scores = np.zeros((2, 3, 3), np.float32)
    scores[0, 1] = 5, 9, 0  # leads by 4
    scores[1, 2] = 0, 6, 1  # by 5
    assert steps.surest(scores, 1) == (1, 2)
    assert steps.surest(scores[..., 1:2], 0) == (0, 1)


def test_learned_kernels_are_the_mean_over_the_classes(small):
    spec = small("fcn16s", upsampling="learned")
    model = build(spec)
    weight = surgery.named_weights(model)["upscore2/kernel"]
    changed = weight.numpy().copy()
    changed[0, 0, 1, 1] += 0.3
    weight.assign(changed)
    inner, last = steps.kernels(model, spec)
    wanted = bilinear_kernel(2)
    np.testing.assert_array_equal(inner.bilinear, wanted)
    wanted[0, 0] += 0.1  # of three classes
    np.testing.assert_allclose(inner.learned, wanted, atol=1e-6)
    assert (last.layer, last.factor, last.learned) == ("upscore16", 16, None)


def test_what_is_saved_is_what_is_read_again(small, tmp_path):
    spec = small("fcn16s", upsampling="learned")
    found = steps.explain(drawn(spec), spec, np.tile(IMAGE, (9, 9, 1)))
    assert found.image.shape == (389, 500, 3)  # of 630 x 810
    steps.save(tmp_path / "explained.npz", found)
    again = steps.load(tmp_path / "explained.npz", spec)
    for one, other in zip(found.stages, again.stages, strict=True):
        np.testing.assert_array_equal(one.labels, other.labels)
        np.testing.assert_allclose(one.scores, other.scores, atol=6e-5)
        assert (one.layer, one.stride, one.pool, one.offset) == (
            other.layer, other.stride, other.pool, other.offset,
        )  # fmt: skip
        assert (one.skip is None) == (other.skip is None)
    np.testing.assert_array_equal(found.image, again.image)
    np.testing.assert_allclose(found.enlarged, again.enlarged, atol=6e-5)
    np.testing.assert_allclose(found.kernels[0].learned, again.kernels[0].learned, atol=6e-5)
    assert (found.value, found.window.top, found.window.side) == (
        again.value, again.window.top, again.window.side,
    )  # fmt: skip
    for other in (small("fcn8s"), small("fcn16s", classes=("a", "b"))):
        with pytest.raises(UserError, match=r"npz: expected what a .* evaluate the model"):
            steps.load(tmp_path / "explained.npz", other)


def test_the_image_with_the_most_classes():
    truth = np.array([[9, 0, 0], [9, 5, 0], [9, 9, 0], [0, 0, 0]])
    counts = Counts(("p", "q", "r", "void"), ("a", "b", "c"), truth, truth, truth)
    assert steps.chosen(counts) == "r"


def test_a_background_is_looked_at_last(small):
    labels = np.uint8([[0, 0, 0, 2, 2, 1]])
    assert steps.values(labels, small()) == [2, 1, 0]
    assert steps.values(labels, small(classes=("wall", "a", "b"))) == [0, 2, 1]
