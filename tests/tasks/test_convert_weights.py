"""The task around the conversion: several sources, one report, and nothing on an error."""

import json
import logging

import numpy as np
import pytest
from weight_files import classifier, hwio, write_caffemodel, write_h5, write_mat, write_npy

from fcn.errors import UserError
from fcn.io import files
from fcn.weights import conversion
from tasks.convert import convert_weights
from tasks.tracking import steps


@pytest.fixture(autouse=True)
def log(monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    caplog.tables = {}
    monkeypatch.setattr(steps, "show", lambda key, text, table: caplog.tables.update({key: table}))
    return caplog


def run(tmp_path, *names):
    sources = [tmp_path / name for name in names]
    convert_weights(
        sources, "vgg16", tmp_path / "out" / "vgg.npz", tmp_path / "out" / "report.json"
    )
    return json.loads((tmp_path / "out" / "report.json").read_text())


def test_one_source(tmp_path, log):
    write_caffemodel(tmp_path / "vgg.caffemodel", classifier())
    report = run(tmp_path, "vgg.caffemodel")
    assert list(report) == ["backbone", "sources", "weights"]
    assert report["sources"] == [{
        "file": "vgg.caffemodel", "container": "Caffe .caffemodel",
        "sha256": files.digest(tmp_path / "vgg.caffemodel"),
        "input_order": "bgr", "input_order_by": "container", "published": None,
        "differing": [],
    }]  # fmt: skip
    assert len(report["weights"]) == 2 * 16
    assert files.load_arrays(tmp_path / "out" / "vgg.npz")["conv5_3/bias"].shape == (16,)
    assert list(log.tables) == ["conversion"]
    table = {(row["layer"], row["array"]): row for row in log.tables["conversion"]}
    assert len(table) == 32
    row = next(
        row for row in report["weights"] if (row["layer"], row["array"]) == ("conv5_3", "bias")
    )
    assert table["conv5_3", "bias"] == {
        "layer": "conv5_3", "array": "bias", "what": "copied", "source": "16", "result": "16",
        "mean": f"{row['mean']:.4f}", "std": f"{row['std']:.4f}",
    }  # fmt: skip
    text = log.text
    assert "vgg.caffemodel: Caffe .caffemodel, made for BGR images (going by its container)" in text
    assert "convolutionalised [5, 784] -> [7, 7, 16, 5], mean " in text


def test_what_a_training_needs_and_the_file_lacks_is_told_before_anything_is_written(tmp_path, log):
    write_h5(
        tmp_path / "notop.h5",
        {n: pair for n, pair in hwio(classifier()).items() if not n.startswith("fc")},
    )
    arguments = [tmp_path / "notop.h5"], "vgg16", tmp_path / "vgg.npz", tmp_path / "report.json"
    with pytest.raises(
        UserError,
        match=r"notop\.h5: .*convolutions alone, .* needs fc6 and fc7 .*`new_layers: \[fc6, fc7\]`",
    ):
        convert_weights(*arguments, [("fc6", "fc7"), ()])
    assert not (tmp_path / "vgg.npz").exists()
    convert_weights(*arguments, [("fc6", "fc7")])
    assert len(files.load_arrays(tmp_path / "vgg.npz")) == 26


@pytest.mark.parametrize("name", ["vgg.npz", "report.json"])
def test_a_folder_in_the_place_of_an_output_is_left_alone(tmp_path, name):
    (tmp_path / "out" / name).mkdir(parents=True)
    (tmp_path / "out" / name / "f").write_text("precious")
    with pytest.raises(
        UserError, match=f"{name}: expected a place to write a file to, but a folder is there"
    ):
        run(tmp_path, "no such file, which would be said later")
    assert [path.name for path in (tmp_path / "out").rglob("*")] == [name, "f"]


def test_several_sources_are_compared_with_the_first(tmp_path, log):
    layers = classifier()
    write_caffemodel(tmp_path / "a.caffemodel", layers)
    write_npy(tmp_path / "b.npy", hwio(layers))
    write_mat(tmp_path / "c.mat", hwio(layers))
    layers["conv2_1"][0][3, 1, 0, 2] += np.float32(0.25)
    layers["conv1_1"] = (layers["conv1_1"][0][:, ::-1], layers["conv1_1"][1])
    write_h5(tmp_path / "d.h5", hwio(layers))
    report = run(tmp_path, "a.caffemodel", "b.npy", "c.mat", "d.h5")
    assert [entry["input_order"] for entry in report["sources"]] == ["bgr", "bgr", "rgb", "bgr"]
    assert len(report["differences"]) == 3 * 2 * 15
    rows = [row for row in report["differences"] if row["largest"] > 0]
    assert [(row["source"], row["layer"], row["array"]) for row in rows] == [
        ("d.h5", "conv1_1", "kernel"), ("d.h5", "conv2_1", "kernel"),
    ]  # fmt: skip
    assert rows[0]["explained_by"] == "input channels flipped"
    assert rows[1]["largest"] == pytest.approx(0.25, rel=1e-5)
    assert rows[1]["explained_by"] is None
    expected, _ = conversion.convert(classifier(), "vgg16")
    written = files.load_arrays(tmp_path / "out" / "vgg.npz")
    assert {name: array.tobytes() for name, array in written.items()} == {
        n: a.tobytes() for n, a in expected.items()
    }
    warnings = [record.getMessage() for record in log.records if record.levelname == "WARNING"]
    assert len(warnings) == 2
    assert warnings[0].startswith("d.h5: conv1_1/kernel differs by at most")
    assert warnings[0].endswith("input channels flipped")
    assert warnings[1].endswith("other weights")


def test_the_same_sources_give_the_same_bytes(tmp_path):
    write_caffemodel(tmp_path / "a", classifier())
    write_npy(tmp_path / "b", hwio(classifier()))
    first = [run(tmp_path, "a", "b"), (tmp_path / "out" / "vgg.npz").read_bytes()]
    assert first == [run(tmp_path, "a", "b"), (tmp_path / "out" / "vgg.npz").read_bytes()]
    assert str(tmp_path) not in (tmp_path / "out" / "report.json").read_text()


def test_a_second_source_that_is_none_leaves_nothing_behind(tmp_path):
    write_caffemodel(tmp_path / "a", classifier())
    (tmp_path / "b.h5").write_text("<html>")
    with pytest.raises(UserError, match=r"b\.h5: wanted a classifier's weights .* an HTML page"):
        run(tmp_path, "a", "b.h5")
    assert not (tmp_path / "out").exists()
