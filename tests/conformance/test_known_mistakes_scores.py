"""Mistakes of other implementations in scoring, put in on purpose: an
assertion catches each one.
"""

import numpy as np
import pytest
import tiny_voc
from PIL import Image
from tiny import echo

from fcn.input import records
from fcn.input import stream as inputs
from fcn.score import evaluation, metrics
from fcn.score.metrics import confusion

# ---- scores

TRUTH = np.array([[0, 0, 1, 1, 255], [0, 2, 2, 255, 255]], np.uint8)
GUESS = np.array([[0, 1, 1, 1, 0], [0, 0, 2, 1, 2]], np.uint8)


def check_confusion(count):
    """Rows true, columns predicted, void left out; counted by eye."""
    np.testing.assert_array_equal(count(TRUTH, GUESS, 3), [[2, 1, 0], [0, 2, 0], [1, 0, 1]])


@pytest.mark.parametrize("mistake", [
    lambda truth, guess, classes: confusion(np.where(truth == 0, 255, truth), guess, classes),
    lambda truth, guess, classes: confusion(np.where(truth == 255, 0, truth), guess, classes),
    lambda truth, guess, classes: confusion(guess, np.where(truth == 255, 0, truth), classes),
], ids=["class 0 masked as void", "void counted as background", "rows and columns "
                                                                "exchanged"])  # fmt: skip
def test_counting_the_wrong_pixels_would_be_caught(mistake):
    check_confusion(confusion)
    with pytest.raises(AssertionError):
        check_confusion(mistake)


IMAGES = [
    (np.array([[0, 0, 0, 0]]), np.array([[0, 0, 0, 1]])),
    (np.array([[1, 1, 0, 255]]), np.array([[1, 0, 0, 0]])),
    (np.array([[1, 1, 1, 1]]), np.array([[1, 1, 1, 1]])),
]


def over_all(images):
    return metrics.scores(sum(confusion(truth, guess, 3) for truth, guess in images))["mean_iu"]


def check_mean_iu(score):
    """Class 0: 4 of 6 pixels in truth or prediction; class 1: 5 of 7; class 2 is nowhere and counts
    for nothing.
    """
    value = score(IMAGES)
    assert np.isfinite(value)
    assert value == pytest.approx((4 / 6 + 5 / 7) / 2)


def of_histogram(images):
    histogram = np.sum([confusion(truth, guess, 3) for truth, guess in images], 0)
    both = np.diag(histogram)
    with np.errstate(invalid="ignore"):
        return both / (histogram.sum(0) + histogram.sum(1) - both)


@pytest.mark.parametrize("mistake", [
    lambda images: np.mean([over_all([image]) for image in images]),
    lambda images: np.mean([over_all(images[:2]), over_all(images[2:])]),
    lambda images: np.mean(of_histogram(images)),
    lambda images: np.mean(np.nan_to_num(of_histogram(images))),
], ids=["averaged over images", "averaged over batches", "NaN for an absent class",
        "0 for an absent class"])  # fmt: skip
def test_a_wrong_mean_would_be_caught(mistake):
    check_mean_iu(over_all)
    with pytest.raises(AssertionError):
        check_mean_iu(mistake)


# ---- sizes


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Records of the tiny world, val in its order: v, w."""
    folder = tmp_path_factory.mktemp("data")
    root = tiny_voc.write_images(folder / "world", {"train": "abc", "val": "vw"})
    return tiny_voc.write_records(root, folder / "records")


def check_labels(stream):
    """The labels of v and w come out of the records and the input pipeline pixel by pixel as they
    were drawn.
    """
    found = [label for _, label in stream]
    assert len(found) == 2
    for label, name in zip(found, "vw", strict=True):
        np.testing.assert_array_equal(label, tiny_voc.truth(*tiny_voc.SIZES[name]))


def validation(data):
    return [
        (b["image"][0], b["label"][0]) for b in inputs.validation(data, "val").as_numpy_iterator()
    ]


def resized(image, size, how):
    return np.asarray(Image.fromarray(image).resize(size, how))


def bilinearly_there_and_back(label):
    size = label.shape[::-1]
    return resized(
        resized(label, (32, 32), Image.Resampling.BILINEAR), size, Image.Resampling.BILINEAR
    )


@pytest.mark.parametrize("mistake", [
    bilinearly_there_and_back,
    lambda label: resized(label, (32, 32), Image.Resampling.NEAREST),
    lambda label: np.where(label == 255, 0, label),
], ids=["resized bilinearly", "resized at all", "void made background"])  # fmt: skip
def test_changed_labels_would_be_caught(data, mistake):
    check_labels(validation(data))
    check_labels([(image, label) for _, image, label in records.read(data, "val")])
    with pytest.raises(AssertionError):
        check_labels([(image, mistake(label)) for image, label in validation(data)])


def test_labels_resized_bilinearly_hold_classes_that_are_not_there():
    """Why it matters: between background and void lies every class."""
    label = tiny_voc.truth(40, 56)
    assert set(np.unique(bilinearly_there_and_back(label))) - set(np.unique(label))


def check_evaluation(evaluate, images):
    """Every valid pixel of every image is counted once, with the prediction made for it."""
    expected = np.zeros((3, 3), np.int64)
    for image, label in images:
        for truth, pixel in zip(label.ravel(), image.reshape(-1, 3), strict=True):
            if truth != 255:
                expected[truth, np.argmax(pixel)] += 1
    np.testing.assert_array_equal(evaluate(images), expected)


def project(images):
    batches = [{"image": image[None], "label": label[None]} for image, label in images]
    return evaluation.evaluate(evaluation.labeler(echo()), batches, 3)


def on_resized(images):
    bilinear, nearest = Image.Resampling.BILINEAR, Image.Resampling.NEAREST
    return project(
        [
            (resized(image, (32, 32), bilinear), resized(label, (32, 32), nearest))
            for image, label in images
        ]
    )


def on_centres(images):
    return project([(image[4:36, 4:36], label[4:36, 4:36]) for image, label in images])


def with_resized_predictions(images):
    """Predicted at 32 x 32 and brought back to the image's size: as many pixels, but other ones."""
    bilinear = Image.Resampling.BILINEAR
    there_and_back = [
        (resized(resized(i, (32, 32), bilinear), i.shape[1::-1], bilinear), label)
        for i, label in images
    ]
    return project(there_and_back)


@pytest.mark.parametrize("mistake", [on_resized, on_centres, with_resized_predictions])
def test_scoring_at_another_size_would_be_caught(mistake):
    random = np.random.default_rng(3)
    images = [
        (random.integers(0, 256, (*size, 3), np.uint8), tiny_voc.truth(*size))
        for size in [(40, 56), (37, 41)]
    ]
    check_evaluation(project, images)
    with pytest.raises(AssertionError):
        check_evaluation(mistake, images)
