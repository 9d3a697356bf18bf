import json

import pytest

from fcn.errors import UserError
from tasks.tracking import durations

TAGS = {"git.commit": "abc", "git.diff.sha256": "none", "pipeline": "p"}


@pytest.fixture
def clock(monkeypatch):
    """The time in seconds, as `clock.now`, which only the tests move."""

    class Clock:
        now = 100.0

    monkeypatch.setattr(durations.time, "monotonic", lambda: Clock.now)
    return Clock


@pytest.fixture
def result(tmp_path):
    path = tmp_path / "weights.npz"
    path.write_bytes(b"weights")
    return path


def files(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def test_a_run_is_found_by_what_it_made(tmp_path, clock, result):
    with durations.recording("fcn32s-key", TAGS, tmp_path / "runs") as entry:
        entry.facts["device"] = "CPU"
        entry.note("labels", "look")
        entry.note("labels", "look again")
        clock.now += 12.34
        entry.done(result)
    known = durations.read(result, tmp_path / "runs")
    assert known["versions"].keys() == {"python", "keras", "tensorflow", "numpy"}
    assert "cores" in known["machine"]
    assert {key: known[key] for key in ("seconds", "parts", "device", "commit", "changes",
    "notes")} == {
        "seconds": 12.3, "parts": 1, "device": "CPU", "commit": "abc", "changes": "none",
        "notes": {"labels": "look"},
    }  # fmt: skip
    # What sha256sum says of "weights".
    assert files(tmp_path / "runs") == ["9a129038d9a00aed.json"]
    result.write_bytes(b"others")
    assert durations.read(result, tmp_path / "runs") is None


def test_the_parts_of_an_interrupted_run_add_up(tmp_path, clock, result):
    def interrupted():
        with durations.recording("key", TAGS, tmp_path / "runs") as entry:
            clock.now += 5
            entry.note("labels", "look")
            entry.beat()
            clock.now += 2
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert files(tmp_path / "runs") == ["key.part.json"]
    with durations.recording("key", TAGS, tmp_path / "runs") as entry:
        entry.note("resolution", "coarse")
        clock.now += 10
        entry.done(result)
    known = durations.read(result, tmp_path / "runs")
    assert (known["seconds"], known["parts"]) == (17.0, 2)
    assert known["notes"] == {"labels": "look", "resolution": "coarse"}
    assert [name for name in files(tmp_path / "runs") if "part" in name] == []


def test_a_killed_run_has_lost_no_more_than_a_beat(tmp_path, clock):
    with durations.recording("key", TAGS, tmp_path / "runs") as entry:
        for _ in range(25):
            clock.now += 1
            entry.beat()
        # Beats at 101, 112 and 123: each more than ten seconds after the one before. Here it is
        # killed.
        assert json.loads((tmp_path / "runs" / "key.part.json").read_text())["seconds"] == 23.0


def test_a_run_that_cannot_be_gone_on_with_leaves_nothing(tmp_path, clock):
    def failed():
        with durations.recording("key", TAGS, tmp_path / "runs"):
            clock.now += 5
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        failed()
    assert files(tmp_path / "runs") == []


def test_a_repetition_changes_nothing(tmp_path, clock, result):
    kept = []
    for seconds in (5, 7):
        with durations.recording(
            "key", TAGS | {"git.commit": f"c{seconds}"}, tmp_path / "runs"
        ) as entry:
            clock.now += seconds
            entry.beat()
            entry.done(result)
        kept.append({path.name: path.read_bytes() for path in (tmp_path / "runs").iterdir()})
    assert kept[0] == kept[1]
    assert durations.read(result, tmp_path / "runs")["seconds"] == 5.0


def test_what_is_damaged_is_named_and_not_needed(tmp_path, result):
    folder = tmp_path / "runs"
    with durations.recording("key", TAGS, folder) as entry:
        entry.done(result)
    (kept,) = folder.iterdir()
    for path, text, words in (
        (kept, '{"seconds": "long"}', "seconds: expected a valid number, got 'long'"),
        (folder / "key.part.json", "[]", "expected keys with values, got []"),
    ):
        path.write_text(text)
        with pytest.raises(UserError) as error, durations.recording("key", TAGS, folder):
            durations.read(result, folder)
        assert str(error.value) == (
            f"{path}: {words}; remove it: only how long the run took is lost with it"
        )
        path.unlink()
