"""`fcn sync` ends what was killed, before MLflow hears of it."""

from fcn.cli.app import main
from tasks.tracking import entries, ledger
from tasks.tracking.mark import Mark


def test_it_ends_a_killed_training(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for mark in ("params.yaml", "dvc.yaml"):
        (tmp_path / mark).touch()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://nowhere")
    opening = entries.Opening(id="a", experiment="e", name="n", time=1, key="k")
    told = ledger.Ledger.new(opening)
    Mark(store="nonsense://nowhere").save(told)
    told.add(entries.Begin(stage="train", time=2))
    assert main(["sync"]) == 1  # no MLflow there; the ledger is right all the same
    assert told.status() == "KILLED"
    assert [*told.entries()][-1].time == 2
