"""A first look at records: how often each class occurs, how large the images are, and a contact
sheet.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from pydantic import Field

from fcn import reading
from fcn.input import records
from fcn.io import files
from fcn.pixels import visualize

BOX = (240, 180)
"""(width, height) in pixels that a picture on the contact sheet has at most."""
COLUMNS = 6
MARK = ("classes.csv", "class,split,images,pixels,share")
"""By which a folder is known as one of these; see `files.replacing_folder`."""
_GAP, _FONT = 6, 11

Count = Annotated[int, Field(ge=0, le=2**53)]


class ClassShare(reading.Model):
    """A row of `classes.csv`."""

    name: reading.Name = Field(alias="class")
    split: reading.Name
    images: Count
    pixels: Count
    share: Annotated[float, Field(ge=0, le=1)]


class Size(reading.Model):
    """A row of `sizes.csv`."""

    split: reading.Name
    width: Annotated[int, Field(ge=1, le=2**16)]
    height: Annotated[int, Field(ge=1, le=2**16)]
    images: Annotated[int, Field(ge=1, le=2**36)]


Picture = tuple[str, np.ndarray, np.ndarray]
"""Id, image uint8 (H, W, 3) RGB, label uint8 (H, W)."""


def run(
    data: Path, out: Path, images: int, done: Callable[[int, int], None] = lambda seen, total: None
) -> dict[str, Any]:
    """Writes the folder `out` about the records in `data`.

    `classes.csv` (class, split, images, pixels, share): how many images show the class, how many
    pixels it has, and their share of all labelled pixels of the split. `sizes.csv` (split, width,
    height, images): how many images have that size. `contact.png`: training images with their
    labels painted over them.

    Args:
        data: folder of the records.
        out: folder to make or replace.
        images: how many the contact sheet shows, at least 1: evenly spread over the training split,
            as it is stored.
        done: called with (images drawn, images to draw).

    Returns:
        By split: `images`, `void` (share of all pixels that is labelled void) and `absent` (classes
        without a pixel).

    Raises:
        UserError: the records are not there, or not complete.
    """
    index = records.read_index(data)
    with files.replacing_folder(out, MARK) as folder:
        folder.mkdir()
        files.write_csv(
            folder / "classes.csv",
            ("class", "split", "images", "pixels", "share"),
            class_rows(index),
        )
        files.write_csv(
            folder / "sizes.csv", ("split", "width", "height", "images"), size_rows(index)
        )
        pictures = []
        for picture in _spread(data, index["splits"]["train"]["images"], images):
            pictures.append(_reduced(*picture))
            done(len(pictures), min(images, index["splits"]["train"]["images"]))
        contact_sheet(pictures, index["classes"]).save(folder / "contact.png")
    return {split: _summary(info) for split, info in index["splits"].items()}


def class_rows(index: dict) -> Iterator[tuple[str, str, int, int, float]]:
    """The rows of `classes.csv`, class by class in the order of their values, from the records'
    index.
    """
    for name in index["classes"]:
        for split, info in index["splits"].items():
            pixels = info["pixels"][name]
            labelled = max(sum(info["pixels"].values()), 1)
            yield name, split, info["images_with"][name], pixels, round(pixels / labelled, 6)


def size_rows(index: dict) -> Iterator[tuple[str, int, int, int]]:
    """The rows of `sizes.csv`, in increasing order, from the records' index."""
    for split, info in index["splits"].items():
        for (width, height), count in sorted(
            Counter((width, height) for height, width in info["sizes"]).items()
        ):
            yield split, width, height, count


def contact_sheet(pictures: Sequence[Picture], classes: Sequence[str]) -> Image.Image:
    """The pictures with their labels painted over them and their ids below, in rows, and the
    colours' meaning.

    Args:
        pictures: at least one, small enough as they are.
        classes: names by label value.

    Returns:
        An RGB image.
    """
    columns = min(COLUMNS, len(pictures))
    width = max(image.shape[1] for _, image, _ in pictures) + _GAP
    height = max(image.shape[0] for _, image, _ in pictures) + _FONT + 2 * _GAP
    rows = -(-len(pictures) // columns)
    key = visualize.legend(
        classes,
        visualize.painted([label for *_, label in pictures], classes),
        columns * width - _GAP,
    )
    sheet = Image.new(
        "RGB", (columns * width + _GAP, rows * height + key.height + 2 * _GAP), "white"
    )
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(_FONT)
    for number, (name, image, label) in enumerate(pictures):
        x, y = _GAP + number % columns * width, _GAP + number // columns * height
        sheet.paste(Image.fromarray(visualize.overlay(image, label, classes)), (x, y))
        draw.text(
            (x, y + image.shape[0] + 1), _fitting(name, font, width - _GAP), fill="black", font=font
        )
    sheet.paste(key, (_GAP, rows * height + _GAP))
    return sheet


def _fitting(name: str, font: Any, width: int) -> str:
    """The name, or as much of its end, which tells more than its beginning, as has room."""
    return next((name[n:] for n in range(len(name)) if font.getlength(name[n:]) <= width), "")


def _reduced(name: str, image: np.ndarray, label: np.ndarray) -> Picture:
    """The picture as large as has room in `BOX`: reduced, or enlarged by a whole factor."""
    height, width = label.shape
    scale = min(BOX[0] / width, BOX[1] / height)
    scale = float(int(scale)) if scale >= 1 else scale
    size = max(1, round(width * scale)), max(1, round(height * scale))
    smooth = Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.NEAREST
    small = Image.fromarray(image).resize(size, smooth)
    return (
        name,
        np.asarray(small),
        np.asarray(Image.fromarray(label).resize(size, Image.Resampling.NEAREST)),
    )


def _spread(data: Path, total: int, wanted: int) -> Iterator[Picture]:
    chosen = set(np.linspace(0, total - 1, min(wanted, total)).round().astype(int).tolist())
    return records.read(data, "train", chosen)


def _summary(info: dict) -> dict[str, Any]:
    void = info["void_pixels"]
    return {
        "images": info["images"],
        "void": round(void / (void + sum(info["pixels"].values())), 6),
        "absent": [name for name, pixels in info["pixels"].items() if not pixels],
    }
