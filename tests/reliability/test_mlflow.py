"""MLflow down, killed, failing, slow: what a stage has to say is there when MLflow is, once and in
order.
"""

import fcntl
import hashlib
import logging
import os
import shutil
import signal
import subprocess
import sys
import types
from pathlib import Path

import pytest
from tracked import at_once

import tasks.tracking
from fcn.cli.app import main
from tasks import tracking
from tasks.tracking import entries, forward, ledger, registry
from tasks.tracking.mark import Mark
from tasks.tracking.tell import tell

ROOT = Path(__file__).parents[2]
SHA = hashlib.sha256(b"weights").hexdigest()
NOTHING: dict[str, dict[str, str]] = {"params": {}, "tags": {}}
UNIQUE = ("ledger", "mlflow.user", "mlflow.runName")


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    """A stand-in for `tasks.tracking.pyfunc`, whose own tests are elsewhere; and all is forwarded
    at once.
    """
    at_once(monkeypatch, every=-1.0)

    def save(model_dir, out):
        out.mkdir()
        (out / "MLmodel").write_text("flavors: {python_function: {loader_module: none}}\n")
        shutil.copy(model_dir / "weights.npz", out)

    stand_in = types.SimpleNamespace(save=save)
    monkeypatch.setitem(sys.modules, "tasks.tracking.pyfunc", stand_in)
    monkeypatch.setattr(tasks.tracking, "pyfunc", stand_in, raising=False)


def runs_of(client, experiment):
    found = client.get_experiment_by_name(experiment)
    return (
        client.search_runs([found.experiment_id], order_by=["attributes.start_time"])
        if found
        else []
    )


def points(client, run, name="loss"):
    return [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, name)]


def train(experiment, steps=range(3), key="k1", between=lambda step: None, **given):
    """A training that says all that a training can say."""
    Path("plots").mkdir(exist_ok=True)
    Path("plots/iu.csv").write_text("class,iu\ncat,0.5\n")
    Path("metrics.json").write_text('{"mean_iu": 0.5}')
    given = {"params": {"lr": 1e-10, "train": {"steps": 3}}, "tags": {"pipeline": "p1"}, **given}
    with tracking.training(experiment, "fcn8s", key, **given) as run:
        for step in steps:
            run.metrics({"loss": 8 / 2**step, "val/mean_iu": 0.25}, step)
            between(step)
        run.artifact(Path("metrics.json"))
        run.artifact(Path("plots"), "pictures")
        run.dataset("sample/train", SHA, "training")
        run.tags({tracking.MODEL: SHA})
    Path("metrics.json").unlink()  # as charts, which are there for as long as they are needed
    shutil.rmtree("plots")
    return run


def score(experiment, value=0.5, profile="sample"):
    Path("model").mkdir(exist_ok=True)
    Path("model/weights.npz").write_text("weights")
    with tracking.scoring(
        experiment, "fcn8s", SHA, params={"lr": 2}, tags={"pipeline": "p2"}
    ) as run:
        run.metrics({"mean_iu": value})
        registry.register(run, profile, "fcn8s", Path("model"), value, "val", "d1", SHA)
    shutil.rmtree("model")


def told(client, run):
    """All that MLflow knows of a run, but for ids and times."""
    return {
        "name": run.info.run_name.rpartition(" · ")[0], "status": run.info.status,
        "params": run.data.params, "metrics": run.data.metrics,
        "curves": {name: points(client, run, name) for name in sorted(run.data.metrics)},
        "tags": {name: text for name, text in run.data.tags.items() if name not in UNIQUE},
        "data": [(used.dataset.name, used.dataset.digest,
        used.tags[0].value) for used in run.inputs.dataset_inputs],
        "files": sorted(file.path for folder in (None,
        "pictures") for file in client.list_artifacts(run.info.run_id, folder)),
    }  # fmt: skip


def left():
    """Ledgers of which MLflow lacks something, and what is kept for them."""
    found = [each.path.name for each in ledger.ledgers() if Mark.of(each).waits(each)]
    return sorted(found + [path.parent.name for path in ledger.FOLDER.glob("*/*/*")])


def test_down_from_the_start_everything_comes_later_as_if_it_had_been_up(
    server, client, experiment, caplog, capsys
):
    train(f"{experiment}-up")
    caplog.set_level(logging.INFO)
    score(f"{experiment}-up", profile="up")
    assert "MLflow: fcn-up, version 1; champion is now version 1" in caplog.text
    server.stop()
    run = train(experiment)
    assert run.id is None
    score(experiment, profile="down")
    warnings = [
        record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING
    ]
    assert len(warnings) == 1, "of one forwarder"
    assert "wait in .cache/ledger for the next run or `fcn sync`" in warnings[0]
    assert main(["sync"]) == 1
    assert "The records wait in .cache/ledger." in capsys.readouterr().err

    server.start()
    assert runs_of(client, experiment) == []
    assert main(["sync"]) == 0
    assert "has now the records of 1 earlier runs, too" in capsys.readouterr().out
    assert left() == []
    (up,), (down,) = runs_of(client, f"{experiment}-up"), runs_of(client, experiment)
    assert told(client, down) == told(client, up)
    assert points(client, down) == [(0, 8.0), (1, 4.0), (2, 2.0)]
    assert down.data.params["lr"] == "1e-10", "the training's, not the scoring's"
    assert down.info.end_time - down.info.start_time < 60_000, "when it was, not when it was told"
    assert dict(client.get_registered_model("fcn-down").aliases) == {"champion": "1", "fcn8s": "1"}
    assert (main(["sync"]), capsys.readouterr().out) == (
        0,
        f"MLflow at {server.url} has all that stands in .cache/ledger.\n",
    )


@pytest.mark.parametrize("how", ["killed", "fails"])
def test_lost_in_mid_run_the_next_run_delivers_what_is_missing(
    server, client, experiment, how, caplog
):
    def lose(step):
        if step == 1:
            server.stop() if how == "killed" else setattr(server, "mood", "fails")

    run = train(experiment, range(4), between=lose)
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 1
    server.start() if how == "killed" else setattr(server, "mood", "well")
    (stored,) = runs_of(client, experiment)
    assert stored.info.status == "RUNNING"
    assert points(client, stored) == [(0, 8.0), (1, 4.0)]

    score(experiment)
    (stored,) = runs_of(client, experiment)
    assert (stored.info.run_id, stored.info.status) == (run.id, "FINISHED")
    assert points(client, stored) == [(0, 8.0), (1, 4.0), (2, 2.0), (3, 1.0)]
    assert told(client, stored)["files"] == ["metrics.json", "pictures", "pictures/iu.csv"]
    assert stored.data.metrics["mean_iu"] == 0.5
    assert left() == []


def test_back_in_mid_run_the_run_itself_delivers_and_goes_on(
    server, client, experiment, monkeypatch, caplog
):
    seen = []

    def lose(step):
        {0: server.stop, 2: server.start}.get(step, lambda: None)()
        if step == 3:
            seen.append(points(client, runs_of(client, experiment)[0]))
            assert left() == []

    told_by = train(experiment, range(4), between=lose)
    assert seen == [[(0, 8.0), (1, 4.0), (2, 2.0), (3, 1.0)]]
    assert [told(client, each)["status"] for each in runs_of(client, experiment)] == ["FINISHED"]
    assert told_by.url.startswith(f"{server.url}/#/experiments/")


def test_a_stage_itself_asks_mlflow_nothing_and_does_not_import_it(server, experiment):
    code = """
import sys
from pathlib import Path
from tasks import tracking
from tasks.tracking import forwarder, registry
forwarder.wake = lambda: None
with tracking.training(sys.argv[1], "fcn8s", "k1", params={"lr": 1}, tags={}) as run:
    run.metrics({"loss": 1.0}, 1)
    run.artifact(Path("dvc.yaml"))
    run.tags({tracking.MODEL: "abc"})
with tracking.scoring(sys.argv[1], "fcn8s", "abc", params={}, tags={}) as run:
    registry.register(run, "p", "fcn8s", Path("model"), 0.5, "val", "d1", "abc")
assert (run.id, run.url, run.models_url) == (None, None, None)
assert {"mlflow", "prefect", "sqlalchemy"}.isdisjoint(sys.modules)
"""
    Path("model").mkdir()
    command = [sys.executable, "-c", code, experiment]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert server.asked == []


def test_kill_9_with_mlflow_down_loses_nothing_of_what_was_said(server, client, experiment):
    code = """
import os, signal, sys
from tasks.tracking import forwarder, training
forwarder.wake = lambda: None
with training(sys.argv[1], "fcn8s", "k1", params={"lr": 1}, tags={}) as run:
    for step in range(3):
        run.metrics({"loss": 8 / 2**step}, step)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    server.stop()
    command = [sys.executable, "-W", "ignore", "-c", code, experiment]
    assert (
        subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}).returncode
        == -signal.SIGKILL
    )
    server.start()
    train(experiment, range(3, 5))  # resumed
    (stored,) = runs_of(client, experiment)
    assert points(client, stored) == [(0, 8.0), (1, 4.0), (2, 2.0), (3, 1.0), (4, 0.5)]
    assert (stored.info.status, stored.data.params["lr"]) == ("FINISHED", "1")


def test_a_forced_repetition_is_a_run_of_its_own_and_each_has_its_scores(
    server, client, experiment
):
    server.stop()
    for value in (0.25, 0.75):
        train(experiment)
        score(experiment, value)
    server.start()
    assert main(["sync"]) == 0
    assert [run.data.metrics["mean_iu"] for run in runs_of(client, experiment)] == [0.25, 0.75]


@pytest.mark.parametrize("after", range(1, 8))
def test_a_delivery_that_breaks_off_anywhere_is_repeated_without_a_trace(
    server, client, experiment, monkeypatch, after
):
    server.stop()
    train(experiment)
    score(experiment, profile=experiment)
    server.start()
    whole, count = tell, []

    def break_off(entry, target):
        whole(entry, target)
        count.append(1)
        if len(count) == after:
            raise OSError(
                "the connection is gone after the server did its work, and before it could say so"
            )

    monkeypatch.setattr(forward, "tell", break_off)
    assert main(["sync"]) == 1
    monkeypatch.setattr(forward, "tell", whole)
    assert main(["sync"]) == 0
    (stored,) = runs_of(client, experiment)
    assert points(client, stored) == [(0, 8.0), (1, 4.0), (2, 2.0)]
    assert len(stored.inputs.dataset_inputs) == 1
    assert len(client.search_model_versions(f"name='fcn-{experiment}'")) == 1


def test_a_run_that_was_deleted_is_kept_apart_until_it_is_restored(
    server, client, experiment, capsys, caplog
):
    run = train(experiment, range(4), between=lambda step: server.stop() if step == 1 else None)
    server.start()
    client.delete_run(run.id)
    with tracking.training(f"{experiment}-next", "fcn8s", "k2", **NOTHING):
        assert (
            f"the run {run.id} is deleted in MLflow. The record stays in .cache/ledger/000001.jsonl"
        ) in caplog.text
    assert main(["sync", "--refused"]) == 1
    client.restore_run(run.id)
    assert main(["sync", "--refused"]) == 0
    assert points(client, client.get_run(run.id)) == [(0, 8.0), (1, 4.0), (2, 2.0), (3, 1.0)]
    assert "metrics.json" in told(client, client.get_run(run.id))["files"]


def test_a_deleted_run_that_a_stage_adds_to_is_made_anew(server, client, experiment, caplog):
    deleted = train(experiment).id
    client.delete_run(deleted)
    score(experiment)
    (stored,) = runs_of(client, experiment)
    assert stored.info.run_id != deleted
    assert points(client, stored) == [(0, 8.0), (1, 4.0), (2, 2.0)]
    assert (stored.data.metrics["mean_iu"], stored.info.status) == (0.5, "FINISHED")
    assert [record for record in caplog.records if "is deleted in MLflow" in record.message] == []


def test_what_was_meant_for_another_store_waits_for_it(
    server, client, experiment, monkeypatch, capsys
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:secret@127.0.0.1:9")
    train(experiment)
    assert "secret" not in "".join(path.read_text() for path in ledger.FOLDER.glob("*.json*"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
    assert main(["sync"]) == 1
    assert "Some is meant for http://127.0.0.1:9" in capsys.readouterr().err
    assert runs_of(client, experiment) == []
    assert main(["sync", "--from", "http://127.0.0.1:9"]) == 0
    assert len(runs_of(client, experiment)) == 1


# ------------------------------------------------------------------------------------------- the
# ledger itself


OPENING = entries.Opening(id="0" * 32, experiment="e", name="fcn8s", time=1, key="k")
POINT = entries.Metrics(values={"loss": float("nan")}, step=2, time=1)
END = entries.End(stage="train", status="FINISHED", time=3)


def test_numbers_and_times_follow_each_other_when_the_clock_is_set_back(here, monkeypatch):
    ledger.Ledger.new(OPENING)
    before = ledger.now()
    monkeypatch.setattr("time.time", lambda: 0.0)
    monkeypatch.setattr("time.time_ns", lambda: 0)
    ledger.Ledger.new(OPENING)
    assert [path.name for path in ledger.paths()] == ["000001.jsonl", "000002.jsonl"]
    assert ledger.now() >= before


@pytest.mark.parametrize(
    "torn",
    [
        '{"do": "tags", "val',
        '{"do": "dance"}',
        "3",
        '{"do": ["end"]}',
        "[" * 100_000,
        '{"do":"metrics","values":[]}',
    ],
)
def test_a_torn_last_line_is_dropped_and_what_comes_after_it_is_read(here, torn, caplog):
    file = ledger.Ledger.new(OPENING)
    file.add(POINT)
    with file.path.open("a") as lines:
        lines.write(torn)
    whole = [entry.do for entry in file.entries()]
    assert whole == ["open", "metrics"]
    ledger.Ledger(file.path).add(END)
    assert [entry.do for entry in file.entries()] == [*whole, "end"]
    _, point, _ = file.entries()
    assert isinstance(point, entries.Metrics)
    assert str(point.values) == "{'loss': nan}"
    forward._tell(None, types.SimpleNamespace(), "here")
    assert "here: a damaged line is left out" in caplog.text


@pytest.mark.parametrize(
    "line", ['{"run": null}', "null", "[]", '{"do": "open", "id": 3}', "[" * 100_000, ""]
)
def test_a_damaged_first_line_stops_nobody(server, experiment, line, caplog, capsys):
    ledger.FOLDER.mkdir(parents=True)
    (ledger.FOLDER / "000002.jsonl").write_text(f"{line}\n")
    with tracking.training(experiment, "fcn8s", "k1", **NOTHING) as run:
        run.metrics({"loss": 1.0}, 1)
    assert run.id, caplog.text
    assert (main(["sync"]), left()) == (0, [])
    assert (ledger.FOLDER / "000003.jsonl").is_file()


def test_a_full_disk_costs_no_line_once_there_is_room_and_stops_no_training(
    here, monkeypatch, caplog
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://nowhere")

    class Full:
        """A file on a disk that has room for five bytes."""

        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def write(self, data):
            return self.file.write(data[:5])

        def __getattr__(self, name):
            return getattr(self.file, name)

    opened = Path.open

    def full(path, mode="r", **more):
        file = opened(path, mode, **more)
        return Full(file) if mode == "ab+" else file

    with tracking.training("e", "fcn8s", "k1", **NOTHING) as run:
        with monkeypatch.context() as patch:
            patch.setattr(
                Path,
                "open",
                lambda path, mode="r", **more: (
                    Full(opened(path, mode, **more))
                    if mode == "ab+"
                    else opened(path, mode, **more)
                ),
            )
            run.metrics({"loss": 1.0}, 1)
            run.metrics({"loss": 0.5}, 2)
        run.metrics({"loss": 0.25}, 3)
    (kept,) = ledger.ledgers()
    assert kept.points() == {("loss", 1): 1.0, ("loss", 2): 0.5, ("loss", 3): 0.25}
    assert kept.status() == "FINISHED"
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(said) == 2
    assert ".cache/ledger cannot be written: .cache/ledger/000001.jsonl: only 5 of" in said[1]


def test_where_no_ledger_can_be_written_the_training_goes_on(here, caplog):
    (here / ".cache").touch()
    with tracking.training("e", "fcn8s", "k1", **NOTHING) as run:
        run.metrics({"loss": 1.0}, 1)
        run.tags({"a": "b"})
        run.artifact(here)
    (warning,) = [
        record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING
    ]
    assert "The stage goes on; nothing of this run is recorded." in warning


def test_a_full_disk_under_mlflow_s_artifacts_costs_no_file(here):
    """A file system of 64 kB in the place of mlartifacts/, which then gets more room, and the
    delivery.
    """
    code = """
import sys
from pathlib import Path
from tasks.tracking import forwarder, training
with training("e", "fcn8s", "k1", params={"lr": 1}, tags={}) as run:
    run.artifact(Path("small.txt"))
    run.artifact(Path("big.bin"))
    run.metrics({"loss": 1.0}, 1)
forwarder.wait()
print(forwarder.news(), file=sys.stderr)
"""
    sizes = {"small.txt": 10, "big.bin": 200_000}
    for name, size in sizes.items():
        (here / name).write_bytes(os.urandom(size))
    (here / "mlartifacts").mkdir()
    mount = "mount -t tmpfs -o size=64k fcn mlartifacts"
    if (
        os.geteuid() != 0
        or subprocess.run(["unshare", "-m", "sh", "-c", mount], capture_output=True).returncode
    ):
        pytest.skip("no file system can be mounted here")
    room = (
        'mount -o remount,size=1m mlartifacts && "$0" -W ignore -m fcn sync && cp -r '
        "mlartifacts kept"
    )
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", f'{mount} && "$0" -W ignore -c "$1" && '
                                      f'{room}', sys.executable, code],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert ("No space left on device. All goes on without it: the records wait in") in done.stderr
    for name in sizes:
        (kept,) = (here / "kept").rglob(name)
        assert kept.read_bytes() == (here / name).read_bytes()
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri="sqlite:///mlflow.db")
    (stored,) = runs_of(client, "e")
    assert points(client, stored) == [(1, 1.0)]
    assert stored.info.status == "FINISHED"


def test_a_ledger_that_is_deleted_while_its_run_is_at_work_stops_no_stage(
    here, monkeypatch, caplog
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://nowhere")
    for begin, given in ((tracking.training, "k1"), (tracking.scoring, SHA)):
        with begin("e", "fcn8s", given, **NOTHING) as run:
            shutil.rmtree(ledger.FOLDER)
            run.metrics({"loss": 1.0}, 1)
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert sum(".cache/ledger cannot be written: " in each for each in said) == 2


def test_a_model_is_kept_by_a_link_that_costs_no_room(here):
    (here / "model").mkdir()
    (here / "model" / "weights.npz").write_text("weights")
    file = ledger.Ledger.new(OPENING)
    kept = file.path.with_suffix("") / file.keep(Path("model")) / "weights.npz"
    assert kept.samefile(here / "model" / "weights.npz")
    (here / "new").write_text("other weights")
    os.replace(here / "new", here / "model" / "weights.npz")  # as every output is replaced
    assert kept.read_text() == "weights"


def test_what_another_process_tells_is_left_to_it(server, client, experiment):
    server.stop()
    train(experiment)
    server.start()
    (file,) = ledger.ledgers()
    with file.path.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        forward.forward(file)
        assert runs_of(client, experiment) == []
    forward.forward(file)
    assert Mark.of(file).run == runs_of(client, experiment)[0].info.run_id


def test_secrets_of_the_environment_do_not_reach_the_ledger(here, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "Geheim-1")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://nowhere")
    with tracking.training(
        "e", "fcn8s", "k", params={"url": "http://u:Geheim-2@h/x"}, tags={"a": "Geheim-1"}
    ) as run:
        run.facts("f", {"why": "token Geheim-1"})
    (file,) = ledger.paths()
    assert "Geheim" not in file.read_text()
    assert {entry.do for entry in ledger.Ledger(file).entries()} == {
        "open",
        "params",
        "tags",
        "facts",
        "begin",
        "end",
    }
