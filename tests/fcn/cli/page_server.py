"""A process of its own that serves the page with nets that know their answers: `python
page_server.py FOLDER`.

Appends the name of every net that runs to FOLDER/ran.
"""

import contextlib
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np

from fcn.predict import web_page
from fcn.spec import ModelSpec

CLASSES = ("background", "cat", "dog")
RIGHT = {"fcn8s": 0, "fcn16s": 2}
"""What a net says of the right half of a picture; the left half is cat."""
MEAN = (0.0, 0.0, 0.0)


def spec(name):
    knows = "Only cats <b>and</b> dogs."
    return ModelSpec(name, "vgg16", CLASSES, 1.0, 8, "same", "fixed", 0.5, MEAN, knows)


class Net:
    """Is certain to 90 %. For pictures of more than 1000 pixels' width it takes 200 tiles of a
    tenth of a second, all of them the whole picture.
    """

    def __init__(self, folder, ran):
        self.name, self.ran = folder.name, ran
        self.spec = spec(self.name)

    def cost(self, width, height):
        return width * height

    def tiles(self, width, height):
        return 200 if width > 1000 else 1

    def parts(self, image, probabilities):
        height, width = image.shape[:2]
        tiles = self.tiles(width, height)
        found = np.full((height, width), RIGHT[self.name], np.uint8)
        found[:, : width // 2] = 1
        soft = np.full((height, width, 3), 0.05, np.float32)
        np.put_along_axis(soft, found[..., None].astype(int), 0.9, axis=-1)
        for _ in range(tiles):
            with open(self.ran, "a") as file:
                file.write(f"{self.name}{'' if tiles == 1 else '-tile'}\n")
            time.sleep(0.1 if tiles > 1 else 0)
            yield SimpleNamespace(
                place=(slice(None), slice(None)), labels=found, probabilities=soft
            )

    def steps(self, image, probabilities):
        tiles = self.tiles(image.shape[1], image.shape[0])
        parts = self.parts(image, probabilities)
        for number in range(1, tiles + 1):
            part = next(parts)
            yield number, tiles
        return part


def main(root):
    models = {name: root / name for name in (*RIGHT, "broken")}
    for name, folder in models.items():
        folder.mkdir()
        (folder / "weights.npz").touch()
        described = asdict(spec(name)) if name in RIGHT else {}
        (folder / "model.json").write_text(json.dumps(described))
    (models["fcn8s"] / "README.md").write_text(
        "# A card\n\n| it | knows |\n|---|---|\n| this | <script>alert(1)</script> |\n\n"
        "[beside](results.md), [elsewhere](https://example.org)\n"
    )
    with (
        mock.patch.object(web_page, "_net", lambda folder, _written: Net(folder, root / "ran")),
        contextlib.suppress(KeyboardInterrupt),  # as the command does
    ):
        web_page.serve(web_page.Nets(models, "fcn8s"), 0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
