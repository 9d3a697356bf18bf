"""A trained net as a function: from an image of any size to its labels, in
tiles where it is large.
"""

import itertools
import math
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops
from PIL import Image

from fcn.errors import UserError
from fcn.hardware import devices
from fcn.net import surgery
from fcn.pixels import images
from fcn.predict.segmentation import Segmentation
from fcn.score import evaluation
from fcn.spec import BACKBONES, VARIANTS, ModelSpec

TILE = 1024
"""Pixels of a side up to which an image is taken whole: at full width, the process then takes less
than 3 GB.
"""
MOST = 2_000_000_000
"""Pixels that the net may compute for one image: a photograph of 200 megapixels takes 1.1 billion
with VGG-16.
"""


@dataclass(frozen=True)
class Part:
    """What a net makes of one tile of an image.

    Attributes:
        place: the rows and the columns of the image that it is about.
        labels: uint8 (h, w).
        probabilities: float32 (h, w, C); None unless asked for.
    """

    place: tuple[slice, slice]
    labels: np.ndarray
    probabilities: np.ndarray | None


@dataclass(frozen=True)
class Window:
    """One tile along one side of an image, in pixels of the image: what the net sees, and the part
    of it that is kept.
    """

    seen: slice
    kept: slice

    @property
    def inner(self) -> slice:
        """`kept`, counted from the start of `seen`."""
        return slice(self.kept.start - self.seen.start, self.kept.stop - self.seen.start)


class Predictor:
    """A net as a function from an image of any size to its segmentation; `fcn.load` makes one.

    Attributes:
        model: the net itself, from images to scores; see `fcn.net.model.build`.
        spec: of the net: `spec.classes`, `spec.variant`, ...
        tile: pixels; an image with a longer side is cut into tiles of this side, or of longer ones
            where it is thin.
        margin: pixels at each inner edge of a tile that are thrown away, see `reach`.
    """

    def __init__(self, model: keras.Model, spec: ModelSpec, tile: int = TILE) -> None:
        """Takes a net as `fcn.net.model.build` makes it; its weights are shared, not copied.

        Raises:
            UserError: tiles too small to leave anything between their margins.
        """
        self.model, self.spec, self.margin = model, spec, reach(spec)
        self._border = BACKBONES[spec.backbone].paddings[spec.padding].border
        step = _stride(spec)
        # so that the cells of all tiles lie on one grid, that of the whole image
        self.tile = tile // step * step
        if self.tile < 2 * self.margin + step:
            raise UserError(
                f"tile: expected at least {2 * self.margin + step} pixels, since {spec.variant} on "
                f"{spec.backbone} sees {self.margin} pixels around each; got {tile}"
            )
        self._labels = evaluation.labeler(model)
        both = [
            ops.cast(ops.argmax(model.output, axis=-1), "uint8"),
            ops.softmax(model.output, axis=-1),
        ]
        self._both = keras.Model(model.input, both)
        self._both.compile(jit_compile=evaluation.COMPILED)

    def predict(
        self,
        image: np.ndarray | Image.Image | str | Path,
        probabilities: bool = False,
        done: Callable[[int, int], None] = lambda tiles, total: None,
    ) -> Segmentation:
        """Predicts one image at its own size.

        Tiles give what the whole image would, up to rounding: they overlap by twice the margin, and
        of each the part that its cut edges cannot reach is kept.

        Args:
            image: uint8 RGB (H, W, 3), H and W from 1 up; or a picture of Pillow's, taken as it is;
                or the name of a file of any kind of picture, see `read`.
            probabilities: whether they are wanted, too: 4 C bytes per pixel.
            done: called with (tiles done, tiles in all) after each.

        Raises:
            UserError: no such picture, or the device's memory does not hold a tile.
        """
        if isinstance(image, (str, Path)):
            image = self.read(Path(image))
        elif isinstance(image, Image.Image):
            image = np.asarray(image.convert("RGB"))
        steps = self.steps(image, probabilities)
        while True:
            try:
                done(*next(steps))
            except StopIteration as end:
                found: Segmentation = end.value
                return found

    def read(self, path: Path, most: int = MOST) -> np.ndarray:
        """A picture from a file, upright, see `fcn.pixels.images.read`.

        Args:
            path: of a picture of any kind.
            most: pixels that the net may compute for it.

        Returns:
            uint8 RGB (H, W, 3).

        Raises:
            UserError: no picture, a damaged one, or one that takes more.
        """
        return images.read(path, lambda width, height: self.too_much(width, height, most))

    def too_much(self, width: int, height: int, most: int = MOST) -> str:
        """Why a picture is refused; "" if it is not.

        Args:
            width: of the picture, in pixels.
            height: of the picture, in pixels.
            most: pixels that the net may compute for it, see `cost`.
        """
        computed = self.cost(width, height)
        if computed <= most:
            return ""
        return (
            f"for {width}x{height} pixels the net computes {computed:,}; {most:,} are "
            "allowed: cut it into pieces, choose a larger --tile, or allow more --megapixels"
        )

    def steps(
        self,
        image: np.ndarray,
        probabilities: bool = False,
    ) -> Generator[tuple[int, int], None, Segmentation]:
        """Does what `predict` does, a tile at a time: whoever runs it may stop, or let others go
        first.

        Args:
            image: uint8 RGB (H, W, 3).
            probabilities: see `predict`.

        Yields:
            (tiles done, tiles in all) after each.

        Raises:
            UserError: see `predict`.
        """
        height, width = image.shape[:2]
        parts = self.parts(image, probabilities)
        tiles = self.tiles(width, height)
        labels = np.empty((height, width), np.uint8)
        shares = (
            np.empty((height, width, len(self.spec.classes)), np.float32) if probabilities else None
        )
        for number, part in enumerate(parts, 1):
            labels[part.place] = part.labels
            if shares is not None:
                shares[part.place] = part.probabilities
            yield number, tiles
        return Segmentation(labels, shares, image, self.spec.classes)

    def parts(self, image: np.ndarray, probabilities: bool = False) -> Iterator[Part]:
        """Predicts an image and keeps nothing of it: each tile comes on its own.

        Args:
            image: uint8 RGB (H, W, 3).
            probabilities: see `predict`.

        Yields:
            The parts of the image, row by row.

        Raises:
            UserError: see `predict`; at once, before anything is computed.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            raise UserError(
                f"expected an image of uint8 RGB (H, W, 3), got {image.dtype} {image.shape}"
            )
        return self._parts(image, probabilities)

    def _parts(self, image: np.ndarray, probabilities: bool) -> Iterator[Part]:
        for row, column in itertools.product(*self._tiles(*image.shape[:2])):
            found, soft = self._net(image[None, row.seen, column.seen], probabilities)
            inner = row.inner, column.inner
            kept = None if soft is None else soft[inner]
            yield Part((row.kept, column.kept), found[inner], kept)

    def tiles(self, width: int, height: int) -> int:
        """How many tiles an image is cut into.

        Args:
            width: of the image, in pixels.
            height: of the image, in pixels.
        """
        rows, columns = self._tiles(height, width)
        return len(rows) * len(columns)

    def cost(self, width: int, height: int) -> int:
        """How many pixels the net computes for an image.

        They are those of all tiles, whose sides are rounded up to the net's stride, with the border
        that it adds to each.

        Args:
            width: of the image, in pixels.
            height: of the image, in pixels.
        """
        rows, columns = self._tiles(height, width)
        return self._padded(rows) * self._padded(columns)

    def _padded(self, windows: list[Window]) -> int:
        step = _stride(self.spec)
        sides = [window.seen.stop - window.seen.start for window in windows]
        return sum(-(-side // step) * step + 2 * self._border for side in sides)

    def _tiles(self, height: int, width: int) -> tuple[list[Window], list[Window]]:
        """The windows along both sides."""
        longer = self._longer(min(height, width))
        rows, columns = (self.tile, longer) if height <= width else (longer, self.tile)
        return windows(height, rows, self.margin), windows(width, columns, self.margin)

    def _longer(self, short: int) -> int:
        """The longer side of tiles, where an image is so short: they have no more pixels than
        others, borders included.
        """
        if short >= self.tile:
            return self.tile
        step, border = _stride(self.spec), 2 * self._border
        long = (self.tile + border) ** 2 // (max(short, step) + border) - border
        return max(self.tile, long // step * step)

    def _net(self, tile: np.ndarray, probabilities: bool) -> Any:
        """One tile, (1, h, w, 3) -> its labels (h, w), and its probabilities (h, w, C) or None."""
        try:
            if not probabilities:
                return self._labels(tile)[0], None
            labels, soft = self._both.predict_on_batch(tile)
            return labels[0], soft[0]
        except devices.OutOfMemory as error:
            raise UserError(
                f"{tile.shape[2]}x{tile.shape[1]} pixels at once are too many for the device's "
                "memory: use smaller tiles"
            ) from error


def load(model_dir: Path, tile: int = TILE, precision: str = "float32") -> Predictor:
    """Reads a model folder, and prepares this process for it (see `fcn.hardware.devices.prepare`).

    Args:
        model_dir: with `model.json` and `weights.npz`.
        tile: pixels of a side up to which an image is taken whole.
        precision: in which the backbone computes, "float32" or "bfloat16".

    Raises:
        UserError: a folder that is no model, or tiles that are too small.
    """
    devices.prepare(seed=0, precision=precision, training=False)  # nothing here is random
    return Predictor(*surgery.load(model_dir), tile)


def windows(side: int, tile: int, margin: int) -> list[Window]:
    """Cuts a side of an image into tiles.

    Args:
        side: of the image, in pixels.
        tile: of the tiles; the last one may be shorter.
        margin: at each inner edge, not kept. All starts are multiples of what `tile` and `margin`
            are multiples of.

    Returns:
        Tiles whose kept parts follow each other from 0 to `side`.
    """
    found, start, kept = [], 0, 0
    while start + tile < side:
        stop = start + tile - margin
        found.append(Window(slice(start, start + tile), slice(kept, stop)))
        start, kept = stop - margin, stop
    return [*found, Window(slice(start, side), slice(kept, side))]


def reach(spec: ModelSpec) -> int:
    """How far a pixel sees: farther away nothing changes its scores. In pixels, rounded up to whole
    cells of the net.

    Half the receptive field of the last dense layer (VGG-16: 404 pixels) around cells as far away
    as the bilinear kernels reach: upsampling by f to a stride of s takes from cells whose centres
    are up to (f - 1/2) s away. So 256 for VGG-16, 288 for VGG-19 and 20 for LeNet.
    """
    net, field, stride = BACKBONES[spec.backbone], 1, 1
    for block in net.blocks:
        field += len(block) * (net.side - 1) * stride + stride  # the second term is the pooling's
        stride *= 2
    field += sum((dense.side - 1) * stride for dense in net.dense)
    distance, finer = (field - 1) / 2, stride
    for _, factor in VARIANTS[spec.variant].upsamplings():
        finer //= factor
        distance += (factor - 0.5) * finer
    return math.ceil(distance / stride) * stride


def _stride(spec: ModelSpec) -> int:
    """Pixels between two cells of the last dense layer."""
    return int(2 ** len(BACKBONES[spec.backbone].blocks))
