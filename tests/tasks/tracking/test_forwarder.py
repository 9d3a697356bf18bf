"""The process that tells MLflow, for real."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from fcn.io import locks
from tasks.tracking import checkout, forwarder, ledger, store, training
from tasks.tracking.mark import Mark

ROOT = Path(__file__).parents[3]
NOTHING: dict[str, dict[str, str]] = {"params": {}, "tags": {}}
WAKE = forwarder.wake


@pytest.fixture
def wake(client, monkeypatch):
    """A forwarder in a process of its own, which is ended after the test."""
    monkeypatch.setattr(forwarder, "wake", WAKE)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    yield WAKE
    for process in running():
        process.kill()
        process.wait()


def running():
    """The forwarders that this process has started, and that have not ended."""
    found = [each for each in psutil.Process().children() if each.status() != psutil.STATUS_ZOMBIE]
    return [each for each in found if "tasks.tracking" in each.cmdline()]


def losses(client):
    (experiment,) = client.search_experiments(filter_string="name = 'fcn-sample'")
    (run,) = client.search_runs([experiment.experiment_id])
    return [point.value for point in client.get_metric_history(run.info.run_id, "loss")]


def test_a_killed_forwarder_is_followed_by_another(client, wake):
    with training("fcn-sample", "fcn32s", "k1", **NOTHING) as run:
        run.metrics({"loss": 4.0}, 1)
        forwarder.wait()
        wake()
        (first,) = running()
        first.kill()
        first.wait()
        run.metrics({"loss": 2.0}, 2)
    forwarder.wait()
    (second,) = running()
    assert first.pid != second.pid
    assert losses(client) == [4.0, 2.0]
    assert not forwarder._left()


def killed_at_work(opened):
    """A process that works on a run, and is killed."""
    code = f"""
import sys, time
from tasks.tracking import forwarder, scoring, training
forwarder.wake = lambda: None
with {opened} as run:
    run.metrics({{"loss": 4.0}}, 1)
    print("begun", flush=True)
    time.sleep(600)
"""
    command = [sys.executable, "-W", "ignore", "-c", code]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "begun\n"
        process.kill()


def wait_for(status, client):
    """What MLflow says of the one run, as soon as it has this status."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for each in client.search_experiments(filter_string="name = 'fcn-sample'"):
            for run in client.search_runs([each.experiment_id]):
                if run.info.status == status:
                    return run.info
        time.sleep(0.1)
    raise AssertionError(f"it has not become {status}")


def test_a_killed_training_does_not_run_for_ever(client, wake):
    killed_at_work("training('fcn-sample', 'fcn32s', 'k1', params={}, tags={})")
    wake()
    (told,) = ledger.ledgers()
    last = max(each.time for each in told.entries())
    assert wait_for("KILLED", client).end_time == last, "its last word, not the next start"
    with training("fcn-sample", "fcn32s", "k1", **NOTHING, resumed=True) as run:
        run.metrics({"loss": 2.0}, 2)
        forwarder.wait()
        wait_for("RUNNING", client)
    wait_for("FINISHED", client)
    assert losses(client) == [4.0, 2.0]


def test_a_killed_scoring_does_not_end_a_training_that_has_ended(client, wake):
    with training("fcn-sample", "fcn32s", "k1", **NOTHING) as run:
        run.tags({"model.sha256": "d1"})
    killed_at_work("scoring('fcn-sample', 'fcn32s', 'd1', params={}, tags={})")
    (told,) = ledger.ledgers()
    end = told.missing_end()
    assert end
    assert (end.stage, end.status) == ("evaluate", None)
    ledger.end_killed()
    assert told.missing_end() is None
    assert told.status() == "FINISHED"


def test_a_killed_scoring_of_an_unknown_model_is_the_end_of_its_run(empty):
    killed_at_work("scoring('fcn-sample', 'fcn32s', 'd1', params={}, tags={})")
    (told,) = ledger.ledgers()
    end = told.missing_end()
    assert end
    assert end.status == "KILLED"
    with told.path.open("ab") as file:
        file.write(b'{"do":"metr')  # torn
    ledger.end_killed()
    assert (told.status(), told.missing_end()) == ("KILLED", None)


def test_ctrl_c_in_the_terminal_of_a_stage_does_not_reach_it(client, wake):
    wake()
    (process,) = running()
    assert os.getsid(process.pid) == process.pid != os.getsid(0)
    assert process.cwd() == str(checkout.root())


def test_other_settings_of_mlflow_have_another_forwarder(client, wake, monkeypatch):
    before = forwarder.path("lock")
    store.prepare()  # sets defaults, which are no other settings
    assert forwarder.path("lock") == before
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "corrected")
    assert forwarder.path("lock") != before


def test_it_ends_when_nobody_may_write_any_more_and_not_before(client, wake):
    code = """
import sys
from tasks.tracking import delivery
delivery._GRACE, delivery._EVERY = 0.0, 0.01
delivery.main(int(sys.argv[1]))
"""
    Path(ledger.FOLDER).mkdir(parents=True)
    lock = forwarder.path("lock").open("ab")
    fcntl.flock(lock, fcntl.LOCK_EX)
    command = [sys.executable, "-W", "ignore", "-c", code, str(lock.fileno())]
    with forwarder.needed(), subprocess.Popen(command, pass_fds=[lock.fileno()]) as process:
        try:
            lock.close()
            wake()
            assert running() == [], "one is at work"
            with training("fcn-sample", "fcn32s", "k1", **NOTHING) as run:
                run.metrics({"loss": 4.0}, 1)
            forwarder.wait()
            assert process.poll() is None
            with locks.locked(ledger.FOLDER / "users.lock", fcntl.LOCK_SH):
                pass
            process.send_signal(signal.SIGSTOP)
            process.send_signal(signal.SIGCONT)
            assert process.poll() is None
            os.rename(ledger.FOLDER / "users.lock", ledger.FOLDER / "gone")  # as if it were free
            assert process.wait(60) == 0
        finally:
            process.kill()  # where it has not ended, the test would wait for it
    assert losses(client) == [4.0]


def test_what_it_says_is_said_once(client, wake, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://nowhere")
    with training("fcn-sample", "fcn32s", "k1", **NOTHING) as run:
        run.metrics({"loss": 4.0}, 1)
    forwarder.wait()
    said = forwarder.news()
    assert [level for level, _ in said] == [30]
    assert "MLflow at nonsense://nowhere failed: " in said[0][1]
    assert "All goes on without it" in said[0][1]
    assert forwarder.news() == []


def test_a_run_of_an_experiment_in_a_copy_is_told_to_the_workspace(client, wake, monkeypatch):
    copy = Path(".dvc/tmp/exps/temp").resolve()
    copy.mkdir(parents=True)
    root = Path.cwd()
    monkeypatch.chdir(copy)
    with training("fcn-sample", "fcn32s", "k1", **NOTHING) as run:
        run.metrics({"loss": 4.0}, 1)
    forwarder.wait()
    monkeypatch.chdir(root)
    assert losses(client) == [4.0]
    assert [*copy.iterdir()] == []
    (file,) = ledger.ledgers()
    assert Mark.of(file).store == "mlflow.db"
