"""What is said of a checkpoint that a training cannot go on from."""

import pytest

from tasks.tracking import kept

FACTS = {
    "train.learning_rate": 0.01, "train.rates": {"conv1": 0.5}, "model.mean_bgr": (1.0, 2.0),
    "the train records": "d1", "the code in fcn/net": "c1",
}  # fmt: skip
OLD = "sample-fcn8s-0123456789abcdef"


@pytest.fixture
def said(monkeypatch, tmp_path):
    """By the facts of now, the sentences on an old checkpoint of `FACTS`."""
    monkeypatch.setattr(kept, "CHECKPOINTS", tmp_path)
    (tmp_path / f"{OLD}.npz").write_text("")
    (tmp_path / "sample-fcn16s-0123456789abcdef.npz").write_text("another variant's")
    kept.note(tmp_path / f"{OLD}.npz", FACTS)
    return lambda facts: [
        *kept.others("sample-fcn8s", tmp_path / "sample-fcn8s-00000000deadbeef.npz", facts)
    ]


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"train.learning_rate": 0.02}, "train.learning_rate was 0.01, is 0.02"),
        ({"the code in fcn/net": "c2"}, "the code in fcn/net changed"),
        (
            {"the train records": "d2", "train.rates": {}},
            "the train records changed; train.rates was {'conv1': 0.5}, is {}",
        ),
    ],
)
def test_it_is_named_with_what_differs(said, tmp_path, changed, why):
    assert said(FACTS | changed) == [
        f"There is a checkpoint that this training cannot go on from, {tmp_path / OLD}.npz: {why}. "
        "It is kept until this training ends."
    ]


def test_one_of_unknown_facts_is_named_too(said, tmp_path):
    for text in ("{", None):
        (tmp_path / f"{OLD}.json").unlink() if text is None else (
            tmp_path / f"{OLD}.json"
        ).write_text(text)
        (sentence,) = said(FACTS)
        assert "npz: what it was made with is not known. It is kept" in sentence


def test_nothing_is_said_of_the_one_that_is_gone_on_from(said, tmp_path):
    assert [*kept.others("sample-fcn8s", tmp_path / f"{OLD}.npz", FACTS)] == []
