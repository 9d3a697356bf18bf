"""A small stage, as those of flows/: `make` writes what it is told, or waits, or does not want to
end.
"""

import signal
import sys
import time
from pathlib import Path

from flows.runner import stage
from tasks.tracking import steps


@steps.step("make")
def make(text: str) -> str:
    if text == "stubborn":
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(
                number, lambda number, _: print(f"got {signal.Signals(number).name}", flush=True)
            )
    if text in ("wait", "stubborn"):
        print("waiting", flush=True)
        while not Path("go").exists():
            time.sleep(0.05)
    return text


def tiny(text: str, out: Path) -> None:
    """Writes a text."""
    out.write_text(make(text))


if __name__ == "__main__":
    sys.exit(stage.main(tiny))
