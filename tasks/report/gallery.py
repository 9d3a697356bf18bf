"""The gallery of a page: every validation image, its truth and what each model makes of it."""

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fcn.errors import UserError
from fcn.evaluate import Evaluation
from fcn.pixels import visualize
from fcn.score import metrics
from fcn.spec import VOID, palette
from tasks.report import examples
from tasks.report.examples import Example

INSIDE = 60
"""Images whose pictures the page itself holds, at most. Those of the others lie beside it."""
ERRORS, LEAST = 6, 0.001
"""Confusions that are kept of an image and a model: so many, each of at least this share of the
pixels.
"""
_CLEAR, _WRONG = 256, 257
"""Values of a strip that are no class: nothing is painted; the model is wrong here."""
_WRONG_COLOUR = (255, 0, 200)
_AT_ONCE = 8
ImageIUs = Mapping[str, Mapping[int, float]]
"""IU by image and label value."""


def build(
    found: Iterable[Example],
    evaluations: Mapping[str, Evaluation],
    classes: Sequence[str],
    folder: Path,
    inside: Collection[str],
) -> dict[str, Any]:
    """What the page's script needs, as plain data.

    Args:
        found: the images; a few are held at a time.
        evaluations: by the models' names.
        classes: by label value.
        folder: of the page; `pictures/` in it gets the pictures that are not in the page.
        inside: ids of the images whose pictures are.

    Returns:
        `models`, `classes`, `colours` (of every class and of void), `clear` (whether class 0 is not
        painted), and `images` with `id`, `photo` and `strip` (addresses; the strip has, one above
        the other, the truth and of each model its labels and where they are wrong), `size`, `truth`
        (the classes in it), `kept`, `iu`, `ius` (class, IU) and `errors` (truth, prediction, share
        of the image's pixels), the last four by model.

    Raises:
        UserError: a prediction is damaged, or has another size than its image.
    """
    names = [*evaluations]
    value = {name: value for value, name in enumerate(classes)}
    ious: dict[str, ImageIUs] = {
        name: {
            image: {value[each]: round(iu, 3) for each, iu in known.items() if each in value}
            for image, known in evaluation.image_ius.items()
        }
        for name, evaluation in evaluations.items()
    }
    clear = not visualize.painted([np.zeros((1, 1), np.uint8)], classes)
    made: list[dict[str, Any]] = []

    def work(example: Example) -> tuple[dict[str, Any], bytes, bytes]:
        return _facts(example, ious, len(classes)), *_pictures(example, names, clear)

    for number, (facts, photo, strip) in enumerate(_each(work, found)):
        places = {"photo": (photo, "jpeg"), "strip": (strip, "png")}
        for key, (data, kind) in places.items():
            facts[key] = examples.data_url(data, kind)
            if facts["id"] not in inside:
                facts[key] = f"pictures/{number}.{kind}"
                (folder / "pictures").mkdir(exist_ok=True)
                (folder / facts[key]).write_bytes(data)
        made.append(facts)
    table = palette()
    colours = [f"#{bytes(table[value]).hex()}" for value in (*range(len(classes)), VOID)]
    return {
        "models": names,
        "classes": [*classes],
        "colours": colours,
        "clear": clear,
        "images": made,
    }


def _each(work: Any, found: Iterable[Example]) -> Iterator[Any]:
    """Works in threads: Pillow and NumPy compute without Python's lock. In order, and few at a
    time.
    """
    source = iter(found)
    with ThreadPoolExecutor(2) as pool:
        while part := list(itertools.islice(source, _AT_ONCE)):
            yield from pool.map(work, part)


def _facts(example: Example, tables: Mapping[str, ImageIUs], classes: int) -> dict[str, Any]:
    """The numbers of an image; see `build`."""
    ius = [table.get(example.id, {}) for table in tables.values()]
    errors = []
    for name in tables:
        label = example.predictions.get(name)
        if label is not None and label.shape != example.truth.shape:
            raise UserError(
                f"{name}: expected labels of image {example.id} in its size, "
                f"{example.truth.shape[1]}x{example.truth.shape[0]}; got "
                f"{label.shape[1]}x{label.shape[0]}: evaluate the model again"
            )
        errors.append([] if label is None else _errors(example.truth, label, classes))
    return {
        "id": example.id,
        "size": [example.truth.shape[1], example.truth.shape[0]],
        "truth": [
            int(value)
            for value in np.flatnonzero(np.bincount(example.truth.ravel()))
            if value != VOID
        ],
        "kept": [name in example.predictions for name in tables],
        "iu": [round(float(np.mean([*each.values()])), 4) if each else None for each in ius],
        "ius": [[[value, iu] for value, iu in each.items()] for each in ius],
        "errors": errors,
    }


def _errors(truth: np.ndarray, label: np.ndarray, classes: int) -> list[list[float]]:
    """The largest confusions of an image: (truth, prediction, share of its
    pixels), largest first.
    """
    counts = metrics.confusion(truth, label, classes)
    np.fill_diagonal(counts, 0)
    largest = np.argsort(-counts.ravel(), kind="stable")[:ERRORS]
    shares = counts.ravel()[largest] / truth.size
    pairs = zip(largest.tolist(), shares.tolist(), strict=True)
    return [[at // classes, at % classes, round(share, 4)] for at, share in pairs if share >= LEAST]


def _pictures(example: Example, names: Sequence[str], clear: bool) -> tuple[bytes, bytes]:
    """The photograph as a JPEG file, and its strip as a PNG file."""
    photo = examples.shrunk(Image.fromarray(example.image), Image.Resampling.LANCZOS)
    truth = _small(example.truth)
    layers = [truth]
    for name in names:
        label = example.predictions.get(name)
        if label is None:
            layers += [np.full_like(truth, _CLEAR)] * 2
            continue
        small = _small(label)
        layers += [
            small,
            np.where((small != truth) & (truth != VOID), _WRONG, _CLEAR).astype(np.uint16),
        ]
    strip = np.concatenate(layers)
    values = np.flatnonzero(np.bincount(strip.ravel(), minlength=_WRONG + 1))[:256]
    codes = np.zeros(_WRONG + 1, np.uint8)
    codes[values] = np.arange(len(values))
    picture = Image.fromarray(codes[strip])
    table = np.concatenate([palette(), [(0, 0, 0), _WRONG_COLOUR]]).astype(np.uint8)
    picture.putpalette(table[values].ravel().tolist())
    alpha = bytes(0 if value == _CLEAR or (clear and value == 0) else 255 for value in values)
    return examples.encoded(photo, "JPEG", quality=80), examples.encoded(
        picture, "PNG", transparency=alpha
    )


def _small(label: np.ndarray) -> np.ndarray:
    return np.asarray(examples.shrunk(Image.fromarray(label), Image.Resampling.NEAREST)).astype(
        np.uint16
    )
