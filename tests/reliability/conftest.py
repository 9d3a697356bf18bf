"""An MLflow server, in this process, that can be down, fail or be slow; and a project of two small
stages to be mishandled.
"""

import importlib
import threading
import time
import warnings

import pytest

from tasks.tracking import store

SETTINGS = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", *store.ENVIRONMENT)


class Server:
    """MLflow's own server, on one port for good. `mood`: "well", "fails" (500) or "slow"; `asked`:
    the requests.
    """

    def __init__(self, app):
        self.app, self.mood, self.asked, self._server, self.port = app, "well", [], None, 0
        self.start()
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self):
        from werkzeug.serving import WSGIRequestHandler, make_server

        class Quiet(WSGIRequestHandler):
            def log(self, *_):
                pass

        self._server = make_server(
            "127.0.0.1", self.port, self._answer, threaded=True, request_handler=Quiet
        )
        self.port = self._server.server_port
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )
        self._thread.start()

    def stop(self):
        if self._server is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._server = None

    def _answer(self, environ, start_response):
        self.asked.append(environ["PATH_INFO"])
        if self.mood == "fails":
            start_response("500 Internal Server Error", [("Content-Type", "text/html")])
            return [b"<html>the disk of the server is full</html>"]
        if self.mood == "slow":
            time.sleep(2.5)
        return self.app(environ, start_response)


@pytest.fixture(scope="module")  # what it sets must not reach the servers of other tests
def app(tmp_path_factory):
    """MLflow's web application with a database of its own."""
    folder = tmp_path_factory.mktemp("MLflow für alle")
    with pytest.MonkeyPatch.context() as patch:
        database = f"sqlite:///{folder.as_posix()}/mlflow.db"
        for name, value in {
            "FILE_STORE": database, "REGISTRY_STORE": database, "SERVE_ARTIFACTS": "true",
            "ARTIFACT_ROOT": "mlflow-artifacts:/",
            "ARTIFACT_DESTINATION": str(folder / "artifacts"),
        }.items():  # fmt: skip
            patch.setenv(f"_MLFLOW_SERVER_{name}", value)
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        with warnings.catch_warnings():  # of MLflow's dependencies about each other
            warnings.simplefilter("ignore")
            # which the first search for runs imports
            importlib.import_module("starlette.middleware.wsgi")
            from mlflow.server import app
            from mlflow.tracking._model_registry import utils as registry
            from mlflow.tracking._tracking_service import utils as tracking

        # A server takes its own stores for those of the whole process; other tests want theirs
        # again.
        patch.setattr(tracking, "_tracking_uri", None)
        patch.setattr(registry, "_registry_uri", None)
        for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
            patch.setenv(name, "")  # now pytest knows the name and removes what MLflow sets
            patch.delenv(name)
        yield app


@pytest.fixture(scope="module")
def running(app):
    from mlflow import MlflowClient

    running = Server(app)
    # makes its tables, which may take longer than a stage waits
    MlflowClient(tracking_uri=running.url).search_experiments()
    yield running
    running.stop()


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty project's root, with none of this machine's MLflow settings,
    and none left behind.
    """
    folder = tmp_path / "ein Ordner für Läufe"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for mark in ("params.yaml", "dvc.yaml"):
        (folder / mark).touch()
    for name in SETTINGS:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return folder


@pytest.fixture
def server(running, here, monkeypatch):
    """The server, well, and the one that runs are recorded at. Every test has an experiment of its
    own.
    """
    monkeypatch.setenv("MLFLOW_TRACKING_URI", running.url)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    running.mood, running.asked = "well", []
    yield running
    if running._server is None:
        running.start()
    running.mood = "well"


@pytest.fixture
def client(running):
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=running.url)


@pytest.fixture
def experiment(request):
    return "".join(letter if letter.isalnum() else "-" for letter in request.node.name)
