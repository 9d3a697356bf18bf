"""`fcn ui` for real, once, in an empty folder; and what it says of ports and settings."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from fcn.cli.app import main
from flows import ui
from flows.runner import processes, server

REPO = Path(__file__).parents[3]
QUIET = ("PREFECT_", "MLFLOW_", "FCN_", "DVC_")


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def start(folder, prefect, mlflow):
    for mark in ("params.yaml", "dvc.yaml"):
        (folder / mark).touch()
    (folder / "pyproject.toml").write_bytes((REPO / "pyproject.toml").read_bytes())
    environment = {name: value for name, value in os.environ.items() if not name.startswith(QUIET)}
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "fcn",
            "ui",
            "--prefect-port",
            str(prefect),
            "--mlflow-port",
            str(mlflow),
        ],
        cwd=folder,
        env=environment | {"PYTHONPATH": str(REPO)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def lines_until(process, last):
    lines: list[str] = []
    while not lines or last not in lines[-1]:
        lines.append(process.stdout.readline())
        assert lines[-1], "".join(lines)
    return lines


def test_both_servers_answer_and_nothing_is_left_after_ctrl_c(tmp_path):
    prefect, mlflow = free_ports(2)
    with start(tmp_path, prefect, mlflow) as process:
        lines = lines_until(process, "Ctrl-C")
        assert lines[-3:] == [
            f"Prefect: http://127.0.0.1:{prefect}\n", "MLflow:  "
                                                      f"http://127.0.0.1:{mlflow}\n",
                                                      "Ctrl-C stops both\n",
        ]  # fmt: skip
        assert httpx.get(f"http://127.0.0.1:{prefect}/api/health").json() is True
        assert (
            httpx.get(f"http://127.0.0.1:{prefect}/ui-settings").json()["api_url"]
            == f"http://127.0.0.1:{prefect}/api"
        )
        assert httpx.get(f"http://127.0.0.1:{mlflow}/health").text == "OK"
        below = psutil.Process(process.pid).children(recursive=True)
        names = [processes.identity(each) for each in below]
        listening = {
            connection.laddr[0] for each in below for connection in each.net_connections("tcp")
        }
        assert listening == {"127.0.0.1"}
        assert {"mlflow.db", ".prefect"} < {path.name for path in tmp_path.iterdir()}

        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        output, _ = process.communicate()
    assert process.returncode == 0, output
    assert len(names) >= 3  # Prefect's, MLflow's, and its child
    assert [name for name in names if processes.is_alive(name)] == []
    assert "Traceback" not in output
    assert server.serving(tmp_path / ".prefect") == ""


@pytest.fixture
def quiet(monkeypatch, tmp_path):
    """No server is started: MLflow's "runs" until the test says how it ends."""
    monkeypatch.chdir(tmp_path)
    for mark in ("params.yaml", "dvc.yaml"):
        Path(mark).touch()
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(processes, "interrupt_on_signals", lambda: None)
    monkeypatch.setattr(server, "home", lambda: tmp_path / "home")
    return monkeypatch


def test_a_taken_port_is_said_with_its_owner_and_the_way_out(quiet, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["ui", "--mlflow-port", str(port)]) == 2
        error = capsys.readouterr().err
        assert error.startswith(
            f"error: port {port}, for MLflow, is taken by process {os.getpid()} ("
        )
        assert error.endswith("): stop that, or give --mlflow-port another\n")
        assert (
            main(["ui", "--prefect-port", str(port), "--mlflow-port", str(free_ports(1)[0])]) == 2
        )
        assert (
            f"error: port {port}, for Prefect, is taken by process {os.getpid()} ("
        ) in capsys.readouterr().err


def test_a_store_elsewhere_is_named_without_its_password(quiet, capsys):
    quiet.setenv("MLFLOW_TRACKING_URI", "https://me:secret@example.org/mlflow")
    assert main(["ui"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(
        "error: MLFLOW_TRACKING_URI is https://example.org/mlflow: the stages "
        "report there, so look there"
    )


@pytest.fixture
def sleeper():
    """A process in the place of Prefect's server, entered as such in the home of `quiet`."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        yield process
        process.kill()


def test_mlflow_that_ends_by_itself_is_said_and_ends_the_other(quiet, sleeper, tmp_path, capsys):
    name = processes.identity(psutil.Process(sleeper.pid))
    quiet.setattr(
        server,
        "_start",
        lambda folder, port: server.Entry(
            server=name, url=f"http://127.0.0.1:{port}/api", token="t"
        ),
    )
    quiet.setattr(ui, "_watched", lambda *_: contextlib.nullcontext())

    def ends(port):
        assert server.serving(tmp_path / "home") == name
        sleeper.kill()  # the real one ends when its file is gone
        return 3

    quiet.setattr(ui, "_run_mlflow", ends)
    assert (
        main(
            ["ui", "--mlflow-port", str(free_ports(1)[0]), "--prefect-port", str(free_ports(1)[0])]
        )
        == 1
    )
    assert capsys.readouterr().err == (
        "error: MLflow's server ended by itself, with code 3; the other one is stopped\n"
    )
    assert not (tmp_path / "home" / "server.json").exists()


def test_prefect_that_ends_by_itself_interrupts_the_parent_of_mlflow(quiet, sleeper):
    ended: list[str] = []
    name = processes.identity(psutil.Process(sleeper.pid))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    sleeper.kill()
    sleeper.wait()
    try:
        with (
            pytest.raises(KeyboardInterrupt),
            ui._watched("", f"http://127.0.0.1:{free_ports(1)[0]}", name, ended),
        ):
            signal.pause()
    finally:
        signal.signal(signal.SIGINT, before)
    assert ended[0].startswith("Prefect's server ended by itself; see ")
    assert ended[0].endswith("server.log")
