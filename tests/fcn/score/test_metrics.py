import warnings

import numpy as np
import pytest
from sklearn import metrics as theirs

from fcn.score.metrics import class_accuracy, class_iu, confusion, scores

TRUTH = np.array([[0, 0, 0, 1, 1], [2, 2, 255, 255, 0]], np.uint8)
GUESS = np.array([[0, 0, 1, 1, 0], [2, 1, 0, 2, 0]], np.uint8)
# By hand, void left out; rows true, columns predicted.
COUNTED = np.array([[3, 1, 0], [1, 1, 0], [0, 1, 1]])


def test_confusion_by_hand():
    histogram = confusion(TRUTH, GUESS, 3)
    assert histogram.dtype == np.int64
    np.testing.assert_array_equal(histogram, COUNTED)


def test_confusion_equals_a_loop():
    random = np.random.default_rng(0)
    truth, guess = random.choice([0, 1, 4, 20, 255], (31, 17)), random.integers(0, 21, (31, 17))
    expected = np.zeros((21, 21), int)
    for t, g in zip(truth.flat, guess.flat, strict=True):
        if t != 255:
            expected[t, g] += 1
    np.testing.assert_array_equal(
        confusion(truth.astype(np.uint8), guess.astype(np.uint8), 21), expected
    )


def test_256_classes_do_not_overflow_the_bytes():
    histogram = confusion(np.array([[200]], np.uint8), np.array([[254]], np.uint8), 255)
    assert histogram[200, 254] == histogram.sum() == 1


def test_the_four_scores_by_hand():
    # IU: 3 / (4 + 4 - 3), 1 / (2 + 3 - 1), 1 / (2 + 1 - 1)
    np.testing.assert_allclose(class_iu(COUNTED), [0.6, 0.25, 0.5])
    assert scores(COUNTED) == pytest.approx({
        "pixel_accuracy": 5 / 8,
        "mean_accuracy": (3 / 4 + 1 / 2 + 1 / 2) / 3,
        "mean_iu": (0.6 + 0.25 + 0.5) / 3,
        "frequency_weighted_iu": (4 * 0.6 + 2 * 0.25 + 2 * 0.5) / 8,
    })  # fmt: skip


def test_a_class_in_neither_truth_nor_prediction_is_left_out():
    wide = np.zeros((4, 4), np.int64)
    wide[:3, :3] = COUNTED
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a division by zero too
        assert scores(wide) == pytest.approx(scores(COUNTED))
        assert np.isnan(class_iu(wide)[3])


def test_a_class_that_is_predicted_only_has_iu_0_and_no_accuracy():
    histogram = np.array([[8, 2], [0, 0]])
    assert scores(histogram) == pytest.approx(
        {"pixel_accuracy": 0.8, "mean_accuracy": 0.8, "mean_iu": 0.4, "frequency_weighted_iu": 0.8}
    )


def test_everything_background_is_the_known_signature():
    """VOC2012 val: 73.32 % background, 21 classes -> 0.0349."""
    histogram = np.zeros((21, 21), np.int64)
    histogram[0, 0] = 73_320
    histogram[1:, 0] = 1_334
    assert scores(histogram)["mean_iu"] == pytest.approx(0.7332 / 21, abs=1e-5)
    assert round(0.7332 / 21, 4) == 0.0349


def test_adding_histograms_is_not_averaging_images():
    one, two = np.array([[9, 1], [0, 0]]), np.array([[0, 0], [5, 5]])
    assert scores(one + two)["mean_iu"] == pytest.approx((9 / 15 + 5 / 11) / 2)
    averaged = np.mean([scores(one)["mean_iu"], scores(two)["mean_iu"]])
    assert averaged == pytest.approx((9 / 10 + 0 + 0 + 5 / 10) / 4)
    assert abs(scores(one + two)["mean_iu"] - averaged) > 0.1


def test_no_valid_pixel_has_no_scores():
    empty = confusion(np.full((2, 2), 255, np.uint8), np.zeros((2, 2), np.uint8), 3)
    assert empty.shape == (3, 3)
    with pytest.raises(ValueError, match="no valid pixel"):
        scores(empty)


def test_another_size_is_refused_even_with_as_many_pixels():
    with pytest.raises(ValueError, match=r"truth is \(2, 3\), prediction \(3, 2\)"):
        confusion(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8), 2)


@pytest.mark.parametrize(("truth", "guess"), [(3, 0), (0, 3), (-1, 0), (0, 255), (0, -1)])
def test_values_out_of_range_are_refused(truth, guess):
    with pytest.raises(ValueError, match=r"classes 0\.\.2"):
        confusion(np.array([[truth, 1]]), np.array([[guess, 1]]), 3)


@pytest.mark.parametrize("seed", range(3))
def test_every_score_is_scikit_learns_on_the_same_pixels(seed):
    random = np.random.default_rng(seed)
    truth = random.choice([0, 1, 2, 3, 255], (40, 33), p=[0.5, 0.2, 0.15, 0.05, 0.1])
    guess = np.where(
        random.random(truth.shape) < 0.6, truth % 255, random.integers(0, 4, truth.shape)
    )
    pair = truth[truth != 255], guess[truth != 255]
    histogram = confusion(truth, guess, 5)  # the fifth class is nowhere
    np.testing.assert_array_equal(histogram, theirs.confusion_matrix(*pair, labels=range(5)))
    np.testing.assert_allclose(
        class_iu(histogram)[:4], theirs.jaccard_score(*pair, average=None), rtol=1e-12
    )
    np.testing.assert_allclose(
        class_accuracy(histogram)[:4], theirs.recall_score(*pair, average=None), rtol=1e-12
    )
    assert np.isnan(class_accuracy(histogram)[4])
    assert scores(histogram) == pytest.approx({
        "pixel_accuracy": theirs.accuracy_score(*pair),
        "mean_accuracy": theirs.balanced_accuracy_score(*pair),
        "mean_iu": theirs.jaccard_score(*pair, average="macro"),
        "frequency_weighted_iu": theirs.jaccard_score(*pair, average="weighted"),
    }, rel=1e-12)  # fmt: skip
