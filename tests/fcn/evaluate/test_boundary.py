import numpy as np
import pytest
from sklearn.metrics import accuracy_score, jaccard_score

from fcn.evaluate import boundary
from fcn.score import metrics


def drawn(seed, height=31, width=43):
    """A truth of discs on background, one of them with a border of void, and a prediction that is
    wrong here and there.
    """
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    truth = np.zeros((height, width), np.uint8)
    for value, border in ((1, 2), (2, 0), (3, 1)):
        distance = np.hypot(y - random.integers(height), x - random.integers(width))
        truth[distance < 9 + border] = 255 if border else truth.max()
        truth[distance < 9] = value
    wrong = random.random(truth.shape) < 0.3
    return truth, np.where(
        wrong | (truth == 255), random.integers(0, 4, truth.shape), truth
    ).astype(np.uint8)


def by_hand(truth):
    """The distance of every pixel to every boundary pixel, looked at one by one."""
    height, width = truth.shape
    edge = [
        (y, x)
        for y in range(height)
        for x in range(width)
        for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1))
        if 0 <= v < height and 0 <= u < width and truth[v, u] != truth[y, x]
    ]
    (v, u), (y, x) = np.array(edge).T, np.mgrid[:height, :width]
    return np.hypot(y[..., None] - v, x[..., None] - u).min(-1)


@pytest.mark.parametrize("seed", [0, 1])
def test_rings_are_the_distances_measured_pair_by_pair(seed):
    truth, _ = drawn(seed)
    distance = by_hand(truth)
    rings = boundary.rings(truth)
    assert rings.dtype == np.uint8
    for width in range(1, boundary.WIDEST + 1):
        np.testing.assert_array_equal((rings > 0) & (rings <= width), distance < width)


def test_a_step_between_two_classes_has_a_pixel_a_side_in_every_ring():
    truth = np.repeat([0, 1], [50, 4])[None].astype(np.uint8)
    assert boundary.rings(truth)[0].tolist() == [0] * 10 + list(range(40, 0, -1)) + [1, 2, 3, 4]


def test_void_is_a_border_of_its_own_and_the_frame_is_none():
    # The bands of both classes begin at the void, not at the middle of it; at the image's frame
    # nothing begins.
    truth = np.array([[0, 0, 0, 255, 255, 255, 255, 255, 1, 1]], np.uint8)
    assert boundary.rings(truth)[0].tolist() == [3, 2, 1, 1, 2, 3, 2, 1, 1, 2]


def test_an_image_of_one_class_has_no_boundary():
    same = np.full((5, 6), 2, np.uint8)
    assert not boundary.rings(same).any()
    histogram = boundary.confusion(same, same, 3)
    assert histogram[0, 2, 2] == histogram.sum() == 30
    assert list(boundary.curve(histogram)) == []


def test_the_rings_add_up_to_the_confusion_of_the_whole_image():
    truth, prediction = drawn(2)
    found = boundary.confusion(truth, prediction, 4)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found.sum(0), metrics.confusion(truth, prediction, 4))


def test_the_curve_is_scikit_learns_score_of_the_pixels_in_the_band():
    """Over two images at once: their pixels are put together, not their scores."""
    images = [drawn(3), drawn(4)]
    total = sum(boundary.confusion(truth, predicted, 4) for truth, predicted in images)
    curve = {width: scores for width, *scores in boundary.curve(total)}
    assert list(curve) == list(range(1, 41))
    for width in (1, 2, 5, 11, 40):
        bands = [(by_hand(truth) < width) & (truth != 255) for truth, _ in images]
        true, predicted = (
            np.concatenate([image[k][band] for image, band in zip(images, bands, strict=True)])
            for k in (0, 1)
        )
        wanted = jaccard_score(true, predicted, average="macro"), accuracy_score(true, predicted)
        assert curve[width] == pytest.approx(wanted)
    assert curve[1] != curve[5] != curve[40]


def test_what_metrics_refuses_is_refused():
    with pytest.raises(ValueError, match="own size"):
        boundary.confusion(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8), 2)
    with pytest.raises(ValueError, match=r"classes 0\.\.2"):
        boundary.confusion(np.array([[3, 1]]), np.array([[0, 1]]), 3)
