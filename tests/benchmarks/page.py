"""How long the page takes to answer a photograph: processor seconds, which other programs on the
machine do not lengthen, and seconds on the clock.

    python -m tests.benchmarks.page [--model voc20]
"""

import argparse
import io
import json
import resource
import time

import numpy as np
from PIL import Image
from starlette.testclient import TestClient

from fcn import pretrained
from fcn.cli.options import model_folder
from fcn.predict import web_page

PHOTOGRAPHS = ((4000, 3000, "JPEG"), (4000, 3000, "HEIF"), (8000, 6000, "JPEG"))


def photograph(width: int, height: int, form: str) -> bytes:
    """The cat, enlarged, with the grain of a photograph."""
    cat = Image.open(web_page.HERE / "examples" / "cat.jpg").convert("RGB").resize((width, height))
    grain = np.random.default_rng(0).integers(-6, 7, (height, width, 1))
    buffer = io.BytesIO()
    noisy = np.clip(np.asarray(cat).astype(np.int16) + grain, 0, 255).astype(np.uint8)
    Image.fromarray(noisy).save(buffer, form, quality=90)
    return buffer.getvalue()


def main() -> None:
    """Prints a row for each photograph."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=pretrained.DEFAULT)
    folder = model_folder(parser.parse_args().model)
    nets = web_page.Nets({folder.name: folder}, folder.name)
    web_page._warm(nets)
    client = TestClient(web_page.application(nets), "http://127.0.0.1:7860")
    for width, height, form in PHOTOGRAPHS:
        data = photograph(width, height, form)
        for turn in ("first", "again"):
            busy, clock = time.process_time(), time.perf_counter()
            answer = client.post("/segment", content=data)
            busy, clock = time.process_time() - busy, time.perf_counter() - clock
            found = json.loads(answer.text.splitlines()[-1])["found"]
            print(
                f"{width} x {height}, {form} of {len(data) / 1e6:.1f} MB, {turn}: {busy:.1f} s of "
                f"the processor, {clock:.1f} s on the clock; an answer of "
                f"{len(answer.content) / 1e6:.1f} MB, computed at {found['computed']}; so far at "
                f"most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.1f} GB",
                flush=True,
            )


if __name__ == "__main__":
    main()
