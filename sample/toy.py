"""A toy to begin with: handwritten digits scattered over small scenes, and a LeNet that knows
digits.

    python -m sample.toy OUT_DIR

writes `digits.tar.gz`, scenes with labels in VOC's layout, and `lenet.caffemodel`, LeNet as Caffe
would store it, in half a minute. The digits are the 1797 of scikit-learn's `load_digits` (8 x 8
pixels, by 13 people), enlarged to MNIST's format: white on black, about 20 pixels high in 28 x 28.
Those of the validation scenes are in no other scene and unknown to LeNet.
"""

import argparse
import gzip
import io
import tarfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from PIL import Image, ImageFilter
from sklearn.datasets import load_digits

from fcn.io.files import digest, replacing_file
from fcn.pixels.labels import to_image
from fcn.spec.colours import VOID
from fcn.weights import caffe
from sample import world

CLASSES = (
    "background",
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
)
ROOT = "VOCdevkit/Digits"
SPLITS = {"train": 200, "val": 40}
SEED = 1998
HELD_OUT = 360
"""Digits that only the validation scenes have."""

SIDE = 28  # of what LeNet sees
STEPS = 400  # of 64 digits
_INK = 110  # grey values from here on are the digit


def digits() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """By split, images uint8 (N, 8, 8) of 0..255, white on black, and their digits (N,)."""
    found = load_digits()
    order = world.generator(SEED).permutation(len(found.target))
    images, targets = (
        np.round(found.images * (255 / 16)).astype(np.uint8)[order],
        found.target[order],
    )
    return {
        "train": (images[HELD_OUT:], targets[HELD_OUT:]),
        "val": (images[:HELD_OUT], targets[:HELD_OUT]),
    }


def enlarge(digit: np.ndarray, height: int) -> Image.Image:
    """A digit (8, 8) as a picture (mode L) of about `height` pixels, in a black frame of an eighth
    on each side.
    """
    return Image.fromarray(np.pad(digit, 1)).resize(
        (height * 10 // 8,) * 2, Image.Resampling.BICUBIC
    )


def _height(rng: np.random.Generator) -> int:
    return int(rng.integers(18, 23))


def scene(
    images: np.ndarray, targets: np.ndarray, rng: np.random.Generator
) -> tuple[Image.Image, Image.Image]:
    """One pair: a picture (RGB, sides of 64 to 96 px) of 1 to 5 digits apart from each other, and
    its label (palette).

    The ground is dim and uneven. A label's digit is its ink; the pixels around it, where it fades,
    are void.
    """
    width, height = (int(side) for side in rng.integers(64, 97, 2))
    ground = Image.fromarray(rng.integers(0, 40, (3, 3), np.uint8)).resize(
        (width, height), Image.Resampling.BILINEAR
    )
    picture = np.array(ground, np.int64)
    label, taken = np.zeros((height, width), np.uint8), np.zeros((height, width), bool)
    wanted = int(rng.integers(1, 6))
    for _attempt in range(20 * wanted):
        number = int(rng.integers(len(targets)))
        stamp = enlarge(images[number], _height(rng))
        top, left = (int(rng.integers(0, side - stamp.width + 1)) for side in (height, width))
        place = np.s_[top : top + stamp.height, left : left + stamp.width]
        if taken[place].any():
            continue
        taken[place], ink = True, np.asarray(stamp)
        picture[place] = np.maximum(picture[place], ink)
        solid = ink >= _INK
        rim = np.asarray(
            Image.fromarray(solid.astype(np.uint8)).filter(ImageFilter.MaxFilter(3)), bool
        )
        label[place] = np.where(solid, 1 + targets[number], np.where(rim, VOID, 0))
        wanted -= 1
        if not wanted:
            break
    noisy = np.clip(picture + rng.integers(-6, 7, picture.shape), 0, 255).astype(np.uint8)
    return Image.fromarray(noisy).convert("RGB"), to_image(label)


def write_scenes(target: Path, splits: dict[str, int] = SPLITS) -> None:
    """Write the scenes as a tar laid out like VOC (`ROOT`/...); the same bytes every time."""
    content, found = {}, digits()
    for split, count in splits.items():
        names = [f"{split}_{number:03d}" for number in range(count)]
        content[f"ImageSets/Segmentation/{split}.txt"] = "".join(
            f"{name}\n" for name in names
        ).encode()
        for number, name in enumerate(names):
            picture, label = scene(*found[split], world.generator(SEED, split == "val", number))
            image, index = io.BytesIO(), io.BytesIO()
            picture.save(image, "JPEG", quality=90)
            label.save(index, "PNG", optimize=True)
            content |= {
                f"JPEGImages/{name}.jpg": image.getvalue(),
                f"SegmentationClass/{name}.png": index.getvalue(),
            }
    with (
        replacing_file(target) as part,
        part.open("wb") as file,
        gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name in sorted(content):
            member = tarfile.TarInfo(f"{ROOT}/{name}")
            member.size, member.mode = len(content[name]), 0o644
            archive.addfile(member, io.BytesIO(content[name]))


def views(images: np.ndarray, height: int, rng: np.random.Generator) -> np.ndarray:
    """Digits (N, 8, 8), `height` pixels high and wherever there is room, as LeNet takes them: float
    (N, 28, 28, 1), 0..1.
    """
    found = np.zeros((len(images), SIDE, SIDE, 1), np.float32)
    for picture, digit in zip(found, images, strict=True):
        stamp = np.asarray(enlarge(digit, height), np.float32)
        top, left = rng.integers(0, SIDE - len(stamp) + 1, 2)
        picture[top : top + len(stamp), left : left + len(stamp), 0] = stamp / 256
    return found


def classifier() -> keras.Model:
    """LeNet on 28 x 28 pixels, with ip1 and ip2 as convolutions of their whole input: (N, 28, 28,
    1) -> (N, 1, 1, 10).
    """
    return keras.Sequential([
        keras.Input((SIDE, SIDE, 1)),
        layers.Conv2D(20, 5, name="conv1"), layers.MaxPooling2D(),
        layers.Conv2D(50, 5, name="conv2"), layers.MaxPooling2D(),
        layers.Conv2D(500, 4, activation="relu", name="ip1"), layers.Conv2D(10, 1, name="ip2"),
    ])  # fmt: skip


def train() -> keras.Model:
    """LeNet trained on the digits of the training scenes, alone in the middle; seconds."""
    keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()
    model, (images, targets), rng = classifier(), digits()["train"], world.generator(SEED, 7)
    model.compile(
        keras.optimizers.Adam(1e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    for _step in range(STEPS):
        chosen = rng.integers(0, len(targets), 64)
        model.train_on_batch(
            views(images[chosen], _height(rng), rng), targets[chosen][:, None, None]
        )
    return model


def accuracy(model: keras.Model) -> float:
    """Share of the held-out digits that LeNet reads right."""
    images, targets = digits()["val"]
    scores = model.predict_on_batch(views(images, 20, world.generator(SEED, 8)))
    return float(np.mean(scores[:, 0, 0].argmax(-1) == targets))


def write_caffemodel(model: keras.Model, target: Path) -> None:
    """Write LeNet with Caffe's axes: kernels O x I x H x W, ip1 and ip2 as matrices over a
    flattened C x H x W.
    """
    found = {}
    for layer in model.layers:
        if layer.weights:
            kernel, bias = layer.get_weights()
            blob, dense = kernel.transpose(3, 2, 0, 1), layer.name.startswith("ip")
            found[layer.name] = (
                "InnerProduct" if dense else "Convolution",
                (blob.reshape(len(blob), -1) if dense else blob, bias),
            )
    caffe.write(target, "LeNet", found)


def main(folder: Path) -> None:
    """Write both files into `folder` and print their sizes and checksums, and
    how well LeNet reads.
    """
    folder.mkdir(parents=True, exist_ok=True)
    scenes, weights = folder / "digits.tar.gz", folder / "lenet.caffemodel"
    write_scenes(scenes)
    model = train()
    print(f"LeNet reads {accuracy(model):.2%} of {HELD_OUT} digits that it has not seen")
    write_caffemodel(model, weights)
    for path in (scenes, weights):
        print(f"{path}: {path.stat().st_size} bytes, sha256:{digest(path)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="OUT_DIR", help="where to write both files")
    main(parser.parse_args().folder)
