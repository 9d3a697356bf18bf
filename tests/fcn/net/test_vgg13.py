"""VGG-13 on the whole way: a classifier's file, its conversion, FCN-32s to FCN-8s, a prediction."""

from dataclasses import replace

import numpy as np
import weight_files

from fcn.io import files
from fcn.net import surgery
from fcn.predict.predictor import Predictor
from fcn.weights import convert


def test_from_a_classifier_to_an_fcn8s(small, tmp_path):
    layers = weight_files.classifier("vgg13", width=2, hidden=8)
    layers["fc7"] = (layers["fc7"][0][:8], layers["fc7"][1][:8])
    layers["fc8"] = (layers["fc8"][0][:, :8], layers["fc8"][1])
    weights, report = convert(layers, "vgg13")
    assert [name for name in weights if name.endswith("/kernel")][:3] == [
        "conv1_1/kernel", "conv1_2/kernel", "conv2_1/kernel",
    ]  # fmt: skip
    assert len(weights) == 2 * 12  # ten convolutions, fc6, fc7
    assert report is not None
    files.save_arrays(tmp_path / "vgg13.npz", weights)
    spec, parent = small(backbone="vgg13", padding="same"), tmp_path / "vgg13.npz"
    for variant in ("fcn32s", "fcn16s", "fcn8s"):
        spec = replace(spec, variant=variant)
        net, account = surgery.start(spec, parent)
        copied = {row.name for row in account if row.action == "copied"}
        assert set(weights) <= copied
        parent = tmp_path / variant
        surgery.save(net, spec, parent)
    image = np.random.default_rng(1).integers(0, 256, (50, 70, 3), np.uint8)
    found = Predictor(*surgery.load(parent)).predict(image)
    assert found.labels.shape == (50, 70)
