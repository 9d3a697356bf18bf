"""Videos of known colours, written and read by OpenCV."""

import numpy as np
import pytest

cv2 = pytest.importorskip("cv2")
WIDE, HIGH, RATE = 64, 48, 12.5
COLOURS = ((200, 20, 20), (20, 200, 20), (20, 20, 200))


def clip(path, frames=6, size=(WIDE, HIGH), code="mp4v"):
    """A video, its frames red, green, blue and so on; the left quarter is always red."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*code), RATE, size)
    assert writer.isOpened()
    for number in range(frames):
        frame = np.full((size[1], size[0], 3), COLOURS[number % 3], np.uint8)
        frame[:, : size[0] // 4] = COLOURS[0]
        writer.write(np.ascontiguousarray(frame[..., ::-1]))
    writer.release()
    return path


def frames(path):
    """Its frames, RGB, and how many there are a second."""
    reader = cv2.VideoCapture(str(path))
    found: list[np.ndarray] = []
    rate = reader.get(cv2.CAP_PROP_FPS)
    while True:
        there, frame = reader.read()
        if not there:
            return found, rate
        found.append(frame[..., ::-1].astype(int))
