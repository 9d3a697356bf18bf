"""What DVC's lines mean."""

import re
import signal
from dataclasses import dataclass

from flows.runner import workspace

RUNNING = re.compile(r"Running stage '(.+)':")
SKIPPED = {
    re.compile(r"(?:Stage )?'(.+)' didn't change, skipping"): "Cached",
    re.compile(r"Stage '(.+)' is cached - skipping run, checking out outputs"): "Restored",
    re.compile(r"Pulling data for stage: '(.+)'"): "Pulled",
}
"""What DVC says of a stage that it does not run, and the state in which Prefect shows it."""
WARNING = ("WARNING: ", "warning: ")
"""The beginning of a warning, by DVC and by this project."""
ABSL = re.compile("WARNING: All log messages before absl::InitializeLog")
EXPERIMENT = re.compile(r"Ran experiment\(s\): (.+)")
_FAILED = re.compile(r"failed to reproduce '(.+)': failed to run: .*, exited with (-?\d+)")


@dataclass
class Errors:
    """What DVC's lines say to be wrong.

    Attributes:
        last: its last error.
        lost: what its cache could not take.
    """

    last: str = ""
    lost: str = ""
    _running: str = ""
    _incomplete: bool = False

    def hear(self, line: str) -> None:
        """Take in the next line."""
        if found := RUNNING.fullmatch(line):
            self._running = found[1]
        elif any(pattern.fullmatch(line) for pattern in SKIPPED):
            self._running = ""
        elif line.endswith(
            (" validation failed.", " is invalid.")
        ):  # so it says it of its own files
            self.last, self._incomplete = line, True
        elif self._incomplete and line.strip():
            self.last, self._incomplete = f"{self.last} {line.strip()}", False
        elif line.startswith("ERROR: "):
            self.last = line.removeprefix("ERROR: ").strip()
            # else it is a pull
            if self._running and self.last.startswith("failed to transfer"):
                what = f"{workspace.NOT_STORED} what the stage {self._running} made"
                reason = self.last.partition(" - ")[2] or self.last
                self.lost = f"{what}: {reason}. Make room for it, and run this again"


def words(error: str, log: object) -> str:
    """DVC's error for a person: of a stage that failed without a reason, how its process ended.

    Args:
        error: the last one.
        log: where all messages are.
    """
    found = _FAILED.search(error)
    if not found:
        return error
    stage, code = found[1], int(found[2])
    if code >= 0:
        return f"{stage}: its process ended with {code} and gave no reason; its messages: {log}"
    name = signal.Signals(-code).name
    return (
        f"{stage}: its process was ended by {name}: by somebody, or because the memory was full. "
        "Free memory, and type the same command again: it goes on from the last checkpoint"
    )
