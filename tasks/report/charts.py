"""Line charts of the models' tables, as Matplotlib figures, and as SVG that takes its colours from
the page around it.
"""

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from pydantic import ConfigDict, Field

from fcn import reading
from fcn.evaluate import Evaluation

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
AGAIN = "train the model again"
MARKS = {"1": 1, "2": 2, "5": 5, "10": 10, "20": 20, "40": 40}


class Loss(reading.Model):
    """A row of `history.csv`."""

    model_config = ConfigDict(allow_inf_nan=True)  # a lost training is drawn as far as it goes

    step: Annotated[int, Field(ge=0, le=2**53)]
    loss: float


class Validation(reading.Model):
    """A row of `validation.csv`."""

    model_config = ConfigDict(allow_inf_nan=True)

    step: Annotated[int, Field(ge=0, le=2**53)]
    pixel_accuracy: float
    mean_accuracy: float
    mean_iu: float
    frequency_weighted_iu: float


def curves(
    tables: Mapping[str, Path], column: str, title: str, log: bool = False
) -> dict[str, Figure]:
    """A column over `step`, a figure per variant, all on one scale, from `history.csv` or
    `validation.csv`.

    Of more points than can be seen, neighbours are drawn as their mean.
    """
    lines = {}
    for variant, path in tables.items():
        rows: list[Any] = reading.read_csv(path, Loss if column == "loss" else Validation, AGAIN)
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
    losses = reading.read_csv(model / "history.csv", Loss, AGAIN)
    scores = reading.read_csv(model / "validation.csv", Validation, AGAIN)
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


def boundary(found: Mapping[str, Evaluation], column: str, title: str) -> Figure:
    """A column over the width of the band around the true boundaries, a line per variant that has
    boundaries.
    """
    with matplotlib.rc_context(_STYLE):
        figure, axes = _axes(4.8, 3.2)
        for variant, evaluation in found.items():
            if bands := evaluation.bands:
                values = [getattr(band, column) for band in bands]
                axes.plot([band.width for band in bands], values, label=variant)
        axes.set_xscale("log")
        axes.set_xticks(list(MARKS.values()), list(MARKS))
        axes.minorticks_off()
        axes.set(xlabel="width of the band in pixels", ylabel=title)
        axes.legend(loc="lower right")
    return figure


def sorted_gains(gains: Mapping[str, float], clear: float) -> Figure:
    """By how much B is better than A in each image, the largest gain first; beyond the dashed lines
    one of them wins clearly.
    """
    values = [*gains.values()]
    with matplotlib.rc_context(_STYLE):
        figure, axes = _axes(9, 2.6)
        edges = np.arange(len(values) + 1)
        axes.stairs(values, edges, fill=True, alpha=0.35)
        axes.stairs(values, edges, linewidth=1.2)
        axes.axhline(0, linewidth=0.8, color=_INK)
        for line in (clear, -clear):
            axes.axhline(line, linewidth=0.8, linestyle="--", color=_INK)
        reach = max(2 * clear, *(abs(value) for value in values), 0.0)
        axes.set(xlim=(0, len(values)), ylim=(-1.05 * reach, 1.05 * reach))
        axes.set(xlabel="images, by difference", ylabel="mean IU, B \N{MINUS SIGN} A")
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
