"""Whether one model scores better than another, or only on these images: a paired bootstrap over
the images.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES, LEVEL, SEED = 2000, 0.95, 0
"""How many resamples are drawn, what share of them an interval holds, and the seed that makes them
the same every time.
"""


@dataclass(frozen=True)
class Counts:
    """What one model got right in each image; everything that is scored here comes from it.

    Attributes:
        images: their ids, N.
        classes: names, C.
        both: int64 (N, C), valid pixels that are of the class in truth and in prediction.
        truth: int64 (N, C), valid pixels of the class in the truth.
        prediction: int64 (N, C), valid pixels predicted as the class.
    """

    images: tuple[str, ...]
    classes: tuple[str, ...]
    both: np.ndarray
    truth: np.ndarray
    prediction: np.ndarray


@dataclass(frozen=True)
class Difference:
    """A score of two models on the same images.

    Attributes:
        first: the first one's, 0..1; NaN where it has none, as the IU of a class that is in neither
            truth nor prediction.
        second: the second one's.
        low: lower end of the interval of `second - first`; NaN if no resample has the difference.
        high: upper end.
    """

    first: float
    second: float
    low: float
    high: float

    @property
    def value(self) -> float:
        """`second - first`."""
        return self.second - self.first

    @property
    def clear(self) -> bool:
        """Whether the interval excludes 0."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Comparison:
    """What `compare` found: the mean IU, the pixel accuracy, and the IU of each class by name."""

    mean_iu: Difference
    pixel_accuracy: Difference
    classes: dict[str, Difference]


def compare(
    first: Counts,
    second: Counts,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = SEED,
) -> Comparison:
    """Compares two models image by image.

    Each resample draws as many images as there are, with replacement, the same for both models,
    adds up their pixels and scores the sums, as the headline does with all images. An interval
    reaches from the (1 - level) / 2 quantile of the differences to the (1 + level) / 2 quantile;
    resamples in which a score does not exist are left out of its interval, and classes without a
    score out of a mean, as in `metrics.scores`. So an interval says how much the choice of these
    images matters; it does not say how much another training of the same net would.

    Args:
        first: counts of one model.
        second: counts of the other: the same images and classes in the same order.
        resamples: how many to draw.
        level: share of the differences that an interval holds, in 0..1.
        seed: of the draws.

    Returns:
        The scores on all images, and the intervals of their differences.

    Raises:
        ValueError: other images or classes, or none.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, section 13.3, the
    percentile interval.

    Example:
        >>> truth = np.array([[80, 20], [50, 50]] * 20)  # pixels by image and class
        >>> poor = Counts(tuple(map(str, range(40))), ("sky", "sea"), truth // 2, truth, truth)
        >>> good = Counts(poor.images, poor.classes, truth * 9 // 10, truth, truth)
        >>> found = compare(poor, good).mean_iu
        >>> f"{found.first:.2f} {found.second:.2f} {found.clear}"
        '0.33 0.82 True'
    """
    if (
        (first.images, first.classes) != (second.images, second.classes)
        or not first.images
        or not first.classes
    ):
        raise ValueError("expected counts of the same images and classes, in the same order")
    whole = [_scores(counts, np.ones((1, len(first.images)))) for counts in (first, second)]
    drawn = _draws(len(first.images), resamples, seed)
    differences = np.subtract(*(_scores(counts, drawn) for counts in (second, first)))
    found = [
        Difference(float(a), float(b), *_interval(column, level))
        for a, b, column in zip(whole[0][0], whole[1][0], differences.T, strict=True)
    ]
    return Comparison(found[0], found[1], dict(zip(first.classes, found[2:], strict=True)))


@dataclass(frozen=True)
class Score:
    """A score of one model, 0..1, and the ends of its interval; NaN where it has none."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """Such as "0.6213 (0.5800 to 0.6604)"."""
        return f"{self.value:.4f} ({self.low:.4f} to {self.high:.4f})"


def scores(
    counts: Counts, resamples: int = RESAMPLES, level: float = LEVEL, seed: int = SEED
) -> dict[str, Score]:
    """Scores of one model, each with the interval in which it lies for `level` of other draws of
    such images.

    Args:
        counts: of at least one image.
        resamples: how many to draw, with replacement; see `compare`.
        level: share of the resamples that an interval holds, in 0..1.
        seed: of the draws.

    Returns:
        "mean_iu" and "pixel_accuracy".

    Raises:
        ValueError: no image.

    Example:
        >>> truth = np.array([[80, 20], [50, 50]] * 20)  # pixels by image and class
        >>> found = scores(Counts(tuple(map(str, range(40))), ("a", "b"), truth // 2, truth, truth))
        >>> print(found["mean_iu"])
        0.3333 (0.3333 to 0.3333)
    """
    if not counts.images:
        raise ValueError("expected at least one image")
    whole = _scores(counts, np.ones((1, len(counts.images))))[0, :2]
    drawn = _scores(counts, _draws(len(counts.images), resamples, seed))[:, :2]
    names = ("mean_iu", "pixel_accuracy")
    return {
        name: Score(float(value), *_interval(column, level))
        for name, value, column in zip(names, whole, drawn.T, strict=True)
    }


def class_iu(counts: Counts) -> dict[str, float]:
    """The IU of each class on all images, 0..1, without those that have none."""
    values = _scores(counts, np.ones((1, len(counts.images))))[0, 2:]
    found = zip(counts.classes, values.tolist(), strict=True)
    return {name: value for name, value in found if not np.isnan(value)}


def mean_iu(counts: Counts) -> float:
    """The mean IU on all images, as `metrics.scores` has it; NaN without a pixel."""
    return float(_scores(counts, np.ones((1, len(counts.images))))[0, 0])


def chosen(counts: Counts, images: Collection[str]) -> Counts:
    """The counts of some of the images, in the order of `counts`; for example those of seg11valid
    out of VOC2012's val.

    Raises:
        ValueError: none of them is there.
    """
    rows = [row for row, image in enumerate(counts.images) if image in images]
    if not rows:
        raise ValueError("none of these images is in it")
    tables = (table[rows] for table in (counts.both, counts.truth, counts.prediction))
    return Counts(tuple(counts.images[row] for row in rows), counts.classes, *tables)


def pooled(parts: Sequence[Counts]) -> Counts:
    """The counts of several sets of images as those of one; a class that one lacks has no pixels
    there.

    Raises:
        ValueError: an image is in more than one of them; the message names it.
    """
    images = [image for part in parts for image in part.images]
    if twice := [image for image, times in Counter(images).items() if times > 1]:
        raise ValueError(f"image {min(twice)} is in more than one of them")
    classes = tuple(dict.fromkeys(name for part in parts for name in part.classes))
    ordered = [_ordered(part, part.images, classes) for part in parts]
    tables = (
        np.concatenate([getattr(part, table) for part in ordered])
        for table in ("both", "truth", "prediction")
    )
    return Counts(tuple(images), classes, *tables)


def align(first: Counts, second: Counts) -> tuple[Counts, Counts]:
    """Brings two counts of the same images into one order of images and classes; a class that one
    lacks has no pixels there.

    Raises:
        ValueError: an image is in one of them only; the message names it.
    """
    if alone := set(first.images) ^ set(second.images):
        raise ValueError(f"image {min(alone)} is in one of them only")
    classes = tuple(dict.fromkeys((*first.classes, *second.classes)))
    return _ordered(first, first.images, classes), _ordered(second, first.images, classes)


def _ordered(counts: Counts, images: Sequence[str], classes: tuple[str, ...]) -> Counts:
    row, column = (
        {name: at for at, name in enumerate(names)} for names in (counts.images, counts.classes)
    )
    rows = [row[image] for image in images]

    def reordered(table: np.ndarray) -> np.ndarray:
        # its last column: no pixels
        wider = np.concatenate([table[rows], np.zeros((len(rows), 1), table.dtype)], 1)
        return wider[:, [column.get(name, -1) for name in classes]]

    return Counts(
        tuple(images),
        classes,
        reordered(counts.both),
        reordered(counts.truth),
        reordered(counts.prediction),
    )


def _draws(images: int, resamples: int, seed: int) -> np.ndarray:
    """How often each resample has each image: float64 (R, N), rows adding up to N."""
    chosen = np.random.default_rng(seed).integers(0, images, (resamples, images))
    cells = chosen + images * np.arange(resamples)[:, None]
    return (
        np.bincount(cells.ravel(), minlength=resamples * images)
        .reshape(resamples, images)
        .astype(np.float64)
    )


def _scores(counts: Counts, weights: np.ndarray) -> np.ndarray:
    """Mean IU, pixel accuracy and the IU of each class, of images weighted by each row of (R, N):
    float64 (R, 2 + C).

    A product of matrices instead of R x N x C numbers. Sums of pixels are whole numbers far below
    2^53: exact.
    """
    both, truth, prediction = (
        weights @ table for table in (counts.both, counts.truth, counts.prediction)
    )
    iu = _divide(both, truth + prediction - both)
    there = ~np.isnan(iu)
    mean = _divide(np.where(there, iu, 0.0).sum(1), there.sum(1))
    return np.column_stack([mean, _divide(both.sum(1), truth.sum(1)), iu])


def _interval(differences: np.ndarray, level: float) -> tuple[float, float]:
    known = differences[~np.isnan(differences)]
    if not known.size:
        return float("nan"), float("nan")
    low, high = np.percentile(known, [50 * (1 - level), 50 * (1 + level)])
    return float(low), float(high)


def _divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    quotient = np.full(a.shape, np.nan)
    np.divide(a, b, out=quotient, where=b > 0)
    return quotient
