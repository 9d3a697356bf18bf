"""What a service does around a net: pictures from outside in, within limits; class maps, overlays
and shares out.
"""

import base64
import binascii
import contextlib
import heapq
import io
import itertools
import re
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from PIL import Image

from fcn.errors import UserError
from fcn.pixels import images, labels
from fcn.predict import segmentation

if TYPE_CHECKING:
    from fcn.predict.predictor import Predictor
    from fcn.predict.segmentation import Segmentation

T = TypeVar("T")

MAX_BYTES = 50_000_000
"""Of a picture's file."""
MAX_PIXELS = 25_000_000
"""Of a picture, or of all pictures of one request: at full width two CPU cores take minutes for so
many.
"""
MAX_COMPUTED = 175_000_000
"""Of the pixels that a net computes for one request: tiles overlap, and 25 megapixels come to 120
million with VGG-16.
"""
FORMATS = ("JPEG", "PNG", "WEBP")
"""Pillow's names. Nothing else is decoded."""


@dataclass
class Budget:
    """What one request may still ask for.

    Attributes:
        cost: width and height of a picture -> pixels that the net computes for it, see
            `predict.Predictor.cost`.
        pixels: of its pictures.
        computed: of what the net computes.
    """

    cost: Callable[[int, int], int]
    pixels: int = 0
    computed: int = 0

    def __post_init__(self) -> None:
        """Begins with what is allowed."""
        self.pixels, self.computed = self.pixels or MAX_PIXELS, self.computed or MAX_COMPUTED

    def take(self, width: int, height: int) -> str:
        """Takes one picture from what is left, or says why not: an `images.Refusal`."""
        wanted, why = width * height, images.longest(width, height)
        if why:
            return why
        if wanted > self.pixels:
            return (
                f"{width}x{height} are {wanted:,} pixels; {self.pixels:,} are allowed: make it "
                "smaller"
            )
        computed = self.cost(width, height)
        if computed > self.computed:
            return (
                f"for {width}x{height} pixels the net computes {computed:,}; "
                f"{self.computed:,} are allowed: make it smaller, or ask for fewer at once"
            )
        self.pixels, self.computed = self.pixels - wanted, self.computed - computed
        return ""


class Turns:
    """Lets one request at a time use a net, for a tile; whoever has the fewest pixels left to
    compute goes first.
    """

    def __init__(self) -> None:
        """Nobody waits."""
        self._changed = threading.Condition()
        self._waiting: list[tuple[float, int]] = []
        self._numbers = itertools.count()
        self._busy = False

    @contextlib.contextmanager
    def turn(self, left: float) -> Iterator[None]:
        """Waits for its turn.

        Args:
            left: pixels that this request has still to compute.
        """
        with self._changed:
            mine = (left, next(self._numbers))
            heapq.heappush(self._waiting, mine)
            try:
                self._changed.wait_for(lambda: not self._busy and self._waiting[0] == mine)
                self._busy = True
            finally:
                self._waiting.remove(mine)
                heapq.heapify(self._waiting)
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._busy = False
                self._changed.notify_all()


def in_turns(
    steps: Generator[tuple[int, int], None, T], cost: int, turns: Turns
) -> Generator[tuple[int, int], None, T]:
    """Does work on an image while others wait for the same net: see `Turns`.

    Args:
        steps: yields (tiles done, tiles in all) after each tile.
        cost: pixels that the net computes for all of them.
        turns: of all requests.

    Yields:
        What `steps` yields; closing the generator ends the work.
    """
    left = float(cost)
    while True:
        with turns.turn(left):
            try:
                done, tiles = next(steps)
            except StopIteration as end:
                found: T = end.value
                return found
        left = cost * (tiles - done) / tiles
        yield done, tiles


def within(
    net: "Predictor", turns: Turns, seconds: float
) -> "Callable[[np.ndarray], Segmentation]":
    """A function from an image to its segmentation that gives up when the time is over: nobody
    waits for the answer then.

    Args:
        net: called a tile at a time.
        turns: of all requests.
        seconds: from now on, for all images together.
    """
    end = time.monotonic() + seconds

    def predict(image: np.ndarray) -> "Segmentation":
        cost = net.cost(image.shape[1], image.shape[0])
        steps = in_turns(net.steps(image), cost, turns)
        while True:
            try:
                done, tiles = next(steps)
            except StopIteration as last:
                found: Segmentation = last.value
                return found
            if time.monotonic() > end and done < tiles:
                raise UserError(
                    f"image of {image.shape[1]}x{image.shape[0]} pixels: {seconds:g} s are over, "
                    f"and {done} of {tiles} tiles are done: make it smaller, or allow more time"
                )

    return predict


def read(data: bytes, name: str, budget: Budget, formats: Sequence[str] = FORMATS) -> np.ndarray:
    """Reads a picture that comes from anybody: what it says of itself is checked before its pixels
    are decoded.

    Args:
        data: a file; what it is is told from its first bytes.
        name: what messages call it.
        budget: it is taken from.
        formats: Pillow's names of those that are decoded.

    Returns:
        uint8 RGB (H, W, 3), upright, see `images.read`.

    Raises:
        UserError: no picture, a damaged one, another format, or too large.
    """
    if len(data) > MAX_BYTES:
        raise UserError(f"{name}: {len(data) / 1e6:.0f} MB; {MAX_BYTES / 1e6:.0f} MB are allowed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # these limits are tighter
        return images.decode(data, name, formats, budget.take, "Take another one.")


def decode(text: Any, name: str, budget: Budget) -> np.ndarray:
    """A picture from base64; white space and a leading `data:image/png;base64,` are fine.

    Args:
        text: the base64 of a JPEG, PNG or WebP file.
        name: what messages call it.
        budget: it is taken from.

    Returns:
        uint8 RGB (H, W, 3).

    Raises:
        UserError: not text, empty, no base64, or see `read`.
    """
    if not isinstance(text, str):
        raise UserError(
            f"{name}: expected the base64 of a JPEG or PNG file as text, got {type(text).__name__}"
        )
    plain = re.sub(r"^\s*data:[^,]{0,100};base64,|\s", "", text)
    if not plain:
        raise UserError(f"{name}: expected the base64 of a JPEG or PNG file, got an empty text")
    try:
        data = base64.b64decode(plain, validate=True)
    except (binascii.Error, ValueError) as error:
        raise UserError(
            f"{name}: expected the base64 of a JPEG or PNG file, but this is no base64 ({error})"
        ) from error
    return read(data, name, budget)


def answer(found: "Segmentation", opacity: float) -> dict[str, Any]:
    """What a client gets of one picture, as plain data.

    Args:
        found: what was predicted for it.
        opacity: of the overlay's colours, 0..1.

    Returns:
        `width` and `height` in pixels; `labels`, base64 of a palette PNG whose values are the
        classes; `overlay`, base64 of an RGB PNG; `classes`, see `shares`.
    """
    return {
        "width": found.labels.shape[1],
        "height": found.labels.shape[0],
        "labels": base64.b64encode(png(labels.to_image(found.labels))).decode(),
        "overlay": base64.b64encode(png(found.overlay(opacity))).decode(),
        "classes": segmentation.shares(found.labels, found.classes),
    }


def answers(
    texts: Sequence[Any],
    predict: "Callable[[np.ndarray], Segmentation]",
    opacity: float,
    cost: Callable[[int, int], int],
) -> list[dict[str, Any]]:
    """Answers one request. All its pictures are read before the net runs: one bad picture refuses
    all of it at once.

    Args:
        texts: base64 of one picture each; together they may have `MAX_PIXELS`.
        predict: from uint8 RGB (H, W, 3) to what was predicted.
        opacity: of the overlays' colours, 0..1.
        cost: width and height of a picture -> pixels that the net computes; together at most
            `MAX_COMPUTED`.

    Returns:
        For each picture what `answer` says.

    Raises:
        UserError: no picture, a bad one (by its number, from 0), too many pixels, or an opacity
            beyond 0..1.
    """
    if not len(texts):
        raise UserError("image: expected at least one picture, got none")
    if not 0 <= opacity <= 1:
        raise UserError(f"opacity: expected a number of 0..1, got {opacity}")
    budget = Budget(cost)
    read_images = [decode(text, f"image {number}", budget) for number, text in enumerate(texts)]
    return [answer(predict(image), opacity) for image in read_images]


def png(picture: Image.Image) -> bytes:
    """A picture as the bytes of a PNG file."""
    buffer = io.BytesIO()
    # of a photograph little is left to compress: this takes a fifth of the time
    picture.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
