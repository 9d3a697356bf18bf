"""A tiny world in VOC's layout, a tiny classifier, and records of the one for the other."""

import numpy as np
import pytest
from tiny import CLASSES, write_records, write_world

from fcn.io import files
from fcn.spec import BACKBONES, ModelSpec
from fcn.spec.recipe import TrainSpec


@pytest.fixture
def world(tmp_path):
    """The root of the tiny world, to be spoilt at will."""
    return write_world(tmp_path / "VOCdevkit" / "World")


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """Records of the tiny world; leave them as they are."""
    folder = tmp_path_factory.mktemp("tiny")
    return write_records(write_world(folder / "world"), folder / "records")


@pytest.fixture(scope="session")
def spec():
    """FCN-32s on a VGG-16 of one 32nd of the width."""
    return ModelSpec(
        "fcn32s", "vgg16", CLASSES, 1 / 32, 8, "same", "fixed", 0.5, (104.0, 117.0, 123.0)
    )


@pytest.fixture(scope="session")
def recipe():
    """Enough for a net without dropout to learn something of the tiny world in seconds."""
    return TrainSpec("adam", 1e-2, 0.9, 5e-4, 2.0, "mean", 20, 2, 10, 3)


@pytest.fixture(scope="session")
def vgg(tmp_path_factory):
    """A weight file of the classifier that `spec` starts from: random, as He's initialisation would
    make it.
    """
    rng, arrays, channels = np.random.default_rng(7), {}, 3
    layers = [
        (name, filters // 32, 3) for block in BACKBONES["vgg16"].blocks for name, filters in block
    ]
    for name, filters, size in (*layers, ("fc6", 8, 7), ("fc7", 8, 1)):
        kernel = rng.normal(
            0, np.sqrt(2 / (size * size * channels)), (size, size, channels, filters)
        )
        arrays[f"{name}/kernel"], channels = kernel.astype(np.float32), filters
        arrays[f"{name}/bias"] = rng.normal(0, 0.1, filters).astype(np.float32)
    path = tmp_path_factory.mktemp("classifier") / "vgg.npz"
    files.save_arrays(path, arrays)
    return path
