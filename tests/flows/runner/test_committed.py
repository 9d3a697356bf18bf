"""What is said where a machine's results are not those of the last commit."""

import subprocess

import pytest

from flows.runner import committed

LOCK = """schema: '2.0'
stages:
  train@fcn32s:
    cmd: python train.py
    deps:
    - {path: data, hash: md5, md5: DATA}
    params: {settings.json: {rate: RATE}}
    outs:
    - {path: models/fcn32s, hash: md5, md5: FIRST}
  evaluate@fcn32s:
    cmd: python score.py
    deps:
    - {path: models/fcn32s, hash: md5, md5: FIRST}
    outs:
    - {path: plots/fcn32s, hash: md5, md5: SECOND}
"""
GIVEN = {"DATA": "d0", "RATE": "1", "FIRST": "m0", "SECOND": "p0"}


def lock(**changes):
    text = LOCK
    for name, value in (GIVEN | changes).items():
        text = text.replace(name, value)
    return text


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc.lock").write_text(lock())
    for words in (
        ["init", "--quiet"], ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-m", "x"],
    ):  # fmt: skip
        subprocess.run(["git", *words], check=True)
    return tmp_path


def test_other_bytes_from_the_same_inputs_are_explained(checkout):
    (checkout / "dvc.lock").write_text(lock(FIRST="m1", SECOND="p1"))
    said = committed.words()
    assert said.startswith("train@fcn32s made other bytes than the committed dvc.lock has")
    assert "evaluate@fcn32s" not in said, "its input is another one: that explains it"
    assert "git checkout dvc.lock" in said


@pytest.mark.parametrize(
    "changes",
    [{}, {"FIRST": "m1", "RATE": "2"}, {"FIRST": "m1", "DATA": "d1", "SECOND": "p1"}],
    ids=["the same", "another parameter", "other data"],
)
def test_what_has_a_reason_is_not(checkout, changes):
    (checkout / "dvc.lock").write_text(lock(**changes))
    assert committed.words() == ""


def test_without_a_commit_or_with_a_damaged_lock_nothing_is_said(checkout, tmp_path, monkeypatch):
    (checkout / "dvc.lock").write_text("stages: 3")
    assert committed.words() == ""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    (elsewhere / "dvc.lock").write_text(lock())
    assert committed.words() == ""
