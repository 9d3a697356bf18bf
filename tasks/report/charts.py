"""Line charts of the models' tables, as Matplotlib figures, and as SVG that takes its colours from
the page around it.
"""

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from fcn.compare import results
from tasks.report.pictures import present

_INK = "#010203"
"""Text and lines: black in a PNG, the page's own colour in an SVG, so that both light and dark
pages can show it.
"""
_STYLE = {
    **dict.fromkeys(
        ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), _INK
    ),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "legend.framealpha": 0.0,
}
_MOST = 400
"""Points of a line: as many as one can see."""
MARKS = {"1": 1, "2": 2, "5": 5, "10": 10, "20": 20, "40": 40}


def curves(
    tables: Mapping[str, Path], column: str, title: str, log: bool = False
) -> dict[str, Figure]:
    """A column over `step`, a figure per variant, all on one scale, from `history.csv` or
    `validation.csv`.

    Of more points than can be seen, neighbours are drawn as their mean.
    """
    lines = {}
    for variant, path in tables.items():
        rows: list[Any] = results.table(
            path, results.Loss if column == "loss" else results.Validation
        )
        lines[variant] = (
            thinned([row.step for row in rows]),
            thinned([getattr(row, column) for row in rows]),
        )
    finite = [
        value
        for _, values in lines.values()
        for value in values
        if np.isfinite(value) and (value > 0 or not log)
    ]
    figures = {}
    for variant, (steps, values) in lines.items():
        with matplotlib.rc_context(_STYLE):
            figure, axes = _axes(3.3, 2.5)
            axes.plot(
                steps, values, linewidth=1.2, marker="o" if len(steps) < 50 else None, markersize=3
            )
            axes.set(title=variant, xlabel="iteration", ylabel=title)
            axes.locator_params(axis="x", nbins=4)  # 100000 is a wide number
            if log and finite:
                axes.set_yscale("log")
            if finite and min(finite) < max(finite):
                axes.set_ylim(_limits(min(finite), max(finite), log))
        figures[variant] = figure
    return figures


def learning(model: Path) -> Figure:
    """The training loss and the scores on the validation images over the iterations, from the
    tables of a model's folder.
    """
    losses = results.table(model / "history.csv", results.Loss)
    scores = results.table(model / "validation.csv", results.Validation)
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(9, 3.2), layout="constrained")
        left, right = figure.subplots(1, 2)
        left.plot(
            thinned([row.step for row in losses]),
            thinned([row.loss for row in losses]),
            linewidth=1.2,
        )
        left.set(xlabel="iteration", ylabel="training loss")
        for column in ("pixel_accuracy", "mean_iu"):
            values = [getattr(row, column) for row in scores]
            right.plot([row.step for row in scores], values, marker="o", markersize=3, label=column)
        right.set(xlabel="iteration", ylabel="on the validation images", ylim=(0, 1))
        right.legend()
    return figure


def bands(plots: Path, names: Sequence[str]) -> dict[str, list[results.Boundary]]:
    """The rows of the tables `boundary.csv` by variant, as far as there are any: without a boundary
    there are none.
    """
    found = {
        name: results.table(path, results.Boundary)
        for name, path in present(plots, names, "boundary.csv").items()
    }
    return {name: rows for name, rows in found.items() if rows}


def boundary(tables: Mapping[str, Sequence[results.Boundary]], column: str, title: str) -> Figure:
    """A column over the width of the band around the true boundaries, a line per variant; see
    `bands`.
    """
    with matplotlib.rc_context(_STYLE):
        figure, axes = _axes(4.8, 3.2)
        for variant, rows in tables.items():
            axes.plot(
                [row.width for row in rows], [getattr(row, column) for row in rows], label=variant
            )
        axes.set_xscale("log")
        axes.set_xticks(list(MARKS.values()), list(MARKS))
        axes.minorticks_off()
        axes.set(xlabel="width of the band in pixels", ylabel=title)
        axes.legend(loc="lower right")
    return figure


def svg(figure: Figure, text: str) -> str:
    """The figure as an `<svg>` element; the same figure, the same bytes.

    Args:
        figure: of this module: its ink becomes `currentColor`.
        text: what it shows, for those who cannot see it.
    """
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": text, "svg.fonttype": "none"}):
        figure.savefig(
            buffer,
            format="svg",
            metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")),
            transparent=True,
        )
    drawn = buffer.getvalue()
    drawn = drawn[drawn.index("<svg") :].replace(_INK, "currentColor")
    # Names of groups are the same in every figure, and a page may have a name but once; other names
    # have the salt in them.
    drawn = re.sub(r'<g id="[^"]*"', "<g", drawn)
    label = text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    return drawn.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)


def thinned(values: Sequence[float], most: int = _MOST) -> list[float]:
    """At most `most` means of as many neighbours each; the last has what is left."""
    size = max(1, -(-len(values) // most))
    return [float(np.mean(values[start : start + size])) for start in range(0, len(values), size)]


def _axes(width: float, height: float) -> tuple[Figure, Any]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def _limits(low: float, high: float, log: bool) -> tuple[float, float]:
    """A little beyond both ends."""
    if log:
        room = (high / low) ** 0.05
        return low / room, high * room
    room = 0.05 * (high - low)
    return low - room, high + room
