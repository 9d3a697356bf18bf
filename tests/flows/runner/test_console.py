"""What a person sees of a run: on a pseudo-terminal, and in a file."""

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from flows.runner import bars, console, dvclines
from tasks.tracking import console as messages
from tasks.tracking import progress

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def sent(**message):
    return f"{messages.MARK}{json.dumps(message)}"


def step(done, left=None, note="", total=10, what="fcn32s"):
    return sent(progress=what, done=done, total=total, unit="iterations", left=left, note=note)


RUN = (
    "Stage 'settings' didn't change, skipping",
    "Stage 'download' didn't change, skipping",
    "Running stage 'train@fcn32s':",
    "> exec python -m fcn stage train --out models/fcn32s",
    "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
    "I0000 00:00:1795743416.216042   14474 port.cc:153] oneDNN custom operations are on.",
    sent(log="INFO", name="prefect.flow_runs", text="Finished in state Completed()"),
    sent(log="WARNING", name="py.warnings", text="a library's own"),
    sent(log="WARNING", name="prefect.task_runs", text="fcn32s: validation has 3 images"),
    sent(log="WARNING", name="prefect.task_runs", text="fcn32s: validation has 3 images"),
    step(5, 80.0, "loss 12, mean IU 0.3"),
    step(10, None, "loss 3, mean IU 0.5"),
    "Updating lock file 'dvc.lock'",
    "WARNING: the cache is on another disk",
    "Ran experiment(s): fatty-newt",
)


def heard(lines=RUN):
    with console.opened("repro") as seen:
        for line in lines:
            seen.hear(line)
        seen.end()
    return seen


def test_where_no_terminal_is_stages_warnings_and_little_else_are_shown(capsys):
    seen = heard()
    said = re.sub(r"\d\d:\d\d:\d\d", "TIME", capsys.readouterr().out)
    assert said.splitlines() == [
        f"repro; all messages: {seen.log}",
        "unchanged: settings, download",
        "TIME train@fcn32s begins",
        "TIME train@fcn32s: validation has 3 images",
        "TIME train@fcn32s: the cache is on another disk",
        "recorded as the experiment fatty-newt (`dvc exp show` compares them)",
        "TIME train@fcn32s: done in 0 s; loss 3, mean IU 0.5",
    ]
    assert [*seen.seconds] == ["train@fcn32s"]


def test_all_of_it_is_in_the_file(capsys):
    kept = heard().log.read_text()
    for text in ("oneDNN custom operations", "absl::Init", "a library's own", "exec python -m"):
        assert text in kept, text
    assert re.search(r"\| WARNING \| train@fcn32s \| fcn32s: validation has 3 images", kept)


def test_a_line_a_minute_says_how_far_the_work_is(capsys, monkeypatch):
    monkeypatch.setattr(bars, "MINUTE", 0.0)
    heard()
    said = capsys.readouterr().out
    assert "train@fcn32s: 5/10 iterations, 80 s left, loss 12, mean IU 0.3\n" in said
    monkeypatch.setattr(bars, "MINUTE", 60.0)
    heard()
    assert "iterations" not in capsys.readouterr().out


def test_what_a_stage_says_of_its_failure_is_the_error(capsys):
    lines = (
        "Running stage 'first':",
        sent(error=True, text="a.tar: expected b\nin c", expected=True),
        "ERROR: failed to reproduce 'first': failed to run: exec python, exited with 1",
    )
    with console.opened("repro") as seen:
        for line in lines:
            seen.hear(line)
        assert str(seen.failed("dvc's words")) == "first: a.tar: expected b\nin c"
        seen.hear("Running stage 'first':")
        seen.hear(sent(error=True, text="TypeError: no", expected=False))
        fault = f"first: TypeError: no (a fault of the program; see {seen.log})"
        assert str(seen.failed("dvc's words")) == fault
        seen.hear("Running stage 'first':")
        assert str(seen.failed("dvc's words")) == "dvc's words"
    assert "ERROR" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (-9, r"first: its process was ended by SIGKILL: by somebody, or because the memory was "),
        (3, r"first: its process ended with 3 and gave no reason; its messages: the.log"),
    ],
)
def test_a_stage_that_gives_no_reason(code, words):
    error = f"failed to reproduce 'first': failed to run: exec python x, exited with {code}"
    assert re.match(words, dvclines.words(error, "the.log"))
    assert dvclines.words("another error", "the.log") == "another error"


def test_ctrl_c_says_in_a_line_what_is_kept(capsys):
    with console.opened("repro") as seen:
        assert seen.stopped() == "0 stages done; the same command goes on from there"
        for line in (
            *RUN[:3],
            sent(interrupted=True, text="the checkpoint of iteration 5 is kept"),
        ):
            seen.hear(line)
        assert seen.stopped() == (
            "2 stages done; train@fcn32s: the checkpoint of iteration 5 is kept; "
            "the same command goes on from there"
        )


def test_a_resumed_training_says_so(capsys):
    with console.opened("repro") as seen:
        for line in (*RUN[:3], sent(remark=True, text="resumed at step 800")):
            seen.hear(line)
    assert "train@fcn32s: resumed at step 800" in capsys.readouterr().out


@pytest.mark.parametrize(
    "line",
    [
        f"{messages.MARK}no json",
        f"{messages.MARK}[1]",
        sent(progress="x"),
        sent(log="WARNING"),
        sent(other=1),
        f"half a line {sent(warning=True, text='it matters')}",
        "\x1b[31mred\x07",
    ],
)
def test_a_line_that_is_none_of_ours_does_no_harm(line, capsys):
    seen = heard([line])
    said = capsys.readouterr().out
    assert "\x1b" not in said + seen.log.read_text()
    assert ("it matters" in said) == ("it matters" in line)


def test_a_file_that_cannot_be_made_costs_the_file_alone(capsys):
    Path(".cache").write_text("no folder")
    seen = heard()
    assert seen.log is None
    said = capsys.readouterr()
    assert "train@fcn32s begins" in said.out
    assert said.err.startswith("warning: .cache/logs/")


def test_old_files_go():
    heard([])
    console.FOLDER.joinpath("00000000-000000-repro.log").touch()
    for number in range(console.KEPT):
        console.FOLDER.joinpath(f"1111111{number}-repro.log").touch()
    heard([])
    kept = sorted(path.name for path in console.FOLDER.iterdir())
    assert len(kept) in (console.KEPT - 1, console.KEPT), "both runs may have one second's name"
    assert "00000000-000000-repro.log" not in kept


def test_progress_is_sent_only_to_whom_it_is_for(capsys, monkeypatch):
    lines: list[str] = []
    progress.Progress(lines.append, "a.tar", "MB")(10, 10)
    assert messages.MARK not in capsys.readouterr().out
    monkeypatch.setenv(messages.ASKED, "1")
    progress.Progress(lines.append, "a.tar", "MB")(10, 10, "note")
    mark, _, text = capsys.readouterr().out.partition("{")
    assert mark == messages.MARK
    assert json.loads("{" + text) == {
        "progress": "a.tar", "done": 10, "total": 10, "unit": "MB", "left": None, "note": "note"
    }  # fmt: skip


SCRIPT = """
import json, sys, time
from flows.runner import console
with console.opened("repro") as seen:
    for line in json.load(open("lines.json")):
        seen.hear(line)
        time.sleep(0.3)
    seen.end()
    seen.say("the end")
print(sys.stdout.isatty())
"""


def on_a_terminal(folder, lines, term="xterm-256color"):
    """What a terminal of 100 columns gets."""
    (folder / "lines.json").write_text(json.dumps(lines))
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": term, "COLUMNS": "100", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", SCRIPT]
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=theirs, stdin=theirs):
        os.close(theirs)
        said = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # so Linux says that nobody writes any more
                break
            if not piece:
                break
            said += piece
    os.close(ours)
    return said.decode()


def test_a_terminal_shows_bars_and_keeps_what_is_done(tmp_path):
    said = on_a_terminal(tmp_path, RUN)
    assert said.count("\x1b[?25l") == said.count("\x1b[?25h") == 1, "the cursor is back"
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said)
    frames = plain.replace("\r", "\n").splitlines()
    bar = next(line for line in frames if "5/10 iterations" in line)
    assert re.search(r"fcn32s ━+.*5/10 iterations (80|79|78) s left loss 12, mean IU 0\.3", bar)
    assert any("starting" in line for line in frames)
    assert any(line.startswith("✓ train@fcn32s") and "mean IU 0.5" in line for line in frames)
    assert any(line == "! train@fcn32s: validation has 3 images" for line in frames)
    assert frames[-2:] == ["the end", "True"] or "the end" in frames
    assert "oneDNN" not in plain


def test_a_dumb_terminal_gets_lines(tmp_path):
    said = on_a_terminal(tmp_path, RUN, term="dumb")
    assert "\x1b" not in said
    assert "train@fcn32s begins" in said
