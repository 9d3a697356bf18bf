"""What the pipeline's own run shows in Prefect when it is done."""

import base64
import types

import pytest

from fcn.errors import UserError
from flows.runner import outcome, recorded
from tasks.settings import config
from tasks.tracking import steps

SCORES = {
    "pixel_accuracy": 0.9, "mean_accuracy": 0.75, "mean_iu": 0.51236, "frequency_weighted_iu": 0.8,
}  # fmt: skip
ROW = {
    "pixel accuracy": "0.9000", "mean accuracy": "0.7500", "mean iu": "0.5124",
    "frequency weighted iu": "0.8000",
}  # fmt: skip


@pytest.fixture
def shown(tmp_path, monkeypatch):
    """What is shown by key, in a workspace of two variants."""
    found = {}
    monkeypatch.chdir(tmp_path)
    variants = {"fcn32s": "vgg.npz", "fcn8s": "models/fcn32s"}
    monkeypatch.setattr(config, "read", lambda: types.SimpleNamespace(variants=variants))
    monkeypatch.setattr(outcome, "Evaluation", lambda path: types.SimpleNamespace(scores=SCORES))
    monkeypatch.setattr(steps, "show", lambda key, text, **content: found.update({key: content}))
    monkeypatch.setenv(recorded.FOUND, "http://127.0.0.1:4321/api")
    return found


def test_scores_picture_and_link_are_shown_as_far_as_they_are_there(shown, tmp_path):
    outcome.show()
    assert shown == {}
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics/fcn8s.json").touch()
    (tmp_path / "report").mkdir()
    (tmp_path / "report/index.html").touch()
    (tmp_path / "report/overview.jpg").write_bytes(b"jpeg")
    (tmp_path / "report/boundary.png").write_bytes(b"png")
    outcome.show()
    assert shown == {
        "result": {"table": [{"model": "fcn8s", **ROW}]},
        "result-overview": {
            "image": f"data:image/jpeg;base64,{base64.b64encode(b'jpeg').decode()}"
        },
        "result-boundary": {"image": f"data:image/png;base64,{base64.b64encode(b'png').decode()}"},
        "result-report": {"link": "http://127.0.0.1:4321/report/"},
    }


def test_no_link_to_another_server_which_has_no_report(shown, monkeypatch, tmp_path):
    (tmp_path / "report").mkdir()
    (tmp_path / "report/index.html").touch()
    monkeypatch.delenv(recorded.FOUND)
    outcome.show()
    assert shown == {}


def test_a_wrong_file_of_scores_fails_no_pipeline(shown, monkeypatch, tmp_path):
    def refuse(path):
        raise UserError("wrong")

    monkeypatch.setattr(outcome, "Evaluation", refuse)
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics/fcn8s.json").touch()
    outcome.show()
    assert shown == {}
