"""A few images in VOC's layout, for tests of what is read and scored."""

import numpy as np
from PIL import Image

from fcn.datasets import DatasetSpec, voc
from fcn.pixels import labels
from fcn.records import writing

CLASSES = ("background", "cat", "dog")
SIZES = {"a": (40, 56), "b": (33, 47), "c": (48, 41), "v": (35, 50), "w": (50, 38)}
"""(height, width) by id; a to c are in train.txt, v and w in val.txt."""


def truth(height, width):
    """A label: two rectangles with a border of void, on background."""
    label = np.zeros((height, width), np.uint8)
    for value, left in ((1, 3), (2, width // 2 + 2)):
        label[4 : height - 5, left - 1 : left + width // 3 + 1] = 255
        label[5 : height - 6, left : left + width // 3] = value
    return label


def write_images(root, lists, sizes=SIZES):
    """`lists`: name -> ids; every id gets an image and a label once."""
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    for name, ids in lists.items():
        (root / f"ImageSets/Segmentation/{name}.txt").write_text(
            "".join(f"{each}\n" for each in ids)
        )
    for each in sorted({each for ids in lists.values() for each in ids}):
        label = truth(*sizes[each])
        Image.fromarray(label).convert("RGB").save(root / f"JPEGImages/{each}.jpg")
        labels.to_image(label).save(root / f"SegmentationClass/{each}.png")
    return root


def write_records(root, out, train="train", val="val"):
    """Records of the lists `train` and `val` below `root`."""
    listing = voc.load(DatasetSpec({"voc": root}, CLASSES, train, val, 0))
    writing.write(listing, {"train": train, "val": val}, out, 1, 1, "stop", lambda *_: None)
    return out
