"""The evaluation of one model from files to files: scores, tables for plots, and pictures."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from fcn.compare import Counts
from fcn.errors import UserError
from fcn.evaluate import boundary, explain, results, tally, views
from fcn.evaluate.results import Evaluation
from fcn.hardware import devices, distribution
from fcn.input import records, stream
from fcn.io import files
from fcn.net import surgery
from fcn.pixels import labels, visualize
from fcn.score import evaluation, metrics
from fcn.spec import HEADLINE, PROTOCOLS, VARIANTS, Evaluate, ModelSpec, protocols


@dataclass(frozen=True)
class Scored:
    """One image: its id, its counts and, if it is to be drawn, image, truth and prediction."""

    image_id: str
    tally: tally.Tally
    drawn: tuple[np.ndarray, np.ndarray, np.ndarray] | None


def run(
    model_dir: Path,
    data: Path,
    metrics_file: Path,
    plots_dir: Path,
    how: Evaluate,
    done: Callable[[int, int], None],
    kept: str = "last",
) -> Evaluation:
    """Scores a model folder on the validation split: whole images at native size, and as other
    protocols do it.

    All devices share the images, see `distribution.everywhere`: the scores are the same to the last
    digit.

    Args:
        model_dir: with `model.json` and `weights.npz`.
        data: folder of the records.
        metrics_file: JSON to write: the four scores, `boundary_iu` (mean IU within
            `boundary.NARROW` pixels of a boundary), `upper_bound` (of mean IU, at the net's
            stride), the four scores by the other `protocols`, and the `provenance`.
        plots_dir: folder to make or replace: the tables (see `Evaluation`), `overlays.png` (image,
            truth, prediction), the labels predicted for every image as VOC's palette images,
            `predictions/<id>.png`, and what the net does with one of them, see `explain.save`.
        how: what to do beyond the headline, and how many images are drawn: evenly spread over the
            split.
        done: called with (images scored, images to score), each image being scored once by every
            protocol.
        kept: which of a training's weights these are: "last" or "best".

    Raises:
        UserError: a model or records that are not there or do not belong together.
    """
    # For the GPU's memory and for operations that repeat; nothing here is random.
    devices.prepare(seed=0, precision=how.precision, training=False)
    share = distribution.everywhere()
    files.check_file(metrics_file)
    files.check_folder(plots_dir, results.MARK)
    with share.scope():
        model, spec = surgery.load(model_dir)
    label = evaluation.divided(model, share)
    info = records.split_info(data, "val")
    names = records.read_index(data)["classes"]
    if tuple(names) != spec.classes:
        raise UserError(
            f"{model_dir}: trained for the classes {', '.join(spec.classes)}; the "
            f"records have {', '.join(names)}"
        )
    passes = 1 + len(how.protocols)

    def step(number: int) -> Callable[[int], None]:
        return lambda seen: done(number * info["images"] + seen, passes * info["images"])

    with records.explained(data), files.replacing_folder(plots_dir, results.MARK) as folder:
        (folder / "predictions").mkdir(parents=True)
        total, counts = _headline(label, spec, data, info["images"], how.overlays, folder, step(0))
        others = {
            name: _other(model, spec, data, PROTOCOLS[name], step(number))
            for number, name in enumerate(how.protocols, 1)
        }
        # Digests are short, so that `dvc metrics show` stays readable: enough to tell two data sets
        # or models apart.
        provenance = {
            "split": info["list"],
            "images": info["images"],
            "padding": spec.padding,
            "checkpoint": kept,
            "dataset": info["digest"][:12],
            "model": files.digest(model_dir / "weights.npz")[:12],
            "protocol": HEADLINE,
            "precision": how.precision,
        }
        bands = list(boundary.curve(total.rings))
        content = {**_numbers(total, bands, others), "provenance": provenance}
        Evaluation.save(metrics_file, folder, content, total.histogram, bands, counts)
        place = info["ids"].index(explain.chosen(counts))
        [(_, image, _)] = records.read(data, "val", [place])
        # one image is for one device
        one = model if share.devices == 1 else surgery.load(model_dir)[0]
        explain.save(folder / explain.FILE, explain.explain(one, spec, image))
    return Evaluation(metrics_file, plots_dir)


def _numbers(
    total: tally.Tally,
    bands: list[tuple[int, float, float]],
    others: dict[str, np.ndarray],
) -> dict[str, Any]:
    """The scores as the metrics file has them; a set without boundaries has no `boundary_iu`."""
    narrow = [mean_iu for width, mean_iu, _ in bands if width == boundary.NARROW]
    return {
        **_rounded(metrics.scores(total.histogram)),
        **({"boundary_iu": round(narrow[0], 6)} if narrow else {}),
        "upper_bound": round(metrics.scores(total.bound)["mean_iu"], 6),
        "protocols": {name: _rounded(metrics.scores(each)) for name, each in others.items()},
    }


def _headline(
    label: evaluation.Labeler | evaluation.Divided,
    spec: ModelSpec,
    data: Path,
    images: int,
    overlays: int,
    folder: Path,
    done: Callable[[int], None],
) -> tuple[tally.Tally, Counts]:
    """Scores every image whole and at its own size, and draws some of them."""
    total = tally.nothing(len(spec.classes))
    ids, rows, pictures = [], [], []
    for seen, image in enumerate(
        _images(label, spec, data, _spread(images, overlays), folder / "predictions"), 1
    ):
        total.add(image.tally)
        ids.append(image.image_id)
        histogram = image.tally.histogram
        rows.append((np.diag(histogram), histogram.sum(1), histogram.sum(0)))
        if image.drawn:
            pictures.append(image.drawn)
        done(seen)
    if pictures:
        _draw(pictures, spec).save(folder / "overlays.png")
    return total, Counts(tuple(ids), spec.classes, *np.stack(rows, axis=1))


def _images(
    label: evaluation.Labeler | evaluation.Divided,
    spec: ModelSpec,
    data: Path,
    drawn: set[int],
    predictions: Path,
) -> Iterator[Scored]:
    """Predicts all images; those whose position in the split is in `drawn`
    come with their pixels.
    """
    stride, ids = VARIANTS[spec.variant].stride, records.split_info(data, "val")["ids"]
    chosen = {ids[number] for number in drawn}

    def work(batch: dict[str, Any], predicted: np.ndarray) -> Scored:
        image_id, truth, prediction = (
            np.asarray(batch["id"])[0].decode(),
            np.asarray(batch["label"])[0],
            predicted[0],
        )
        labels.to_image(prediction).save(predictions / f"{image_id}.png")
        pixels = (np.asarray(batch["image"])[0], truth, prediction) if image_id in chosen else None
        return Scored(image_id, tally.count(truth, prediction, len(spec.classes), stride), pixels)

    return evaluation.each(label, stream.validation(data, "val"), work)


def _other(
    model: keras.Model,
    spec: ModelSpec,
    data: Path,
    protocol: protocols.Protocol,
    done: Callable[[int], None],
) -> np.ndarray:
    """The confusion by another protocol: int64 (classes, classes)."""
    colour = np.rint(spec.mean_bgr[::-1]).astype(np.uint8)
    several = protocol.mirror or protocol.scales != (1.0,)
    label = (
        evaluation.averaged(model, protocol.scales, protocol.mirror)
        if several
        else evaluation.labeler(model)
    )
    examples, number = (
        views.views(stream.validation(data, "val"), protocol, colour),
        itertools.count(1),
    )
    return evaluation.evaluate(label, examples, len(spec.classes), lambda *_: done(next(number)))


def _spread(images: int, wanted: int) -> set[int]:
    return set(np.linspace(0, images - 1, min(wanted, images)).round().astype(int).tolist())


def _draw(pictures: list[tuple[np.ndarray, np.ndarray, np.ndarray]], spec: ModelSpec) -> Any:
    names = list(spec.classes)
    rows = [
        [image, *(visualize.overlay(image, shown, names) for shown in pair)]
        for image, *pair in pictures
    ]
    painted = visualize.painted([shown for _, *pair in pictures for shown in pair], names)
    scale = max(1, 200 // max(image.shape[1] for image, *_ in pictures))
    return visualize.panels(rows, ("image", "truth", spec.variant), names, painted, scale)


def _rounded(scores: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 6) for name, value in scores.items()}
