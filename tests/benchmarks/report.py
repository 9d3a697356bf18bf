"""How long the gallery of a large validation set takes, how large the page is, and how much memory
that needs.

    python -m tests.benchmarks.report [--images 1449] [--keep FOLDER]

Made-up images of VOC's size with three models, read from files as the stage reads them. Meant to
hold on two cores: 60 s, 1.5 GB, and a page below 5 MB.
"""

import argparse
import io
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from fcn.pixels import labels
from tasks.report import gallery, page
from tasks.report.examples import Example

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


def main() -> None:
    """Makes it and says what came out."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=1449)
    parser.add_argument("--keep", type=Path, help="leave the page there")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        ids = [f"2007_{number:06}" for number in range(arguments.images)]
        draw = np.random.default_rng(1)
        scores = [
            {
                value: round(float(draw.uniform()), 3)
                for value in draw.choice(21, 3, replace=False).tolist()
            }
            for _ in ids
        ]
        ious = {name: dict(zip(ids, scores, strict=True)) for name in MODELS}
        begin, used = time.perf_counter(), time.process_time()
        looked = gallery.build(examples(Path(temporary), len(ids)), ious, CLASSES, folder, ids[:20])
        html = page.template("gallery.html").render(**page.script(looked))
        seconds, processor = time.perf_counter() - begin, time.process_time() - used
        style = (page.HERE / "style.css").read_text(encoding="utf-8")
        start = (
            '<!doctype html><html lang="en"><meta '
            f'charset="utf-8"><title>B</title><style>{style}</style><nav></nav>'
        )
        (folder / "index.html").write_text(start + html, encoding="utf-8")
        beside = [path.stat().st_size for path in (folder / "pictures").glob("*")]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{len(ids)} images: {seconds:.1f} s by the clock, {processor:.1f} s of all cores; at "
        f"most {peak:.2f} GiB"
    )
    print(
        f"page {len(html) / 1e6:.2f} MB; beside it {len(beside)} pictures, "
        f"{sum(beside) / 1e6:.1f} MB"
    )


if __name__ == "__main__":
    main()
