import types

import pytest

from tasks.tracking import progress
from tasks.tracking.progress import Progress, duration


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"), (0.4, "0 s"), (89.4, "89 s"), (90, "2 min"), (150, "2 min"), (720, "12 min"),
        (5399, "90 min"),
        (5400, "1.5 h"), (12600, "3.5 h"), (129599, "36.0 h"), (129600, "1.5 days"), (527040,
        "6.1 days"),
    ],
)  # fmt: skip
def test_duration_in_words(seconds, words):
    assert duration(seconds) == words


class Clock:
    now = 1000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress, "time", types.SimpleNamespace(monotonic=clock.monotonic))
    return clock


def test_lines_come_every_few_seconds_with_rate_and_time_left(clock):
    lines: list[str] = []
    tell = Progress(lines.append, "records train", "images")
    for done in range(1, 12):  # one a second
        clock.now += 1
        tell(done, 100)
    # At 5 and at 10 seconds: 1 image a second, so 95 and 90 seconds are left.
    assert lines == [
        "records train: 5/100 images, 1/s, 2 min left",
        "records train: 10/100 images, 1/s, 2 min left",
    ]


def test_the_end_is_always_told_and_nothing_is_left_then(clock):
    lines: list[str] = []
    tell = Progress(lines.append, "evaluate", "images")
    clock.now += 0.5
    tell(3, 4)
    tell(4, 4)
    assert lines == ["evaluate: 4/4 images, 8/s"]


def test_what_was_done_before_does_not_count_for_the_speed(clock):
    lines: list[str] = []
    tell = Progress(lines.append, "fcn8s", "iterations", every=2, start=900)
    clock.now += 2
    tell(920, 1000, "loss 0.5")
    clock.now += 1
    tell(930, 1000, "loss 0.4")
    clock.now += 1
    tell(960, 1000, "loss 0.3")
    assert lines == [
        "fcn8s: 920/1000 iterations, 10/s, 8 s left, loss 0.5",
        "fcn8s: 960/1000 iterations, 15/s, 3 s left, loss 0.3",
    ]


def test_of_an_unknown_amount_there_is_no_share_and_no_time_left(clock):
    lines: list[str] = []
    tell = Progress(lines.append, "download", "MB", start=10)
    for done in (30, 50, 60):
        clock.now += 4
        tell(done, None)
    # 5 seconds had passed after the second step; 12 seconds, 50 MB, after the third are less than 5
    # later.
    assert lines == ["download: 50 MB, 5/s"]


def test_no_time_is_promised_before_anything_is_done(clock):
    lines: list[str] = []
    tell = Progress(lines.append, "download", "MB")
    clock.now += 6
    tell(0, 100)
    assert lines == ["download: 0/100 MB, 0/s"]


def test_no_clock_tick_is_no_division_by_zero(clock):
    lines: list[str] = []
    Progress(lines.append, "x", "y")(2, 2)
    assert lines[0].startswith("x: 2/2 y, ")
