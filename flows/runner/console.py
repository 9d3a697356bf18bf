"""What a person sees of a long command: bars on a terminal, elsewhere a line a minute.

All that the processes below it write goes to a file, whose name is printed once. The console shows
of it where the work is, warnings, and at the end what came out.
"""

import contextlib
import json
import logging
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from fcn.errors import LINE, UserError, shown
from flows.runner import logs, output
from flows.runner.dvclines import ABSL, EXPERIMENT, RUNNING, SKIPPED, WARNING
from tasks.tracking import console as messages
from tasks.tracking import duration

FOLDER = Path(".cache/logs")
KEPT = 20
"""Log files that are kept; older ones are removed."""
OURS = ("fcn", "prefect.flow_runs", "prefect.task_runs")
"""Loggers of this project's own messages: the last two are a run's, which Prefect makes."""
_current: list["Console"] = []


@contextlib.contextmanager
def opened(command: str, verbose: bool = False) -> Iterator["Console"]:
    """The console of this process; inside of another one, that one.

    Args:
        command: what runs, for the first line and the name of the file.
        verbose: print all that the file gets, and no bars.
    """
    if _current:
        yield _current[0]
        return
    root = logging.getLogger()
    before, seen = root.handlers[:], Console(command, verbose)
    _current.append(seen)
    logs.only(_Handler(seen))
    logs.begin()  # once more by whoever imports Prefect, which sets up its own
    try:
        yield seen
    finally:
        logs.only()
        root.handlers[:] = before
        _current.clear()
        seen.close()


def say(text: str) -> None:
    """Prints a line of this process itself, above the bars if there are any."""
    if _current:
        _current[0].say(text)
    else:
        output.say(text)


class Console:
    """Takes what the processes of a command write, line by line, and shows what matters of it.

    Attributes:
        log: the file that has all of it; None: it could not be opened.
        seconds: by name, how long each stage took that ran.
        skipped: by name, the stages that did not run, and how DVC calls that.
        errors: lines that say why something failed, the stage first.
        kept: what an interrupted stage keeps, in its own words.
        running: the stage at work; empty: none.
    """

    def __init__(self, command: str, verbose: bool) -> None:
        """`command`, `verbose`: see `opened`."""
        self.seconds: dict[str, float] = {}
        self.skipped: dict[str, str] = {}
        self.errors: list[str] = []
        self.kept = self.running = ""
        self._began, self._unsaid, self._warned = time.monotonic(), list[str](), set[str]()
        self._last = ""
        self.log, self._file = _log_file(command)
        # Only now: it takes a moment, and a command with nothing to do has no bars.
        from flows.runner import bars

        self.face: bars.Bars | bars.Lines
        self.face = bars.Bars() if bars.possible() and not verbose else bars.Lines()
        self._verbose = verbose
        self.say(f"{command}; all messages: {self.log}" if self.log else command)

    def hear(self, line: str) -> str:
        """Takes in a line of a process, without its end; returns it as text, if it is any."""
        plain, mark, sent = line.partition(messages.MARK)
        message = None
        if mark:
            with contextlib.suppress(ValueError):
                message = json.loads(sent)
        if not isinstance(message, dict):
            self._hear_plain(shown(line, LINE))
            return shown(line, LINE)
        if plain.strip():
            self._hear_plain(shown(plain, LINE))
        with contextlib.suppress(KeyError, TypeError, ValueError):  # of another version's process
            self._hear_message(message)
        return shown(message.get("text", ""), LINE)

    def _hear_plain(self, line: str) -> None:
        self._write(line)
        if found := RUNNING.fullmatch(line):
            self.begin(found[1])
        elif line.startswith(WARNING) and not ABSL.match(line):
            self.warn(line.partition(" ")[2])
        elif found := EXPERIMENT.match(line):
            self.face.say(f"recorded as the experiment {found[1]} (`dvc exp show` compares them)")
        elif line.startswith("error: "):
            self._fail(line.removeprefix("error: "))
        else:
            for pattern, how in SKIPPED.items():
                if found := pattern.fullmatch(line):
                    self.skip(found[1], how)

    def _hear_message(self, message: dict[str, Any]) -> None:
        text = "\n".join(shown(line, LINE) for line in str(message.get("text", "")).splitlines())
        if "progress" in message:
            self.face.progress(message)
            if message["note"]:
                self._last = shown(message["note"])
            return
        known = ("log", "remark", "warning", "error", "interrupted")
        kinds = [kind for kind in known if kind in message]
        if not kinds:
            return
        kind = kinds[0]
        level = message["log"] if kind == "log" else kind.upper()
        self._write(f"{time.strftime('%H:%M:%S')} | {level:7} | {self.running} | {text}")
        if kind == "warning":
            self.warn(text)
        elif kind == "error":
            fault = "" if message["expected"] else f" (a fault of the program; see {self.log})"
            self._fail(f"{text}{fault}")
        elif kind == "interrupted":
            self.kept = text
        elif kind == "remark":
            self.say(f"{self.running}: {text}")
        elif level == "WARNING" and str(message["name"]).startswith(OURS):
            self.warn(text)

    def begin(self, stage: str) -> None:
        """A stage begins; the one before has ended."""
        self.end()
        self.running, self._began, self._last = stage, time.monotonic(), ""
        self.errors, self.kept = [], ""
        self.face.begin(stage)

    def end(self) -> None:
        """The stage at work has ended well, if there is one; stages that did not run are named."""
        if self._unsaid:
            names, self._unsaid = self._unsaid, []
            for how in dict.fromkeys(self.skipped[name] for name in names):
                named = ", ".join(name for name in names if self.skipped[name] == how)
                self.say(f"{SAID[how]}: {named}")
        if self.running:
            seconds = self.seconds[self.running] = time.monotonic() - self._began
            note = f"; {self._last}" if self._last else ""
            self.face.end(self.running, f"done in {duration(seconds)}{note}")
            self.running = ""

    def skip(self, stage: str, how: str) -> None:
        """DVC does not run a stage."""
        if self.running:
            self.end()
        self.skipped[stage] = how
        self._unsaid.append(stage)

    def warn(self, text: str) -> None:
        """Shows a warning, each once."""
        text = text.removeprefix(f"{self.running.partition('@')[2]}: ")  # stands before it anyway
        if text not in self._warned:
            self._warned.add(text)
            if not self._verbose:
                self.face.warn(f"{self.running or 'warning'}: {text}")

    def say(self, text: str) -> None:
        """Prints a line, also into the file."""
        if not self._verbose:
            self.face.say(text)
        self._write(text)

    def failed(self, otherwise: str) -> UserError:
        """The error of a run in which something failed: what its processes gave as the reason, or
        else the given text.
        """
        return UserError(*("\n".join(self.errors) or otherwise).splitlines())

    def close(self) -> None:
        """Nothing more comes."""
        self.face.close()
        if self._file:
            with contextlib.suppress(OSError):
                self._file.close()

    def stopped(self) -> str:
        """What Ctrl-C leaves, in a line."""
        number = len(self.seconds) + len(self.skipped)
        said = [f"{number} stage{'s' if number != 1 else ''} done"]
        if self.running:
            said.append(f"{self.running}: {self.kept or 'it begins anew'}")
        return "; ".join([*said, "the same command goes on from there"])

    def _fail(self, text: str) -> None:
        self.errors.append(f"{self.running}: {text}" if self.running else text)

    def _write(self, text: str) -> None:
        if self._verbose:
            output.say(text)
        if self._file:
            try:
                self._file.write(f"{text}\n")
            except OSError as error:
                self._file = None
                self.warn(f"{self.log} cannot be written ({error.strerror}): the run goes on")


class _Handler(logging.Handler):
    """What this process itself logs: to the file, and warnings of this project to the console."""

    def __init__(self, seen: Console) -> None:
        super().__init__()
        self._seen = seen
        self.addFilter(logs.is_news)

    def emit(self, record: logging.LogRecord) -> None:
        self._seen.hear(f"{messages.MARK}{json.dumps(logs.message(record))}")


SAID = {"Cached": "unchanged", "Restored": "restored from DVC's cache", "Pulled": "pulled"}
"""What the console calls the states of Prefect in which a stage is that did not run."""


def _log_file(command: str) -> tuple[Path | None, TextIO | None]:
    """A new file for a command's messages; none where it cannot be made."""
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{command.split()[0]}.log"
    try:
        FOLDER.mkdir(parents=True, exist_ok=True)
        for old in sorted(FOLDER.glob("*.log"))[: -KEPT + 1]:
            old.unlink(missing_ok=True)
        return FOLDER / name, (FOLDER / name).open("a", buffering=1, encoding="utf-8")
    except OSError as error:
        print(f"warning: {FOLDER / name}: {error.strerror}: no such file is kept", file=sys.stderr)
        return None, None
