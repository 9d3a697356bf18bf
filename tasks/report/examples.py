"""Validation images to look at: which ones, and their pictures, with truth and what every model
makes of them.
"""

import base64
import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from fcn.input import records
from fcn.pixels import labels, visualize

SIDE = 320
"""Pixels of the longer side of a picture, at most: twice what a page shows of it."""


@dataclass(frozen=True)
class Example:
    """One image: its `id`, itself, uint8 (H, W, 3), its truth, uint8 (H, W), and the models' labels
    by name, as far as kept.
    """

    id: str
    image: np.ndarray
    truth: np.ndarray
    predictions: Mapping[str, np.ndarray]

    @property
    def maps(self) -> dict[str, np.ndarray]:
        """All labels by title: the truth and the predictions."""
        return {"truth": self.truth, **self.predictions}


def extremes(ious: Mapping[str, float], count: int) -> tuple[list[str], list[str]]:
    """The `count` worst images, worst first, and the best, best first; no image is both. Ties go by
    id.
    """
    ranked = sorted(ious, key=lambda image: (ious[image], image))
    return ranked[:count], ranked[: count - 1 : -1][:count] if count else []


def spread(images: Sequence[str], count: int) -> list[str]:
    """`count` images evenly spread over all; those that `fcn.evaluate.score.run` draws."""
    count = min(count, len(images))
    return (
        [images[place] for place in np.linspace(0, len(images) - 1, count).round().astype(int)]
        if count
        else []
    )


def read(
    data: Path, folders: Mapping[str, Path], ids: Collection[str] | None = None
) -> Iterator[Example]:
    """The validation images one after another, in the order of the records.

    Args:
        data: folder of the records.
        folders: of the models by name, with `predictions/<id>.png`; what is not there is left out.
        ids: of the images; None: all.
    """
    known = records.split_info(data, "val")["ids"]
    places = None if ids is None else {known.index(image) for image in ids}
    for image_id, image, truth in (
        records.read(data, "val", places) if places or ids is None else ()
    ):
        paths = {
            name: folder / "predictions" / f"{image_id}.png" for name, folder in folders.items()
        }
        predictions = {
            name: labels.stored(path).pixels.astype(np.uint8)
            for name, path in paths.items()
            if path.is_file()
        }
        yield Example(image_id, image, truth, predictions)


def heat_url(shares: np.ndarray) -> str:
    """Shares, 0..1 (N, N), as the `data:` URL of a grey picture, a pixel for each: the darker, the
    more, on a root scale.
    """
    picture = Image.fromarray(np.rint(255 * (1 - np.sqrt(shares))).astype(np.uint8))
    return data_url(encoded(picture, "PNG", optimize=True), "png")


def sheet(
    examples: Sequence[Example], names: Sequence[str], classes: Sequence[str], side: int = 240
) -> Image.Image:
    """All of it in one picture: a row per image, with titles and a legend; what is missing stays
    empty.

    Args:
        examples: in this order.
        names: of the models.
        classes: their names.
        side: pixels of a picture's longer side: larger ones are reduced, small ones enlarged by a
            whole factor.
    """
    rows, shown = [], []
    for example in examples:
        image = np.asarray(shrunk(Image.fromarray(example.image), Image.Resampling.LANCZOS, side))
        row = [image]
        for title in ("truth", *names):
            label = example.maps.get(title)
            if label is None:
                row.append(np.full_like(image, 255))
                continue
            small = np.asarray(shrunk(labels.to_image(label), Image.Resampling.NEAREST, side))
            row.append(visualize.overlay(image, small, classes))
            shown.append(small)
        rows.append(row)
    scale = max(1, side // max(max(row[0].shape[:2]) for row in rows))
    return visualize.panels(
        rows, ("image", "truth", *names), classes, visualize.painted(shown, classes), scale
    )


def shrunk(image: Image.Image, how: Image.Resampling, side: int = SIDE) -> Image.Image:
    """The picture with a longer side of at most `side` pixels."""
    scale = side / max(image.size)
    return (
        image
        if scale >= 1
        else image.resize([max(1, round(length * scale)) for length in image.size], how)
    )


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    """The picture as the bytes of a file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def data_url(data: bytes, kind: str) -> str:
    """A picture's file as a `data:` URL; `kind`: "png" or "jpeg"."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
