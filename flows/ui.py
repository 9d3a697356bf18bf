"""The pages of Prefect and MLflow, served on this machine alone, until Ctrl-C.

Prefect's server is the one that the workspace's processes share (`flows.runner.server`): pipelines
report to it while it runs, and one that still does when the pages are closed keeps it. MLflow's
server reads the database that the stages write.
"""

import contextlib
import errno
import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil

from fcn.errors import UserError
from fcn.io import files, public
from flows.runner import children, processes, server
from tasks.tracking import checkout, forwarder, ledger, store

TABLE = "workflowType=machine_learning&viewStateShareKey=scores&compareRunsMode=TABLE"
"""MLflow's table with the scores as columns, see `store.VIEW`."""
PAGES = Path(".cache/pages.js")
"""Where the pages are while they are served: the report's page, `report/index.html`, links to them
then.
"""


def serve(prefect_port: int, mlflow_port: int) -> int:
    """Serve both pages until Ctrl-C or SIGTERM.

    Args:
        prefect_port: 0: that of last time, or a free one; a server that runs stays where it is.
        mlflow_port: likewise.

    Returns:
        0: stopped; 1: one of the two ended by itself, and the other was stopped; 2: one could not
            be started.
    """
    processes.interrupt_on_signals()
    ended: list[str] = []
    try:
        _check_nothing_else_is_meant()
        _check_free(mlflow_port, "MLflow", "--mlflow-port")
        with checkout.listen("mlflow", mlflow_port) as listener:
            # free a moment ago: MLflow takes no socket that is open already
            port = listener.getsockname()[1]
        print("starting Prefect's and MLflow's servers ...", flush=True)
        mlflow = f"http://127.0.0.1:{port}"
        with (
            _prefect(prefect_port) as (prefect, process),
            _watched(prefect, mlflow, process, ended),
        ):
            ended.append(f"MLflow's server ended by itself, with code {_run_mlflow(port)}")
    except KeyboardInterrupt:
        if not ended:
            return 0
    except (UserError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"error: {ended[0]}; the other one is stopped", file=sys.stderr)
    return 1


def _check_nothing_else_is_meant() -> None:
    """Pages of this folder would stay empty where the stages report to another place."""
    for what, place in (
        ("PREFECT_API_URL", os.environ.get("PREFECT_API_URL")),
        ("MLFLOW_TRACKING_URI", store.uri()),
    ):
        if place and not place.startswith("sqlite"):
            where = public(place)
            raise UserError(
                f"{what} is {where}: the stages report there, so look there, or unset "
                "it to see this folder's runs"
            )


def _check_free(port: int, what: str, option: str) -> None:
    """Raises UserError, which says whose it is, for a port that somebody listens on."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise UserError(f"{option} {port}: {error.strerror}") from error
        raise UserError(
            f"port {port}, for {what}, is taken by {_owner(port)}: stop that, or give "
            f"{option} another"
        ) from error


def _owner(port: int) -> str:
    with contextlib.suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            if (
                connection.status == psutil.CONN_LISTEN
                and connection.laddr[1:2] == (port,)
                and connection.pid
            ):
                return (
                    f"process {connection.pid} "
                    f"({' '.join(psutil.Process(connection.pid).cmdline())[:100]})"
                )
    return "another user's process"


@contextlib.contextmanager
def _prefect(port: int) -> Iterator[tuple[str, str]]:
    """Our Prefect server, running or started now: the address of its pages, and the `identity` of
    its process.
    """
    folder, me = server.home(), processes.identity(psutil.Process())
    address = server.join(folder, [me], None)
    if not address:
        _check_free(port, "Prefect", "--prefect-port")
        address = server.join(folder, [me], port)
    try:
        yield address.removesuffix("/api"), server.serving(folder)
    finally:
        if server.leave(folder, me):
            print(
                "Prefect's server stays for as long as the pipelines that report to it", flush=True
            )


@contextlib.contextmanager
def _watched(prefect: str, mlflow: str, process: str, ended: list[str]) -> Iterator[None]:
    """Say where the pages are once they are there, and interrupt this process if that of Prefect's
    server is gone.
    """
    over = threading.Event()

    def watch() -> None:
        announced = False
        while processes.is_alive(process):
            if not announced and (found := _experiments(mlflow)) is not None:
                announced = True
                tables = [
                    f"         {name}, a row per model: {_runs(mlflow, id_)}?{TABLE}"
                    for name, id_ in found.items()
                ]
                print(
                    "\n".join(
                        [f"Prefect: {prefect}", f"MLflow:  {mlflow}", *tables, "Ctrl-C stops both"]
                    ),
                    flush=True,
                )
                _tell_report(
                    {"Prefect": f"{prefect}/runs"}
                    | {name: _runs(mlflow, id_) for name, id_ in found.items()}
                )
            if over.wait(0.5):
                return
        ended.append(f"Prefect's server ended by itself; see {server.home() / 'server.log'}")
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        over.set()
        PAGES.unlink(missing_ok=True)


def _experiments(mlflow: str) -> dict[str, str] | None:
    """Ids of the experiments by name; None as long as the server does not answer."""
    try:
        answer = httpx.get(
            f"{mlflow}/api/2.0/mlflow/experiments/search?max_results=100",
            timeout=5,
            trust_env=False,
        )
        experiments = answer.raise_for_status().json().get("experiments", [])
    except (httpx.HTTPError, ValueError):
        return None
    return {
        each["name"]: each["experiment_id"]
        for each in experiments
        if each["name"].startswith("fcn-")
    }


def _runs(mlflow: str, experiment: str) -> str:
    return f"{mlflow}/#/experiments/{experiment}/runs"


def _tell_report(addresses: dict[str, str]) -> None:
    """Leaves the addresses where the report's page looks for them: the page is an output of DVC and
    has none in it.
    """
    with contextlib.suppress(OSError), files.replacing_file(PAGES) as path:
        path.write_text(f"window.fcnPages = {json.dumps(addresses)};\n", encoding="utf-8")


def _run_mlflow(port: int) -> int:
    """Be the parent of MLflow's server until it ends or this process is interrupted; returns its
    exit code.
    """
    store.prepare()
    # Makes or moves what the database names: the server's processes would disturb each other.
    checkout.mark(store.connect().client)
    if ledger.paths():  # what waits is sent
        forwarder.wake()
    options = (
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--workers",
        "1",
        "--uvicorn-opts",
        "--log-level warning",
    )
    artifacts = (checkout.root() / store.ARTIFACTS).as_uri()
    places = ("--backend-store-uri", store.uri(), "--default-artifact-root", artifacts)
    # Its queue of jobs, which nothing here uses, would start more processes.
    extra = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    # after SIGINT it would print a traceback
    stop = ((signal.SIGTERM, 15.0), (signal.SIGKILL, 5.0))
    return children.follow(["mlflow", "server", *options, *places], extra, children.show, stop)
