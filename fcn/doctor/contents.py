"""What a label file holds, before anybody says what it means: values, colours, how often, and how clean its edges are."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fcn.pixels import Stored, stored

_KEPT = 1024  # distinct colours remembered per file; a label has fewer, and a photograph as many as it has pixels
_LOSSY = ("JPEG", "MPO", "WEBP")
_NOISE = 8  # of what was one colour before a lossy format had it, between neighbours


@dataclass(frozen=True)
class Content:
    """What is remembered of a label file.

    Attributes:
        path: of the file.
        kind, format, mode: see `labels.Stored`.
        transparent: some pixels are not opaque.
        size: (width, height).
        values: int32 (n,), the distinct values; None if there are none.
        colours: int32 (n,), the colour of each of them, 0xRRGGBB; None if there are none.
        counts: int64 (n,), pixels of each.
        inside: int64 (n,), those of them whose four neighbours are equal to them (in a lossy format: nearly).
        rest: pixels of rarer colours, which are not in the arrays.
        smear: share of the edge pixels that lie between their left and right neighbour in value or colour: below 0.011 for
            labels drawn by hand, above 0.08 for labels that were smoothed or resized like pictures.
        between: int64 (n,), such pixels of each value or colour.
        mixed: such pixels, those of rarer colours among them.
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
    rest: int
    smear: float
    between: np.ndarray
    mixed: int

    @property
    def lossy(self) -> bool:
        """The format does not give back the pixels that were saved."""
        return self.format in _LOSSY


def content(path: Path) -> Content:
    """Reads a label file and counts what is in it.

    Raises:
        UserError: see `labels.stored`.
    """
    return count(path, stored(path))


def count(path: Path, found: Stored) -> Content:
    """Counts what is in a label file that has been read; `path` is its name."""
    pixels = found.pixels
    inner = _inner(found)
    keys, positions = _ranked(pixels)
    counts = np.bincount(positions.reshape(-1), minlength=len(keys))
    inside = np.bincount(positions[inner], minlength=len(keys))
    smear, mixed = _smear(found)
    between = np.bincount(positions[mixed], minlength=len(keys))
    values, colours, rest = found.values(keys), found.colours(keys), 0
    if len(keys) > _KEPT:
        kept = np.sort(np.lexsort((-counts, -inside))[:_KEPT])
        rest = int(counts.sum() - counts[kept].sum())
        counts, inside, between = counts[kept], inside[kept], between[kept]
        values = None if values is None else values[kept]
        colours = None if colours is None else colours[kept]
    size = (pixels.shape[1], pixels.shape[0])
    return Content(
        path,
        found.kind,
        found.format,
        found.mode,
        found.transparent > 0,
        size,
        values,
        colours,
        counts,
        inside,
        rest,
        smear,
        between,
        len(mixed[0]),
    )


def channels(colours: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Red, green and blue, 0..255, of colours 0xRRGGBB of any shape."""
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
        inner[1:-1, 1:-1] &= ~(across[1:-1, :-1] | across[1:-1, 1:] | down[:-1, 1:-1] | down[1:, 1:-1])
    return inner


def _differ(plane: np.ndarray, axis: int, lossy: bool) -> np.ndarray:
    if lossy:
        return np.asarray(np.abs(np.diff(plane, axis=axis)) > _NOISE)
    return np.asarray(plane[:, 1:] != plane[:, :-1] if axis else plane[1:] != plane[:-1])


def _ranked(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if pixels.min() >= 0 and pixels.max() < 1 << 16:  # ten times as fast as sorting
        keys = np.flatnonzero(np.bincount(pixels.reshape(-1))).astype(np.int32)
        ranks = np.zeros(1 << 16, np.int32)
        ranks[keys] = np.arange(len(keys))
        return keys, ranks[pixels]
    keys, positions = np.unique(pixels, return_inverse=True)
    return keys, positions.reshape(pixels.shape)


def _smear(found: Stored) -> tuple[float, tuple[np.ndarray, np.ndarray]]:
    """The share of the mixed pixels among those at edges, and their rows and columns."""
    pixels = found.pixels
    changes = _differ(pixels, 1, lossy=False)
    from_left, from_right = changes[:, :-1], changes[:, 1:]
    edges = int(np.count_nonzero(from_left | from_right))
    rows, columns = np.nonzero(from_left & from_right)  # few, where labels are areas
    near = [pixels[rows, columns + step] for step in range(3)]
    mixed = _between(near) if found.kind != "rgb" else np.zeros(len(rows), bool)
    if found.kind in ("palette", "rgb"):
        shown = [found.colours(each) for each in near]
        by_colour = np.ones(len(rows), bool)
        for parts in zip(*(channels(each) for each in shown if each is not None), strict=True):
            by_colour &= _between(parts)
        mixed = max(mixed, by_colour, key=np.count_nonzero)
    return (np.count_nonzero(mixed) / edges if edges else 0.0), (rows[mixed], columns[mixed] + 1)


def _between(near: Sequence[np.ndarray]) -> np.ndarray:
    left, middle, right = near
    return np.asarray((np.minimum(left, right) <= middle) & (middle <= np.maximum(left, right)))
