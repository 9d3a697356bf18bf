"""Videos and webcams: read frame by frame, and written again with the classes painted over.

OpenCV reads and writes them, the extra `video`. Never more than one frame is held.
"""

import importlib
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fcn.errors import UserError
from fcn.io import VIDEOS, files
from fcn.pixels import visualize

_CAMERA = re.compile(r"webcam(?::(\d{1,3}))?")
_RATE = 10.0
"""Frames a second of what a webcam gives: a picture is repeated for as long as the next one
takes."""
_USUAL = 25.0  # frames a second, where a file does not say it
_CODEC = "vp09"  # in .mp4: browsers play it, and OpenCV brings it along

Painter = Callable[[np.ndarray], np.ndarray]
"""An image uint8 RGB (H, W, 3) -> one of the same size."""


def is_video(path: Path) -> bool:
    """Whether a file is called like a video."""
    return path.suffix.lower() in VIDEOS


def camera(name: str) -> int | None:
    """The number of the webcam that `webcam` or `webcam:1` names; None for any other name."""
    found = _CAMERA.fullmatch(name)
    return int(found[1] or 0) if found else None


def painter(label: Painter, classes: tuple[str, ...]) -> Painter:
    """What paints the classes of each image over it.

    Args:
        label: image -> labels uint8 (H, W).
        classes: their names.
    """
    return lambda image: visualize.overlay(image, label(image), classes)


def paint(
    source: Path | int,
    out: Path,
    painted: Painter,
    most: int = 0,
    refusal: Callable[[int, int], str] = lambda width, height: "",
    done: Callable[[int, int], None] = lambda frames, total: None,
) -> int:
    """Writes a video anew, each of its frames painted.

    Sound is left out. A webcam goes on until Ctrl-C, which ends the file well; of a file, Ctrl-C
    leaves nothing behind.

    Args:
        source: a file, or the number of a webcam.
        out: the file to write, an .mp4; it appears when it is whole.
        painted: what makes a frame of a frame.
        most: so many frames are taken; 0: all.
        refusal: is asked with the width and height of a frame: why it is not to be painted, or "".
        done: called with (frames written, frames in all or 0) after each.

    Returns:
        How many frames were painted.

    Raises:
        UserError: no OpenCV; no such video or webcam; a refused size; or it cannot be written.
    """
    cv2 = _opencv()
    live = isinstance(source, int)
    name = f"webcam:{source}" if live else str(source)
    if isinstance(source, Path) and not source.is_file():
        raise UserError(f"{name}: expected a video, but it is missing, or no regular file")
    reader = cv2.VideoCapture(*((source,) if live else (str(source), cv2.CAP_FFMPEG)))
    try:
        found, frame = reader.read()
        if not found:
            what = files.sniff(source) if isinstance(source, Path) else "no such webcam"
            raise UserError(f"{name}: expected a video, but OpenCV cannot read it: it is {what}")
        height, width = frame.shape[:2]
        if why := refusal(width, height):
            raise UserError(f"{name}: {why}")
        total = 0 if live else max(0, int(reader.get(cv2.CAP_PROP_FRAME_COUNT)))
        total = min(most, total) if most and total else most or total
        rate = _RATE if live else reader.get(cv2.CAP_PROP_FPS)
        rate = rate if 0.1 <= rate <= 1000 else _USUAL
        with files.replacing_file(out) as temporary:
            code = cv2.VideoWriter_fourcc(*_CODEC)
            writer = cv2.VideoWriter(str(temporary), cv2.CAP_FFMPEG, code, rate, (width, height))
            frames = 0
            try:
                if not writer.isOpened():
                    raise UserError(f"{out}: OpenCV writes no video of {width}x{height} pixels")
                for seen, times in _painted(reader, frame, painted, rate if live else 0):
                    for _ in range(times):
                        writer.write(seen)
                    frames += 1
                    done(frames, total)
                    if frames == most:
                        break
            except KeyboardInterrupt:
                if not (live and frames):
                    raise
            finally:
                writer.release()
    finally:
        reader.release()
    return frames


def _painted(
    reader: Any, frame: np.ndarray, painted: Painter, rate: float
) -> Iterator[tuple[np.ndarray, int]]:
    """Each frame painted, BGR (H, W, 3), and how often it is to be written.

    Args:
        reader: OpenCV's.
        frame: the first one.
        painted: see `paint`.
        rate: frames a second by the clock; 0: each is written once.
    """
    found, begin, written = True, time.monotonic(), 0
    while found:
        seen = painted(np.ascontiguousarray(frame[..., ::-1]))
        times = max(1, round((time.monotonic() - begin) * rate) - written)
        written += times
        yield np.ascontiguousarray(seen[..., ::-1]), times
        found, frame = reader.read()


def _opencv() -> Any:
    try:
        return importlib.import_module("cv2")
    except ImportError as error:
        raise UserError(
            "OpenCV is not installed, and videos need it: `pip install 'fcn-pipeline[video]'`"
        ) from error
