"""A look at the data: its tables and its contact sheet, charts of them, and
all of it as artifacts.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from fcn import reading
from fcn.errors import UserError
from fcn.records import look as looking
from tasks.report import pictures
from tasks.tracking import Progress, steps

TALL = 50
"""Classes in one column of a chart."""
AGAIN = "run the stage `records` again"
TICKS = (0, 0.01, 0.03, 0.1, 0.2, 0.4, 0.6, 0.8, 1)


@steps.step("look at the data")
def look(data: Path, out: Path, images: int) -> None:
    """Writes the folder `out` about the records in `data`, and shows it in Prefect; `images` are on
    the contact sheet.

    Raises:
        UserError: see `fcn.records.look.run`.
    """
    log = steps.logger()
    found = looking.run(data, out, images, Progress(log.info, "contact sheet", "images"))
    for split, info in found.items():
        log.info(
            "%s: %d images, %.1f %% of their pixels void", split, info["images"], 100 * info["void"]
        )
    url = pictures.data_url(out / "contact.png")
    steps.show("data-contact", "Training images with their labels", image=url)
    with charts(out) as paths:
        for path, text in zip(
            paths, ("Share of the labelled pixels by class", "Sizes of the images"), strict=True
        ):
            steps.show(f"data-{path.stem}", text, image=pictures.data_url(path))


@contextmanager
def charts(folder: Path) -> Iterator[list[Path]]:
    """`classes.png` and `sizes.png`, drawn from what `fcn.records.look.run` left in `folder`, for
    as long as the context lasts.
    """
    with tempfile.TemporaryDirectory() as temporary:
        paths = [Path(temporary) / "classes.png", Path(temporary) / "sizes.png"]
        for path, figure in zip(paths, (classes_figure, sizes_figure), strict=True):
            figure(folder / f"{path.stem}.csv").savefig(path, dpi=120)
        yield paths


def classes_figure(table: Path) -> Figure:
    """Horizontal bars by class, one colour per split, from `classes.csv`; their length is the root
    of the share.
    """
    rows = reading.read_csv(table, looking.ClassShare, AGAIN)
    names, splits = (
        list(dict.fromkeys(getattr(row, column) for row in rows)) for column in ("name", "split")
    )
    shares = {(row.name, row.split): row.share for row in rows}
    if not rows or len(shares) < len(names) * len(splits):
        raise UserError(
            f"{table}: expected a row for each class in each split; run the stage `records` again"
        )
    columns = [names[start : start + TALL] for start in range(0, len(names), TALL)]
    figure = Figure(
        figsize=(3 + 4 * len(columns), 1.2 + 0.28 * len(columns[0])), layout="constrained"
    )
    height = 0.8 / len(splits)
    for axes, column in zip(
        figure.subplots(1, len(columns), squeeze=False)[0], columns, strict=True
    ):
        for n, split in enumerate(splits):
            places = [i + (n + 0.5) * height - 0.4 for i in range(len(column))]
            axes.barh(places, [shares[name, split] for name in column], height, label=split)
        axes.set_xscale("function", functions=(lambda x: np.sqrt(np.maximum(x, 0)), np.square))
        axes.set_xticks(TICKS, [f"{100 * tick:g}%" for tick in TICKS])
        axes.set_yticks(range(len(column)), column, parse_math=False)  # a `$` is part of the name
        axes.set(xlim=(0, min(1, 1.1 * max(shares.values()))), ylim=(len(columns[0]) - 0.4, -0.6))
        axes.grid(alpha=0.3, axis="x")
    figure.supxlabel("share of the labelled pixels (root scale)", size="medium")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=len(splits))
    return figure


def sizes_figure(table: Path) -> Figure:
    """Histograms of widths and of heights, one colour per split, from `sizes.csv`."""
    rows = reading.read_csv(table, looking.Size, AGAIN)
    if not rows:
        raise UserError(
            f"{table}: expected a row for each size of an image; run the stage `records` again"
        )
    splits = list(dict.fromkeys(row.split for row in rows))
    counts = [np.array([row.images for row in rows if row.split == split]) for split in splits]
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    for axes, side in zip(figure.subplots(1, 2, sharey=True), ("width", "height"), strict=True):
        values = [[getattr(row, side) for row in rows if row.split == split] for split in splits]
        edges = bins(min(map(min, values)), max(map(max, values)))
        axes.hist(
            values, edges, weights=[100 * count / count.sum() for count in counts], label=splits
        )
        axes.set(xlabel=f"{side} in pixels", ylabel="% of the images" if side == "width" else "")
        axes.grid(alpha=0.3, axis="y")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=len(splits))
    return figure


def bins(low: int, high: int) -> np.ndarray:
    """Edges of at most 25 bins of a round width that hold the whole numbers `low` to `high`; no
    number is an upper edge.
    """
    step = next(
        step
        for power in range(10)
        for step in (10**power, 2 * 10**power, 5 * 10**power)
        if high - low < 24 * step
    )
    first, last = low // step * step, (high // step + 1) * step
    if last - first < 5 * step:  # a few bars shall not fill the picture
        first, last = first - 2 * step, last + 2 * step
    return np.arange(first, last + 1, step)
