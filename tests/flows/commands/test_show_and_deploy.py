"""`fcn show` as a table of scores, and what `fcn deploy` has Prefect do."""

import hashlib
import json
import subprocess
from types import SimpleNamespace

import pytest

from fcn.cli.app import main


@pytest.fixture
def here(tmp_path, monkeypatch):
    for mark in ("params.yaml", "dvc.yaml"):
        (tmp_path / mark).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_scores_worst_first_in_percent(here, capsys):
    assert main(["show"]) == 2
    assert capsys.readouterr().err == (
        "metrics: expected scores there, found none; `fcn repro` makes them\n"
    )
    (here / "metrics").mkdir()
    scores = {"pixel_accuracy": 0.9, "mean_accuracy": 0.5, "frequency_weighted_iu": 0.8}
    for name, mean_iu in (("fcn8s", 0.65129), ("fcn32s", 0.3)):
        known = {"split": "val", "dataset": "d1", "protocol": name}
        text = json.dumps({**scores, "mean_iu": mean_iu, "provenance": known})
        (here / "metrics" / f"{name}.json").write_text(text)
    assert main(["show", "scores"]) == 0
    said = capsys.readouterr().out
    rows = [
        [cell.strip() for cell in line.split("│")[1:-1]]
        for line in said.splitlines()
        if "│" in line
    ]
    assert rows == [
        ["fcn32s", "90.00", "50.00", "30.00", "80.00"], ["fcn8s", "90.00", "50.00", "65.13",
        "80.00"],
    ]  # fmt: skip
    assert "split val, dataset d1" in said
    assert "protocol" not in said, "in which they differ"

    (here / "plots/fcn8s").mkdir(parents=True)
    lines = [f"image{n},{name},{n},9,9" for n in range(9) for name in ("sky", "sea")]
    table = "\n".join(["image,class,both,truth,prediction", *lines, ""])
    (here / "plots/fcn8s/images.csv").write_text(table)
    assert main(["show", "scores"]) == 0
    first, second = [line for line in capsys.readouterr().out.splitlines() if "fcn" in line][-2:]
    # Of 9 images with 0 to 8 of 9 pixels right in each class.
    low, high = map(float, second.split("│")[-2].split(" to "))
    assert low < 100 * 36 / (81 + 81 - 36) < high, second
    assert not first.split("│")[-2].strip()


def test_scores_of_weights_that_were_replaced_are_named(here, capsys):
    scores = dict.fromkeys(
        ("pixel_accuracy", "mean_accuracy", "mean_iu", "frequency_weighted_iu"), 0.5
    )
    (here / "metrics").mkdir()
    for name, weights in (("fcn8s", b"new"), ("fcn16s", b"old")):
        (here / "models" / name).mkdir(parents=True)
        (here / "models" / name / "weights.npz").write_bytes(weights)
        known = {"model": hashlib.sha256(b"old").hexdigest()[:12]}
        text = json.dumps({**scores, "provenance": known})
        (here / "metrics" / f"{name}.json").write_text(text)
    assert main(["show", "scores"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert said.endswith("fcn8s: trained again since; `fcn repro` evaluates the new weights"), said
    (here / "models/fcn8s/weights.npz").write_bytes(b"old")
    assert main(["show", "scores"]) == 0
    assert "trained again" not in capsys.readouterr().out


@pytest.mark.parametrize("there", [False, True])
def test_deploying(here, there, monkeypatch, capsys):
    ran = []

    def run(command, **_):
        ran.append(command[3:])
        return SimpleNamespace(returncode=int(command[4] == "inspect" and not there))

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setenv("PREFECT_API_URL", "")
    assert main(["deploy"]) == 2
    assert "PREFECT_API_URL is not set" in capsys.readouterr().err
    from prefect.settings import temporary_settings

    with temporary_settings({"api.url": "http://127.0.0.1:9/api"}):
        assert main(["deploy", "--kind", "docker"]) == 0
    create = [
        "work-pool",
        "create",
        "fcn",
        "--type",
        "docker",
        "--base-job-template",
        "deploy/docker-pool.json",
    ]
    assert ran == [
        ["work-pool", "inspect", "fcn"], *([] if there else [create]),
        ["work-pool", "set-concurrency-limit", "fcn", "1"], ["--no-prompt", "deploy", "--all"],
    ]  # fmt: skip
