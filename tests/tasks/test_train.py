import dataclasses
import json
import logging
import types

import keras
import numpy as np
import pytest

from fcn import distribution
from fcn.architecture import MEAN_BGR, ModelSpec
from fcn.errors import UserError
from fcn.params import Model
from fcn.recipe import TrainSpec
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
    gone = [
        "sample-fcn8s-00000000deadbeef.npz",
        "sample-fcn8s-11111111deadbeef.npz",
        ".fcn-part-sample-fcn8s-11111111deadbeef.npz",
    ]
    for name in (*files, *gone):
        (tmp_path / name).write_text("")
    train._remove_checkpoints("sample-fcn8s")
    assert {path.name for path in tmp_path.iterdir()} == set(files)
    train._remove_checkpoints("sample-fcn8s-seed2")
    assert {path.name for path in tmp_path.iterdir()} == set(files[:-1])


RECIPE = TrainSpec("sgd", 1e-2, 0.9, 5e-4, 2.0, "mean", 4, 2, 4, 3)
MODEL = ModelSpec("fcn32s", "vgg16", ("background", "cat"), 1 / 32, 8, "same", "fixed", 0.0, MEAN_BGR)


def test_what_looks_wrong_is_told_to_the_log_to_prefect_to_mlflow_and_to_the_entry(monkeypatch, caplog, tmp_path):
    artifacts, tags, notes = [], {}, []
    monkeypatch.setattr(train, "create_markdown_artifact", lambda text, key, description: artifacts.append((key, text)))
    run = types.SimpleNamespace(tags=tags.update)
    entry = types.SimpleNamespace(note=lambda *finding: notes.append(finding))
    told = train._Told("fcn32s", MODEL, RECIPE, tmp_path, tmp_path, run, entry, logging.getLogger("test"))
    told.note("all_background", "Only background: a lower rate.")
    assert caplog.messages == ["fcn32s: Only background: a lower rate."]
    assert caplog.records[0].levelname == "WARNING"
    assert artifacts == [("health-all-background", "Only background: a lower rate.")]
    assert tags == {"health.all_background": "Only background: a lower rate."}
    assert notes == [("all_background", "Only background: a lower rate.")]


@pytest.fixture
def second(monkeypatch, tmp_path):
    """Runs the second of two processes that train together, the first one having a key of its own; what it computed."""

    def run(first_key):
        computed = []
        heard = np.frombuffer(first_key.encode(), np.uint8)
        share = types.SimpleNamespace(process=1, processes=2, first=False, from_first=lambda make: heard)
        monkeypatch.setattr(train, "get_run_logger", lambda: logging.getLogger("test"))
        monkeypatch.setattr(distribution, "join", lambda environment: share)
        monkeypatch.setattr(train.records, "read_index", lambda data: {"classes": MODEL.classes})
        monkeypatch.setattr(train.fit, "fingerprint", lambda *_: "0123456789abcdef")
        monkeypatch.setattr(train.fit, "run", lambda *arguments: computed.append(arguments))
        for name in ("create_link_artifact", "create_markdown_artifact", "create_image_artifact"):
            monkeypatch.setattr(train, name, lambda *_, **__: pytest.fail("an artifact"))
        monkeypatch.setattr(train.tracking, "training", lambda *_, **__: pytest.fail("a run"))
        monkeypatch.setattr(train.durations, "recording", lambda *_, **__: pytest.fail("an entry"))
        fields = {key: value for key, value in dataclasses.asdict(MODEL).items() if key not in ("variant", "classes")}
        profile = types.SimpleNamespace(model=Model(**fields), train={"fcn32s": RECIPE})
        train.train.fn("sample", profile, "fcn32s", tmp_path, tmp_path, tmp_path, tmp_path / "out")
        return computed

    return run


def test_the_second_process_computes_and_tells_nobody(second):
    ((spec, recipe, *_),) = second("0123456789abcdef")
    assert (spec, recipe) == (MODEL, RECIPE)


def test_processes_that_would_train_other_things_are_refused(second):
    with pytest.raises(UserError, match="process 1 of 2 has other parameters, records, weights or code than the first one"):
        second("fedcba9876543210")


@pytest.mark.parametrize("deterministic", [True, False])
def test_jax_is_told_of_determinism_before_it_starts(deterministic, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    monkeypatch.setenv("XLA_FLAGS", "--of_the_user=1")
    monkeypatch.setattr(train, "get_run_logger", lambda: logging.getLogger("test"))
    flags = []

    def join(environment):
        flags.append(environment["XLA_FLAGS"])
        raise UserError("enough")

    monkeypatch.setattr(distribution, "join", join)
    profile = types.SimpleNamespace(train={"fcn32s": dataclasses.replace(RECIPE, deterministic=deterministic)})
    with pytest.raises(UserError, match="enough"):
        train.train.fn("sample", profile, "fcn32s", None, None, None, None)
    assert flags == ["--of_the_user=1" + " --xla_gpu_deterministic_ops=true" * deterministic]
