"""What a label file holds, before anybody says what it means: values, colours, how often, and how clean its edges are."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fcn.labels import Stored, stored

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
        smear: share of the edge pixels that lie between their left and right neighbour in value or colour: below 0.02 for
            labels drawn by hand, above 0.2 for labels that were smoothed or resized like pictures.
        mixtures: how many values or colours such pixels have: few if they are but a line between two classes.
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
    mixtures: int

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
    values, colours, rest = found.values(keys), found.colours(keys), 0
    if len(keys) > _KEPT:
        kept = np.sort(np.lexsort((-counts, -inside))[:_KEPT])
        rest = int(counts.sum() - counts[kept].sum())
        counts, inside = counts[kept], inside[kept]
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
        *_smear(found),
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
        middle = plane[1:-1, 1:-1]
        for other in (plane[1:-1, :-2], plane[1:-1, 2:], plane[:-2, 1:-1], plane[2:, 1:-1]):
            inner[1:-1, 1:-1] &= np.abs(middle - other) <= _NOISE if lossy else middle == other
    return inner


def _ranked(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if pixels.min() >= 0 and pixels.max() < 1 << 16:  # ten times as fast as sorting
        keys = np.flatnonzero(np.bincount(pixels.reshape(-1))).astype(np.int32)
        ranks = np.zeros(1 << 16, np.int32)
        ranks[keys] = np.arange(len(keys))
        return keys, ranks[pixels]
    keys, positions = np.unique(pixels, return_inverse=True)
    return keys, positions.reshape(pixels.shape)


def _smear(found: Stored) -> tuple[float, int]:
    planes: list[tuple[np.ndarray, ...]] = [(found.pixels,)] if found.kind != "rgb" else []
    if found.kind in ("palette", "rgb"):
        colours = found.colours(found.pixels)
        assert colours is not None
        planes.append(channels(colours))
    return max(_between(each, found.pixels) for each in planes)


def _between(planes: tuple[np.ndarray, ...], pixels: np.ndarray) -> tuple[float, int]:
    monotone = np.ones((pixels.shape[0], max(pixels.shape[1] - 2, 0)), bool)
    from_left, from_right = ~monotone, ~monotone
    for plane in planes:
        left, middle, right = plane[:, :-2], plane[:, 1:-1], plane[:, 2:]
        monotone &= (np.minimum(left, right) <= middle) & (middle <= np.maximum(left, right))
        from_left, from_right = from_left | (middle != left), from_right | (middle != right)
    edges, mixed = np.count_nonzero(from_left | from_right), monotone & from_left & from_right
    return (np.count_nonzero(mixed) / edges, len(np.unique(pixels[:, 1:-1][mixed]))) if edges else (0.0, 0)
