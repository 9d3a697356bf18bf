"""Videos of known colours, read by OpenCV and written with their classes painted over."""

import os
import time

import pytest
from clips import clip, cv2, frames

from fcn.errors import UserError
from fcn.predict import video


def test_a_webcam_goes_on_until_ctrl_c_in_the_time_that_it_took(tmp_path, monkeypatch):
    """A stand-in for the webcam: a file. Each frame takes the net a second; ten are written."""
    source, opened = clip(tmp_path / "a.mp4"), cv2.VideoCapture
    monkeypatch.setattr(
        cv2, "VideoCapture", lambda name: opened(str(source if name == 3 else name))
    )
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def painted(image):
        now[0] += 1.0
        if now[0] > 3:
            raise KeyboardInterrupt
        return image

    assert video.paint(video.camera("webcam:3"), tmp_path / "out.mp4", painted) == 3
    found, rate = frames(tmp_path / "out.mp4")
    assert (len(found), rate) == (30, 10)
    assert [frame[:, 30:].mean((0, 1)).argmax() for frame in found[4::10]] == [0, 1, 2]
    assert [video.camera(name) for name in ("webcam", "webcam:", "webcam.jpg")] == [0, None, None]


def test_interrupted_a_file_leaves_nothing_behind(tmp_path):
    def painted(image):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        video.paint(clip(tmp_path / "a.mp4"), tmp_path / "out.mp4", painted)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "expected a video, but it is missing, or no regular file"),
        (os.mkfifo, "expected a video, but it is missing, or no regular file"),
        (lambda path: path.write_text("rubbish"), "OpenCV cannot read it: it is "),
        (lambda path: clip(path, size=(640, 48)), "too wide"),
    ],
)
def test_what_cannot_be_predicted_is_said(tmp_path, make, words):
    make(tmp_path / "a.mp4")
    with pytest.raises(UserError) as error:
        video.paint(
            tmp_path / "a.mp4",
            tmp_path / "out.mp4",
            lambda image: image,
            refusal=lambda width, height: "too wide" * (width > 600),
        )
    assert str(error.value).startswith(f"{tmp_path / 'a.mp4'}: ")
    assert words in str(error.value)
    assert not (tmp_path / "out.mp4").exists()


def test_without_opencv_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "cv2", None)
    with pytest.raises(UserError, match=r"OpenCV is not installed.*fcn-pipeline\[video\]"):
        video.paint(tmp_path / "a.mp4", tmp_path / "out.mp4", lambda image: image)
