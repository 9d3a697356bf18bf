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
