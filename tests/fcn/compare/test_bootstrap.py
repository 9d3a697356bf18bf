"""The paired bootstrap against SciPy's, against the scores of `metrics`, and by hand where the
answer is known.
"""

import numpy as np
import pytest
from scipy import stats

from fcn.compare import bootstrap
from fcn.compare.bootstrap import Counts
from fcn.score import metrics
from fcn.spec import VOID


def counted(truths, predictions, classes, names=None):
    """Counts of images, from their labels."""
    tables = np.zeros((3, len(truths), classes), np.int64)
    for at, (truth, prediction) in enumerate(zip(truths, predictions, strict=True)):
        valid = truth != VOID
        for label in range(classes):
            of_truth, predicted = (truth == label) & valid, (prediction == label) & valid
            tables[:, at, label] = (of_truth & predicted).sum(), of_truth.sum(), predicted.sum()
    return Counts(
        tuple(f"im{n}" for n in range(len(truths))),
        tuple(names or map(str, range(classes))),
        *tables,
    )


def world(images, classes, right, seed):
    """Truth of images with void, and predictions of which a share is right; the last class is in
    the first image only.
    """
    rng = np.random.default_rng(seed)
    truths = rng.integers(0, classes - 1, (images, 8, 9))
    truths[0, :3] = classes - 1
    truths[rng.random(truths.shape) < 0.1] = VOID
    noise = rng.integers(0, classes - 1, truths.shape)
    return truths, lambda share: np.where(
        (rng.random(truths.shape) < share) & (truths != VOID), truths, noise
    )


@pytest.fixture(scope="module")
def two():
    truths, predict = world(12, 4, 0.7, seed=3)
    predictions = predict(0.6), predict(0.7)
    return truths, predictions, [counted(truths, made, 4) for made in predictions]


def test_the_scores_on_all_images_are_those_of_metrics(two):
    truths, predictions, counts = two
    found = bootstrap.compare(counts[0], counts[1], resamples=10)
    for at, side in ((0, "first"), (1, "second")):
        histogram = sum(
            metrics.confusion(t, p, 4) for t, p in zip(truths, predictions[at], strict=True)
        )
        scores, iu = metrics.scores(histogram), metrics.class_iu(histogram)
        assert getattr(found.mean_iu, side) == pytest.approx(scores["mean_iu"], abs=1e-14)
        assert getattr(found.pixel_accuracy, side) == pytest.approx(
            scores["pixel_accuracy"], abs=1e-14
        )
        assert [getattr(found.classes[str(n)], side) for n in range(4)] == pytest.approx(
            iu.tolist(), abs=1e-14
        )
        assert bootstrap.mean_iu(counts[at]) == pytest.approx(scores["mean_iu"], abs=1e-14)


def statistic(counts, score):
    """A function of indices of images that sums the counts and scores the sums, without weights:
    for SciPy.
    """

    def iu(which, chosen):
        both, truth, prediction = (
            table[chosen].sum(-2) for table in (which.both, which.truth, which.prediction)
        )
        with np.errstate(invalid="ignore"):
            classes = both / (truth + prediction - both)
            return {
                "mean": np.nanmean(classes, -1),
                "pixel": both.sum(-1) / truth.sum(-1),
                "class": classes[..., 1],
            }[score]

    def difference(chosen, axis):
        assert axis == -1
        return iu(counts[1], chosen.astype(int)) - iu(counts[0], chosen.astype(int))

    return difference


@pytest.mark.parametrize("score", ["mean", "pixel", "class"])
def test_intervals_are_scipys(two, score):
    _, _, counts = two
    found = bootstrap.compare(counts[0], counts[1], resamples=500, level=0.9, seed=7)
    theirs = stats.bootstrap(
        (np.arange(12),), statistic(counts, score), n_resamples=500, confidence_level=0.9,
        method="percentile",
        vectorized=True, rng=np.random.default_rng(7),
    ).confidence_interval  # fmt: skip
    ours = {"mean": found.mean_iu, "pixel": found.pixel_accuracy, "class": found.classes["1"]}[
        score
    ]
    # SciPy draws the same indices from the same generator, so that these are the same numbers, not
    # only alike.
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert ours.low < ours.value < ours.high


def table(rows):
    """Counts of one class per image: (both, truth, prediction) each."""
    both, truth, prediction = np.array(rows, np.int64).T[:, :, None]
    return Counts(tuple(f"im{n}" for n in range(len(rows))), ("cat",), both, truth, prediction)


def test_equal_images_leave_nothing_to_chance():
    # 4 / (8 + 6 - 4) = 0.4 and 6 / (8 + 6 - 6) = 0.75 in every resample.
    found = bootstrap.compare(table([(4, 8, 6)] * 5), table([(6, 8, 6)] * 5))
    cat = found.classes["cat"]
    assert (cat.first, cat.second) == pytest.approx((0.4, 0.75))
    assert (cat.low, cat.high) == pytest.approx((0.35, 0.35))
    assert cat.clear
    assert found.mean_iu == cat
    assert found.pixel_accuracy.value == pytest.approx(2 / 8)


def test_a_model_against_itself_differs_by_exactly_nothing(two):
    _, _, (counts, _) = two
    found = bootstrap.compare(counts, counts)
    for difference in (found.mean_iu, found.pixel_accuracy, *found.classes.values()):
        assert (difference.value, difference.low, difference.high, difference.clear) == (
            0,
            0,
            0,
            False,
        )


def test_two_images_by_hand():
    # A is wrong everywhere. B is right in im0 and wrong in im1. Resamples: im0 twice (1/4): 1; both
    # (1/2): 10 / 20 = 0.5 of the union 10 + 10; im1 twice (1/4): 0. The quartiles of these are 0
    # and 1 at 95 %, and their medians 0.5.
    found = bootstrap.compare(
        table([(0, 10, 0)] * 2), table([(10, 10, 10), (0, 10, 0)]), resamples=4000
    )
    assert (found.mean_iu.low, found.mean_iu.value, found.mean_iu.high) == (0.0, 0.5, 1.0)
    assert not found.mean_iu.clear
    narrow = bootstrap.compare(
        table([(0, 10, 0)] * 2), table([(10, 10, 10), (0, 10, 0)]), resamples=4000, level=0.2
    )
    assert (narrow.mean_iu.low, narrow.mean_iu.high) == (0.5, 0.5)


def test_a_class_that_a_resample_lacks_is_left_out():
    """`rare` is in im0 alone, where A has it wrong and B right: resamples without im0 have neither
    score for it.
    """
    common = np.full((3, 4), 10)
    rare = np.array([[0, 0, 0, 0], [10, 0, 0, 0], [0, 0, 0, 0]]), np.array([[10, 0, 0, 0]] * 3)
    first, second = (
        Counts(
            tuple("abcd"),
            ("common", "rare"),
            *(np.stack([c, r], 1) for c, r in zip(common, table, strict=True)),
        )
        for table in rare
    )
    found = bootstrap.compare(first, second)
    # wherever it is, it is 0 against 1
    assert (found.classes["rare"].low, found.classes["rare"].high) == (1.0, 1.0)
    assert (found.classes["common"].low, found.classes["common"].high) == (0.0, 0.0)
    # Means: (1 + 0) / 2 against (1 + 1) / 2 where im0 was drawn; 1 against 1, of `common` alone, in
    # the other 32 %.
    assert (found.mean_iu.low, found.mean_iu.value, found.mean_iu.high) == (0.0, 0.5, 0.5)


def test_a_class_that_is_nowhere_has_no_score_and_no_part_in_the_mean():
    nowhere = Counts(("a",), ("cat", "dog"), *(np.array([[n, 0]]) for n in (4, 8, 6)))
    found = bootstrap.compare(nowhere, nowhere)
    dog = found.classes["dog"]
    assert np.isnan([dog.first, dog.second, dog.value, dog.low, dog.high]).all()
    assert not dog.clear
    assert found.mean_iu.first == pytest.approx(0.4)


def test_the_same_every_time_and_other_seeds_differ(two):
    _, _, (first, second) = two
    found = bootstrap.compare(first, second)
    assert found == bootstrap.compare(first, second)
    assert found.mean_iu.low != bootstrap.compare(first, second, seed=1).mean_iu.low


def test_align_brings_images_and_classes_into_one_order(two):
    _, _, (counts, _) = two
    images, classes = [3, 0, 1, 2, *range(4, 12)], [2, 0, 1]  # class 3 is missing
    other = Counts(
        tuple(counts.images[n] for n in images), ("2", "0", "1"),
        *(whole[np.ix_(images, classes)] for whole in (counts.both, counts.truth,
        counts.prediction)),
    )  # fmt: skip
    first, second = bootstrap.align(counts, other)
    assert first.images == second.images == counts.images
    assert first.classes == second.classes == ("0", "1", "2", "3")
    np.testing.assert_array_equal(first.both, counts.both)
    np.testing.assert_array_equal(second.prediction[:, :3], counts.prediction[:, :3])
    np.testing.assert_array_equal(second.truth[:, 3], 0)
    back, _ = bootstrap.align(other, counts)
    assert back.classes == ("2", "0", "1", "3")
    np.testing.assert_array_equal(back.truth[0], [*counts.truth[3, [2, 0, 1]], 0])


def test_other_images_are_refused():
    one, two = table([(1, 1, 1)]), table([(1, 1, 1)] * 2)
    with pytest.raises(ValueError, match="image im1 is in one of them only"):
        bootstrap.align(one, two)
    with pytest.raises(ValueError, match="the same images and classes"):
        bootstrap.compare(one, two)


def test_an_interval_of_one_model_is_scipys(two):
    """The percentile interval of SciPy with as many resamples, up to the noise of the draws."""
    counts = two[2][0]
    found = bootstrap.scores(counts, resamples=20_000)
    right, valid = counts.both.sum(1), counts.truth.sum(1)
    theirs = stats.bootstrap(
        (np.arange(len(right)),),
        lambda chosen, axis: right[chosen].sum(-1) / valid[chosen].sum(-1),
        n_resamples=20_000, method="percentile", rng=np.random.default_rng(1), vectorized=True,
    ).confidence_interval  # fmt: skip
    assert found["pixel_accuracy"].value == pytest.approx(right.sum() / valid.sum())
    assert (found["pixel_accuracy"].low, found["pixel_accuracy"].high) == pytest.approx(
        tuple(theirs), abs=2e-3
    )
    assert found["mean_iu"].value == pytest.approx(bootstrap.mean_iu(counts))
    assert found["mean_iu"].low < found["mean_iu"].value < found["mean_iu"].high


def test_one_image_has_no_spread_and_none_no_score(two):
    truths, predictions, _ = two
    one = counted(truths[:1], predictions[0][:1], 4)
    score = bootstrap.scores(one)["mean_iu"]
    assert score.low == score.value == score.high
    assert str(bootstrap.Score(0.62134, 0.58, 0.6604)) == "0.6213 (0.5800 to 0.6604)"
    with pytest.raises(ValueError, match="at least one image"):
        bootstrap.scores(counted([], [], 4))
