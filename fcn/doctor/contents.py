"""What one label file holds, before anybody says what it means."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fcn.pixels import Stored

_KEPT = 1024  # colours remembered per file; a photograph has as many as it has pixels
_LOSSY = ("JPEG", "MPO", "WEBP")
_NOISE = 8  # between neighbours of what was one colour before a lossy format had it


@dataclass(frozen=True)
class Content:
    """What is remembered of a label file.

    Attributes:
        path: of the file.
        kind, format, mode: see `labels.Stored`.
        transparent: some pixels are not opaque.
        size: (width, height).
        values: int32 (n,), the distinct values; None if there are none.
        colours: int32 (n,), the colour of each, 0xRRGGBB; None if there are none.
        counts: int64 (n,), pixels of each.
        inside: int64 (n,), those whose four neighbours are equal to them (in a lossy format:
            nearly).
        between: int64 (n,), those that lie between their left and right neighbour.
        rest: pixels of rarer colours, which are not in the arrays.
        edges: pixels that differ from their left or right neighbour.
        mixed: those of them that lie between both.
    """

    path: Path
    kind: str
    format: str
    mode: str
    transparent: bool
    size: tuple[int, int]
    values: np.ndarray | None
    colours: np.ndarray | None
    counts: np.ndarray
    inside: np.ndarray
    between: np.ndarray
    rest: int
    edges: int
    mixed: int

    @property
    def lossy(self) -> bool:
        """The format does not give back the pixels that were saved."""
        return self.format in _LOSSY

    @property
    def smear(self) -> float:
        """The share of mixed pixels: under 0.011 for drawn labels, over 0.08 for resized ones."""
        return self.mixed / self.edges if self.edges else 0.0

    @property
    def smear_words(self) -> str:
        """The same in words."""
        return f"{100 * self.smear:.0f} % of the edge pixels lie between their neighbours in value"


def count(path: Path, found: Stored) -> Content:
    """Counts what is in a label file that has been read.

    Args:
        path: its name.
        found: its pixels.
    """
    keys, ranks = _ranked(found.pixels)
    edges, mixed = _mixed(found)
    parts = (ranks.reshape(-1), ranks[_inner(found)], ranks[mixed])
    counts, inside, between = (np.bincount(part, minlength=len(keys)) for part in parts)
    columns: list[Any] = [found.values(keys), found.colours(keys), counts, inside, between]
    rest = 0
    if len(keys) > _KEPT:
        kept = np.sort(np.lexsort((-counts, -inside))[:_KEPT])
        rest = int(counts.sum() - counts[kept].sum())
        columns = [None if column is None else column[kept] for column in columns]
    head = [found.kind, found.format, found.mode, found.transparent > 0, found.size]
    all_of_it: list[Any] = [*head, *columns, rest, edges, len(mixed[0])]
    return Content(path, *all_of_it)


def channels(colours: Any) -> tuple[Any, Any, Any]:
    """Red, green and blue, 0..255, of colours 0xRRGGBB."""
    return colours >> 16, colours >> 8 & 255, colours & 255


def hexadecimal(colour: int) -> str:
    """0xRRGGBB as #rrggbb."""
    return f"#{colour:06x}"


def _inner(found: Stored) -> np.ndarray:
    """Which pixels, bool (H, W), have four neighbours like themselves."""
    inner = np.zeros(found.pixels.shape, bool)
    inner[1:-1, 1:-1] = True
    lossy = found.format in _LOSSY
    for plane in channels(found.pixels) if lossy and found.kind == "rgb" else (found.pixels,):
        across, down = (_differ(plane, axis, lossy) for axis in (1, 0))
        inner[1:-1, 1:-1] &= ~(across[1:-1, :-1] | across[1:-1, 1:])
        inner[1:-1, 1:-1] &= ~(down[:-1, 1:-1] | down[1:, 1:-1])
    return inner


def _differ(plane: np.ndarray, axis: int, lossy: bool) -> np.ndarray:
    if lossy:
        return np.asarray(np.abs(np.diff(plane, axis=axis)) > _NOISE)
    return np.asarray(plane[:, 1:] != plane[:, :-1] if axis else plane[1:] != plane[:-1])


def _ranked(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct pixels, and the place of each pixel among them."""
    if pixels.min() >= 0 and pixels.max() < 1 << 16:  # ten times as fast as sorting
        keys = np.flatnonzero(np.bincount(pixels.reshape(-1))).astype(np.int32)
        ranks = np.zeros(1 << 16, np.int32)
        ranks[keys] = np.arange(len(keys))
        return keys, ranks[pixels]
    keys, positions = np.unique(pixels, return_inverse=True)
    return keys, positions.reshape(pixels.shape)


def _mixed(found: Stored) -> tuple[int, tuple[np.ndarray, np.ndarray]]:
    """How many pixels lie at edges, and the rows and columns of those that are mixtures."""
    pixels = found.pixels
    changes = _differ(pixels, 1, lossy=False)
    from_left, from_right = changes[:, :-1], changes[:, 1:]
    edges = int(np.count_nonzero(from_left | from_right))
    rows, columns = np.nonzero(from_left & from_right)  # few, where labels are areas
    near = [pixels[rows, columns + step] for step in range(3)]
    mixed = _between(near) if found.kind != "rgb" else np.zeros(len(rows), bool)
    if found.kind in ("palette", "rgb"):
        shown = [channels(found.colours(each)) for each in near]
        by_colour = np.logical_and.reduce([_between(parts) for parts in zip(*shown, strict=True)])
        mixed = max(mixed, by_colour, key=np.count_nonzero)
    return edges, (rows[mixed], columns[mixed] + 1)


def _between(near: Sequence[np.ndarray]) -> np.ndarray:
    left, middle, right = near
    return np.asarray((np.minimum(left, right) <= middle) & (middle <= np.maximum(left, right)))
