"""Validation images to look at: which ones, and their pictures, with truth and what every model makes of them."""

import base64
import io
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from fcn.compare import results
from fcn.input import records
from fcn.pixels import labels, visualize
from fcn.spec import VOID, palette

SIDE = 320
"""Pixels of the longer side of a picture, at most: twice what a page shows of it."""


@dataclass(frozen=True)
class Example:
    """One image: its `id`, itself, uint8 (H, W, 3), its truth, uint8 (H, W), and the models' labels by name, as far as kept."""

    id: str
    image: np.ndarray
    truth: np.ndarray
    predictions: Mapping[str, np.ndarray]

    @property
    def maps(self) -> dict[str, np.ndarray]:
        """All labels by title: the truth and the predictions."""
        return {"truth": self.truth, **self.predictions}


def image_ious(table: Path) -> dict[str, float]:
    """Mean IU of each image by id, over the classes that its truth or its prediction has, from `images.csv`.

    For ranking images only: the mean of these is not the mean IU of the set.
    """
    ious: dict[str, list[float]] = {}
    for row in results.table(table, results.ImageClass):
        if either := row.truth + row.prediction - row.both:
            ious.setdefault(row.image, []).append(row.both / either)
    return {image: float(np.mean(values)) for image, values in ious.items()}


def extremes(ious: Mapping[str, float], count: int) -> tuple[list[str], list[str]]:
    """The `count` worst images, worst first, and the best, best first; no image is both. Ties go by id."""
    ranked = sorted(ious, key=lambda image: (ious[image], image))
    return ranked[:count], ranked[: count - 1 : -1][:count] if count else []


def spread(images: Sequence[str], count: int) -> list[str]:
    """`count` images evenly spread over all; those that `fcn.evaluate.score.run` draws."""
    count = min(count, len(images))
    return [images[place] for place in np.linspace(0, len(images) - 1, count).round().astype(int)] if count else []


def load(data: Path, plots: Path, names: Sequence[str], ids: Collection[str]) -> dict[str, Example]:
    """The validation images `ids` by id.

    Args:
        data: folder of the records.
        plots: folder with `<name>/predictions/<id>.png`; what is not there is left out.
        names: of the models.
        ids: of the images.
    """
    known = records.split_info(data, "val")["ids"]
    places = {known.index(image) for image in ids}
    found = {}
    for image_id, image, truth in records.read(data, "val", places) if places else ():
        kept = {name: path for name in names if (path := plots / name / "predictions" / f"{image_id}.png").is_file()}
        predictions = {name: labels.stored(path).pixels.astype(np.uint8) for name, path in kept.items()}
        found[image_id] = Example(image_id, image, truth, predictions)
    return {image_id: found[image_id] for image_id in ids}


def legend(examples: Collection[Example], classes: Sequence[str]) -> list[tuple[str, str]]:
    """(colour as `#rrggbb`, class) of what is painted in these examples, by label value."""
    painted = visualize.painted([each for example in examples for each in example.maps.values()], classes)
    return [(f"#{bytes(palette()[v]).hex()}", "void" if v == VOID else classes[v]) for v in painted]


def present(label: np.ndarray, classes: Sequence[str]) -> list[str]:
    """The classes that a label map has, background left out where there is one: what its picture shows, in words."""
    return [classes[value] for value in visualize.painted([label], classes) if value != VOID]


def photo_url(image: np.ndarray) -> str:
    """An RGB image as the `data:` URL of a small JPEG."""
    return _url(_shrunk(Image.fromarray(image), Image.Resampling.LANCZOS), "JPEG", quality=85)


def mask_url(label: np.ndarray, classes: Sequence[str]) -> str:
    """Labels as the `data:` URL of a small palette PNG to lay over the photo: the background, if there is one, is clear."""
    clear = {} if 0 in visualize.painted([np.zeros((1, 1), np.uint8)], classes) else {"transparency": 0}
    return _url(_shrunk(labels.to_image(label), Image.Resampling.NEAREST), "PNG", optimize=True, **clear)


def heat_url(shares: np.ndarray) -> str:
    """Shares, 0..1 (N, N), as the `data:` URL of a grey picture, a pixel for each: the darker, the more, on a root scale."""
    return _url(Image.fromarray(np.rint(255 * (1 - np.sqrt(shares))).astype(np.uint8)), "PNG", optimize=True)


def sheet(examples: Sequence[Example], names: Sequence[str], classes: Sequence[str], side: int = 240) -> Image.Image:
    """All of it in one picture: a row per image, with titles and a legend; what is missing stays empty.

    Args:
        examples: in this order.
        names: of the models.
        classes: their names.
        side: pixels of a picture's longer side: larger ones are reduced, small ones enlarged by a whole factor.
    """
    rows, shown = [], []
    for example in examples:
        image = np.asarray(_shrunk(Image.fromarray(example.image), Image.Resampling.LANCZOS, side))
        row = [image]
        for title in ("truth", *names):
            label = example.maps.get(title)
            if label is None:
                row.append(np.full_like(image, 255))
                continue
            small = np.asarray(_shrunk(labels.to_image(label), Image.Resampling.NEAREST, side))
            row.append(visualize.overlay(image, small, classes))
            shown.append(small)
        rows.append(row)
    scale = max(1, side // max(max(row[0].shape[:2]) for row in rows))
    return visualize.panels(rows, ("image", "truth", *names), classes, visualize.painted(shown, classes), scale)


def _shrunk(image: Image.Image, how: Image.Resampling, side: int = SIDE) -> Image.Image:
    scale = side / max(image.size)
    return image if scale >= 1 else image.resize([max(1, round(length * scale)) for length in image.size], how)


def _url(image: Image.Image, kind: str, **options: object) -> str:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
