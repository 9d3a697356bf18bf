"""The checkout: where it is, its own servers, and their ports."""

import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from fcn.io import files

PORTS = Path(".cache/ports.json")
"""The ports that the checkout's servers had last, by name."""

MARK = "fcn.checkout"
"""The tag of MLflow's default experiment that says whose database it is."""


def root() -> Path:
    """The checkout: the current folder, or that of which DVC made a copy for
    `dvc exp run --temp`.
    """
    here = Path.cwd()
    for folder in here.parents:
        if folder.parts[-3:] == (".dvc", "tmp", "exps"):
            return folder.parents[2]
    return here


def port(name: str) -> int:
    """The port that a server of this checkout had last; 0 if there is none that is known."""
    return _ports().get(name, 0)


def listen(name: str, wanted: int = 0) -> socket.socket:
    """A socket on this machine alone: on the port that is wanted, else on the one of last time,
    else on a free one.

    Which one it is, is remembered, so that an address stays as long as nobody else takes its port.

    Args:
        name: of the server, "prefect" or "mlflow".
        wanted: a port, if it has to be that one.

    Raises:
        OSError: the port that is wanted is taken.
    """
    if wanted:
        listener = socket.create_server(("127.0.0.1", wanted))
    else:
        try:
            listener = socket.create_server(("127.0.0.1", port(name)))
        except OSError:
            listener = socket.create_server(("127.0.0.1", 0))
    with contextlib.suppress(OSError):  # where nothing can be written, it is another one next time
        path = root() / PORTS
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_json(path, _ports() | {name: listener.getsockname()[1]})
    return listener


def detached(
    words: Sequence[str], log: Path, inherited: int, place: Path, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Starts a process in a session of its own, which outlives this one: Ctrl-C in our terminal is
    not meant for it.

    Args:
        words: what comes after `python -m`.
        log: the file for what it says.
        inherited: an open file of ours that is its own, too.
        place: the folder that it works in.
        environment: all of its variables.
    """
    with log.open("w") as said:
        return subprocess.Popen(
            [sys.executable, "-m", *words],
            cwd=place,
            env=environment,
            pass_fds=[inherited],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )


def mark(client: Any) -> None:
    """Writes into MLflow's database whose it is, for `mlflow_url`.

    Args:
        client: an `MlflowClient` of the checkout's own database.
    """
    client.set_experiment_tag("0", MARK, str(root()))


def mlflow_url() -> str:
    """The address of MLflow's pages on this checkout's runs; "" where none are served now.

    What answers on the port has to know the mark of this checkout: another one's server does not,
    nor does a stranger.
    """
    url = f"http://127.0.0.1:{port('mlflow')}"
    if url.endswith(":0"):
        return ""
    try:
        answer = httpx.get(
            f"{url}/api/2.0/mlflow/experiments/get?experiment_id=0", timeout=2, trust_env=False
        )
        tags = answer.raise_for_status().json()["experiment"]["tags"]
        return url if {"key": MARK, "value": str(root())} in tags else ""
    except (httpx.HTTPError, ValueError, LookupError, TypeError):
        return ""


def _ports() -> dict[str, int]:
    """What is remembered; nothing of a file that is no such list."""
    with contextlib.suppress(OSError, ValueError):
        data = json.loads((root() / PORTS).read_bytes())
        if isinstance(data, dict):
            return {
                name: port
                for name, port in data.items()
                if isinstance(port, int) and 0 < port < 65536
            }
    return {}
