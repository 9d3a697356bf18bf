"""A model's tables, the chart of its confusion, and pictures as `data:` URLs, which is what Prefect
can show.
"""

import base64
import io
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from fcn.evaluate import Evaluation


def data_url(path: Path) -> str:
    """A PNG or JPEG file as a `data:` URL."""
    kind = "jpeg" if path.suffix == ".jpg" else "png"
    return f"data:image/{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def figure_url(figure: Figure) -> str:
    """A figure as the `data:` URL of a PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def confusion_figure(evaluation: Evaluation) -> Figure:
    """A confusion matrix, each row as shares of the true class."""
    names, shares = evaluation.classes, evaluation.shares
    side = 2 + 0.42 * len(names)
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set(
        xticks=range(len(names)),
        yticks=range(len(names)),
        yticklabels=names,
        xlabel="predicted",
        ylabel="true",
    )
    axes.set_xticks(range(len(names)), names, rotation=90)
    for (i, j), share in np.ndenumerate(shares):
        axes.text(
            j,
            i,
            f"{100 * share:.0f}",
            ha="center",
            va="center",
            fontsize=8,
            color="white" if share > 0.5 else "black",
        )
    return figure


@contextmanager
def confusion_picture(evaluation: Evaluation) -> Iterator[Path]:
    """`confusion.png`, for as long as the context lasts."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "confusion.png"
        confusion_figure(evaluation).savefig(path)
        yield path


def present(folder: Path, names: Sequence[str], file: str) -> dict[str, Path]:
    """`folder/name/file` by name, for those names that have it."""
    return {name: folder / name / file for name in names if (folder / name / file).is_file()}
