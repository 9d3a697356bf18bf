import dataclasses
import logging
import types

import keras
import numpy as np
import pytest

from fcn.errors import UserError
from fcn.hardware import distribution
from fcn.input import records
from fcn.spec import MEAN_BGR, ModelSpec
from fcn.spec.recipe import TrainSpec
from fcn.train import fit
from tasks import tracking, train
from tasks.settings.params import Model
from tasks.tracking import RunSpec, console, kept, steps


@pytest.fixture
def data(tmp_path, monkeypatch):
    """The folder of records of ten images of 500 x 375 pixels."""
    info = {"images": 10, "pixels": {"background": 1_800_000, "cat": 0}, "void_pixels": 75_000}
    monkeypatch.setattr(
        records,
        "split_info",
        lambda folder, split: {tmp_path: {"train": info}}[folder][split],
    )
    return tmp_path


def warned(monkeypatch, caplog, data, device="CPU", width=1.0, padding="caffe", iterations=100_000):
    spec = ModelSpec(
        "fcn32s", "vgg16", ("background", "cat"), width, 4096, padding, "fixed", 0.5, MEAN_BGR
    )
    train._warn_if_slow(device, spec, iterations, data)
    return caplog.text


def test_a_full_training_on_a_cpu_is_warned_of_with_its_time(monkeypatch, caplog, data):
    # 3 passes of 0.293 TFLOP at 0.3 TFLOP/s are 2.93 s an iteration: 100 000 of them take 3.39
    # days.
    assert "100000 iterations of this net take about 3.4 days" in warned(monkeypatch, caplog, data)


def test_less_work_is_reckoned_as_such(monkeypatch, caplog, data):
    # 3 x 0.162 / 4 TFLOP at half the width: 0.405 s each, 11.25 h.
    assert "take about 11.2 h" in warned(monkeypatch, caplog, data, width=0.5, padding="same")


@pytest.mark.parametrize(
    "how", [{"device": "GPU: NVIDIA L4"}, {"width": 0.125, "padding": "same", "iterations": 4000}]
)
def test_there_is_no_warning_without_need(monkeypatch, caplog, data, how):
    assert warned(monkeypatch, caplog, data, **how) == ""


def test_the_end_of_a_training_removes_what_abandoned_ones_of_its_kind_left(monkeypatch, tmp_path):
    monkeypatch.setattr(kept, "CHECKPOINTS", tmp_path)
    names = (
        "sample-fcn8s_atonce",
        "sample-fcn16s",
        "voc2012-fcn8s",
        "my-sample-fcn8s",
        "sample-fcn8s-seed2",
    )
    files = [f"{name}-0123456789abcdef.npz" for name in names]
    gone = [
        "sample-fcn8s-00000000deadbeef.npz",
        "sample-fcn8s-00000000deadbeef.json",
        "sample-fcn8s-11111111deadbeef.npz",
        ".fcn-part-sample-fcn8s-11111111deadbeef.npz",
    ]
    for name in (*files, *gone):
        (tmp_path / name).write_text("")
    made = tmp_path / "sample-fcn8s-0123456789abcdef"
    for folder in (
        made,
        tmp_path / "sample-fcn8s-22222222deadbeef",
        tmp_path / "sample-fcn16s-22222222deadbeef",
    ):
        folder.mkdir()
    files += [made.name, "sample-fcn16s-22222222deadbeef"]
    kept.remove_others("sample-fcn8s", made)
    assert {path.name for path in tmp_path.iterdir()} == set(files)
    kept.remove_others("sample-fcn8s-seed2", made)
    assert {path.name for path in tmp_path.iterdir()} == {*files} - {
        "sample-fcn8s-seed2-0123456789abcdef.npz"
    }


RECIPE = TrainSpec("sgd", 1e-2, 0.9, 5e-4, 2.0, "mean", 4, 2, 4, 3)
MODEL = ModelSpec(
    "fcn32s", "vgg16", ("background", "cat"), 1 / 32, 8, "same", "fixed", 0.0, MEAN_BGR
)


def test_what_looks_wrong_is_told_to_the_log_to_prefect_and_to_the_ledger(
    monkeypatch, caplog, tmp_path
):
    artifacts = []
    tags: dict[str, str] = {}
    facts: dict[str, dict[str, str]] = {}
    monkeypatch.setattr(
        steps, "show", lambda key, text, markdown: artifacts.append((key, markdown))
    )
    run = types.SimpleNamespace(
        tags=tags.update, facts=lambda name, values: facts.update({name: dict(values)})
    )
    told = train._Told(MODEL, RECIPE, tmp_path, tmp_path, run, {}, logging.getLogger("test"))
    told.note("all_background", "Only background: a lower rate.")
    assert caplog.messages == ["fcn32s: Only background: a lower rate."]
    assert caplog.records[0].levelname == "WARNING"
    assert artifacts == [("health-all-background", "Only background: a lower rate.")]
    assert tags == {"health": "all_background"}
    assert facts == {"health": {"all_background": "Only background: a lower rate."}}


def test_a_resumed_training_says_from_which_step_and_what_was_wrong_before(monkeypatch, tmp_path):
    said: list[object] = []
    facts = {"labels": "look"}
    monkeypatch.setattr(steps, "remark", said.append)
    monkeypatch.setattr(steps, "show", lambda *_, **__: None)
    run = types.SimpleNamespace(
        id=None,
        metrics=lambda values, step: None,
        said=lambda name: dict(facts),
        facts=lambda name, values: facts.update(values),
        tags=lambda values: said.append(values),
    )
    resumed: dict[str, str] = {}
    given = (MODEL, RECIPE, tmp_path, tmp_path, run, resumed, logging.getLogger("test"))
    told = train._Told(*given, resumed=True)
    told.report(800 + RECIPE.log_every, {"loss": 0.5})
    told.report(800 + 2 * RECIPE.log_every, {"loss": 0.4})
    assert said == ["resumed at step 800"]
    told.note("labels", "look again")
    told.note("resolution", "coarse")
    assert facts == {"labels": "look", "resolution": "coarse"}
    assert said[-1] == {"health": "labels, resolution"}
    assert train._Told(*given).notes == {}


def test_a_training_ends_with_the_score_of_its_last_validation(monkeypatch, tmp_path):
    sent = []
    monkeypatch.setattr(console, "send", lambda **values: sent.append(values))
    monkeypatch.setattr(steps, "show", lambda *_, **__: None)
    run = types.SimpleNamespace(id=None, metrics=lambda values, step: None)
    log = logging.getLogger("test")
    told = train._Told(MODEL, RECIPE, tmp_path, tmp_path, run, {}, log)
    scores = {"val_mean_iu": 0.25}
    told.report(2, {"loss": 0.5})
    told.report(2, scores)
    told.report(4, {"loss": 0.375})
    told.report(4, scores | {"val_mean_iu": 0.75})
    assert [(each["done"], each["note"]) for each in sent][-2:] == [
        (4, "loss 0.375, mean IU 0.2500"),
        (4, "loss 0.375, mean IU 0.7500"),
    ]


def test_the_page_of_a_run_is_shown_once_as_soon_as_there_is_one(monkeypatch, tmp_path, caplog):
    shown = []
    monkeypatch.setattr(steps, "show", lambda key, text, link: shown.append((key, link)))
    caplog.set_level(logging.INFO)
    run = types.SimpleNamespace(id=None, url="http://here/run", models_url="http://here/all")
    log = logging.getLogger("test")
    told = train._Told(MODEL, RECIPE, tmp_path, tmp_path, run, {}, log)
    told.link()
    assert shown == []
    run.id = "abc"
    told.link()
    told.link()
    assert shown == [("mlflow", "http://here/run")]
    assert caplog.messages == ["MLflow: http://here/all"]


@pytest.fixture
def trained(monkeypatch, tmp_path):
    """Runs one of two processes that train together, and gives what it computed; `first_key` is
    that of the first one.
    """
    key = "0123456789abcdef"

    def run(first_key=key, first=False):
        computed = []

        def from_first(make):
            heard = make()
            return (
                np.frombuffer(first_key.encode(), np.uint8)
                if isinstance(heard, np.ndarray)
                else np.asarray(heard)
            )

        share = types.SimpleNamespace(
            process=int(not first), processes=2, first=first, from_first=from_first
        )
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(distribution, "join", lambda environment: share)
        monkeypatch.setattr(records, "read_index", lambda data: {"classes": MODEL.classes})
        monkeypatch.setattr(
            fit,
            "facts",
            lambda *_: {"train.schedule": "fixed", "train.keep": "last", "train.patience": 0},
        )
        monkeypatch.setattr(fit, "fingerprint", lambda _: key)
        monkeypatch.setattr(fit, "run", lambda *arguments: computed.append(arguments))
        monkeypatch.setattr(steps, "show", lambda *_, **__: pytest.fail("an artifact"))
        monkeypatch.setattr(tracking, "training", lambda *_, **__: pytest.fail("a run"))
        fields = {
            key: value
            for key, value in dataclasses.asdict(MODEL).items()
            if key not in ("variant", "classes")
        }
        settings = types.SimpleNamespace(
            profile="sample", model=Model(**fields), train={"fcn32s": RECIPE}
        )
        wanted = RunSpec(settings, "fcn32s")
        train.train(wanted, tmp_path, tmp_path, tmp_path, tmp_path / "out")
        return computed

    return run


def test_the_second_process_computes_and_tells_nobody(trained):
    ((spec, recipe, *_),) = trained()
    assert (spec, recipe) == (MODEL, RECIPE)


def test_processes_that_would_train_other_things_are_refused(trained):
    with pytest.raises(
        UserError,
        match="process 1 of 2 has other parameters, records, weights or code than the first one",
    ):
        trained("fedcba9876543210")


@pytest.mark.parametrize("first", [True, False])
def test_a_model_that_dvc_could_not_keep_is_not_trained_again(trained, tmp_path, caplog, first):
    made = tmp_path / ".cache/checkpoints/sample-fcn32s-0123456789abcdef"
    made.mkdir(parents=True)
    (made / "weights.npz").write_text("a day's work")
    with caplog.at_level(logging.INFO):
        assert trained(first=first) == []
    assert (
        (tmp_path / "out/weights.npz").is_file()
        == first
        == ("fcn32s is trained already" in caplog.text)
    )
    assert made.is_dir(), "until DVC has it"
    if first:
        assert (tmp_path / "out/weights.npz").samefile(made / "weights.npz")


@pytest.mark.parametrize("deterministic", [True, False])
def test_jax_is_told_of_determinism_before_it_starts(deterministic, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    monkeypatch.setenv("XLA_FLAGS", "--of_the_user=1")
    flags = []

    def join(environment):
        flags.append(environment["XLA_FLAGS"])
        raise UserError("enough")

    monkeypatch.setattr(distribution, "join", join)
    settings = types.SimpleNamespace(
        train={"fcn32s": dataclasses.replace(RECIPE, deterministic=deterministic)}
    )
    with pytest.raises(UserError, match="enough"):
        train.train(RunSpec(settings, "fcn32s"), None, None, None, None)
    assert flags == ["--of_the_user=1" + " --xla_gpu_deterministic_ops=true" * deterministic]
