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
from tasks.report import examples, gallery, page


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
    looked = (
        None
        if missing
        else _looked(dict(zip(names, (first, second), strict=True)), counts[0].images, data)
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


def _looked(runs: Mapping[str, Evaluation], images: Sequence[str], data: Path) -> dict[str, Any]:
    """The data of the gallery: the images with the largest differences, as many gains as losses."""
    first, second = (run.mean_ius for run in runs.values())
    ranked = sorted(images, key=lambda image: first.get(image, 0.0) - second.get(image, 0.0))
    half = gallery.INSIDE // 2
    chosen = list(dict.fromkeys((*ranked[:half], *ranked[-half:])))
    folders = {name: run.folder for name, run in runs.items() if run.folder}
    classes = records.read_index(data)["classes"]
    return gallery.build(examples.read(data, folders, chosen), runs, classes, Path(), chosen)
