"""The parts of k folds: each image is held out once."""

from pathlib import Path

import pytest

from fcn.datasets import Listing, Pair, folds, stems
from fcn.errors import UserError


def listing(names, split=8):
    pairs = [Pair(name, Path(f"{name}.jpg"), Path(f"{name}.png")) for name in names]
    return Listing(("a", "b"), {"train": pairs[:split], "val": pairs[split:]}, own=True)


NAMES = [f"p{n:02}" for n in range(11)]


def parts(names, of, seed=1):
    found = [folds.fold(listing(names), n, of, seed) for n in range(1, of + 1)]
    return [
        tuple([pair.id for pair in each.splits[key]] for key in ("train", "val")) for each in found
    ]


def test_every_image_is_validated_on_once_and_trained_on_otherwise():
    found = parts(NAMES, 3)
    assert sorted(name for _, val in found for name in val) == NAMES
    assert sorted(len(val) for _, val in found) == [3, 4, 4]
    for train, val in found:
        assert sorted(train + val) == NAMES
    assert parts(NAMES, 3) == found
    assert parts(NAMES, 3, seed=2) != found


def test_copies_of_one_image_are_not_divided():
    copies = [f"cat_jpg.rf.{n:032x}" for n in range(5)]
    for train, val in parts([*NAMES, *copies], 4):
        assert set(copies) <= set(train) or set(copies) <= set(val)
    for seed in range(8):
        drawn = stems.draw([*NAMES[:4], *copies], "50%", "50%", seed)
        held = [set(copies) <= set(drawn[key]) for key in ("train", "val")]
        assert sorted(held) == [False, True], drawn
        assert len(drawn["train"]) + len(drawn["val"]) == 9


def test_a_fold_that_is_none():
    assert folds.numbers("2/5") == (2, 5)
    for text in ("0/5", "6/5", "1/1", "2", "a/b", "2/5/6", "02/5"):
        with pytest.raises(UserError, match="expected a number of a fold such as 2/5"):
            folds.numbers(text)
    with pytest.raises(UserError, match="--k: expected at most 11, the number of images, got 12"):
        folds.fold(listing(NAMES), 1, 12, 1)
