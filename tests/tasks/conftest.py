"""A server of one file that can misbehave in all the ways that servers of data sets do; and MLflow
stores to write to.
"""

import http.server
import shutil
import sys
import threading
import types

import pytest
from tracked import at_once

import tasks.tracking
from tasks.tracking import forwarder, store, training
from tasks.tracking.database import sqlite

SETTINGS = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", *store.ENVIRONMENT)


class FileServer(http.server.ThreadingHTTPServer):
    """What `file_server` gives."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str | None] = []
        self.plan, self.content, self.over = ["all"], b"", threading.Event()
        self.url = f"http://127.0.0.1:{self.server_address[1]}/"

    def handle_error(self, *_):
        """Say nothing: clients that hang up are what is tested here."""


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers with `server.content` as `server.plan` says: one word per request, the last one for
    all that follow.
    """

    server: FileServer
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server, data, wanted = self.server, self.server.content, self.headers.get("Range")
        server.asked.append(wanted)
        word = server.plan.pop(0) if len(server.plan) > 1 else server.plan[0]
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        if word.isdigit():
            return self.answer(int(word), b"no")
        if word == "hangs":
            return server.over.wait()
        if word == "html":
            return self.answer(200, b"<!DOCTYPE html><html>Sign in</html>")
        # promises everything; ends, or falls silent, after a quarter
        if word in ("breaks", "stalls"):
            self.answer(200 if not start else 206, data[start:], start, len(data) // 4)
            if word == "stalls":
                self.wfile.flush()
                server.over.wait()
            return None
        if word.startswith("no length"):  # as HTTP/1.0 does: what comes until the end is the file
            body = data[: len(data) // 4] if word == "no length, breaks" else data
            return self.answer(200, b"<html>" if word == "no length, html" else body, length=False)
        if word == "no ranges" or not wanted:
            return self.answer(200, data)
        if word == "other range":
            return self.answer(206, data, start=0)
        if start >= len(data):
            return self.answer(416, b"", start="*")
        return self.answer(206, data[start:], start)

    def answer(self, status, body, start=0, stop_after=None, length=True):
        size = len(self.server.content)
        self.send_response(status)
        if status == 416:
            self.send_header("Content-Range", f"bytes */{size}")
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{start + len(body) - 1}/{size}")
        if length:
            self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        self.wfile.write(body if stop_after is None else body[:stop_after])

    def log_message(self, *_):
        pass


@pytest.fixture
def file_server():
    """Running: set `content` and `plan`, see `asked` (the ranges that were asked for), append a
    file's name to `url`.
    """
    with FileServer() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.over.set()
        running.shutdown()
        thread.join()


def enter(folder, patch):
    """Work in a folder, with none of this machine's MLflow settings, and leave none behind."""
    patch.chdir(folder)
    for name in SETTINGS:
        patch.setenv(name, "")  # now pytest knows the name and removes what the code sets
        patch.delenv(name)


@pytest.fixture(autouse=True)
def teller(monkeypatch):
    """MLflow hears nothing; the tests of tracking/ have another."""
    monkeypatch.setattr(forwarder, "wake", lambda: None)


@pytest.fixture
def empty(tmp_path, monkeypatch):
    """An empty project's root, in whose name every letter stands that means something in an
    address.
    """
    folder = tmp_path / "a?b%20c#d ü"
    folder.mkdir()
    enter(folder, monkeypatch)
    return folder


@pytest.fixture(scope="session")
def database(tmp_path_factory):
    """A database as the first user leaves it, made once: MLflow takes a second or two for its
    tables.
    """
    folder = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        enter(folder, patch)
        at_once(patch)
        with training("fcn-first", "fcn32s", "first", params={}, tags={}):
            pass
    return folder / "mlflow.db"


@pytest.fixture
def client(empty, database):
    store.prepare()
    from mlflow import MlflowClient

    shutil.copy(database, "mlflow.db")
    store._follow(empty / "mlflow.db")
    return MlflowClient(tracking_uri=sqlite("pysqlite", empty / "mlflow.db"))


@pytest.fixture
def saved(monkeypatch):
    """A stand-in for `tasks.tracking.pyfunc`, whose own tests are elsewhere; lists the folders that
    were saved.
    """
    folders = []

    def save(model_dir, out):
        folders.append(model_dir.name)
        out.mkdir()
        (out / "MLmodel").write_text("flavors: {python_function: {loader_module: none}}\n")
        (out / "weights.npz").write_bytes((model_dir / "weights.npz").read_bytes())

    stand_in = types.SimpleNamespace(save=save)
    monkeypatch.setitem(sys.modules, "tasks.tracking.pyfunc", stand_in)
    monkeypatch.setattr(tasks.tracking, "pyfunc", stand_in, raising=False)
    return folders
