"""The server for programs: MLflow's forms of a request, and what is said to nonsense. No MLflow, no
socket.
"""

import base64
import io
import socket
import time
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from fcn.cli.app import main
from fcn.predict import server
from fcn.predict.segmentation import Segmentation

IMAGE = np.full((3, 4, 3), 200, np.uint8)


class Net:
    """Says cat of all, in two tiles."""

    spec = SimpleNamespace(classes=("background", "cat"))
    seconds = 0.0

    def cost(self, width, height):
        return width * height

    def steps(self, image):
        for tile in (1, 2):
            time.sleep(self.seconds)
            yield tile, 2
        return Segmentation(np.ones(image.shape[:2], np.uint8), None, image, self.spec.classes)


def encoded():
    buffer = io.BytesIO()
    Image.fromarray(IMAGE).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def client(net=None, **options):
    return TestClient(server.application(net or Net(), **options), "http://127.0.0.1:5001")


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_records": [{"image": encoded()}], "params": {"opacity": 1.0}},
        {"instances": [{"image": encoded()}]},
        {"inputs": {"image": [encoded()]}},
        {
            "dataframe_split": {"columns": ["image"], "data": [[encoded()]]},
            "params": {"opacity": None},
        },
    ],
)
def test_every_form_of_a_request(body):
    answer = client().post("/invocations", json=body)
    assert answer.status_code == 200, answer.text
    (found,) = answer.json()["predictions"]
    assert (found["width"], found["height"]) == (4, 3)
    assert found["classes"] == [{"value": 1, "name": "cat", "share": 1.0, "colour": "#800000"}]
    labels = np.asarray(Image.open(io.BytesIO(base64.b64decode(found["labels"]))))
    np.testing.assert_array_equal(labels, np.ones((3, 4)))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"dataframe_records": [{"image": encoded()}, {"image": ""}]}, "image 1: expected the "
                                                                       "base64"),
        ({"dataframe_records": [{"image": {"a": 1}}]}, "as text, got dict"),
        ({"dataframe_records": [{"picture": encoded()}]}, "dataframe_records[0].image: missing"),
        ({"dataframe_records": []}, "expected at least one picture, got none"),
        ({"dataframe_split": {"columns": ["picture"], "data": [[encoded()]]}}, "expected the "
                                                                               "column `image`"),
        ({"inputs": {"image": []}, "instances": []}, "got instances, inputs"),
        ({}, "got none of them"),
        ({"image": encoded()}, "image: unknown key"),
        ([encoded()], "expected keys with values"),
        ({"inputs": {"image": [encoded()]}, "params": {"opacity": 3}}, "opacity: expected a number "
                                                                       "of 0..1, got 3"),
        ({"inputs": {"image": [encoded()]}, "params": {"opacity": "half"}},
         "params.opacity: expected a valid number"),
    ],
)  # fmt: skip
def test_nonsense_is_answered_with_400_and_words(body, words):
    answer = client().post("/invocations", json=body)
    assert (answer.status_code, answer.json()["error_code"]) == (400, "BAD_REQUEST")
    assert words in answer.json()["message"]


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 400), (b"", "application/json; charset=utf-8", 400),
        (b"\xff\xfe\x00", "application/json", 400), (b"x", "image/png", 415), (b"x", "", 415),
        (b" " * 2000, "application/json", 413),
    ],
)  # fmt: skip
def test_what_is_no_json_and_what_is_too_large(content, kind, status, monkeypatch):
    monkeypatch.setattr(server, "MAX_BODY", 1000)
    answer = client().post("/invocations", content=content, headers={"content-type": kind})
    assert answer.status_code == status
    assert answer.json()["message"]


def test_a_request_that_takes_too_long_is_given_up():
    net = Net()
    net.seconds = 0.02
    answer = client(net, seconds=0.01).post("/invocations", json={"inputs": {"image": [encoded()]}})
    assert answer.status_code == 400
    assert "0.01 s are over, and 1 of 2 tiles are done" in answer.json()["message"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200), ({"Host": "localhost:5001"}, 200), ({"Host": "proxy.example"}, 200),
        ({"Host": "proxy.example", "Origin": "https://proxy.example"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Origin": "http://evil.example"}, 403), ({"Origin": "http://127.0.0.1:1"}, 403),
    ],
)  # fmt: skip
def test_it_answers_its_own_hosts_and_origins_alone(headers, status):
    asked = client(allowed=["proxy.example"])
    assert asked.get("/ping", headers=headers).status_code == status
    kind = {**headers, "content-type": "x/y"}
    assert (
        asked.post("/invocations", headers=kind, content=b"x").status_code
        == {200: 415, 403: 403}[status]
    )


def test_what_cannot_be_served_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["serve", str(tmp_path / "nothing"), "--port", "0"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("--model: expected voc20, ")
    assert said.endswith(f"; got {tmp_path}/nothing\n")
    assert main(["serve", "models:/any@champion"]) == 2
    assert capsys.readouterr().err.startswith(
        "models:/any@champion: it needs a workspace: neither "
    )
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["serve", "--port", str(port)]) == 2
    assert capsys.readouterr().err.startswith(f"--port {port}: another program listens there; ")
