"""How long the report of a large validation set takes, how large the page is, how much memory that
needs, and how the page opens and scrolls.

    python -m tests.benchmarks.report [--images 1449] [--keep FOLDER]

Made-up images of VOC's size with three models, read from files as the stage reads them, and what a
net of full width does with one of them. Meant to hold on two cores: 60 s, 1.5 GB, and a page below
5 MB that opens in a second and scrolls without a task of more than 50 ms of its main thread.
"""

import argparse
import io
import json
import resource
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fcn.evaluate import Evaluation, explain
from fcn.explain import page as explained
from fcn.hardware import devices
from fcn.io import files
from fcn.net import model, surgery
from fcn.pixels import labels
from fcn.spec import ModelSpec
from tasks.report import gallery, page
from tasks.report.examples import Example
from tests.benchmarks import child
from tests.fcn import browser

CLASSES = ("background", *(f"class {n}" for n in range(1, 21)))
MODELS = ("fcn32s", "fcn16s", "fcn8s")
HEIGHT, WIDTH = 375, 500


def blobs(draw: np.random.Generator) -> np.ndarray:
    """Labels (H, W) of a few ellipses with ragged edges."""
    found = np.zeros((HEIGHT, WIDTH), np.uint8)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    ragged = draw.normal(0, 0.05, (HEIGHT, WIDTH))
    for _ in range(3):
        (a, b), (h, w) = draw.uniform(0.2, 0.8, 2), draw.uniform(0.1, 0.4, 2)
        found[((y / HEIGHT - a) / h) ** 2 + ((x / WIDTH - b) / w) ** 2 + ragged < 1] = (
            draw.integers(1, 21)
        )
    return found


def examples(folder: Path, images: int) -> Iterator[Example]:
    """Photographs and labels, decoded anew for every image: a few dozen take turns."""
    draw, files = np.random.default_rng(0), []
    for number in range(min(images, 24)):
        coarse = Image.fromarray(draw.integers(0, 256, (24, 32, 3), np.uint8)).resize(
            (WIDTH, HEIGHT), Image.Resampling.BICUBIC
        )
        noisy = np.clip(np.asarray(coarse) + draw.normal(0, 6, (HEIGHT, WIDTH, 3)), 0, 255).astype(
            np.uint8
        )
        buffer = io.BytesIO()
        Image.fromarray(noisy).save(buffer, "JPEG", quality=90)
        paths = [folder / f"{number}-{name}.png" for name in ("truth", *MODELS)]
        for path in paths:
            labels.to_image(blobs(draw)).save(path)
        files.append((buffer.getvalue(), paths))
    for number in range(images):
        data, paths = files[number % len(files)]
        with Image.open(io.BytesIO(data)) as photo:
            image = np.asarray(photo)
        truth, *found = (labels.stored(path).pixels.astype(np.uint8) for path in paths)
        yield Example(f"2007_{number:06}", image, truth, dict(zip(MODELS, found, strict=True)))


def evaluation(folder: Path, ids: Sequence[str]) -> Evaluation:
    """Three classes of each image, with a share of their pixels found."""
    draw, rows = np.random.default_rng(1), []
    for image in ids:
        for value in draw.choice(21, 3, replace=False).tolist():
            rows.append((image, CLASSES[value], int(draw.integers(0, 60_000)), 60_000, 60_000))
    folder.mkdir()
    header = ("image", "class", "both", "truth", "prediction")
    files.write_csv(folder / "images.csv", header, rows)
    return Evaluation(None, folder)


def net(folder: Path) -> None:
    """A model folder with FCN-8s at full width."""
    mean = (104.0, 117.0, 123.0)
    spec = ModelSpec("fcn8s", "vgg16", CLASSES, 1.0, 4096, "caffe", "fixed", 0.5, mean)
    surgery.save(model.build(spec), spec, folder)


SCROLL = """new Promise(done => {
  const begin = performance.now(), frames = [];
  function frame(now) {
    frames.push(now);
    scrollBy(0, 90);
    if (now - begin < 10000) requestAnimationFrame(frame);
    else done(JSON.stringify({frames: frames.length, scrolled: scrollY}));
  }
  requestAnimationFrame(frame);
})"""


def opened(html: Path) -> str:
    """How the page opens in Chromium, and what its main thread computes while it is scrolled
    through: processor time, which other processes on the machine hardly change.
    """
    events: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as profile, browser.open_browser(profile) as tab:
        note = tab.note

        def kept(message: dict[str, Any]) -> None:
            if message.get("method") == "Tracing.dataCollected":
                events.extend(message["params"]["value"])
            events.extend([{"name": "over"}] * (message.get("method") == "Tracing.tracingComplete"))
            note(message)

        tab.note = kept
        tab.look(1280, 900)
        tab.call("Page.navigate", url=html.resolve().as_uri())
        tab.wait("document.querySelector('#cards li') && document.readyState === 'complete'")
        timing = "performance.getEntriesByType('navigation')[0]"
        loaded = tab.run(f"{timing}.loadEventEnd")
        config = {"includedCategories": ["toplevel"]}
        tab.call("Tracing.start", transferMode="ReportEvents", traceConfig=config)
        found = json.loads(tab.run(SCROLL))
        tab.call("Tracing.end")
        while {"name": "over"} not in events:
            tab.run("new Promise(done => setTimeout(done, 100))")
    threads = {
        (each["pid"], each["tid"]): each["args"]["name"]
        for each in events
        if each["name"] == "thread_name"
    }
    tasks = [
        each["tdur"] / 1000
        for each in events
        if "tdur" in each and threads.get((each["pid"], each["tid"])) == "CrRendererMain"
    ]
    return (
        f"opened in {loaded:.0f} ms; scrolled by {found['scrolled']} pixels in {found['frames']} "
        f"frames; longest task {max(tasks):.0f} ms of the processor"
    )


def peak() -> float:
    """The most memory that this process has had, in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    """Makes it and says what came out."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=1449)
    parser.add_argument("--keep", type=Path, help="leave the page there")
    parser.add_argument("--net", type=Path, help=argparse.SUPPRESS)  # only make one
    arguments = parser.parse_args()
    if arguments.net:
        net(arguments.net)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        (Path(temporary) / "net").mkdir()
        child.run("-m", "tests.benchmarks.report", "--net", Path(temporary) / "net")
        ids = [f"2007_{number:06}" for number in range(arguments.images)]
        found = {name: evaluation(Path(temporary) / name, ids) for name in MODELS}
        begin, used = time.perf_counter(), time.process_time()
        devices.prepare(seed=0, training=False)
        pictured = examples(Path(temporary), len(ids))
        looked = gallery.build(pictured, found, CLASSES, folder, ids[:20])
        html = page.template("gallery.html").render(**page.script(looked))
        seconds, processor = time.perf_counter() - begin, time.process_time() - used
        style = (page.HERE / "style.css").read_text(encoding="utf-8")
        start = (
            '<!DOCTYPE html><html lang="en"><meta '
            f'charset="utf-8"><title>B</title><style>{style}</style><nav></nav>'
        )
        (folder / "index.html").write_text(start + html, encoding="utf-8")
        beside = [path.stat().st_size for path in (folder / "pictures").glob("*")]
        print(f"{len(ids)} images: {seconds:.1f} s by the clock, {processor:.1f} s of all cores")
        print(
            f"page {len(html) / 1e6:.2f} MB; beside it {len(beside)} pictures, "
            f"{sum(beside) / 1e6:.1f} MB"
        )
        print(f"so far: at most {peak():.2f} GiB")
        begin, used = time.perf_counter(), time.process_time()
        image = next(examples(Path(temporary), 1)).image
        net_of_full_width, spec = surgery.load(Path(temporary) / "net")
        text = explained.page(explain.explain(net_of_full_width, spec, image), spec, "a photograph")
        seconds, processor = time.perf_counter() - begin, time.process_time() - used
        print(
            f"explained: {seconds:.1f} s by the clock, {processor:.1f} s of all cores; "
            f"{len(text) / 1e6:.2f} MB"
        )
        print(f"with the net, which the report does not load: at most {peak():.2f} GiB")
        print(opened(folder / "index.html") if browser.PATH else "there is no chromium")


if __name__ == "__main__":
    main()
