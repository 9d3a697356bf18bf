"""Is the second net better than the first, or only on these images? Needs no server."""

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fcn.cli import quiet, workspace
from fcn.compare import Comparison, Difference, bootstrap
from fcn.datasets import read_ids
from fcn.errors import LINE, UserError, shown
from fcn.evaluate import Evaluation
from fcn.io import files
from tasks import tracking
from tasks.tracking import evaluated, steps

SAME = ("split", "dataset", "protocol")
"""What must be equal for two scores to be compared."""
EXPERIMENT = "fcn-comparisons"
"""Of MLflow: a run for each comparison that has a page."""
RECORDS = Path("data/records")
"""Where the page's pictures come from, if the images are those that were compared."""
PAGES = Path("compared")
"""Of a workspace: where the pages go for which no other place is given."""


def compare(
    first: str,
    second: str,
    images: Path | None = None,
    json: Path | None = None,
    page: Path | None = None,
    table_only: bool = False,
) -> None:
    """Compares two evaluations, prints what it found, and writes a page about it.

    Args:
        first: of `evaluated.FORMS`.
        second: likewise; differences are the second minus the first.
        images: a list of ids, to compare on these alone.
        json: file for the numbers.
        page: file for the page with pictures, self-contained; None: in a workspace one below
            `PAGES`, elsewhere none.
        table_only: whether to write no page.

    Raises:
        UserError: no such evaluation, or the two were not measured on the same thing.
    """
    if json:
        files.check_file(json, "--json")
    if page:
        files.check_file(page, "--page")
    runs = evaluated.find(first), evaluated.find(second)
    counts = _paired(*runs)
    if images:
        counts = _listed(counts, images)
    found = bootstrap.compare(*counts)
    print(table(*runs, counts[0], found), flush=True)
    numbers = to_json(*runs, counts[0], found)
    if json:
        files.write_json(json, numbers)
    here = workspace.find() is not None
    if here and page is None and not table_only:
        names = "-".join(re.sub(r"[^\w.]+", "-", run.name) for run in runs)
        page = PAGES / f"{names}.html"
        page.parent.mkdir(exist_ok=True)
    if page:
        with quiet.tensorflow():  # only now: it takes seconds
            from tasks.report import comparison

            comparison.write(page, *runs, counts, found, RECORDS)
        if here or "MLFLOW_TRACKING_URI" in os.environ:
            _keep(page, numbers)
        print(f"\nPage: {shown(page)}")


def _keep(page: Path, numbers: dict[str, Any]) -> None:
    """A run of its own in MLflow: the page, and what it says, as artifacts."""
    names, wheres = ([numbers[letter][key] for letter in "ab"] for key in ("name", "where"))
    params = {"a": wheres[0], "b": wheres[1], "images": numbers["images"]}
    tags = {"pipeline": steps.pipeline_id()}
    text = " and ".join(names)
    digest = files.digest(page)
    with tracking.training(
        EXPERIMENT, text, f"comparison {digest}", params=params, tags=tags
    ) as run:
        run.metrics(
            {
                f"{score}.{key}": value
                for score in ("mean_iu", "pixel_accuracy")
                for key, value in numbers[score].items()
                if value is not None
            }
        )
        run.facts("comparison", numbers)
        run.artifact(page)


def _listed(
    counts: tuple[bootstrap.Counts, bootstrap.Counts], path: Path
) -> tuple[bootstrap.Counts, bootstrap.Counts]:
    try:
        ids = set(read_ids(path))
        first, second = (bootstrap.chosen(each, ids) for each in counts)
    except ValueError as error:
        raise UserError(
            f"--images {path}: expected a list of images that were evaluated, one id a "
            f"line: {error}"
        ) from error
    return first, second


def _paired(first: Evaluation, second: Evaluation) -> tuple[bootstrap.Counts, bootstrap.Counts]:
    """The counts in one order, if the two were measured on the same thing; else a UserError that
    says what differs.
    """
    for run in (first, second):
        mean_iu = bootstrap.mean_iu(run.counts)
        if abs(mean_iu - run.scores.get("mean_iu", mean_iu)) > 2e-6:
            raise UserError(
                f"{run.where}: images.csv gives a mean IU of {mean_iu:.6f}, the metrics file says "
                f"{run.scores['mean_iu']:.6f}: "
                "they are not of the same evaluation. Evaluate the model again."
            )
    for key in SAME:
        a, b = (str(run.provenance.get(key, "")) for run in (first, second))
        if a and b and a != b:
            raise UserError(
                f"{first.where} was scored with {key} {a}, {second.where} with {key} {b}: such "
                f"scores cannot be compared. Evaluate both with the same {key}."
            )
    try:
        counts = bootstrap.align(first.counts, second.counts)
    except ValueError as error:
        raise UserError(
            f"{first.where} and {second.where}: {error}: expected two evaluations of "
            "the same images"
        ) from None
    if (counts[0].truth != counts[1].truth).any():
        image = counts[0].images[int((counts[0].truth != counts[1].truth).any(1).argmax())]
        raise UserError(
            f"{first.where} and {second.where}: image {image} has another truth in each: expected "
            "the same labels, at the same size. Evaluate both on the same data with the same "
            "protocol."
        )
    return counts


def table(
    first: Evaluation, second: Evaluation, counts: bootstrap.Counts, found: Comparison
) -> str:
    """The comparison as text; classes with the largest gain come first."""
    split, dataset, protocol = (
        str(first.provenance.get(key) or second.provenance.get(key) or "unknown") for key in SAME
    )
    shares = (counts.truth > 0).sum(0)
    images = dict(zip(counts.classes, shares.tolist(), strict=True))
    width = max(14, *(len(shown(name)) for name in found.classes))
    lines = [*_sources(first, second), ""]
    lines += [
        f"{len(counts.images)} images of {split}, data set {dataset}, protocol {protocol}. B - A "
        f"with its {bootstrap.LEVEL:.0%} interval, from {bootstrap.RESAMPLES} resamples of the "
        "images.",
        "",
        f"{'':{width}}  images       A       B    B - A   interval",
        _line("mean IU", len(counts.images), found.mean_iu, width),
        _line("pixel accuracy", len(counts.images), found.pixel_accuracy, width),
        "",
        *(
            _line(shown(name), images[name], difference, width)
            for name, difference in _ranked(found)
        ),
        "",
        "* The interval excludes 0: other images of the same kind would hardly turn the difference "
        "round. Of twenty classes",
        "  without any difference about one is marked by chance. How much another training would "
        "change is not in it.",
    ]
    return "\n".join(shown(line, LINE) for line in lines)


def _sources(first: Evaluation, second: Evaluation) -> Iterator[str]:
    for letter, run in zip("AB", (first, second), strict=True):
        keys = ("model", "padding", "checkpoint")
        details = ", ".join(f"{key} {run.provenance[key]}" for key in keys if key in run.provenance)
        yield (
            f"{letter}  {run.name}, {run.where}: "
            f"{details or 'no metrics file beside it: split and data set unknown'}"
        )


def _line(name: str, images: int, found: Difference, width: int) -> str:
    mark = " *" if found.clear else ""
    interval = "-" if math.isnan(found.low) else f"{found.low:+.4f} to {found.high:+.4f}"
    return (
        f"{name:{width}}  {images:6}  {_cell(found.first)}  {_cell(found.second)}  "
        f"{_cell(found.value, '+')}  {interval}{mark}"
    )


def _cell(value: float, sign: str = "") -> str:
    """Four decimals in the width of a column; a score that does not exist is a dash."""
    return (
        f"{'-':>{7 if sign else 6}}"
        if math.isnan(value)
        else f"{value:{sign}{7 if sign else 6}.4f}"
    )


def _ranked(found: Comparison) -> list[tuple[str, Difference]]:
    """Largest gain first; classes that only one model has a score for last."""
    return sorted(
        found.classes.items(), key=lambda item: (math.isnan(item[1].value), -item[1].value, item[0])
    )


def to_json(
    first: Evaluation, second: Evaluation, counts: bootstrap.Counts, found: Comparison
) -> dict[str, Any]:
    """The comparison as plain data; what does not exist is null."""

    def numbers(difference: Difference) -> dict[str, Any]:
        values = {
            "a": difference.first,
            "b": difference.second,
            "difference": difference.value,
            "low": difference.low,
            "high": difference.high,
        }
        rounded = {
            name: None if math.isnan(value) else round(value, 6) for name, value in values.items()
        }
        return {**rounded, "excludes_0": difference.clear}

    return {
        **{
            letter: {"name": run.name, "where": run.where, **run.provenance}
            for letter, run in zip("ab", (first, second), strict=True)
        },
        "images": len(counts.images),
        "resamples": bootstrap.RESAMPLES,
        "level": bootstrap.LEVEL,
        "seed": bootstrap.SEED,
        "mean_iu": numbers(found.mean_iu),
        "pixel_accuracy": numbers(found.pixel_accuracy),
        "classes": {name: numbers(difference) for name, difference in _ranked(found)},
    }
