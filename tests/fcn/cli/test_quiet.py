"""What the commands print where TensorFlow has something to say."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from fcn.cli import quiet

ROOT = Path(__file__).parents[3]


def test_what_tensorflow_says_first_is_left_out(tmp_path):
    Image.new("RGB", (40, 30), (200, 100, 50)).save(tmp_path / "photo.jpg")
    done = subprocess.run(
        [sys.executable, "-m", "fcn", "predict", tmp_path / "photo.jpg", "--out", tmp_path / "out"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1].endswith(f"see {tmp_path / 'out'}/overlays")


def test_all_else_is_printed_also_after_an_error(capfd):
    with pytest.raises(ValueError, match="x"), quiet.tensorflow():  # noqa: PT012
        os.write(2, b"I0000 00:00:1.2 3 port.cc:153] oneDNN custom operations are on.\n")
        os.write(2, b"E0000 00:00:1.2 3 alloc.cc:7] out of memory\nnot\xffUTF-8\n")
        raise ValueError("x")
    assert capfd.readouterr().err.splitlines()[-2:] == [
        "E0000 00:00:1.2 3 alloc.cc:7] out of memory", "not�UTF-8",
    ]  # fmt: skip
