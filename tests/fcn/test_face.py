"""What `import fcn` offers, and that it costs nothing until it is used."""

import inspect
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from rooms import ROOT

import fcn
from fcn.net import model, surgery
from fcn.predict import predictor

OFFERED = ["Predictor", "Segmentation", "UserError", "datasets", "load", "score"]


def test_what_is_offered_is_there():
    assert sorted(fcn.__all__) == OFFERED
    assert set(OFFERED) <= set(dir(fcn))
    assert all(getattr(fcn, name) is not None for name in OFFERED)
    assert fcn.load.__module__ == "fcn.predict.models"
    assert inspect.signature(fcn.load).parameters["tile"].default == predictor.TILE
    with pytest.raises(AttributeError, match="module 'fcn' has no attribute 'lode'"):
        _ = fcn.lode


def test_import_loads_nothing():
    code = "import sys, fcn; print(*sorted(n for n in sys.modules if n.startswith(('fcn', 'numpy', "
    code += "'keras', 'tensorflow', 'pydantic'))))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["fcn"]


def test_the_package_says_that_it_is_typed():
    assert (ROOT / "fcn/py.typed").is_file()


@pytest.fixture
def net(small, tmp_path):
    """A model folder of a narrow net."""
    spec = small("fcn8s", padding="same")
    surgery.save(model.build(spec), spec, tmp_path / "net")
    return tmp_path / "net"


def test_a_photograph_in_three_forms(net, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (37, 53, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    loaded = fcn.load(net)
    found = loaded.predict(tmp_path / "photo.png")
    assert (found.labels.shape, found.probabilities, found.classes) == (
        (37, 53), None, ("background", "cat", "dog"),
    )  # fmt: skip
    np.testing.assert_array_equal(found.image, pixels)
    for other in (str(tmp_path / "photo.png"), pixels, Image.fromarray(pixels)):
        np.testing.assert_array_equal(loaded.predict(other).labels, found.labels)
    both = loaded.predict(pixels, probabilities=True)
    assert both.probabilities is not None
    np.testing.assert_allclose(both.probabilities.sum(-1), 1, rtol=1e-5)
    assert both.overlay().size == (53, 37)
    assert sum(both.shares().values()) == pytest.approx(1)


def test_no_such_net():
    with pytest.raises(fcn.UserError, match=r"expected voc20, .*voc-fcn8s.*; got nets/none"):
        fcn.load("nets/none")


def test_a_data_set_and_a_model_make_scores(world, net):
    data = fcn.datasets.open("voc", world, classes=("background", "cat", "dog"))
    pairs = list(data.examples("val"))
    assert [label.shape for _, label in pairs] == [(41, 43), (35, 50), (50, 35)]
    assert all(image.shape == (*label.shape, 3) for image, label in pairs)
    scores = fcn.score.evaluate(fcn.load(net), pairs)
    valid = sum(int((label != 255).sum()) for _, label in pairs)
    assert (scores.histogram.sum(), scores.classes) == (valid, data.classes)
    assert 0 <= scores.mean_iu <= 1


def test_scores_by_hand():
    scores = fcn.score.Scores(np.array([[6, 2], [1, 1]]), ("a", "b"))
    assert scores.pixel_accuracy == 7 / 10
    assert scores.mean_accuracy == pytest.approx((6 / 8 + 1 / 2) / 2)
    assert scores.class_iu == {"a": 6 / 9, "b": 1 / 4}
    assert scores.mean_iu == pytest.approx((6 / 9 + 1 / 4) / 2)
    assert scores.frequency_weighted_iu == pytest.approx(0.8 * 6 / 9 + 0.2 / 4)
    assert list(fcn.score.Scores(np.eye(3, dtype=int), ("a", "b", "c")).all()) == [
        "pixel_accuracy", "mean_accuracy", "mean_iu", "frequency_weighted_iu",
    ]  # fmt: skip
