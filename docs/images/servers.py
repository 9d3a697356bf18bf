"""Makes docs/prefect.png, docs/mlflow.png and docs/mlflow-charts.png: the newest pipeline in
Prefect's pages, and the models in MLflow's.

    python -m docs.images.servers

from the root of a workspace where `fcn repro` has run. Needs Chromium.
"""

import contextlib
import io
import json
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from tests.fcn.browser import Browser, open_browser

DOCS = Path(__file__).parents[1]
SIZE = (1440, 900)
SECONDS = 30
"""For what a page still draws when its words are there."""
CLOSE = """
for (const each of document.querySelectorAll('[aria-label="Close"], [aria-label="close"]'))
    each.click()
"""
"""Closes MLflow's assistant and its word that the view is a shared one."""


@contextlib.contextmanager
def pages() -> Iterator[str]:
    """Serves the pages, and yields what `fcn ui` says of them."""
    command = [sys.executable, "-m", "fcn", "ui"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        said = ""
        while "Ctrl-C stops both" not in said:
            line = process.stdout.readline()
            if not line:
                raise SystemExit(f"fcn ui ended:\n{said}")
            said += line
        try:
            yield said
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate()


def newest(prefect: str) -> str:
    """The address of the newest pipeline that ran anything."""
    wanted = {"flows": {"name": {"any_": ["pipeline"]}}, "sort": "START_TIME_DESC"}
    asked = urllib.request.Request(
        f"{prefect}/api/flow_runs/filter",
        json.dumps(wanted).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(asked) as answer:
        runs: list[dict[str, Any]] = json.load(answer)
    return f"{prefect}/runs/flow-run/{max(runs, key=lambda run: run['total_run_time'])['id']}"


def take(tab: Browser, address: str, ready: str, name: str) -> None:
    """Writes a picture of a page, once it has these words."""
    tab.call("Page.navigate", url="about:blank")
    tab.call("Page.navigate", url=address)
    tab.wait(f"document.body?.innerText.includes({json.dumps(ready)})", seconds=180)
    tab.run(CLOSE)
    time.sleep(SECONDS)
    picture = Image.open(io.BytesIO(tab.picture())).convert("RGB").quantize(128)
    picture.save(DOCS / name, optimize=True)
    print(f"{DOCS / name}: {address}")


def main() -> None:
    """Takes all three."""
    with pages() as said, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        prefect = re.search(r"Prefect: (\S+)", said)[1]
        table = re.search(r"a row per model: (\S+)", said)[1]
        with open_browser(profile) as tab:
            tab.look(*SIZE)
            take(tab, newest(prefect), "Completed", "prefect.png")
            take(tab, table, "fcn8s", "mlflow.png")
            charts = table.replace("compareRunsMode=TABLE", "compareRunsMode=CHART")
            take(tab, charts, "A comparison of the models", "mlflow-charts.png")


if __name__ == "__main__":
    main()
