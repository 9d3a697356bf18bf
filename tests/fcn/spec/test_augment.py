import numpy as np
import pytest

from fcn.errors import UserError
from fcn.spec.augment import OFF, Augment, moves

SIZES = np.array([(40, 56), (33, 47), (300, 200)])
MANY = np.tile(SIZES, (500, 1))


def test_off_leaves_every_image_as_it_is():
    assert moves(OFF, SIZES, 3, 5).tolist() == [
        [40, 56, 0, 0, 0, 40, 56], [33, 47, 0, 0, 0, 33, 47], [300, 200, 0, 0, 0, 300, 200],
    ]  # fmt: skip
    assert Augment() == OFF


def test_about_every_other_image_is_mirrored_and_nothing_else_changes():
    found = moves(Augment(mirror=True), MANY, 1, 0)
    assert set(found[:, 2]) == {0, 1}
    assert 650 < found[:, 2].sum() < 850  # 750, give or take 19 (one standard deviation)
    found[:, 2] = 0
    assert np.array_equal(found, moves(OFF, MANY, 1, 0))


def test_jitter_goes_as_far_in_every_direction():
    found = moves(Augment(jitter=2), MANY, 1, 0)
    # The border of 2 pixels begins at 0: 2 is where the image stood.
    for column in (3, 4):
        counts = np.bincount(found[:, column])
        assert len(counts) == 5
        assert counts.min() > 240  # 300 each, give or take 15
    assert np.abs(np.corrcoef(found[:, 3], found[:, 4])[0, 1]) < 0.1
    assert np.array_equal(found[:, 5:], MANY)


def test_both_sides_are_scaled_by_the_same_factor_of_the_range():
    found = moves(Augment(scale=(0.5, 2.0)), MANY, 1, 0)
    factors = found[:, :2] / MANY
    large = MANY[:, 0] == 300
    assert np.abs(factors[large, 0] - factors[large, 1]).max() < 0.5 / 200 + 0.5 / 300
    assert 0.49 < factors.min() < 0.52
    assert 1.98 < factors.max() < 2.02
    assert 1.2 < factors.mean() < 1.3
    assert np.array_equal(found[:, 5:], found[:, :2])
    assert (moves(Augment(scale=(0.001, 0.001)), SIZES, 1, 0)[:, :2] == 1).all()  # never 0


def test_a_crop_lies_inside_of_the_image_and_reaches_every_corner():
    found = moves(Augment(crop=50), MANY, 1, 0)
    window = {tuple(size): found[(size == MANY).all(1)] for size in SIZES}
    assert {size: np.unique(rows[:, 5:], axis=0).tolist() for size, rows in window.items()} == {
        (40, 56): [[40, 50]], (33, 47): [[33, 47]], (300, 200): [[50, 50]],
    }  # fmt: skip
    assert (window[40, 56][:, 3].max(), set(window[40, 56][:, 4])) == (0, set(range(7)))
    assert not window[33, 47][:, 3:5].any()
    assert (window[300, 200][:, 3].min(), window[300, 200][:, 3].max()) == (0, 250)
    assert (window[300, 200][:, 4].min(), window[300, 200][:, 4].max()) == (0, 150)


def test_all_of_it_at_once_stays_within_the_bordered_image():
    found = moves(Augment((0.5, 2.0), True, 32, 64), MANY, 4, 2)
    assert (found[:, 3:5] >= 0).all()
    assert (found[:, 3:5] + found[:, 5:] <= found[:, :2] + 2 * 32).all()
    assert (found[:, 5:] == np.minimum(found[:, :2], 64)).all()


def test_the_dice_of_an_image_depend_on_seed_epoch_and_its_number_alone():
    augment = Augment((0.5, 2.0), True, 32, 64)
    whole = moves(augment, MANY, 4, 2)
    assert np.array_equal(moves(augment, MANY[:7], 4, 2), whole[:7])
    assert np.array_equal(moves(augment, MANY, 4, 2), whole)
    for seed, epoch in ((4, 3), (5, 2), (2, 4), (0, 2)):
        assert (moves(augment, MANY, seed, epoch) == whole).all(1).mean() < 0.05
    # What is switched on as well does not change what was on before.
    assert np.array_equal(moves(Augment(mirror=True), MANY, 4, 2)[:, 2], whole[:, 2])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"scale": (2.0, 0.5)},
            r"scale: expected the least and the greatest factor, above 0; got \[2.0, 0.5\]",
        ),
        ({"scale": (0.0, 1.0)}, "scale: expected"),
        ({"scale": (1.0,)}, "scale: expected"),
    ],
)
def test_values_that_mean_nothing_are_refused(changes, words):
    with pytest.raises(UserError, match=words):
        Augment(**changes)
