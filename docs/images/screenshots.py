"""Makes the pictures of the project's own pages in docs/: `web.jpg` and `web-phone.jpg` of `fcn
web`, `explain.jpg` of `fcn explain`, and from the report of a workspace where `fcn repro` has run
`report.jpg` and `overview.jpg`.

    python -m docs.images.screenshots [--report report/] [NAME ...]

from the project's root. Needs Chromium. `docs.images.servers` makes those of Prefect and MLflow.
"""

import argparse
import contextlib
import io
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from PIL import Image

from tests.fcn.browser import Browser, open_browser

HERE, DOCS = Path(__file__).parent, Path(__file__).parents[1]
WIDE, PHONE = (1280, 900), (390, 844)
SHOWN = "document.querySelector('#seen').dataset.drawn"
"""Of `fcn web`: true once an answer is on the screen."""


def fcn(*words: str) -> list[str]:
    """The command line of `fcn` as it is here."""
    return [sys.executable, "-m", "fcn", *words]


@contextlib.contextmanager
def served() -> Iterator[str]:
    """The address of the page while it is served."""
    with subprocess.Popen(fcn("web", "--port", "0"), stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process.stdout.readline().split()[4]
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate()


def write(tab: Browser, name: str) -> None:
    """Writes what is on the screen."""
    tab.run("new Promise(done => setTimeout(done, 500))")
    picture = Image.open(io.BytesIO(tab.picture())).convert("RGB")
    picture.save(DOCS / name, quality=85, subsampling=0, optimize=True)


def web(tab: Browser, name: str, size: tuple[int, int]) -> None:
    """The page with the cat, the pointer on its nose."""
    with served() as address:
        tab.look(*size)
        for _ in range(2):  # the first answer waits for the net to be read
            tab.call("Page.navigate", url="about:blank")
            tab.call("Page.navigate", url=address)
            tab.wait("document.querySelector('#nets input') !== null")
            tab.run("document.querySelector('[data-file=\"cat.jpg\"]').click()")
            tab.wait(SHOWN, seconds=300)
        if size == PHONE:
            tab.run("document.querySelector('#look').scrollIntoView()")
        point = "(({x, y, width, height}) => ({x: x + width * 0.55, y: y + height / 2}))"
        box = tab.run(f"{point}(document.querySelector('#seen').getBoundingClientRect())")
        tab.call("Input.dispatchMouseEvent", type="mouseMoved", **box)
        write(tab, name)


def explain(tab: Browser, name: str) -> None:
    """What the net in the box does with the cat."""
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "explained.html"
        command = fcn("explain", str(HERE / "chelsea.jpg"), "--out", str(page))
        subprocess.run(command, check=True)
        tab.look(*WIDE)
        tab.call("Page.navigate", url=page.as_uri())
        tab.wait("[...document.images].length && [...document.images].every(each => each.complete)")
        write(tab, name)


def report(tab: Browser, name: str, folder: Path) -> None:
    """The report's table of scores and its pictures."""
    tab.look(*WIDE)
    tab.call("Page.navigate", url=(folder / "index.html").resolve().as_uri())
    tab.wait("document.querySelectorAll('#cards img').length > 0")
    tab.run("document.querySelector('#cards').scrollIntoView({block: 'center'})")
    tab.wait("[...document.images].some(each => each.complete)")
    tab.run("scrollTo(0, 0)")
    write(tab, name)


def overview(_: Browser, name: str, folder: Path) -> None:
    """The report's own picture of the models' predictions."""
    shutil.copyfile(folder / "overview.jpg", DOCS / name)


def main(argv: list[str] | None = None) -> None:
    """Makes those that are named, or all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--report", type=Path, default=Path("report"))
    arguments = parser.parse_args(argv)
    makers: dict[str, Callable[[Browser, str], None]] = {
        "web.jpg": partial(web, size=WIDE),
        "web-phone.jpg": partial(web, size=PHONE),
        "explain.jpg": explain,
        "report.jpg": partial(report, folder=arguments.report),
        "overview.jpg": partial(overview, folder=arguments.report),
    }
    unknown = set(arguments.names) - set(makers)
    if unknown:
        parser.error(f"expected {', '.join(makers)}; got {', '.join(sorted(unknown))}")
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile,
        open_browser(profile) as tab,
    ):
        for name in arguments.names or makers:
            makers[name](tab, name)
            print(DOCS / name)


if __name__ == "__main__":
    main()
