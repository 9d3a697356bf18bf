"""A process of its own that serves the page with nets that know their answers: `python page_server.py FOLDER`.

Prints the address; appends the name of every net that runs to FOLDER/ran. Gradio does not clean up after itself, which in the
tests' own process would be warnings.
"""

import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from tasks import web_page

CLASSES = ("background", "cat", "dog")
RIGHT = {"fcn8s": 0, "fcn16s": 2}
"""What a net says of the right half of a picture; the left half is cat."""


def main(root):
    models = {name: root / name for name in RIGHT}
    for folder in models.values():
        folder.mkdir()
        (folder / "weights.npz").touch()

    def net(folder, _written):
        def predict(image):
            with open(root / "ran", "a") as file:
                file.write(folder.name + "\n")
            found = np.full(image.shape[:2], RIGHT[folder.name], np.uint8)
            found[:, : found.shape[1] // 2] = 1
            return SimpleNamespace(labels=found)

        predict.spec = SimpleNamespace(classes=CLASSES)
        return predict

    web_page._net = net
    print(web_page.serve(web_page.build(models, "fcn8s"), 0, wait=False), flush=True)
    while True:
        time.sleep(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
