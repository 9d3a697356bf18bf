import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image
from tiny import random_net

from fcn.cli.app import main
from fcn.errors import UserError
from fcn.net import surgery
from fcn.predict import local, predictor, runtimes

ROOT = Path(__file__).parents[3]
SIZES = ((64, 96), (37, 51), (1, 33), (130, 40))
"""Height and width: even and odd, below and above every stride."""


def picture(height, width):
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)


@pytest.fixture
def folder(small, tmp_path):
    """A model folder."""
    spec = small("fcn8s", padding="same")
    (tmp_path / "net").mkdir()
    surgery.save(random_net(spec), spec, tmp_path / "net")
    return tmp_path / "net"


@pytest.mark.parametrize("padding", ["same", "caffe"])
def test_openvino_labels_as_keras_does(small, padding):
    spec = small("fcn8s", padding=padding, upsampling="learned")
    model = random_net(spec)
    both = [runtimes.make(name, model, spec, "float32") for name in runtimes.NAMES]
    for size in SIZES:
        image = picture(*size)[None]
        (labels, shares), (found, odds) = (each.both(image) for each in both)
        assert found.shape == size
        assert found.dtype == np.uint8
        np.testing.assert_allclose(odds, shares, atol=2e-5)
        # but where two classes are as likely
        near = np.sort(shares, -1)[..., -2:]
        assert (labels == found)[near[..., 1] - near[..., 0] > 1e-4].all()
        assert np.array_equal(both[1].labels(image), found)
    assert len(np.unique(found)) > 1


def test_a_large_picture_comes_in_tiles_from_openvino_too(folder):
    image = picture(600, 700)
    found = [
        predictor.load(folder, tile=576, runtime=name).predict(image, probabilities=True)
        for name in runtimes.NAMES
    ]
    assert (found[0].labels == found[1].labels).mean() > 0.999
    np.testing.assert_allclose(found[1].probabilities, found[0].probabilities, atol=2e-5)


def test_bfloat16_changes_few_labels(folder):
    image = picture(90, 120)
    exact = predictor.load(folder).predict(image).labels
    found = predictor.load(folder, precision="bfloat16", runtime="openvino").predict(image).labels
    assert (found == exact).mean() > 0.9


def test_nothing_is_told_to_anybody(folder, tmp_path):
    """OpenVINO's telemetry notes in the home folder whom it counts."""
    home, code = (
        tmp_path / "home",
        (
            "import sys, numpy, fcn\n"
            "black = numpy.zeros((64, 64, 3), numpy.uint8)\n"
            "fcn.load(sys.argv[1], runtime='openvino').predict(black)\n"
            "print([name for name in sys.modules if name.startswith('openvino_telemetry.')])\n"
            "assert 'openvino' in sys.modules\n"
        ),
    )
    home.mkdir()
    away = {name: value for name, value in os.environ.items() if name != "CI"}
    environment = {**away, "HOME": str(home), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code, folder], env=environment, capture_output=True, text=True
    )
    assert done.stdout == "[]\n", done.stderr
    assert not (home / "intel").exists()


def test_an_unknown_runtime_is_refused(folder):
    with pytest.raises(UserError, match="runtime: expected keras or openvino, got 'tensorrt'"):
        predictor.load(folder, runtime="tensorrt")


@pytest.mark.parametrize("library", ["onnx", "openvino"])
def test_a_library_that_is_missing_is_named(folder, monkeypatch, library):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(UserError, match=f"{library} is not installed: `make env WITH=onnx`"):
        predictor.load(folder, runtime="openvino")


def test_openvino_needs_keras_on_tensorflow(folder, monkeypatch):
    model, spec = surgery.load(folder)
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(UserError, match="this is jax: unset KERAS_BACKEND"):
        runtimes.make("openvino", model, spec, "float32")


def test_the_commands_compute_with_it(folder, tmp_path, monkeypatch):
    Image.fromarray(picture(70, 90)).save(tmp_path / "a.png")
    for name in runtimes.NAMES:
        command = ["predict", str(tmp_path / "a.png"), "--model", str(folder)]
        assert main([*command, "--out", str(tmp_path / name), "--runtime", name]) == 0
    first, second = (
        np.asarray(Image.open(tmp_path / name / "labels" / "a.png")) for name in runtimes.NAMES
    )
    assert (first == second).mean() > 0.999

    served = []
    monkeypatch.setattr(local, "serve", lambda build, *_: served.append(build()))
    made = []
    monkeypatch.setattr(runtimes, "make", lambda *asked: made.append(asked))
    command = ["serve", str(folder), "--port", "0", "--precision", "bfloat16"]
    assert main([*command, "--runtime", "openvino"]) == 0
    assert len(served) == 1
    assert [(asked[0], asked[3]) for asked in made] == [("openvino", "bfloat16")]
