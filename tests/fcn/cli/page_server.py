"""A process of its own that serves the page with nets that know their answers: `python
page_server.py FOLDER`.

Prints the address; appends the name of every net that runs to FOLDER/ran. Gradio does not clean up
after itself, which in the tests' own process would be warnings.
"""

import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from fcn.predict import web_page

CLASSES = ("background", "cat", "dog")
RIGHT = {"fcn8s": 0, "fcn16s": 2}
"""What a net says of the right half of a picture; the left half is cat."""


class Net:
    """Answers at once; for pictures of more than 1000 pixels' width it takes 200 tiles of a tenth
    of a second.
    """

    spec = SimpleNamespace(classes=CLASSES, knows="")

    def __init__(self, folder, ran):
        self.name, self.ran = folder.name, ran

    def cost(self, width, height):
        return width * height

    def steps(self, image):
        tiles = 200 if image.shape[1] > 1000 else 1
        for number in range(1, tiles + 1):
            with open(self.ran, "a") as file:
                file.write(f"{self.name}{'' if tiles == 1 else '-tile'}\n")
            time.sleep(0.1 if tiles > 1 else 0)
            yield number, tiles
        found = np.full(image.shape[:2], RIGHT[self.name], np.uint8)
        found[:, : found.shape[1] // 2] = 1
        return SimpleNamespace(labels=found)


def main(root):
    models = {name: root / name for name in RIGHT}
    for folder in models.values():
        folder.mkdir()
        (folder / "weights.npz").touch()

    web_page._net = lambda folder, _written: Net(folder, root / "ran")
    print(web_page.serve(web_page.build(models, "fcn8s"), 0, wait=False), flush=True)
    while True:
        time.sleep(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
