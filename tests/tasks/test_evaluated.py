"""Tables of evaluated models, found by every way of naming them."""

import json

import numpy as np
import pytest

from fcn.errors import UserError
from tasks import evaluated
from tasks.tracking import scoring

# SQLAlchemy 2.1 deprecates what MLflow 3.17's tables are declared with.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning")

TABLE = "image,class,both,truth,prediction\na,sky,4,8,6\na,tree,0,2,4\nb,tree,5,5,5\n"
METRICS = {"mean_iu": 0.408333, "provenance": {"split": "val", "dataset": "bca80e889d74", "protocol": "fcn"}}


@pytest.fixture
def workspace(tmp_path):
    folder = tmp_path / "clone"
    (folder / "plots" / "fcn8s").mkdir(parents=True)
    (folder / "plots" / "fcn8s" / "images.csv").write_text(TABLE)
    (folder / "metrics").mkdir()
    (folder / "metrics" / "fcn8s.json").write_text(json.dumps(METRICS))
    return folder


def test_a_table_is_read_to_counts(workspace):
    counts = evaluated.read_counts(workspace / "plots" / "fcn8s" / "images.csv")
    assert (counts.images, counts.classes) == (("a", "b"), ("sky", "tree"))
    np.testing.assert_array_equal(counts.both, [[4, 0], [0, 5]])
    np.testing.assert_array_equal(counts.truth, [[8, 2], [0, 5]])
    np.testing.assert_array_equal(counts.prediction, [[6, 4], [0, 5]])
    assert counts.both.dtype == np.int64


def test_a_variant_of_the_workspace(workspace):
    found = evaluated.find("fcn8s", workspace)
    assert (found.name, found.where) == ("fcn8s", str(workspace / "plots" / "fcn8s"))
    assert (found.mean_iu, found.provenance) == (0.408333, METRICS["provenance"])


def test_a_folder_of_another_clone_finds_its_metrics(workspace, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = evaluated.find("clone/plots/fcn8s/")
    assert (found.name, found.where, found.mean_iu) == ("fcn8s", "clone/plots/fcn8s", 0.408333)
    monkeypatch.chdir(workspace / "plots" / "fcn8s")
    assert evaluated.find(".").provenance["split"] == "val"


def test_a_folder_with_nothing_but_the_table(tmp_path):
    (tmp_path / "images.csv").write_text(TABLE)
    found = evaluated.find(str(tmp_path))
    assert (found.provenance, found.mean_iu) == ({}, None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "expected the columns image, class, both, truth, prediction; got an empty file"),
        ("class,iu\n", "got class, iu"),
        ("image,class,both,truth,prediction\n", "expected a row per image and class, got none"),
        ("image,class,both,truth,prediction\na,sky,1,2\n", "line 2: expected image, class, both, truth, prediction; got a"),
        ("image,class,both,truth,prediction\na,sky,1,2,x\n", "line 2: expected"),
        ("image,class,both,truth,prediction\na,sky,3,2,4\n", "line 2: expected 0 <= both <= truth and prediction"),
        ("image,class,both,truth,prediction\na,sky,1,2,2\na,sky,1,2,2\n", "line 3: a, sky came before"),
    ],
)  # fmt: skip
def test_a_table_that_is_none_is_refused(tmp_path, text, words):
    (tmp_path / "images.csv").write_text(text)
    with pytest.raises(UserError) as error:
        evaluated.find(str(tmp_path))
    assert f"{tmp_path / 'images.csv'}" in str(error.value)
    assert words in str(error.value)


def test_a_run_that_is_nowhere_says_what_a_run_can_be(workspace):
    with pytest.raises(UserError, match=r"fcn99s: there is no .*images\.csv, no fcn99s/images\.csv\. Expected .* `dvc repro`"):
        evaluated.find("fcn99s", workspace)


# ------------------------------------------------------------------------------------------- in MLflow


@pytest.fixture
def runs(client, workspace):
    """Two evaluated runs of one name, the second one newer, and a run that was never evaluated; by id."""
    ids = []
    for sha in ("1" * 64, "2" * 64):
        with scoring("fcn-sample", "fcn8s", sha, params={}, tags={}) as run:
            run.artifact(workspace / "plots" / "fcn8s" / "images.csv")
            run.artifact(workspace / "metrics" / "fcn8s.json")
            ids.append(run.id)
    with scoring("fcn-sample", "fcn32s", "3" * 64, params={}, tags={}) as run:
        ids.append(run.id)
    return ids


def test_a_run_by_id_by_name_and_by_its_registered_version(client, runs):
    by_id = evaluated.find(f"mlflow:{runs[0]}")
    assert (by_id.name, by_id.where, by_id.mean_iu) == ("fcn8s", f"MLflow run {runs[0]}", 0.408333)
    assert by_id.provenance == METRICS["provenance"]
    np.testing.assert_array_equal(by_id.counts.truth, [[8, 2], [0, 5]])
    assert evaluated.find("mlflow:fcn-sample/fcn8s").where == f"MLflow run {runs[1]}"
    client.create_registered_model("fcn-sample")
    client.create_model_version("fcn-sample", "somewhere", runs[0])
    client.set_registered_model_alias("fcn-sample", "champion", "1")
    assert evaluated.find("models:/fcn-sample@champion").where == f"MLflow run {runs[0]}"
    assert evaluated.find("models:/fcn-sample/1").where == f"MLflow run {runs[0]}"


@pytest.mark.parametrize(
    ("run", "words"),
    [
        ("mlflow:nothing", "mlflow:nothing: MLflow at mlflow.db has no such run, or does not answer"),
        ("mlflow:fcn-sample/fcn99s", "has no run 'fcn99s' in an experiment 'fcn-sample'"),
        ("mlflow:elsewhere/fcn8s", "has no run 'fcn8s' in an experiment 'elsewhere'"),
        ("models:/fcn-sample@champion", "has no such run, or does not answer"),
        ("mlflow:fcn-sample/fcn32s", "the run has no artifact images.csv: expected one that was evaluated"),
    ],
)
def test_a_run_that_mlflow_does_not_have(runs, run, words):
    with pytest.raises(UserError) as error:
        evaluated.find(run)
    assert words in str(error.value)
