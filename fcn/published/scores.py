"""The authors' published nets, held to their published scores."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fcn.compare import spread
from fcn.datasets import Pair
from fcn.errors import UserError
from fcn.hardware import devices
from fcn.io import files
from fcn.net import surgery
from fcn.pixels import images, labels
from fcn.published import authors
from fcn.score import evaluation, metrics
from fcn.spec import MARK
from fcn.weights import caffe

SCORES = ("pixel_accuracy", "mean_accuracy", "mean_iu", "frequency_weighted_iu")
"""In the order in which the papers print them."""


@dataclass(frozen=True)
class Verdict:
    """One net: `measured` and `expected` in percent, in the order of
    `SCORES`; whether it `passed`.
    """

    net: str
    measured: tuple[float, ...]
    expected: tuple[float, ...]
    passed: bool


def to_model_folder(caffemodel: Path, variant: str, classes: Sequence[str], folder: Path) -> None:
    """Makes a model folder of a published net.

    Args:
        caffemodel: as published.
        variant: which one it is to be, a key of `architecture.VARIANTS`.
        classes: names of its classes.
        folder: to make or replace.

    Raises:
        UserError: not such a net; `folder` is then as it was.
    """
    weights, spec = authors.convert_net(caffe.read(caffemodel), classes, str(caffemodel))
    if spec.variant != variant:
        raise UserError(
            f"{caffemodel}: wanted {variant}, but its layers are those of {spec.variant}"
        )
    with files.replacing_folder(folder, MARK) as temporary:
        temporary.mkdir()
        # What `surgery.save` writes, without building the net for it, which takes a minute and 3 GB
        # at full width.
        files.save_arrays(temporary / "weights.npz", weights)
        files.write_json(temporary / "model.json", asdict(spec))


def score(
    folder: Path, pairs: Sequence[Pair], done: Callable[[int, int], None]
) -> tuple[float, ...]:
    """Scores a model folder on image files, whole and at their own size.

    Args:
        folder: of the model.
        pairs: images and labels.
        done: called with (images scored, images in all).

    Returns:
        The four `SCORES`, in percent.

    Raises:
        UserError: no model, or an image or label that cannot be read.
    """
    devices.prepare(seed=0, training=False)
    model, spec = surgery.load(folder)
    count = 0

    def seen(*_: Any) -> None:
        nonlocal count
        count += 1
        done(count, len(pairs))

    histogram = evaluation.evaluate(
        evaluation.labeler(model), _examples(pairs, len(spec.classes)), len(spec.classes), seen
    )
    scores = metrics.scores(histogram)
    return tuple(100 * scores[name] for name in SCORES)


def _examples(pairs: Sequence[Pair], classes: int) -> Iterator[dict[str, np.ndarray]]:
    for pair in pairs:
        with images.opened(pair.image) as opened:
            image = np.asarray(opened.convert("RGB"))
        label = labels.read(pair.label, classes, (image.shape[1], image.shape[0]))
        yield {"image": image[None], "label": label[None]}


def judge(
    net: str, measured: Sequence[float], expected: Sequence[float], tolerance: float
) -> Verdict:
    """Compares four scores in percent: a net passes if none is further off
    than `tolerance` points.
    """
    # To six digits, so that a published 63.63 is exactly 0.1 away from 63.73.
    off = max(round(abs(one - other), 6) for one, other in zip(measured, expected, strict=True))
    return Verdict(
        net, tuple(round(value, 4) for value in measured), tuple(expected), off <= tolerance
    )


def table(verdicts: Sequence[Verdict]) -> str:
    """The verdicts as text, measured and (published) scores side by side; Markdown reads it as a
    table.
    """
    titles = ("net", "pixel acc.", "mean acc.", "mean IU", "f.w. IU", "furthest off", "verdict")
    rows: list[tuple[str, ...]] = [titles]
    for verdict in verdicts:
        cells = [
            f"{got:.2f} ({wanted:.2f})"
            for got, wanted in zip(verdict.measured, verdict.expected, strict=True)
        ]
        off = max(
            (got - wanted for got, wanted in zip(verdict.measured, verdict.expected, strict=True)),
            key=abs,
        )
        rows.append((verdict.net, *cells, f"{off:+.2f}", "PASS" if verdict.passed else "FAIL"))
    return spread.markdown(rows)


def report(verdicts: Sequence[Verdict], images: int, tolerance: float) -> Mapping[str, Any]:
    """The verdicts as plain data, for a file."""
    nets = {
        verdict.net: {
            "passed": verdict.passed,
            "measured": dict(zip(SCORES, verdict.measured, strict=True)),
            "published": dict(zip(SCORES, verdict.expected, strict=True)),
        }
        for verdict in verdicts
    }
    return {"images": images, "tolerance": tolerance, "nets": nets}
