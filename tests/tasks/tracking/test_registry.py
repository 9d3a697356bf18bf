"""The registered models: a version per model, aliases that move, and a champion that only a better
score moves.
"""

import hashlib
import json
import logging
from pathlib import Path

import pytest

from tasks.tracking import forward, forwarder, ledger, registry, scoring
from tasks.tracking.registry import champion

SHA = {
    name: hashlib.sha256(name.encode()).hexdigest()
    for name in ("fcn32s", "fcn16s", "fcn8s", "fcn8s again")
}


@pytest.fixture
def enter(empty, saved, caplog):
    def enter(model, mean_iu, split="val", dataset="d1", profile="sample"):
        """Registers one scored model as the evaluation does; `model` is a variant and perhaps
        another training of it.
        """
        folder = empty / "models" / model
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "weights.npz").write_text(model)
        variant = model.split()[0]
        with scoring(f"fcn-{profile}", variant, SHA[model], params={}, tags={}) as run:
            registry.register(run, profile, variant, folder, mean_iu, split, dataset, SHA[model])
        said = [record.getMessage() for record in caplog.records if record.name == forward.__name__]
        return said[-1].removeprefix("MLflow: ") if said else None

    caplog.set_level(logging.INFO)
    return enter


def aliases(client, name="fcn-sample"):
    return {
        alias: int(version) for alias, version in client.get_registered_model(name).aliases.items()
    }


def tags(client, version):
    return dict(client.get_model_version("fcn-sample", str(version)).tags)


def test_three_variants_are_three_versions_and_the_best_is_champion(client, enter):
    assert enter("fcn32s", 0.41025) == (
        "fcn-sample, version 1; champion is now version 1 (fcn32s, mean IU 0.410250)"
    )
    enter("fcn8s", 0.66)
    assert enter("fcn16s", 0.5) == (
        "fcn-sample, version 3; champion stays version 2 (fcn8s, mean IU 0.660000)"
    )
    assert aliases(client) == {"fcn32s": 1, "fcn8s": 2, "fcn16s": 3, "champion": 2}
    assert int(tags(client, 1)["scored"]) > 0
    assert {name: text for name, text in tags(client, 1).items() if name != "scored"} == {
        "variant": "fcn32s", "mean_iu": "0.410250", "split": "val", "dataset": "d1",
        "model.sha256": SHA["fcn32s"],
    }  # fmt: skip


def test_a_version_is_the_pyfunc_and_the_run_of_the_model(client, enter, tmp_path):
    from mlflow.artifacts import download_artifacts

    enter("fcn8s", 0.66)
    version = client.get_model_version_by_alias("fcn-sample", "champion")
    run = client.get_run(version.run_id)
    assert run.data.tags["model.sha256"] == SHA["fcn8s"]
    (output,) = run.outputs.model_outputs
    assert version.source == f"models:/{output.model_id}"
    logged = client.get_logged_model(output.model_id)
    assert (logged.name, logged.status) == ("fcn8s", "READY")
    assert json.loads(logged.tags["mlflow.modelVersions"]) == [
        {"name": "fcn-sample", "version": "1"}
    ]
    (tmp_path / "got").mkdir()
    got = download_artifacts(
        "models:/fcn-sample@champion", dst_path=str(tmp_path / "got"),
        tracking_uri=f"sqlite:///{tmp_path}/mlflow.db",
        registry_uri=f"sqlite:///{tmp_path}/mlflow.db",
    )  # fmt: skip
    assert (Path(got) / "weights.npz").read_text() == "fcn8s"


def test_a_model_scored_again_stays_one_version_with_new_tags(client, enter, saved):
    enter("fcn8s", 0.66)
    enter("fcn8s", 0.61, dataset="d2")
    assert len(client.search_model_versions("name='fcn-sample'")) == len(saved) == 1
    assert (tags(client, 1)["mean_iu"], tags(client, 1)["dataset"]) == ("0.610000", "d2")


def test_a_variant_s_alias_moves_to_its_newest_version(client, enter):
    enter("fcn8s", 0.66)
    enter("fcn8s again", 0.6)
    assert aliases(client) == {"fcn8s": 2, "champion": 1}
    enter("fcn8s", 0.66)  # an old model, restored and scored again, is not the newest
    assert aliases(client) == {"fcn8s": 2, "champion": 1}


def test_profiles_have_models_of_their_own(client, enter):
    enter("fcn8s", 0.66)
    enter("fcn32s", 0.1, profile="mine")
    assert aliases(client, "fcn-mine") == {"fcn32s": 1, "champion": 1}
    assert aliases(client)["champion"] == 1
    assert len(client.search_model_versions("name='fcn-sample'")) == 1


def test_the_champion_is_the_best_of_those_scored_on_the_present_data(client, enter):
    enter("fcn32s", 0.4)
    enter("fcn8s", 0.9)
    said = enter("fcn16s", 0.5, dataset="d2")
    assert aliases(client)["champion"] == 3
    assert said.endswith(
        "champion is now version 3 (fcn16s, mean IU 0.500000), the best on the present data; "
        "version 2 was scored on val of data set d1"
    )
    enter("fcn32s", 0.3, dataset="d2")
    assert aliases(client)["champion"] == 3
    enter("fcn32s", 0.6, dataset="d2")
    assert aliases(client)["champion"] == 1
    enter("fcn8s", 0.9)  # the old data are there again
    assert aliases(client)["champion"] == 2


def test_a_score_of_former_data_that_comes_late_moves_no_champion(client, enter, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(forwarder, "wake", lambda: None)
        assert enter("fcn8s", 0.9) is None
        enter("fcn16s", 0.5, dataset="d2")
    first, second = ledger.ledgers()
    forward.forward(second)
    assert aliases(client)["champion"] == 1
    forward.forward(first)
    assert aliases(client) == {"champion": 1, "fcn16s": 1, "fcn8s": 2}
    assert tags(client, 1)["variant"] == "fcn16s"


def scored(*rows):
    return {
        number: {
            "mean_iu": str(mean_iu),
            "split": split,
            "dataset": dataset,
            "scored": str(*time or (0,)),
        }
        for number, (mean_iu, split, dataset, *time) in enumerate(rows, 1)
    }


@pytest.mark.parametrize(
    ("rows", "scored_now", "before", "after"),
    [
        ([(0.5, "val", "d")], 1, None, 1),
        ([(0.5, "val", "d"), (0.6, "val", "d")], 2, 1, 2),
        ([(0.5, "val", "d"), (0.5, "val", "d")], 2, 1, 1),  # not strictly better
        ([(0.5, "val", "d"), (0.4, "val", "d")], 2, 1, 1),
        ([(0.5, "val", "d"), (0.4, "test", "d")], 2, 1, 2),  # another split
        ([(0.5, "val", "d"), (0.4, "val", "e")], 2, 1, 2),  # other data
        ([(0.5, "val", "d", 2), (0.9, "val", "e", 1)], 2, 1, 1),  # data of before, told late
        ([(0.5, "val", "d", 2), (0.9, "val", "d", 1)], 2, 1, 2),  # a score of before, told late
        ([(0.5, "val", "d", 1), (0.4, "val", "e", 1)], 2, 1, 2),  # the clock was set back
        ([(0.5, "val", "d"), (0.9, "val", "d")], 1, 7, 2),  # version 7 was deleted
        ([(0.5, "val", "d"), (0.9, "val", "d"), (0.7, "val", "d")], 2, 2, 2),
        # the champion itself fell
        ([(0.5, "val", "d"), (0.3, "val", "d"), (0.4, "val", "d")], 2, 2, 1),
        ([(0.9, "val", "d"), (0.0999, "val", "d")], 2, 1, 1),  # numbers, not texts
    ],
)
def test_champion(rows, scored_now, before, after):
    assert champion(scored(*rows), scored_now, before) == after


@pytest.mark.parametrize(
    "method", ["create_registered_model", "create_logged_model", "create_model_version"]
)
def test_a_registry_that_fails_stops_no_scoring(client, enter, monkeypatch, caplog, method):
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    def broken(*_, **__):
        raise MlflowException("no registry here")

    monkeypatch.setattr(MlflowClient, method, broken)
    assert enter("fcn8s", 0.66) is None
    (warning,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert "MlflowException: no registry here. All goes on without it" in warning.getMessage()
    assert client.search_model_versions("name='fcn-sample'") == []


def test_without_a_store_nothing_is_saved(enter, saved, monkeypatch, caplog):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://nowhere")
    assert enter("fcn8s", 0.66) is None
    assert saved == []
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 1
