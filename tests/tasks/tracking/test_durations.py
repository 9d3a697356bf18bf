import random
import time

import pytest

from tasks import tracking
from tasks.tracking import durations, entries, forwarder, ledger

TAGS = {"git.commit": "abc", "git.diff.sha256": "none", "pipeline": "p"}
GIVEN: dict[str, dict[str, str]] = {"params": {}, "tags": {}}


@pytest.fixture(autouse=True)
def quiet(empty, monkeypatch):
    """An empty project, of which MLflow hears nothing."""
    monkeypatch.setattr(forwarder, "wake", lambda: None)


@pytest.fixture
def clock(monkeypatch):
    """The time in seconds since some moment, as `clock.now`, which only the tests move."""

    class Clock:
        now = 100.0

    monkeypatch.setattr(time, "monotonic", lambda: Clock.now)
    return Clock


@pytest.fixture
def result(empty):
    path = empty / "weights.npz"
    path.write_bytes(b"weights")
    return path


def machine(**more):
    return durations.facts(TAGS) | more


def train(clock, result, seconds=12.34, *, key="key", resumed=False, error=None, **facts):
    """A training that says something at its begin, and something at its end."""
    expected = (type(error),) if error else ()
    try:
        with tracking.training("e", "fcn32s", key, resumed=resumed, **GIVEN) as told:
            told.facts("machine-train", machine(**facts))
            clock.now += seconds
            told.metrics({"loss": 1.0}, int(clock.now))
            if error:
                raise error
            told.made(result)
    except expected:
        pass


def read(file, stage) -> durations.Made:
    """What is known of how that file was made."""
    known = durations.read(file, stage)
    assert known is not None
    return known


def test_a_run_is_found_by_what_it_made(clock, result):
    with tracking.training("e", "fcn32s", "key", **GIVEN) as told:
        told.facts("machine-train", machine(device="CPU"))
        told.facts("health", {"labels": "look"})
        clock.now += 12.34
        told.made(result)
    known = read(result, "train")
    assert known.versions.keys() == {"python", "keras", "tensorflow", "numpy"}
    assert "cores" in known.machine
    assert (known.seconds, known.parts, known.device) == (12.3, 1, "CPU")
    assert (known.commit, known.changes, known.notes) == ("abc", "none", {"labels": "look"})
    assert durations.read(result, "evaluate") is None
    result.write_bytes(b"others")
    assert durations.read(result, "train") is None


def test_scores_are_a_stage_of_their_own_in_the_same_ledger(clock, result, empty):
    train(clock, result)
    scores = empty / "scores.json"
    for seconds, text in ((3, "{}"), (5, "[]")):
        scores.write_text(text)
        with tracking.scoring("e", "fcn32s", "5" * 64, **GIVEN) as told:
            told.facts("machine-evaluate", machine(commit="later"))
            clock.now += seconds
            told.made(scores)
    assert read(result, "train").seconds == 12.3
    assert read(scores, "evaluate").seconds == 5.0
    scores.write_text("{}")
    assert read(scores, "evaluate").seconds == 3.0, "another one adds nothing"
    assert read(scores, "evaluate").commit == "later"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError()])
def test_the_parts_of_an_interrupted_run_add_up(clock, result, error):
    train(clock, result, 7, error=error)
    clock.now += 1000
    train(clock, result, 10, resumed=True, device="GPU")
    known = read(result, "train")
    assert (known.seconds, known.parts, known.device) == (17.0, 2, "GPU")


def test_a_killed_part_counts_until_its_last_line(clock, result, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(entries, "End", lambda **_: entries.Params(values={}, time=0))
        train(clock, result, 7)
    (file,) = ledger.ledgers()
    assert file.status() is None
    train(clock, result, 10, resumed=True)
    assert read(result, "train").seconds == 17.0


def test_what_could_not_be_gone_on_with_is_not_counted(clock, result):
    train(clock, result, 7, error=RuntimeError())
    train(clock, result, 10)
    known = read(result, "train")
    assert (known.seconds, known.parts) == (10.0, 1)


def test_a_repetition_changes_nothing(clock, result):
    for seconds in (5, 7):
        train(clock, result, seconds, commit=f"c{seconds}")
    assert len(ledger.paths()) == 2
    known = read(result, "train")
    assert (known.seconds, known.commit) == (5.0, "c5")


@pytest.mark.parametrize("jump", [-1e6, 1e6])
def test_a_clock_that_is_set_meanwhile_changes_no_duration(clock, result, monkeypatch, jump):
    now, before = time.time_ns(), time.time_ns
    with tracking.training("e", "fcn32s", "key", **GIVEN) as told:
        told.facts("machine-train", machine())
        monkeypatch.setattr(time, "time_ns", lambda: before() + int(jump * 1e9))
        monkeypatch.setattr(time, "time", lambda: now / 1e9 + jump)
        clock.now += 5
        told.made(result)
    assert read(result, "train").seconds == 5.0


def test_what_is_damaged_is_not_needed(clock, result):
    train(clock, result)
    (path,) = ledger.paths()
    whole, found = path.read_bytes(), []
    for number in range(300):
        rng, data = random.Random(number), bytearray(whole)
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        path.write_bytes(data[: rng.randint(1, len(data))])
        found.append(durations.read(result, "train"))
    assert None in found
    path.write_bytes(whole)
    assert read(result, "train").seconds == 12.3
