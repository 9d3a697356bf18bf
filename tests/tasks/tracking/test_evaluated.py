"""Tables of evaluated models, found by every way of naming them."""

import json

import numpy as np
import pytest

from fcn.errors import UserError
from fcn.evaluate import Evaluation
from tasks.tracking import evaluated, scoring

TABLE = "image,class,both,truth,prediction\na,sky,4,8,6\na,tree,0,2,4\nb,tree,5,5,5\n"
METRICS = {
    "pixel_accuracy": 0.6, "mean_accuracy": 0.5, "mean_iu": 0.408333, "frequency_weighted_iu": 0.4,
    "provenance": {"split": "val", "dataset": "bca80e889d74", "protocol": "fcn"},
}  # fmt: skip


@pytest.fixture
def workspace(tmp_path):
    folder = tmp_path / "clone"
    (folder / "plots" / "fcn8s").mkdir(parents=True)
    (folder / "plots" / "fcn8s" / "images.csv").write_text(TABLE)
    (folder / "metrics").mkdir()
    (folder / "metrics" / "fcn8s.json").write_text(json.dumps(METRICS))
    return folder


def test_a_table_is_read_to_counts(workspace):
    counts = Evaluation(None, workspace / "plots" / "fcn8s").counts
    assert (counts.images, counts.classes) == (("a", "b"), ("sky", "tree"))
    np.testing.assert_array_equal(counts.both, [[4, 0], [0, 5]])
    np.testing.assert_array_equal(counts.truth, [[8, 2], [0, 5]])
    np.testing.assert_array_equal(counts.prediction, [[6, 4], [0, 5]])
    assert counts.both.dtype == np.int64


def test_a_variant_of_the_workspace(workspace):
    found = evaluated.find("fcn8s", workspace)
    assert (found.name, found.where) == ("fcn8s", str(workspace / "plots" / "fcn8s"))
    assert (found.scores["mean_iu"], found.provenance) == (0.408333, METRICS["provenance"])


def test_a_folder_of_another_clone_finds_its_metrics(workspace, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = evaluated.find("clone/plots/fcn8s/")
    assert (found.name, found.where, found.scores["mean_iu"]) == (
        "fcn8s",
        "clone/plots/fcn8s",
        0.408333,
    )
    monkeypatch.chdir(workspace / "plots" / "fcn8s")
    assert evaluated.find(".").provenance["split"] == "val"


def test_a_folder_with_nothing_but_the_table(tmp_path):
    (tmp_path / "images.csv").write_text(TABLE)
    found = evaluated.find(str(tmp_path))
    assert (found.provenance, found.scores) == ({}, {})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "expected the columns image, class, both, truth, prediction; got an empty file"),
        ("class,iu\n", "got 'class, iu'; evaluate the model again"),
        ("image,class,both,truth,prediction\n", "expected a row per image and class, got none"),
        ("image,class,both,truth,prediction\na,sky,1,2\n", "prediction; got 'a,sky,1,2'"),
        ("image,class,both,truth,prediction\na,sky,1,2,x\n", "line 2: prediction: expected a valid "
                                                             "integer, got 'x'"),
        ("image,class,both,truth,prediction\na,sky,3,2,4\n", "line 2: expected 0 <= both <= truth "
                                                             "and prediction"),
        ("image,class,both,truth,prediction\na,sky,1,2,2\na,sky,1,2,2\n", "'a', 'sky' came before: "
                                                                          "expected each once"),
    ],
)  # fmt: skip
def test_a_table_that_is_none_is_refused(tmp_path, text, words):
    (tmp_path / "images.csv").write_text(text)
    with pytest.raises(UserError) as error:
        evaluated.find(str(tmp_path))
    assert f"{tmp_path / 'images.csv'}" in str(error.value)
    assert words in str(error.value)


HEADER = "image,class,both,truth,prediction\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HEADER.encode() + b"\xe9,sky,1,1,1\n", "expected a table in UTF-8, but: 'utf-8' codec "
                                                "can't decode byte 0xe9"),
        (HEADER.encode() + b'"' + b"a" * 200_000 + b'",sky,1,1,1\n', "expected a table in UTF-8, "
                                                                     "but: field larger than"),
        (HEADER.encode() + b"a,sky,1,1," + b"9" * 30 + b"\n", "line 2: prediction: expected less "
                                                              "than or equal to 68719476736"),
        (HEADER.encode() + b"a,sky,1,1," + b"9" * 5000 + b"\n", "line 2: prediction: expected "),
        (HEADER.encode() + b"a,s\x1bky,1,1,1\n",
        r"line 2: class: expected a name without control characters, got 's\x1bky'"),
        (HEADER.encode() + b"".join(b"%d,%d,1,1,1\n" % (n, n) for n in range(6000)),
         "expected at most 33554432 pairs"),
    ],
    ids=["latin-1", "long field", "large number", "larger number", "control", "many"],
)  # fmt: skip
def test_a_table_that_is_hostile_is_refused(tmp_path, text, words):
    (tmp_path / "images.csv").write_bytes(text)
    with pytest.raises(UserError) as error:
        evaluated.find(str(tmp_path))
    assert f"{tmp_path / 'images.csv'}" in str(error.value)
    assert words in str(error.value)
    assert len(str(error.value)) < 700


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "expected JSON, but: Expecting value: line 1 column 1 (char 0)"),
        ("[]", "expected keys with values, got []"),
        ("null", "expected keys with values, got None"),
        (json.dumps({**METRICS, "mean_iu": "x"}), "mean_iu: expected a valid number, got 'x'"),
        (
            json.dumps({**METRICS, "mean_iu": float("nan")}),
            "mean_iu: expected a finite number, got nan",
        ),
        (
            json.dumps({**METRICS, "provenance": None}),
            "provenance: expected keys with values, got None",
        ),
        (json.dumps({**METRICS, "more": 1}), "more: unknown key"),
        ('{"mean_iu": ' + "9" * 5000 + "}", "expected JSON, but: Exceeds the limit"),
        ("[" * 100_000, "expected JSON, but: maximum recursion depth exceeded"),
        (
            '{"mean_iu": 1, "mean_iu": 0}',
            "expected JSON, but: the key 'mean_iu' stands there twice",
        ),
    ],
)
def test_a_metrics_file_that_is_none_is_refused(workspace, text, words):
    (workspace / "metrics/fcn8s.json").write_text(text)
    with pytest.raises(UserError) as error:
        evaluated.find("fcn8s", workspace)
    assert str(error.value).startswith(f"{workspace / 'metrics/fcn8s.json'}: {words}")
    assert str(error.value).endswith("; run the stage `evaluate` again")


def test_a_run_that_is_nowhere_says_what_a_run_can_be(workspace):
    with pytest.raises(
        UserError,
        match=r"fcn99s: there is no .*images\.csv, no fcn99s/images\.csv\. Expected .* `dvc repro`",
    ):
        evaluated.find("fcn99s", workspace)


# ------------------------------------------------------------------------------------------- in
# MLflow


@pytest.fixture
def runs(client, workspace):
    """Two evaluated runs of one name, the second one newer, and a run that was never evaluated; by
    id.
    """
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
    assert (by_id.name, by_id.where, by_id.scores["mean_iu"]) == (
        "fcn8s",
        f"MLflow run {runs[0]}",
        0.408333,
    )
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
        (
            "mlflow:nothing",
            "mlflow:nothing: MLflow at mlflow.db has no such run, or does not answer",
        ),
        ("mlflow:fcn-sample/fcn99s", "has no run 'fcn99s' in an experiment 'fcn-sample'"),
        ("mlflow:elsewhere/fcn8s", "has no run 'fcn8s' in an experiment 'elsewhere'"),
        ("models:/fcn-sample@champion", "has no such run, or does not answer"),
        (
            "mlflow:fcn-sample/fcn32s",
            "the run has no artifact images.csv: expected one that was evaluated",
        ),
    ],
)
def test_a_run_that_mlflow_does_not_have(runs, run, words):
    with pytest.raises(UserError) as error:
        evaluated.find(run)
    assert words in str(error.value)
