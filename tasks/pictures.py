"""Charts of a model's tables, and pictures as `data:` URLs, which is what Prefect and a self-contained page can show."""

import base64
import csv
import io
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

# The same bytes on every run: no random ids and no date in an SVG.
matplotlib.rcParams["svg.hashsalt"] = "fcn"
_UNDATED = {"Date": None}


def data_url(path: Path) -> str:
    """A PNG file as a `data:` URL."""
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


def read_table(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file with a header."""
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def confusion_figure(table: Path) -> Figure:
    """A confusion matrix, each row as shares of the true class, from `confusion.csv`."""
    rows = read_table(table)
    names = list(dict.fromkeys(row["truth"] for row in rows))
    shares = np.array([float(row["share"]) for row in rows]).reshape(len(names), len(names))
    side = 2 + 0.42 * len(names)
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set(xticks=range(len(names)), yticks=range(len(names)), yticklabels=names, xlabel="predicted", ylabel="true")
    axes.set_xticks(range(len(names)), names, rotation=90)
    for (i, j), share in np.ndenumerate(shares):
        axes.text(j, i, f"{100 * share:.0f}", ha="center", va="center", fontsize=8, color="white" if share > 0.5 else "black")
    return figure


@contextmanager
def confusion_picture(table: Path) -> Iterator[Path]:
    """`confusion.png` drawn from `confusion.csv`, for as long as the context lasts."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "confusion.png"
        confusion_figure(table).savefig(path)
        yield path


def curves_figure(tables: Mapping[str, Path], column: str, title: str, log: bool = False) -> Figure:
    """A column over `step`, one panel per variant on one scale, from `history.csv` or `validation.csv`."""
    figure = Figure(figsize=(9, 2.8), layout="constrained")
    panels = figure.subplots(1, len(tables), sharey=True, squeeze=False)[0]
    for axes, (variant, path) in zip(panels, tables.items(), strict=True):
        rows = read_table(path)
        axes.plot([int(float(r["step"])) for r in rows], [float(r[column]) for r in rows], linewidth=1)
        axes.set(title=variant, xlabel="iteration")
        axes.grid(alpha=0.3)
        if log:
            axes.set_yscale("log")
    panels[0].set_ylabel(title)
    return figure


def bars_figure(values: Mapping[str, Mapping[str, float]], title: str) -> Figure:
    """Horizontal bars by class, one colour per variant."""
    names = list(dict.fromkeys(name for row in values.values() for name in row))
    figure = Figure(figsize=(9, 1 + 0.16 * len(names) * (len(values) + 1)), layout="constrained")
    axes = figure.subplots()
    height = 0.8 / len(values)
    for n, (variant, row) in enumerate(values.items()):
        axes.barh([i + n * height for i in range(len(names))], [row.get(c, 0) for c in names], height, label=variant)
    axes.set_yticks([i + 0.4 - height / 2 for i in range(len(names))], names)
    axes.invert_yaxis()
    axes.set(xlim=(0, 1), xlabel=title)
    axes.grid(alpha=0.3, axis="x")
    figure.legend(loc="outside upper center", ncols=len(values))
    return figure


def svg(figure: Figure) -> str:
    """The figure as an `<svg>` element."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata=_UNDATED, transparent=True)
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def present(folder: Path, names: Sequence[str], file: str) -> dict[str, Path]:
    """`folder/name/file` by name, for those names that have it."""
    return {name: folder / name / file for name in names if (folder / name / file).is_file()}
