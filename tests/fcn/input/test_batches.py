import itertools

import numpy as np
import pytest

from fcn.input import batches
from fcn.spec.augment import OFF, Augment, moves

RANDOM = np.random.default_rng(5)
LIKE_VOC = np.array(
    [(375, 500)] * 47 + [(333, 500)] * 16 + [(500, 375)] * 20 + [(500, 333)] * 9 + [(281, 500)] * 8
)


def area(canvas):
    return int(np.prod(canvas, axis=1).sum())


def test_sides_are_rounded_up_to_multiples_of_8():
    sizes = np.array([(8, 9), (1, 16), (17, 24)])
    assert batches.canvases(sizes, 9).tolist() == [[8, 16], [8, 16], [24, 24]]


def test_those_canvases_are_joined_that_cost_least():
    # Rounded: 8x80 three times, 80x8, 16x80. Joined, the first and the last add 3 * 8 * 80 = 1920;
    # the first and the second 3 * (80 * 80 - 8 * 80) + 80 * 80 - 80 * 8, the second and the last 64
    # * 80 + 72 * 80.
    sizes = np.array([(8, 80), (8, 79), (80, 8), (7, 80), (16, 75)])
    assert batches.canvases(sizes, 3).tolist() == [[8, 80], [8, 80], [80, 8], [8, 80], [16, 80]]
    assert batches.canvases(sizes, 2).tolist() == [[16, 80], [16, 80], [80, 8], [16, 80], [16, 80]]
    assert batches.canvases(sizes, 1).tolist() == [[80, 80]] * 5


def best(sizes, count):
    """The least area that `count` canvases of rounded sides can have, by trying all."""
    rounded = -(-sizes // 8) * 8
    sides = [np.unique(rounded[:, axis]) for axis in (0, 1)]
    least = None
    for chosen in itertools.combinations(itertools.product(*sides), count):
        fits = np.array([[(size <= shape).all() for shape in np.array(chosen)] for size in rounded])
        if fits.any(1).all():
            total = np.where(fits, np.prod(chosen, axis=1), np.inf).min(1).sum()
            least = total if least is None else min(least, total)
    return least


@pytest.mark.parametrize("count", [1, 2, 3])
def test_on_sizes_like_vocs_no_choice_of_canvases_is_better(count):
    assert area(batches.canvases(LIKE_VOC, count)) == best(LIKE_VOC, count)


@pytest.mark.parametrize("count", [1, 2, 5, 40])
def test_every_image_fits_and_there_are_no_more_canvases_than_allowed(count):
    sizes = RANDOM.integers(1, 700, (300, 2))
    canvas = batches.canvases(sizes, count)
    assert (canvas >= sizes).all()
    assert len(np.unique(canvas, axis=0)) == count
    assert not (canvas % 8).any()


def test_more_canvases_cost_less_area_and_the_order_of_the_images_does_not_matter():
    sizes = RANDOM.integers(200, 501, (400, 2))
    areas = [area(batches.canvases(sizes, count)) for count in (1, 2, 4, 8, 16)]
    assert areas == sorted(areas, reverse=True)
    assert len(set(areas)) == 5
    order = RANDOM.permutation(400)
    assert np.array_equal(batches.canvases(sizes[order], 8), batches.canvases(sizes, 8)[order])


def test_thousands_of_sizes_are_first_rounded_more_coarsely():
    sizes = np.stack(np.meshgrid(np.arange(8, 808, 8), np.arange(8, 808, 8)), -1).reshape(-1, 2)
    canvas = batches.canvases(sizes, 10_000)  # 10 000 shapes of 8, 2 500 of 16, 625 of 32
    assert len(np.unique(canvas, axis=0)) == 625
    assert not (canvas % 32).any()


def test_a_plan_by_hand():
    canvas = np.array([(8, 8)] * 4 + [(8, 16)] * 3 + [(16, 8)] * 2)
    order = np.array([4, 0, 7, 1, 5, 2, 8, 6, 3])
    # Pairs in the order in which they begin: 4 and 5, 0 and 1, 7 and 8, 2 and 3; 6 has none.
    assert batches.plan(order, canvas, 2).tolist() == [4, 5, 0, 1, 7, 8, 2, 3, 6]
    # Threes: 4 5 6, 0 1 2; left are 7 and 8 of 16x8, whose 7 comes first, and so again from the
    # smallest: 3 of 8x8.
    assert batches.plan(order, canvas, 3).tolist() == [4, 5, 6, 0, 1, 2, 7, 8, 3]
    # Fours: 0 1 2 3; left are 4 5 6 of 8x16, of which 4 is the first of all, and with them 7 of
    # 16x8; 8 alone.
    assert batches.plan(order, canvas, 4).tolist() == [4, 5, 6, 7, 0, 1, 2, 3, 8]
    assert batches.plan(order, canvas, 20).tolist() == [4, 5, 6, 7, 8, 0, 1, 2, 3]


def test_what_is_left_over_comes_together_differently_from_epoch_to_epoch():
    canvas = np.array([(8 * n, 8) for n in range(1, 7)])
    first = {
        frozenset(batches.plan(RANDOM.permutation(6), canvas, 3)[:3].tolist()) for _ in range(50)
    }
    assert first == {frozenset((n + k) % 6 for k in range(3)) for n in range(6)}


def test_batches_of_one_are_the_order():
    order = RANDOM.permutation(50)
    assert np.array_equal(batches.plan(order, RANDOM.integers(1, 4, (50, 2)), 1), order)


@pytest.mark.parametrize("batch", [2, 3, 7, 64, 65])
def test_each_image_once_and_those_of_a_canvas_together_wherever_they_suffice(batch):
    canvas = RANDOM.integers(1, 4, (64, 2))
    planned = batches.plan(RANDOM.permutation(64), canvas, batch)
    assert sorted(planned.tolist()) == list(range(64))
    together = [
        len(np.unique(canvas[planned[n : n + batch]], axis=0)) == 1 for n in range(0, 64, batch)
    ]
    _, counts = np.unique(canvas, axis=0, return_counts=True)
    assert sum(together) >= (counts // batch).sum()


def test_the_table_of_an_epoch():
    sizes = np.array([(40, 56), (33, 47), (48, 40), (37, 37), (40, 56)])
    table = batches.epoch(np.array([3, 1, 4, 0, 2]), sizes, 7, 2, 2, 2, OFF)
    # 33x47 -> 40x48 and 37x37 -> 40x40 first; two canvases in the end: 40x56 for all but 48x40.
    assert table.tolist() == [
        [3, 37, 37, 0, 0, 0, 37, 37, 40, 56], [1, 33, 47, 0, 0, 0, 33, 47, 40, 56],
        [4, 40, 56, 0, 0, 0, 40, 56, 40, 56], [0, 40, 56, 0, 0, 0, 40, 56, 40, 56],
        [2, 48, 40, 0, 0, 0, 48, 40, 48, 40],
    ]  # fmt: skip


def test_canvases_are_those_of_the_changed_images():
    sizes = RANDOM.integers(100, 200, (30, 2))
    augment = Augment(scale=(0.5, 2.0), crop=120)
    table = batches.epoch(np.arange(30), sizes, 7, 2, 4, 3, augment)
    dice = moves(augment, sizes, 7, 2)
    assert np.array_equal(table[:, 1:8], dice[table[:, 0]])
    assert (table[:, 8:] >= table[:, 6:8]).all()
    assert table[:, 8:].max() == 120
    alone = batches.epoch(np.arange(30), sizes, 7, 2, 1, 3, augment)
    assert np.array_equal(alone[:, 8:], dice[:, 5:])
