"""The page of a comparison: two models over the same images, and the pictures where one wins
clearly. One file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from fcn.compare import Comparison, Counts, Difference, bootstrap
from fcn.evaluate import Evaluation
from fcn.input import records
from fcn.io import files
from tasks.report import charts, examples, gallery, page

CLEAR = 0.1
"""Mean IU by which one model wins an image clearly: a look at the picture shows as much."""


def write(
    out: Path,
    first: Evaluation,
    second: Evaluation,
    counts: tuple[Counts, Counts],
    found: Comparison,
    data: Path,
) -> None:
    """Writes the page.

    Args:
        out: the file; an old one is replaced.
        first: A.
        second: B.
        counts: of the two, in one order.
        found: what `bootstrap.compare` says of them.
        data: folder of the records, for the pictures; they are left out, with a sentence, where it
            holds other images.

    Raises:
        UserError: records or predictions that are damaged.
    """
    names = (f"A {first.name}", f"B {second.name}")
    missing = _missing(first, second, counts[0], data)
    gains = _gains(first, second, counts[0].images)
    looked = (
        None if missing else _looked(dict(zip(names, (first, second), strict=True)), gains, data)
    )
    classes = sorted(
        found.classes.items(), key=lambda item: (np.isnan(item[1].value), -item[1].value)
    )
    images = dict(zip(counts[0].classes, (counts[0].truth > 0).sum(0).tolist(), strict=True))
    whole = len(counts[0].images)
    rows = [("mean IU", whole, found.mean_iu), ("pixel accuracy", whole, found.pixel_accuracy)]
    rows += [(name, images[name], difference) for name, difference in classes]
    ends = [abs(end) for *_, row in rows for end in (row.low, row.high) if not np.isnan(end)]
    html = page.template("compare.html").render(
        title=f"FCN: {first.name} and {second.name}",
        runs=(first, second),
        images=whole,
        rows=[(name, count, _row(difference)) for name, count, difference in rows],
        level=bootstrap.LEVEL,
        resamples=bootstrap.RESAMPLES,
        scale=max(ends, default=0) or 1,
        missing=missing,
        clear=CLEAR,
        gains=_wins(gains),
        chart=charts.svg(charts.sorted_gains(gains, CLEAR), "Difference of each image, sorted"),
        pictures=looked and len(looked["images"]),
        **page.script(looked or {}),
    )
    with files.replacing_file(out) as path:
        path.write_text(html, encoding="utf-8")


def _row(difference: Difference) -> dict[str, Any]:
    """Numbers; what does not exist is None."""
    values = asdict(difference) | {"value": difference.value}
    return {key: None if np.isnan(value) else value for key, value in values.items()} | {
        "excludes_0": difference.clear
    }


def _missing(first: Evaluation, second: Evaluation, counts: Counts, data: Path) -> str:
    """Why there are no pictures; empty: there are."""
    for run in (first, second):
        if run.folder is None or not (run.folder / "predictions").is_dir():
            return f"{run.where} has no predicted labels on this machine."
    if not (data / "index.json").is_file():
        return f"There are no records in {data}."
    info = records.split_info(data, "val")
    if any(
        run.provenance.get("dataset", info["digest"][:12]) != info["digest"][:12]
        for run in (first, second)
    ):
        return f"{data} holds another data set."
    return "" if set(counts.images) <= set(info["ids"]) else f"{data} holds other images."


def _gains(first: Evaluation, second: Evaluation, images: Sequence[str]) -> dict[str, float]:
    """Mean IU of B less that of A by image, the largest first."""
    a, b = first.mean_ius, second.mean_ius
    gains = {image: b.get(image, 0.0) - a.get(image, 0.0) for image in images}
    return dict(sorted(gains.items(), key=lambda item: (-item[1], item[0])))


def _wins(gains: Mapping[str, float]) -> dict[str, int]:
    """How many images each model wins, how many of them clearly, and how many neither."""
    values = np.array([*gains.values()])
    return {
        "b": int((values > 0).sum()),
        "a": int((values < 0).sum()),
        "same": int((values == 0).sum()),
        "b_clear": int((values >= CLEAR).sum()),
        "a_clear": int((values <= -CLEAR).sum()),
    }


def _looked(
    runs: Mapping[str, Evaluation], gains: Mapping[str, float], data: Path
) -> dict[str, Any]:
    """The data of the gallery: the images with the largest differences, as many gains as losses;
    of each its `gain`, and the `winner`: 1 is B, -1 is A, 0 neither clearly.
    """
    ranked, half = [*gains], gallery.INSIDE // 2
    chosen = list(dict.fromkeys((*ranked[:half], *ranked[-half:])))
    folders = {name: run.folder for name, run in runs.items() if run.folder}
    classes = records.read_index(data)["classes"]
    found = gallery.build(examples.read(data, folders, chosen), runs, classes, Path(), chosen)
    for image in found["images"]:
        gain = gains[image["id"]]
        image |= {"gain": round(gain, 4), "winner": int(np.sign(gain)) * (abs(gain) >= CLEAR)}
    return found
