import json
import logging

import pytest

from fcn.architecture import MEAN_BGR, ModelSpec
from fcn.records import SCHEMA
from tasks import train


@pytest.fixture
def data(tmp_path):
    """The index of records of ten images of 500 x 375 pixels."""
    info = {"images": 10, "pixels": {"background": 1_800_000, "cat": 0}, "void_pixels": 75_000}
    (tmp_path / "index.json").write_text(json.dumps({"schema": SCHEMA, "splits": {"train": info}}))
    return tmp_path


def warned(monkeypatch, caplog, data, device="CPU", width=1.0, padding="caffe", iterations=100_000):
    monkeypatch.setattr(train, "get_run_logger", lambda: logging.getLogger("test"))
    spec = ModelSpec("fcn32s", "vgg16", ("background", "cat"), width, 4096, padding, "fixed", 0.5, MEAN_BGR)
    train._warn_if_slow(device, spec, iterations, data)
    return caplog.text


def test_a_full_training_on_a_cpu_is_warned_of_with_its_time(monkeypatch, caplog, data):
    # 3 passes of 0.293 TFLOP at 0.3 TFLOP/s are 2.93 s an iteration: 100 000 of them take 3.39 days.
    assert "100000 iterations of this net take about 3.4 days" in warned(monkeypatch, caplog, data)


def test_less_work_is_reckoned_as_such(monkeypatch, caplog, data):
    # 3 x 0.162 / 4 TFLOP at half the width: 0.405 s each, 11.25 h.
    assert "take about 11.2 h" in warned(monkeypatch, caplog, data, width=0.5, padding="same")


@pytest.mark.parametrize("how", [{"device": "GPU: NVIDIA L4"}, {"width": 0.125, "padding": "same", "iterations": 4000}])
def test_there_is_no_warning_without_need(monkeypatch, caplog, data, how):
    assert warned(monkeypatch, caplog, data, **how) == ""


def test_the_end_of_a_training_removes_what_abandoned_ones_of_its_kind_left(monkeypatch, tmp_path):
    monkeypatch.setattr(train, "get_run_logger", lambda: logging.getLogger("test"))
    monkeypatch.setattr(train, "CHECKPOINTS", tmp_path)
    kept = ("sample-fcn8s_atonce", "sample-fcn16s", "voc2012-fcn8s", "my-sample-fcn8s", "sample-fcn8s-seed2")
    files = [f"{name}-0123456789abcdef.npz" for name in kept]
    gone = ["sample-fcn8s-00000000deadbeef.npz", "sample-fcn8s-11111111deadbeef.npz", ".part-sample-fcn8s-11111111deadbeef.npz"]
    for name in (*files, *gone):
        (tmp_path / name).write_text("")
    train._remove_checkpoints("sample-fcn8s")
    assert {path.name for path in tmp_path.iterdir()} == set(files)
    train._remove_checkpoints("sample-fcn8s-seed2")
    assert {path.name for path in tmp_path.iterdir()} == set(files[:-1])
