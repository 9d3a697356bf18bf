"""Whose MLflow it is that answers."""

import http.server
import json
import threading

import pytest

from tasks.tracking import checkout


class Server(http.server.ThreadingHTTPServer):
    status, body = 200, b""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answers)
        self.asked: list[str] = []


class Answers(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        self.server.asked.append(self.path)
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(empty):
    """Listens where the checkout's MLflow was last."""
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        (empty / ".cache").mkdir()
        checkout.PORTS.write_text(json.dumps({"mlflow": running.server_port}))
        yield running
        running.shutdown()
        thread.join()


def answer(*tags):
    listed = [{"key": key, "value": value} for key, value in tags]
    return json.dumps({"experiment": {"tags": listed}}).encode()


def test_pages_are_believed_that_know_the_mark_of_this_checkout(server, empty):
    server.body = answer(("other", "x"), (checkout.MARK, str(empty)))
    assert checkout.mlflow_url() == f"http://127.0.0.1:{server.server_port}"
    assert server.asked == ["/api/2.0/mlflow/experiments/get?experiment_id=0"]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, answer((checkout.MARK, "/another/checkout"))),
        (200, answer()),
        (200, b'{"experiment": {}}'),
        (200, b"[]"),
        (200, b"null"),
        (200, b"<html>"),
        (404, answer()),
        (500, b""),
    ],
)
def test_a_stranger_on_the_port_is_not_believed(server, status, body):
    server.status, server.body = status, body
    assert checkout.mlflow_url() == ""


def test_no_pages_where_nobody_listens_or_none_were_ever_served(server, empty):
    server.server_close()
    assert checkout.mlflow_url() == ""
    checkout.PORTS.unlink()
    assert checkout.mlflow_url() == ""


def test_the_mark_is_that_of_the_checkout(client, empty):
    checkout.mark(client)
    assert client.get_experiment("0").tags[checkout.MARK] == str(empty)
