"""The evaluation of one model from files to files: scores, tables for plots, and pictures."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fcn import devices, evaluation, files, inputs, labels, metrics, records, surgery, visualize
from fcn.errors import UserError


def run(
    model_dir: Path, data: Path, metrics_file: Path, plots_dir: Path, overlays: int, done: Callable[[int, int], None]
) -> dict:
    """Scores a model folder on the validation split, whole images at native size.

    Args:
        model_dir: with `model.json` and `weights.npz`.
        data: folder of the records.
        metrics_file: JSON to write: the four scores, and where they come from.
        plots_dir: folder to make or replace: `class_iu.csv` (class, iu), `confusion.csv` (truth, prediction, pixels, share of
            the truth), `overlays.png` (image, truth, prediction) and the labels shown there as VOC's palette images,
            `predictions/<id>.png`.
        overlays: how many images `overlays.png` shows: evenly spread over the split.
        done: called with (images scored, images in all).

    Returns:
        What `metrics_file` holds, and besides `class_iu` (by name; absent classes left out) and the whole `model_sha256`.

    Raises:
        UserError: a model or records that are not there or do not belong together.
    """
    devices.prepare(seed=0)  # for the GPU's memory and for operations that repeat; nothing here is random
    model, spec = surgery.load(model_dir)
    info = records.split_info(data, "val")
    names = records.read_index(data)["classes"]
    if tuple(names) != spec.classes:
        raise UserError(f"{model_dir}: trained for the classes {', '.join(spec.classes)}; the records have {', '.join(names)}")
    drawn = set(np.linspace(0, info["images"] - 1, min(overlays, info["images"])).round().astype(int).tolist())
    rows: list[list[np.ndarray]] = []
    labelled: list[np.ndarray] = []
    predictions: dict[str, np.ndarray] = {}
    seen = 0

    def look(batch: dict[str, Any], predicted: np.ndarray) -> None:
        nonlocal seen
        if seen in drawn:
            image, truth = np.asarray(batch["image"][0]), np.asarray(batch["label"][0])
            rows.append([image, *(visualize.overlay(image, labels, names) for labels in (truth, predicted[0]))])
            labelled.extend((truth, predicted[0]))
            predictions[bytes(np.asarray(batch["id"])[0]).decode()] = predicted[0]
        seen += 1
        done(seen, info["images"])

    with records.explained(data):
        histogram = evaluation.evaluate(evaluation.labeler(model), inputs.validation(data, "val"), len(names), look)
    model_sha256 = files.digest(model_dir / "weights.npz")
    result = {
        **{name: round(value, 6) for name, value in metrics.scores(histogram).items()},
        "provenance": {
            "split": info["list"],
            "images": info["images"],
            "padding": spec.padding,
            "checkpoint": "last",
            # Short, so that `dvc metrics show` stays readable: enough to tell two data sets or models apart.
            "dataset": info["digest"][:12],
            "model": model_sha256[:12],
        },
    }
    class_iu = {n: round(float(iu), 6) for n, iu in zip(names, metrics.class_iu(histogram), strict=True) if not np.isnan(iu)}
    with files.replacing(plots_dir) as folder:
        folder.mkdir()
        _write_csv(folder / "class_iu.csv", ("class", "iu"), class_iu.items())
        _write_csv(folder / "confusion.csv", ("truth", "prediction", "pixels", "share"), _cells(histogram, names))
        for name, predicted in predictions.items():
            (folder / "predictions").mkdir(exist_ok=True)
            labels.to_image(predicted).save(folder / "predictions" / f"{name}.png")
        if rows:
            titles = ("image", "truth", spec.variant)
            scale = max(1, 200 // max(row[0].shape[1] for row in rows))
            visualize.panels(rows, titles, names, visualize.painted(labelled, names), scale).save(folder / "overlays.png")
    files.write_json(metrics_file, result)
    return {**result, "class_iu": class_iu, "model_sha256": model_sha256}


def _cells(histogram: np.ndarray, names: list[str]) -> Any:
    totals = np.maximum(histogram.sum(1), 1)
    for i, truth in enumerate(names):
        for j, prediction in enumerate(names):
            yield truth, prediction, int(histogram[i, j]), round(float(histogram[i, j] / totals[i]), 6)


def _write_csv(path: Path, header: tuple[str, ...], rows: Any) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])
