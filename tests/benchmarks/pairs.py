"""Pairs of image and label of VOC's size, made on the fly, or those of a real VOC folder."""

from pathlib import Path

import numpy as np
from PIL import Image

from fcn.datasets.pairs import Listing, Pair
from fcn.pixels import labels

CLASSES = tuple(f"class{n}" for n in range(21))


def made(folder: Path, count: int) -> list[Pair]:
    """`count` pairs of 500x375: a JPEG of about 90 kB with coarse and fine detail, a palette PNG of
    smooth shapes.
    """
    found = []
    for number in range(count):
        image, label = folder / f"{number:06d}.jpg", folder / f"{number:06d}.png"
        rng = np.random.default_rng(number)
        picture = np.zeros((375, 500, 3))
        for cells, strength in ((6, 60), (40, 25), (200, 10)):
            noise = rng.normal(0, strength, (cells * 3 // 4, cells, 3))
            for channel in range(3):
                layer = Image.fromarray(noise[..., channel].astype(np.float32)).resize(
                    (500, 375), Image.Resampling.BICUBIC
                )
                picture[..., channel] += np.asarray(layer)
        Image.fromarray((picture + 120).clip(0, 255).astype(np.uint8)).save(image, quality=93)
        y, x = np.mgrid[:375, :500]
        truth = np.zeros((375, 500), np.uint8)
        for value in rng.integers(1, 21, 3):
            top, left, size = rng.integers(40, 330), rng.integers(40, 460), rng.integers(30, 110)
            distance = np.hypot((y - top) * 1.3, x - left) + 6 * np.sin(
                np.arctan2(y - top, x - left) * 7
            )
            truth[distance < size + 5] = 255
            truth[distance < size] = value
        labels.to_image(truth).save(label)
        found.append(Pair(image.stem, image, label))
    return found


def real(root: Path) -> list[Pair]:
    """Every pair of a folder in VOC's layout."""
    found = [
        Pair(p.stem, root / "JPEGImages" / f"{p.stem}.jpg", p)
        for p in sorted((root / "SegmentationClass").glob("*.png"))
    ]
    if not found:
        raise SystemExit(f"{root}: no labels in SegmentationClass")
    return found


def listing(pairs: list[Pair]) -> Listing:
    """Nine of ten pairs to train on, the others to validate on."""
    return Listing(
        CLASSES, {"train": [p for n, p in enumerate(pairs) if n % 10], "val": pairs[::10]}
    )
