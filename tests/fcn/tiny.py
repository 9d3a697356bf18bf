"""A tiny world in VOC's layout: eight small images of different sizes with two classes of
rectangles.
"""

import keras
import numpy as np
from PIL import Image

from fcn.datasets import DatasetSpec
from fcn.input import Stream
from fcn.pixels import labels
from fcn.spec.augment import OFF
from fcn.spec.recipe import TrainSpec

CLASSES = ("background", "red", "green")
SIZES = {
    "a": (40, 56),
    "b": (33, 47),
    "c": (48, 40),
    "d": (37, 37),
    "e": (40, 56),
    "v": (35, 50),
    "w": (50, 35),
    "x": (41, 43),
}
"""(height, width) by id; a to e are in train.txt, v to x in val.txt."""


def scene(name):
    """Image and label: on grey noise a red and a green rectangle, each with a border of void."""
    height, width = SIZES[name]
    rng = np.random.default_rng(ord(name))
    image = rng.integers(90, 130, (height, width, 3), np.uint8)
    label = np.zeros((height, width), np.uint8)
    for value, left in ((1, 2), (2, width // 2 + 1)):
        top, bottom = int(rng.integers(2, 8)), height - int(rng.integers(3, 12))
        right = left + width // 2 - 5
        label[top - 1 : bottom + 1, left - 1 : right + 1] = 255
        label[top:bottom, left:right] = value
        image[top:bottom, left:right, value - 1] = 220
    return image, label


def write_world(root):
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    for name in SIZES:
        image, label = scene(name)
        Image.fromarray(image).save(root / "JPEGImages" / f"{name}.jpg", quality=90)
        labels.to_image(label).save(root / "SegmentationClass" / f"{name}.png")
    (root / "ImageSets/Segmentation/train.txt").write_text("a\nb\nc\nd\ne\n")
    (root / "ImageSets/Segmentation/val.txt").write_text("x\nv\nw\n")
    return root


def write_records(root, out, train="train", val="val"):
    """Records of two lists of a data set in VOC's layout below `root`."""
    from fcn.datasets import voc
    from fcn.records import writing

    listing = voc.load(DatasetSpec({"voc": root}, CLASSES, train, val, 0))
    writing.write(listing, {"train": train, "val": val}, out, 2, 1, "stop", lambda *_: None)
    return out


def stream(data, seed, batch=1, augment=OFF, split="train", **more):
    """What a training with this seed, batch and augmentation sees; `more` as of `Stream`."""
    recipe = TrainSpec(
        "sgd", 1e-2, 0.9, 5e-4, 2.0, "mean", 20, 2, 10, seed, batch=batch, augment=augment
    )
    return Stream(data, split, recipe, **more)


def echo(channels=3):
    """A net whose scores are its image's channels; a fourth is 0."""
    image = keras.Input((None, None, 3))
    conv = keras.layers.Conv2D(channels, 1, use_bias=False)
    net = keras.Model(image, conv(image))
    conv.set_weights([np.eye(3, channels)[None, None]])
    return net
