"""`fcn export` as it is typed, for every format."""

import numpy as np
import pytest
from PIL import Image

from fcn.cli.app import main
from fcn.net import surgery
from fcn.net.model import build
from fcn.predict.export import FORMATS

TYPED = {
    "savedmodel": [],
    "int8": [],
    "onnx": ["--bits", "8"],
    "tflite": ["--height", "40", "--width", "60", "--bits", "8"],
}


@pytest.fixture
def folder(small, tmp_path):
    """Of a model, and a photograph beside it."""
    place = tmp_path / "net"
    place.mkdir()
    spec = small("fcn8s", padding="same")
    surgery.save(build(spec), spec, place)
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    Image.fromarray(noise).save(place.parent / "photo.png")
    return place


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_is_written_and_its_labels_are_compared(folder, tmp_path, capsys, form):
    out, photograph = tmp_path / "out", folder.parent / "photo.png"
    typed = ["export", "--model", folder, "--out", out, "--format", form, *TYPED[form]]
    assert main([*map(str, typed), "--pictures", str(photograph)]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"Wrote fcn8s, 3 classes, to {out}: ")
    assert "On 1 picture 100.00% of the pixels have the net's label: mean IU 1.0000." in said
    assert (out / "model.json").is_file()


def test_misuse_is_told_before_a_net_is_loaded(folder, tmp_path, capsys):
    out, none = str(tmp_path / "out"), str(tmp_path / "none.png")
    assert main(["export", "--out", out, "--pictures", none]) != 0
    assert f"{none}: no such file or folder" in capsys.readouterr().err
    assert main(["export", "--out", out, "--height", "3"]) != 0
    assert "--height and --width: expected both" in capsys.readouterr().err
