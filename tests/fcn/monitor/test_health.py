import io
import tarfile
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from fcn.monitor import health
from fcn.spec.recipe import TrainSpec

VOC = ("background", "cat", "dog", "cow")
RECIPE = TrainSpec("sgd", 1e-10, 0.99, 5e-4, 2.0, "sum", 100, 10, 10, 1)
VOC_PIXELS = health.VOC_PIXELS


def training(iterations):
    return replace(RECIPE, iterations=iterations)


def good():
    """A histogram of a net that is mostly right: 73 % background, as on VOC."""
    histogram = np.diag([700, 80, 70, 60])
    histogram[0, 1:], histogram[1, 2] = 10, 9
    return histogram


def rows(*scores, losses=None, every=10):
    """A history: a validation at 0, then losses and a validation at every tenth step."""
    losses = losses or [1.0 / (n + 1) for n in range(len(scores))]
    history = [{"step": 0, "val_mean_iu": 0.2}]
    for n, (score, loss) in enumerate(zip(scores, losses, strict=True), 1):
        history += [{"step": every * n - 5, "loss": loss}, {"step": every * n, "loss": loss}]
        history += [{"step": every * n, "val_mean_iu": score}]
    return history


def kinds(findings):
    return [finding.kind for finding in findings]


def predicted_as(histogram, k):
    constant = np.zeros_like(histogram)
    constant[:, k] = histogram.sum(1)
    return constant


# Labels


def split(pixels, void=0, images=100):
    return {"images": images, "pixels": dict(pixels), "void_pixels": void}


def test_real_shares_of_classes_are_silent():
    voc = {"background": 733, "cat": 100, "dog": 100, "cow": 67}
    sbd = {"background": 700, "cat": 100, "dog": 120, "cow": 80}
    assert health.from_labels({"train": split(sbd), "val": split(voc, 55)}) == []


@pytest.mark.parametrize(
    ("train", "val", "words"),
    [
        # Everything was read as 0.
        (split({"a": 995, "b": 5}), split({"a": 700, "b": 300}), "99.50% of the labelled pixels of "
                                                                 "train are `a`"),
        (split({"a": 70, "b": 30}), split({"a": 0, "b": 7}), "100.00% of the labelled pixels of "
                                                             "val are `b`"),
        (split({"a": 70, "b": 30}, 101), split({"a": 70, "b": 30}), "50.2% of the pixels of train "
                                                                    "are void (5 % on VOC)"),
        # Masks of 0 and 1 where there are 11 classes.
        (
            split({"0": 80, "1": 20, **{str(n): 0 for n in range(2, 11)}}),
            split({str(n): 9 for n in range(11)}, images=19),
            "only 2 of 11 classes occur in the 100 images of train",
        ),
        # Shifted by one: 0.73 - 0 + (0.73 - 0.27) + 0.27 - 0 is twice 0.73.
        (
            split({"a": 73, "b": 27, "c": 0}), split({"a": 0, "b": 73, "c": 27}),
            "the classes of train and val are shared out differently (by 73%): `a` has 73.0% of "
            "the pixels of train and 0",
        ),
        (split({"a": 0}, 9), split({"a": 1, "b": 1}), "100.0% of the pixels of train are void"),
    ],
)  # fmt: skip
def test_labels_that_look_misread(train, val, words):
    (finding,) = health.from_labels({"train": train, "val": val})
    assert finding.kind == "labels"
    assert finding.text.startswith(words)
    assert "fcn doctor" in finding.text


@pytest.mark.parametrize(
    ("train", "val"),
    [
        (split({"a": 99, "b": 1}), split({"a": 99, "b": 1})),
        (split({"a": 1, "b": 1}, 2), split({"a": 1, "b": 1})),
        # 19 images may well show two of eleven classes, and others than 100 other ones do.
        (
            split({str(n): n < 2 for n in range(11)}, images=19),
            split({str(n): 9 for n in range(11)}),
        ),
        # Half apart, no more: 0.5 of the one is where the other has nothing.
        (split({"a": 50, "b": 50, "c": 0}), split({"a": 0, "b": 50, "c": 50})),
    ],
)
def test_bounds_of_the_labels_are_not_yet_misread(train, val):
    assert health.from_labels({"train": train, "val": val}) == []


@pytest.mark.realdata
def test_real_labels_are_silent(realdata):
    """ADE20K's 17 real masks and the real VOC ones, split in two."""
    masks = [
        np.asarray(Image.open(p))
        for p in sorted((realdata / "ade20k" / "annotations").glob("*.png"))
    ]
    with tarfile.open(realdata / "VOC2012-subset.tar") as tar:
        members = [
            tar.extractfile(m)
            for m in tar.getmembers()
            if "SegmentationClass/" in m.name and m.name.endswith(".png")
        ]
        voc = [np.asarray(Image.open(io.BytesIO(m.read()))) for m in members if m]
    assert len(voc) > 100
    assert len(masks) == 17
    for images, void, first, last in ((masks, 0, 1, 150), (voc, 255, 0, 20)):
        splits = {}
        for name, part in (("train", images[::2]), ("val", images[1::2])):
            counts = np.sum([np.bincount(mask.ravel(), minlength=256) for mask in part], axis=0)
            pixels = {str(n): int(counts[n]) for n in range(first, last + 1)}
            splits[name] = split(pixels, int(counts[void]), len(part))
        assert health.from_labels(splits) == []


# Validations


@pytest.mark.parametrize(
    ("images", "pixels", "words"),
    [
        (50, {"sky": 9, "sea": 1}, {}),
        (
            49,
            {"sky": 9, "sea": 1},
            {"few_images": "validation has 49 images, fewer than 50: with so few"},
        ),
        (1, {"sky": 9, "sea": 1}, {"few_images": "validation has 1 image, fewer than 50"}),
        (
            80,
            {"sky": 9, "sea": 0, "ship": 0},
            {"unseen_classes": "no validation image shows 2 of 3 classes: sea, ship. "},
        ),
        (
            0,
            {"sky": 0},
            {
                "few_images": "validation has 0 images",
                "unseen_classes": "no validation image shows 1 of 1 classes: sky",
            },
        ),
    ],
)
def test_little_data_is_never_well_without_a_word(images, pixels, words):
    found = health.from_little({"train": split({"sky": 1}), "val": split(pixels, images=images)})
    assert kinds(found) == list(words)
    for finding in found:
        assert words[finding.kind] in finding.text


def test_a_good_validation_is_silent():
    assert health.from_validation(good(), rows(0.3, 0.5, 0.6), training(100), VOC_PIXELS, VOC) == []


def test_everything_background():
    histogram = predicted_as(good(), 0)
    constant = 730 / 949 / 4  # one IU of 730/949 and three of 0
    assert (
        health.from_validation(
            histogram, [{"step": 0, "val_mean_iu": constant}], training(100), VOC_PIXELS, VOC
        )
        == []
    ), "scores are zero at first"
    assert (
        health.from_validation(histogram, rows(constant), training(100), VOC_PIXELS, VOC) == []
    ), "the first validation may be early"
    (finding,) = health.from_validation(
        histogram, rows(constant, constant), training(100), VOC_PIXELS, VOC
    )
    assert finding.kind == "background"
    assert finding.text.startswith(
        "after 20 steps 100.00% of the validation pixels are predicted as `background`, which "
        "makes 76.9% of the truth: mean IU 0.1923. "
    )
    assert "rate is too low" in finding.text
    assert kinds(
        health.from_validation(histogram, rows(constant), training(10), VOC_PIXELS, VOC)
    ) == ["background"], "the last one"
    assert (
        health.from_validation(histogram, rows(0.5, constant), training(100), VOC_PIXELS, VOC) == []
    ), "it was better: this may be a slip"


@pytest.mark.parametrize("name", ["bg", "unlabeled", "wall", "_background_"])
@pytest.mark.parametrize("place", [0, 2])
def test_the_commonest_class_is_the_background_whatever_its_name_and_place(name, place):
    """The advice was turned round: the rate is too high, it said."""
    order = [1, 2, 3]
    order.insert(place, 0)
    classes = tuple(name if which == 0 else VOC[which] for which in order)
    histogram = predicted_as(good()[np.ix_(order, order)], place)
    (finding,) = health.from_validation(
        histogram, rows(0.19, 0.19), training(100), VOC_PIXELS, classes
    )
    assert (finding.kind, f"are predicted as `{name}`" in finding.text) == ("background", True)
    assert "the rate is too low" in finding.text


def test_voc_s_signature():
    """0.0349 on VOC2012's val: 73.32 % of 21 classes."""
    truth = np.array([7332, *[133.4] * 20])
    histogram = predicted_as(np.diag(truth), 0)
    (finding,) = health.from_validation(
        histogram,
        rows(0.0349, 0.0349),
        training(100),
        VOC_PIXELS,
        ["background", *map(str, range(20))],
    )
    assert finding.kind == "background"
    assert "mean IU 0.0349" in finding.text
    assert truth[0] / truth.sum() / 21 == pytest.approx(0.0349, abs=5e-5)


def test_a_trace_of_another_class_is_still_background():
    histogram = predicted_as(1000 * good(), 0)
    histogram[0, 0], histogram[0, 1] = histogram[0, 0] - 949, 949  # 1 of 1000
    assert kinds(
        health.from_validation(histogram, rows(0.19, 0.19), training(100), VOC_PIXELS, VOC)
    ) == ["background"]
    histogram[0, 0], histogram[0, 1] = histogram[0, 0] - 949, 2 * 949
    assert health.from_validation(histogram, rows(0.19, 0.19), training(100), VOC_PIXELS, VOC) == []


@pytest.mark.parametrize(
    ("k", "classes", "name"),
    [(1, VOC, "cat"), (2, ("wall", "sky", "tree", "road"), "tree"), (3, (), "class 3")],
)
def test_only_one_class(k, classes, name):
    """Which most pixels are not of."""
    (finding,) = health.from_validation(
        predicted_as(good(), k), rows(0.1, 0.1), training(100), VOC_PIXELS, classes
    )
    assert finding.kind == "one_class"
    assert f"are predicted as `{name}`" in finding.text


def test_a_truth_of_one_class_is_the_labels_fault():
    histogram = np.zeros((4, 4), int)
    histogram[0, 0] = 100
    assert health.from_validation(histogram, rows(1.0, 1.0), training(100), VOC_PIXELS, VOC) == []


def test_classes_under_each_other_s_names():
    histogram = good()[:, [0, 2, 3, 1]]  # cat is called cow, dog cat, cow dog
    (finding,) = health.from_validation(histogram, rows(0.2), training(100), VOC_PIXELS, VOC)
    assert finding.kind == "swapped_classes"
    assert finding.text.startswith(
        "3 classes are found in the right places under the wrong names: `cat` as `cow`, `dog` as "
        "`cat`,"
    )


def test_one_class_taken_for_another_is_an_ordinary_mistake():
    histogram = good()
    histogram[1] = [0, 0, 89, 0]  # all cats are dogs
    histogram[2, 2] = 0
    assert 89 / (89 + 10) > 0.5
    assert health.from_validation(histogram, rows(0.3), training(100), VOC_PIXELS, VOC) == []


WORSE = (0.3, 0.5, 0.6, 0.62, 0.61, 0.58, 0.57, 0.56)


def test_validation_gets_worse_while_training_gets_better():
    (finding,) = health.from_validation(good(), rows(*WORSE), training(100), VOC_PIXELS, VOC)
    assert finding.kind == "overfitting"
    # The best three in a row: 0.6, 0.62, 0.61. Losses are 1/(n + 1): 1/4 and 1/5 there, 1/7 and 1/8
    # at the end.
    assert finding.text.startswith(
        "validation gets worse while training gets better: mean IU 0.6100 between the steps 30 and "
        "50, 0.5700 since 60; training loss 0.225 then, 0.133929 now."
    )
    assert "`iterations: 50`" in finding.text


@pytest.mark.parametrize(
    ("scores", "losses"),
    [
        ((0.3, 0.5, 0.6, 0.62, 0.63, 0.64, 0.63, 0.64), None),
        (WORSE, [1.0] * 8),  # training gets no better either
        (WORSE, [1, 0.9, 0.8, 0.7, 0.6, 0.8, 0.8, 0.8]),  # both get worse: the rate
        (WORSE[:5], None),
        ((0.6, 0.6, 0.66, 0.6, 0.6, 0.6, 0.6, 0.6), None),  # one lucky validation
        ((0.60, 0.61, 0.59, 0.60, 0.58, 0.60, 0.59, 0.60), None),  # they scatter
    ],
)
def test_validations_that_only_scatter_are_silent(scores, losses):
    assert (
        health.from_validation(good(), rows(*scores, losses=losses), training(100), VOC_PIXELS, VOC)
        == []
    )


# The rate that is advised


@pytest.mark.parametrize(
    ("recipe", "pixels", "higher", "lower"),
    [
        # Published for VOC: 1e-10 on the sum, so 1.875e-5 on the mean.
        (RECIPE, VOC_PIXELS, 1e-9, 1e-11),
        # A tenth of the pixels and of what momentum adds up: the sample's 1e-8.
        (replace(RECIPE, momentum=0.9, learning_rate=1e-4), 18_750, 1e-3, 1e-8),
        (replace(RECIPE, loss="mean", learning_rate=1e-10), VOC_PIXELS, 1.9e-5, 1e-11),
        (replace(RECIPE, optimizer="adam", loss="mean", learning_rate=0.1), 9, 1.0, 1e-4),
    ],
)
def test_the_rate_fits_the_loss_the_momentum_and_the_images(recipe, pixels, higher, lower):
    collapsed = predicted_as(good(), 0), predicted_as(good(), 1)
    for histogram, rate in zip(collapsed, (higher, lower), strict=True):
        (finding,) = health.from_validation(histogram, rows(0.19, 0.19), recipe, pixels, VOC)
        assert f"`learning_rate`, to {rate:.2g} for a try" in finding.text
    assert f"to {lower:.2g} for a try" in health.not_finite(0.0, 1, 1, 1.0, recipe, pixels).text


# The loss


def test_a_loss_that_is_not_finite_names_step_images_rate_and_remedy():
    finding = health.not_finite(
        float("nan"), 20, 13, 1e-10, RECIPE, VOC_PIXELS, ["a", "b"], ["c"], kept=10
    )
    assert finding == health.Finding(
        "not_finite",
        "the loss is nan after step 20: the rate 1e-10 is too high for `loss: sum`, or the weights "
        "that the net starts from are wrong. The scores of step 13 are the first that are not "
        "finite; its images: a, b; those of step 12, whose update led there: c. The checkpoint "
        "of step 10 is kept. Lower `learning_rate`, to 1e-11 for a try (1e-10 is usual for "
        "`loss: sum` and "
        "187,500 pixels a step); if it stops at the same images again, look at them.",
    )


def test_what_is_not_known_of_a_loss_is_left_out():
    text = health.not_finite(float("inf"), 20, None, 1e-10, RECIPE, VOC_PIXELS).text
    assert "wrong. There was no checkpoint yet. Lower `learning_rate`" in text
    long = health.not_finite(
        float("inf"), 20, 1, 1e-10, RECIPE, VOC_PIXELS, [str(n) for n in range(25)]
    ).text
    assert "18, 19 and 5 more. There" in long


def test_broken_arrays_are_named():
    large = np.full(3, 3e38, np.float32)
    arrays = {
        "a": np.ones(3, np.float32), "b": np.array([1, np.nan], np.float32),
        "c": np.array([[np.inf]]), "d": np.arange(3),
        "e": np.array([np.inf, -np.inf], np.float32), "f": large / 4,
    }  # fmt: skip
    assert health.broken(arrays) == ["b", "c", "e"]


def test_each_kind_is_said_once():
    said = []
    tell = health.once(lambda *values: said.append(values))
    tell([health.Finding("a", "first"), health.Finding("b", "other")])
    tell([health.Finding("a", "second")])
    assert said == [("a", "first"), ("b", "other")]
