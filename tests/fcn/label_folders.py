"""Folders of images and labels of every kind that users have, made of known truths."""

import numpy as np
from PIL import Image

from fcn.pixels import labels

HEIGHT, WIDTH = 60, 80
OWN = {0: (0, 0, 0), 1: (255, 0, 0), 2: (0, 200, 80), 3: (30, 60, 255), 255: (224, 224, 192)}
"""Colours of nobody's table, by class; void's is VOC's."""


def truth(number, void=True):
    """Classes 0 to 3 and, if wanted, a border of void around the last three; uint8 (H, W), another
    one for each number.
    """
    label = np.zeros((HEIGHT, WIDTH), np.uint8)
    for value, left in ((1, 3), (2, 29), (3, 55)):
        top, size = 4 + 5 * number % 23 + value, 12 + 2 * value + number % 2
        if void:
            label[top - 1 : top + size + 1, left - 1 : left + size + 1] = 255
        label[top : top + size, left : left + size] = value
    return label


def photograph(number):
    return Image.fromarray(
        np.random.default_rng(number).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    )


def coloured(label, colours=OWN):
    table = np.zeros((256, 3), np.uint8)
    for value, colour in colours.items():
        table[value] = colour
    return Image.fromarray(table[label])


def smoothed(picture):
    """Twice as large and back, as pictures are resized."""
    return picture.resize((2 * WIDTH, 2 * HEIGHT), Image.Resampling.BILINEAR).resize(
        (WIDTH, HEIGHT), Image.Resampling.BILINEAR
    )


def write_folder(root, mask, count=4, void=True, ending=".png", classes=(), **options):
    """images/ and masks/, masks as `mask(truth)` makes them, and a classes.txt of these lines, if
    there are any.
    """
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    for number in range(count):
        photograph(number).save(root / "images" / f"p{number:02}.jpg")
        mask(truth(number, void)).save(root / "masks" / f"p{number:02}{ending}", **options)
    if classes:
        (root / "classes.txt").write_text("\n".join(classes) + "\n", encoding="utf-8")
    return root


NAMES = ("background", "red", "green", "blue")
OWN_LINES = ("background #000000", "red #ff0000", "green #00c850", "blue #1e3cff")


def paletted(label):
    """A palette image with the indices as they are and the colours of `OWN`."""
    image = Image.fromarray(label)
    image.putpalette(
        np.array([OWN.get(index, (9, 9, 9)) for index in range(256)], np.uint8).reshape(-1).tolist()
    )
    return image


def grey(label):
    return Image.fromarray(np.asarray(label, np.uint8))


def mask_255(label):
    return grey((label > 0) * 255)


def voc(label):
    return labels.to_image(label)


def voc_rgb(label):
    return labels.to_image(label).convert("RGB")
