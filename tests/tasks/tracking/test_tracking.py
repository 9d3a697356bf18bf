import contextlib
import hashlib
import http.server
import json
import logging
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from tracked import at_once

from tasks import tracking
from tasks.tracking import checkout, forward, registry, scoring, store, training, view
from tasks.tracking import run as one_run
from tasks.tracking.database import sqlite

ROOT = Path(__file__).resolve().parents[3]
SHA = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("fcn32s", "fcn16s", "fcn8s")}
NOTHING: dict[str, dict[str, str]] = {"params": {}, "tags": {}}


def runs_of(client, experiment="fcn-sample"):
    return client.search_runs(
        [client.get_experiment_by_name(experiment).experiment_id],
        order_by=["attributes.start_time"],
    )


def view_of(client):
    return json.loads(
        client.get_experiment_by_name("fcn-sample").tags["mlflow.sharedViewState.scores"]
    )


def only(client):
    (run,) = runs_of(client)
    return run


def shown(run):
    """The tags that a person sees."""
    return {
        name: text
        for name, text in run.data.tags.items()
        if not name.startswith("mlflow.") and name != "ledger"
    }


def warnings_in(caplog):
    return [record for record in caplog.records if record.levelno >= logging.WARNING]


def python(code, folder, *arguments):
    """Another process, as each stage is one."""
    command, settings = (
        [sys.executable, "-W", "ignore", "-c", code, *arguments],
        {**os.environ, "PYTHONPATH": str(ROOT)},
    )
    return subprocess.Popen(
        command,
        cwd=folder,
        env=settings,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


# ------------------------------------------------------------------------------------------- what
# is recorded


def test_a_training_is_read_back(client, empty, monkeypatch):
    (empty / "confusion.csv").write_text("1,2\n3,4\n")
    (empty / "overlays").mkdir()
    (empty / "overlays" / "a.png").write_bytes(b"picture")
    params = {"train": {"lr": 1e-10, "steps": 7}, "classes": ("cat", "dog"), "init": None}
    with training("fcn-sample", "fcn32s", "k1", params=params, tags={"pipeline": "p1"}) as run:
        assert only(client).info.status == "RUNNING"
        for step in range(3):
            run.metrics({"loss": 8 / 2**step, "val/mean_iu": np.float32(0.25)}, step)  # type: ignore[dict-item]
        run.metrics(
            {
                "iu/dining table": 0.5,
                "iu/tv, monitor": 0.25,
                "iu/tv; monitor": 0.75,
                "iu/../x": float("nan"),
            }
        )
        run.tags({"prefect.flow_run_id": "f1", "dvc.dep.models/vgg.npz": "abc"})
        run.artifact(empty / "confusion.csv")
        run.artifact(empty / "overlays", "pictures")
        run.dataset("sample/train", SHA["fcn32s"], "training")
        run.facts("training", {"parent": "models/vgg.npz", "größe": 3})
    stored = only(client)
    assert (stored.info.run_id, stored.info.status) == (run.id, "FINISHED")
    assert (run.url, run.models_url) == (None, None), "as long as nobody serves pages"
    monkeypatch.setattr(checkout, "mlflow_url", lambda: "http://127.0.0.1:5000")
    runs = f"http://127.0.0.1:5000/#/experiments/{stored.info.experiment_id}/runs"
    assert run.url == f"{runs}/{run.id}?workflowType=machine_learning"
    assert (
        run.models_url
        == f"{runs}?workflowType=machine_learning&viewStateShareKey=scores&compareRunsMode=CHART"
    )
    assert stored.data.params == {
        "train.lr": "1e-10",
        "train.steps": "7",
        "classes": "('cat', 'dog')",
        "init": "None",
    }
    curve = client.get_metric_history(run.id, "loss")
    assert [(point.step, point.value) for point in curve] == [(0, 8.0), (1, 4.0), (2, 2.0)]
    values = stored.data.metrics
    assert np.isnan(values.pop("iu/_/x"))
    assert values == {
        "loss": 2.0, "val/mean_iu": 0.25, "iu/dining table": 0.5, "iu/tv_ monitor": 0.25,
        "iu/tv_ monitor_": 0.75,
    }  # fmt: skip
    assert shown(stored) == {
        "variant": "fcn32s", "pipeline": "p1", "prefect.flow_run_id": "f1",
        "dvc.dep.models/vgg.npz": "abc",
    }  # fmt: skip
    (used,) = stored.inputs.dataset_inputs
    assert (used.dataset.name, used.dataset.digest, used.tags[0].value) == (
        "sample/train",
        SHA["fcn32s"][:36],
        "training",
    )
    folder = empty / "mlartifacts" / "fcn-sample" / run.id / "artifacts"
    assert {str(path.relative_to(folder)) for path in folder.rglob("*.*")} == {
        "confusion.csv", "pictures/a.png", "made_from/training.json",
    }  # fmt: skip
    assert json.loads((folder / "made_from/training.json").read_text()) == {
        "parent": "models/vgg.npz",
        "größe": 3,
    }
    assert not (empty / "mlruns").exists()


@pytest.mark.parametrize(
    ("params", "name"),
    [
        ({"profile": "modern", "train": {"seed": 2}}, "fcn8s · modern · seed 2 · 26 Nov 12:40"),
        ({"profile": "voc", "train": {"seed": 0}}, "fcn8s · voc · seed 0 · 26 Nov 12:40"),
        ({}, "fcn8s · 26 Nov 12:40"),
    ],
)
def test_the_names_of_runs_differ_at_a_glance(params, name):
    assert (
        one_run._name("fcn8s", params, int(datetime(2026, 11, 26, 12, 40).timestamp() * 1000))
        == name
    )


def test_more_than_one_batch(client):
    params = {f"p{n}": n for n in range(250)}
    with training(
        "fcn-sample", "fcn32s", "k1", params=params, tags={f"t{n}": str(n) for n in range(250)}
    ) as run:
        for step in range(1203):
            run.metrics({"loss": float(step)}, step)
    stored = only(client)
    assert len(client.get_metric_history(run.id, "loss")) == 1203
    assert stored.data.params["p249"] == "249"
    assert len(stored.data.params) == 250
    assert stored.data.tags["t249"] == "249"


def test_points_are_sent_when_some_seconds_have_passed(client, monkeypatch):
    with training("fcn-sample", "fcn32s", "k1", **NOTHING) as run:
        run.metrics({"loss": 1.0}, 0)
        assert client.get_metric_history(run.id, "loss") == []
        at_once(monkeypatch, every=-1.0)
        run.metrics({"loss": 2.0}, 1)
        assert len(client.get_metric_history(run.id, "loss")) == 2


def broken_off(error, key="k1", **given):
    """The run of a training that logs one point and ends with an error."""
    runs = []

    def train():
        with training("fcn-sample", "fcn32s", key, **{**NOTHING, **given}) as run:
            runs.append(run)
            run.metrics({"loss": 4.0}, 1)
            raise error

    with pytest.raises(type(error)):
        train()
    return runs[0]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RuntimeError("loss is NaN"), "FAILED"),
        (KeyboardInterrupt(), "KILLED"),
        (SystemExit(1), "KILLED"),
    ],
)
def test_a_training_that_breaks_off_keeps_its_points(client, error, status):
    broken_off(error)
    assert only(client).info.status == status
    assert only(client).data.metrics == {"loss": 4.0}


# ------------------------------------------------------------------------------------------- one
# run per model


@pytest.mark.parametrize("error", [RuntimeError("loss is NaN"), KeyboardInterrupt()])
def test_a_resumed_training_continues_its_run(client, error):
    first = broken_off(error, params={"lr": 1}, tags={"n": "1"})
    with training("fcn-sample", "fcn32s", "k2", **NOTHING) as other:
        pass
    with training(
        "fcn-sample", "fcn32s", "k1", params={"lr": 2, "more": 3}, tags={"n": "2"}
    ) as second:
        assert client.get_run(second.id).info.status == "RUNNING"
        second.metrics({"loss": 2.0}, 2)
    assert second.id == first.id != other.id
    stored = client.get_run(second.id)
    assert stored.info.status == "FINISHED"
    assert [(point.step, point.value) for point in client.get_metric_history(first.id, "loss")] == [
        (1, 4.0),
        (2, 2.0),
    ]
    assert stored.data.params == {"lr": "1", "more": "3"}
    assert stored.data.tags["n"] == "2"


def test_a_run_left_running_by_kill_9_is_continued(client, empty):
    code = """
import os
from tasks.tracking import forwarder, training
with training("fcn-sample", "fcn32s", "k1", params={}, tags={}) as run:
    forwarder.wait()
    print(run.id, flush=True)
    os._exit(9)
"""
    left = python(code, empty).communicate()[0].strip()
    assert client.get_run(left).info.status == "RUNNING"
    with training("fcn-sample", "fcn32s", "k1", **NOTHING) as run:
        assert run.id == left


def test_a_forced_repetition_makes_a_new_run_and_scores_go_to_the_newest(client):
    ids = []
    for _ in range(2):
        with training("fcn-sample", "fcn32s", "k1", **NOTHING) as run:
            run.tags({tracking.MODEL: SHA["fcn32s"]})
            ids.append(run.id)
    with scoring("fcn-sample", "fcn32s", SHA["fcn32s"], **NOTHING) as run:
        run.metrics({"mean_iu": 0.5})
    assert ids[0] != ids[1] == run.id


def test_scores_from_another_process_land_in_the_run_of_the_training(client, empty):
    with training("fcn-sample", "fcn8s", "k1", params={"lr": 1}, tags={"pipeline": "p1"}) as run:
        run.metrics({"loss": 1.0}, 10)
        run.tags({tracking.MODEL: SHA["fcn8s"]})
    before = only(client).info
    code = """
import sys
from tasks.tracking import forwarder, scoring
given = {"params": {"lr": 2, "batch": 4}, "tags": {"pipeline": "p2", "new": "n"}}
with scoring("fcn-sample", "fcn8s", sys.argv[1], **given) as run:
    run.metrics({"mean_iu": 0.625})
    run.tags({"dvc.out.models/fcn8s": "abc.dir"})
forwarder.wait()
print(run.id)
"""
    assert python(code, empty, SHA["fcn8s"]).communicate()[0].split() == [run.id]
    stored = only(client)
    assert stored.data.metrics == {"loss": 1.0, "mean_iu": 0.625}
    assert stored.data.params == {"lr": "1", "batch": "4"}
    assert {stored.data.tags[name] for name in ("pipeline", "new", "dvc.out.models/fcn8s")} == {
        "p1",
        "n",
        "abc.dir",
    }
    assert (stored.info.status, stored.info.end_time) == ("FINISHED", before.end_time)


def test_without_a_training_run_the_scores_make_one(client):
    for _ in range(2):  # evaluated again: the same run
        with scoring(
            "fcn-sample", "fcn8s", SHA["fcn8s"], params={"lr": 1}, tags={"pipeline": "p1"}
        ) as run:
            run.metrics({"mean_iu": 0.5})
    stored = only(client)
    assert stored.info.status == "FINISHED"
    assert (stored.data.params["lr"], stored.data.tags["pipeline"]) == ("1", "p1")
    assert stored.data.tags[tracking.MODEL] == SHA["fcn8s"]


def test_scoring_that_fails_does_not_fail_the_training(client):
    def score():
        with scoring("fcn-sample", "fcn8s", SHA["fcn8s"], **NOTHING):
            raise RuntimeError("the records are damaged")

    with pytest.raises(RuntimeError):
        score()
    assert only(client).info.status == "FAILED"  # a run made for these scores
    with scoring("fcn-sample", "fcn8s", SHA["fcn8s"], **NOTHING):
        pass
    with pytest.raises(RuntimeError):
        score()
    assert only(client).info.status == "FINISHED"


def test_the_table_has_three_flat_rows_and_the_four_scores(client):
    for at, variant in enumerate(SHA):
        with training(
            "fcn-sample", variant, f"key-{variant}", params={}, tags={"pipeline": "p1"}
        ) as run:
            run.metrics({"loss": 1.0, "val/mean_iu": 0.1}, 1)
            run.tags({tracking.MODEL: SHA[variant]})
        with scoring(
            "fcn-sample", variant, SHA[variant], params={}, tags={"pipeline": "p1"}
        ) as run:
            run.metrics({score: (at + 1) / 8 for score in tracking.SCORES})
    rows = runs_of(client)
    assert [row.info.run_name.split(" · ")[0] for row in rows] == ["fcn32s", "fcn16s", "fcn8s"]
    assert [[row.data.metrics[score] for score in tracking.SCORES] for row in rows] == [
        [0.125] * 4,
        [0.25] * 4,
        [0.375] * 4,
    ]
    assert not any("mlflow.parentRunId" in row.data.tags for row in rows)
    tied = client.search_runs([rows[0].info.experiment_id], "tags.pipeline = 'p1'")
    assert len(tied) == 3
    view = view_of(client)
    assert (view["orderByKey"], view["orderByAsc"]) == ("metrics.`mean_iu`", False)
    assert [(chart["type"], chart["metricKey"]) for chart in view["compareRunCharts"]] == [
        ("BAR", "mean_iu"), ("LINE", "val_mean_iu"), ("LINE", "loss"),
    ]  # fmt: skip
    assert view["selectedColumns"] == view["columnOrder"] == list(view["columnWidths"])
    assert view["selectedColumns"][:5] == [
        "metrics.`mean_iu`", "metrics.`pixel_accuracy`", "metrics.`mean_accuracy`",
        "metrics.`frequency_weighted_iu`",
        "tags.`evaluate.split`",
    ]  # fmt: skip


def test_an_experiment_of_an_earlier_version_gets_the_view_of_today(client):
    old = {name: '{"selectedColumns": []}' for name in view.VIEW}
    client.create_experiment("fcn-sample", tags={**old, "mine": "stays"})
    with training("fcn-sample", "fcn32s", "k1", **NOTHING):
        pass
    assert view_of(client)["orderByKey"] == "metrics.`mean_iu`"
    assert client.get_experiment_by_name("fcn-sample").tags["mine"] == "stays"


def test_links_name_the_run_and_the_table_but_no_password(client, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://user:secret@tracker.example/mlflow/")
    monkeypatch.setattr(store, "connect", lambda: store.Store(client, None, 0))
    with training("fcn-first", "fcn32s", "k1", **NOTHING) as run:
        page = f"https://tracker.example/mlflow/#/experiments/{client.get_run(run.id).info.experiment_id}/runs"
        assert run.url == f"{page}/{run.id}?workflowType=machine_learning"
        assert (
            run.models_url
            == f"{page}?workflowType=machine_learning&viewStateShareKey=scores&compareRunsMode=CHART"  # noqa: E501
        )


def test_first_users_at_once_share_one_database(empty):
    code = """
import sys
from tasks.tracking import forwarder, training
with training("fcn-sample", "fcn32s", sys.argv[1], params={}, tags={}) as run:
    pass
forwarder.wait()
print(run.id)
"""
    children = [python(code, empty, str(n)) for n in range(2)]
    said = [child.communicate()[0].split() for child in children]
    assert all(len(words) == 1 for words in said), said
    from mlflow import MlflowClient

    assert len(runs_of(MlflowClient(tracking_uri=sqlite("pysqlite", empty / "mlflow.db")))) == 2
    assert {path.name for path in empty.iterdir()} == {".cache", "mlflow.db", "mlflow.db.lock"}


def test_a_database_elsewhere_has_its_artifacts_beside_it(client, empty, monkeypatch):
    place = empty / "another place"
    place.mkdir()
    shutil.move(empty / "mlflow.db", place / "runs.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///another place/runs.db")
    (empty / "scores.json").write_text("{}")
    with training("fcn-sample", "fcn32s", "k1", **NOTHING) as run:
        run.artifact(empty / "scores.json")
    assert (place / "mlartifacts" / "fcn-sample" / run.id / "artifacts" / "scores.json").exists()


# ------------------------------------------------------------------------------------------- no
# store, no harm


class Server(http.server.ThreadingHTTPServer):
    answer: tuple[int, bytes]


class Broken(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        status, body = self.server.answer
        self.send_response(status)
        self.send_header("Content-Type", "text/html")
        self.send_header("Retry-After", "3600")
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_):
        pass


PAGE = b"<html>no MLflow here</html>"


@pytest.fixture(
    params=[
        "refused",
        "hangs",
        (200, PAGE),
        (200, b"[]"),
        (200, b"null"),
        (200, b"true"),
        (200, b'{"experiment": [3]}'),
        (403, PAGE),
        (500, PAGE),
        (503, PAGE),
    ],
    ids=str,
)
def no_server(request, empty, monkeypatch):
    """The address of a port where no MLflow answers."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    with contextlib.ExitStack() as stack:
        if isinstance(request.param, tuple):
            server = stack.enter_context(Server(("127.0.0.1", 0), Broken))
            server.answer = request.param
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            port = server.server_port
        else:
            listener = stack.enter_context(socket.socket())
            listener.bind(("127.0.0.1", 0))
            port = listener.getsockname()[1]
            if request.param == "hangs":
                listener.listen()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://user:secret@127.0.0.1:{port}")
        yield f"http://127.0.0.1:{port}"


def test_a_server_that_is_down_stops_no_training(no_server, empty, caplog, capfd):
    caplog.set_level(logging.INFO)
    done = []
    with training("fcn-sample", "fcn32s", "k1", params={"lr": 1}, tags={"pipeline": "p1"}) as run:
        for step in range(3):
            run.metrics({"loss": 1.0}, step)
            done.append(step)
        run.tags({tracking.MODEL: SHA["fcn32s"]})
        (empty / "scores.json").write_text("{}")
        run.artifact(empty / "scores.json")
        run.dataset("sample/train", SHA["fcn32s"], "training")
    assert done == [0, 1, 2]
    assert (run.id, run.url, run.models_url) == (None, None, None)
    (warning,) = caplog.records
    assert warning.levelno == logging.WARNING
    assert f"MLflow at {no_server} failed" in warning.getMessage()
    assert "MLFLOW_TRACKING_URI" in warning.getMessage()
    assert "secret" not in warning.getMessage()
    assert capfd.readouterr() == ("", "")
    assert not list(empty.glob("*.db"))


def test_an_error_of_the_training_itself_passes_with_the_server_down(empty, monkeypatch, caplog):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://nowhere")
    with pytest.raises(ZeroDivisionError), training("fcn-sample", "fcn32s", "k1", **NOTHING) as run:
        run.metrics({"loss": 1 / 0})
    assert len(warnings_in(caplog)) == 1


def test_a_store_that_breaks_off_in_the_middle_is_given_up_once(client, monkeypatch, caplog):
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    asked = []

    def broken(*_, **__):
        asked.append(1)
        raise MlflowException("the disk of the server is full\nand more")

    with training("fcn-sample", "fcn32s", "k1", **NOTHING) as run:
        run.metrics({"loss": 1.0}, 0)
        monkeypatch.setattr(MlflowClient, "log_batch", broken)
        at_once(monkeypatch, every=-1.0)
        run.metrics({"loss": 2.0}, 1)
        run.metrics({"loss": 4.0}, 2)
    assert asked
    (warning,) = warnings_in(caplog)
    assert ("MlflowException: the disk of the server is full. All goes on") in warning.getMessage()
    assert only(client).info.status == "RUNNING"  # so that a repetition continues it


def a_folder(path):
    path.unlink()
    path.mkdir()


def of_a_later_mlflow(path):
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'later'")


def of_a_later_mlflow_with_fewer_tables(path):
    of_a_later_mlflow(path)
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP TABLE inputs")


@pytest.mark.parametrize(
    "damage", [of_a_later_mlflow, of_a_later_mlflow_with_fewer_tables, a_folder]
)
def test_a_database_that_cannot_be_used_stops_no_training(database, empty, caplog, damage):
    shutil.copy(database, empty / "mlflow.db")
    store._follow(empty / "mlflow.db")
    damage(empty / "mlflow.db")
    caplog.clear()
    begun = time.monotonic()
    with training("fcn-sample", "fcn32s", "k1", **NOTHING) as run:
        run.metrics({"loss": 1.0}, 0)
    (warning,) = warnings_in(caplog)
    assert "MLflow at mlflow.db failed" in warning.getMessage()
    assert time.monotonic() - begun < 10, "MLflow alone would try to open it for 90 s"


def test_a_locked_database_stops_no_training(client, empty, caplog, monkeypatch):
    connect = sqlite3.connect
    monkeypatch.setattr(
        sqlite3, "connect", lambda path, timeout: connect(path, timeout=timeout / 50)
    )
    with contextlib.closing(connect(empty / "mlflow.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with training("fcn-sample", "fcn32s", "k1", **NOTHING) as run:
            run.metrics({"loss": 1.0}, 0)
    (warning,) = warnings_in(caplog)
    assert "mlflow.db: database is locked. All goes on without it" in warning.getMessage()
    assert forward.forward_all().done == 1
    assert (only(client).info.status, only(client).data.metrics) == ("FINISHED", {"loss": 1.0})


def with_nothing_of_a_database(path):
    path.write_bytes(b"this is no database, though it has that name\n" * 100)


def with_a_damaged_page(path):
    content = bytearray(path.read_bytes())
    content[4096 * 3 : -4096] = b"\xa5" * (len(content) - 4096 * 4)
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [with_nothing_of_a_database, with_a_damaged_page])
def test_a_damaged_database_is_set_aside_and_a_new_one_told_all(
    client, empty, saved, damage, caplog
):
    (empty / "model").mkdir()
    (empty / "model" / "weights.npz").write_text("weights")
    sha = hashlib.sha256(b"weights").hexdigest()
    (empty / "iu.csv").write_text("cat,0.5\n")
    with training("fcn-sample", "fcn8s", "k1", params={"lr": 1}, tags={}) as run:
        run.metrics({"loss": 2.0}, 3)
        run.artifact(empty / "iu.csv")
        run.tags({tracking.MODEL: sha})
    with scoring("fcn-sample", "fcn8s", sha, **NOTHING) as run:
        registry.register(run, "sample", "fcn8s", empty / "model", 0.5, "val", "d1", sha)
    (empty / "iu.csv").unlink()
    damage(empty / "mlflow.db")
    content = (empty / "mlflow.db").read_bytes()
    with training("fcn-sample", "fcn16s", "k2", **NOTHING):
        pass
    mine = store.connect().client
    stored = next(row for row in runs_of(mine) if row.info.run_name.startswith("fcn8s"))
    assert (stored.data.params, stored.data.metrics, stored.info.status) == (
        {"lr": "1"},
        {"loss": 2.0},
        "FINISHED",
    )
    assert Path(mine.download_artifacts(stored.info.run_id, "iu.csv")).read_text() == "cat,0.5\n"
    assert mine.get_model_version_by_alias("fcn-sample", "champion").run_id == stored.info.run_id
    assert len(runs_of(mine)) == 2
    assert (empty / "mlflow.db.damaged-1").read_bytes() == content
    (said,) = warnings_in(caplog)
    assert said.getMessage().startswith(
        "mlflow.db is damaged, and is now called mlflow.db.damaged-1. A new one is made"
    )


@pytest.mark.parametrize("address", ["http://[::1", "http://[x]/"])
def test_an_address_that_is_none_stops_no_training(empty, address, caplog, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    with training("fcn-sample", "fcn32s", "k1", **NOTHING) as run:
        run.metrics({"loss": 1.0}, 0)
    (warning,) = warnings_in(caplog)
    assert "failed: OSError: no address or answer of MLflow's (ValueError: " in warning.getMessage()


@pytest.mark.parametrize("how", ["copied", "moved"])
def test_a_checkout_that_is_copied_or_moved_has_artifacts_of_its_own(
    client, empty, saved, monkeypatch, how, caplog
):
    from mlflow.utils.file_utils import local_file_uri_to_path

    def record(folder, key):
        monkeypatch.chdir(folder)
        (folder / "scores.json").write_text(key)
        (folder / "weights.npz").write_text(key)
        with training("fcn-sample", "fcn32s", key, **NOTHING) as run:
            run.artifact(folder / "scores.json")
            if key == "k1":
                registry.register(run, "sample", "fcn8s", folder, 0.5, "val", "d1", SHA["fcn8s"])
        return run.id

    first = record(empty, "k1")
    second = empty.parent / "b?c%20d#e ü"
    shutil.copytree(empty, second) if how == "copied" else empty.rename(second)
    ids = [first, record(second, "k2")]
    assert [
        path.parts[-3] for path in sorted(second.rglob("mlartifacts/*/*/*/scores.json"))
    ] == sorted(ids)
    assert [path.parts[-3] for path in empty.rglob("mlartifacts/*/*/*/scores.json")] == [first] * (
        how == "copied"
    )
    (said,) = warnings_in(caplog)
    assert (
        f"mlflow.db kept its artifacts in {empty / 'mlartifacts'}, and keeps them in "
        f"{second / 'mlartifacts'} now" in said.getMessage()
    )
    monkeypatch.chdir(second)
    mine = store.connect().client
    if how == "copied":
        shutil.rmtree(empty)
    place = mine.get_logged_model(
        mine.get_model_version_by_alias("fcn-sample", "champion").source.removeprefix("models:/")
    )
    champion = Path(local_file_uri_to_path(place.artifact_location))
    assert (champion.is_relative_to(second), (champion / "weights.npz").read_text()) == (True, "k1")
    for id_, key in zip(ids, ("k1", "k2"), strict=True):
        assert Path(mine.download_artifacts(id_, "scores.json")).read_text() == key
    assert len(warnings_in(caplog)) == 1


@pytest.mark.parametrize("up", [True, False])
def test_errors_of_the_caller_are_not_hidden(client, up, monkeypatch, empty):
    if not up:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://nowhere")
    with training("fcn-sample", "fcn32s", "k1", **NOTHING) as run:
        with pytest.raises(TypeError, match=r"metric 'loss' must be a number, got '0\.5'"):
            run.metrics({"loss": "0.5"})  # type: ignore[dict-item]
        with pytest.raises(TypeError):
            run.metrics({"loss": None})  # type: ignore[dict-item]
        with pytest.raises(TypeError):
            run.metrics({"loss": 1.0}, 1.5)
        with pytest.raises(TypeError, match="tag 'n' must be a string, got 3"):
            run.tags({"n": 3})  # type: ignore[dict-item]
        with pytest.raises(FileNotFoundError, match=r"none\.png does not exist"):
            run.artifact(empty / "none.png")
    with (
        pytest.raises(ValueError, match=r"model\.sha256 must consist of"),
        scoring("e", "v", "a' or 'b", **NOTHING),
    ):
        pass
