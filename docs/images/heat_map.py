"""Makes the tutorial's picture of a classifier's score map.

python -m docs.images.heat_map
"""

from pathlib import Path

import keras
import numpy as np
from PIL import Image

from fcn.net import named_weights, surgery
from fcn.net.model import build
from fcn.pixels import visualize
from fcn.spec import MEAN_BGR, ModelSpec
from fcn.weights import convert, readers
from sample import world

OUT = Path(__file__).parent / "heat-map.jpg"
VGG = Path(__file__).parents[2] / "sample/vgg16_small.caffemodel"


def classifier() -> keras.Model:
    """The sample's VGG-16 as a convolutional net: from pictures to its own scores, cell by cell."""
    found = readers.read(VGG)
    weights, _ = convert(found.layers, "vgg16", VGG.name, found.axes, found.channels)
    units = len(weights["fc7/bias"])
    spec = ModelSpec(
        "fcn32s", "vgg16", world.CLASSES, width=1 / 8, fc_units=units, padding="caffe",
        upsampling="fixed", dropout=0.0, mean_bgr=MEAN_BGR,
    )  # fmt: skip
    model = build(spec)
    surgery.transplant(model, weights, new=["score_fr"])
    # The classifier's last layer, a matrix over the 1 x 1 of fc7, is a convolution of 1 x 1.
    matrix, bias = found.layers["fc8"]
    named_weights(model)["score_fr/kernel"].assign(matrix.T[None, None])
    named_weights(model)["score_fr/bias"].assign(bias)
    return keras.Model(model.input, model.get_layer("score_fr").output)


def heat_map() -> tuple[Image.Image, np.ndarray]:
    """A picture of five objects beside its score map; and the labels that the map paints."""
    canvas = world.Canvas((384, 256), world.generator(world.SEED, 9, 3))
    for centre in ((70, 70), (200, 170), (320, 60), (70, 190), (320, 200)):
        canvas.add(centre)
    image = np.asarray(canvas.picture)
    scores = np.asarray(classifier().predict_on_batch(image[None]))[0]
    best = scores.argmax(-1).astype(np.uint8)
    # Cell n lies on pixel 32 n + 12.5, in a square of 32 pixels.
    cells = np.kron(best, np.ones((32, 32), np.uint8))
    inside = np.pad(cells[4:, 4:], ((0, 32), (0, 32)), mode="edge")
    labels = inside[: image.shape[0], : image.shape[1]]
    painted = visualize.overlay(image, labels, world.CLASSES)
    shown = visualize.painted([labels], world.CLASSES)
    titles = ["picture", "score map"]
    return visualize.panels([[image, painted]], titles, world.CLASSES, shown), labels


if __name__ == "__main__":
    heat_map()[0].save(OUT, quality=88, optimize=True)
    print(OUT)
