import pytest

from fcn.compare import spread

METRICS = {
    "pixel_accuracy": 0.9,
    "mean_iu": 0.5,
    "protocols": {"center513": {"mean_iu": 0.4}},
    "provenance": {"images": 3, "share": 0.5},
    "images": 7,
}


def test_scores_are_the_numbers_with_a_point_but_for_the_provenance():
    assert spread.scores(METRICS) == {
        "pixel_accuracy": 0.9,
        "mean_iu": 0.5,
        "protocols.center513.mean_iu": 0.4,
    }


@pytest.fixture
def summed():
    # By hand: 0.2, 0.3, 0.7: mean 0.4, squares 0.04 + 0.01 + 0.09 = 0.14, halved 0.07; 0.5, 0.6,
    # 0.7: mean 0.6, 0.02 / 2.
    rows = {"fcn32s": (0.2, 0.3, 0.7), "fcn16s": (0.5, 0.6, 0.7)}
    return spread.summary(
        {
            variant: [{"mean_iu": value, "other": 1.0} for value in row]
            for variant, row in rows.items()
        }
    )


def test_mean_and_deviation_by_hand(summed):
    found = summed["fcn32s"]["mean_iu"]
    assert found["values"] == [0.2, 0.3, 0.7]
    assert found["mean"] == pytest.approx(0.4)
    assert found["sd"] == pytest.approx(0.07**0.5)
    assert summed["fcn16s"]["mean_iu"]["sd"] == pytest.approx(0.1)
    assert summed["fcn16s"]["other"] == {"values": [1.0] * 3, "mean": 1.0, "sd": 0.0}


def test_the_words_by_hand(summed):
    # Gains 0.3, 0.3, 0: mean 0.2, squares 0.01 + 0.01 + 0.04 = 0.06, halved 0.03, its root 0.1732.
    # 2.8 x 0.2646 = 0.7408.
    gain, *luck, known = spread.words(summed)
    assert gain == (
        "fcn16s against fcn32s, seed by seed: mean IU +0.2000 ± 0.1732, above it with 2 of 3 seeds."
    )
    assert (
        "fcn32s: two trainings that differ in the seed alone differ in mean IU by up to 0.7408 "
        "(2.8 sd"
    ) in luck[0]
    assert (
        "fcn16s: two trainings that differ in the seed alone differ in mean IU by up to 0.2800 "
        "(2.8 sd"
    ) in luck[1]
    assert known == "From 3 seeds a standard deviation is itself known to 50% only."


def test_the_table(summed):
    assert spread.table(summed).splitlines() == [
        "| score   | fcn32s          | fcn16s          |",
        "|---------|-----------------|-----------------|",
        "| mean_iu | 0.4000 ± 0.2646 | 0.6000 ± 0.1000 |",
        "| other   | 1.0000 ± 0.0000 | 1.0000 ± 0.0000 |",
    ]


def test_one_seed_has_no_spread():
    summed = spread.summary({"fcn32s": [{"mean_iu": 0.5}]})
    assert summed == {"fcn32s": {"mean_iu": {"values": [0.5], "mean": 0.5, "sd": None}}}
    assert spread.words(summed) == [
        "One seed says nothing about the spread: use two at least, better three."
    ]
    assert spread.table(summed).splitlines()[2] == "| mean_iu | 0.5000 |"
