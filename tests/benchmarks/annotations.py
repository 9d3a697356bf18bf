"""How many labels a second COCO's polygons become: `python tests/benchmarks/annotations.py`, one
core, 640x480.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[2]))
from fcn.datasets.annotations import formats

COUNT, OBJECTS, CORNERS = 200, 7, 24
"""Images; and, of each, objects and corners of each, about as COCO has them."""


def write(root: Path) -> None:
    """A folder of COCO's."""
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for number in range(COUNT):
        Image.new("RGB", (640, 480)).save(root / f"{number}.jpg")
        images.append({"id": number, "file_name": f"{number}.jpg", "width": 640, "height": 480})
        for _ in range(OBJECTS):
            angles = np.sort(rng.uniform(0, 2 * np.pi, CORNERS))
            radius = rng.uniform(20, 120) * rng.uniform(0.6, 1, CORNERS)
            middle = rng.uniform((60, 60), (580, 420))
            points = middle + radius[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)
            outline = points.clip(0, (640, 480)).reshape(-1).tolist()
            kind = int(rng.integers(1, 80))
            annotations.append(
                {"image_id": number, "category_id": kind, "segmentation": [outline], "iscrowd": 0}
            )
    categories = [{"id": n, "name": f"class{n}"} for n in range(1, 81)]
    told = {"images": images, "annotations": annotations, "categories": categories}
    (root / "instances.json").write_text(json.dumps(told))


def main() -> None:
    """Prints images a second of recognising and drawing together, and of drawing alone."""
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder))
        start = time.process_time()
        found = formats.recognise(Path(folder))
        assert found is not None
        read = time.process_time()
        for pair in found.splits[""]:
            assert pair.draw is not None
            pair.draw()
        end = time.process_time()
    print(
        f"recognised and drawn: {COUNT / (end - start):.0f} images/s; drawn: "
        f"{COUNT / (end - read):.0f} images/s"
    )


if __name__ == "__main__":
    main()
