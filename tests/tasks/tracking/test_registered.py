"""Which evaluated models become versions in the registry."""

import contextlib
import json
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from fcn.evaluate import Evaluation
from fcn.evaluate import score as scoring
from fcn.input import records
from fcn.net import surgery
from tasks import score, tracking
from tasks.report import pictures
from tasks.settings import config
from tasks.tracking import registry

ROOT = Path(__file__).parents[3]
PROVENANCE = {"split": "val", "dataset": "d1", "protocol": "fcn", "images": 3}
RESULT = {
    **dict.fromkeys(tracking.SCORES, 0.5), "protocols": {}, "provenance": PROVENANCE,
}  # fmt: skip


@pytest.mark.parametrize(
    ("words", "versions"),
    [
        ({}, [0.5]),
        ({"register": False}, []),
        ({"seed": 7}, []),
        ({"seed": 7, "register": False}, []),
    ],
)
def test_only_the_workspace_s_own_models_are_registered(empty, monkeypatch, words, versions):
    plots, run, registered = empty / "plots", MagicMock(), []
    plots.mkdir()
    (empty / "metrics.json").write_text(json.dumps(RESULT))
    (empty / "weights.npz").write_bytes(b"")
    (plots / "confusion.csv").write_text("truth,prediction,pixels,share\ncat,cat,2,1.0\n")
    (plots / "images.csv").write_text("image,class,both,truth,prediction\na,cat,1,2,1\n")
    monkeypatch.setattr(scoring, "run", lambda *_: Evaluation(empty / "metrics.json", plots))
    monkeypatch.setattr(records, "split_info", lambda *_: {"list": "val", "digest": "d1" * 32})
    monkeypatch.setattr(tracking, "scoring", lambda *_, **__: contextlib.nullcontext(run))
    monkeypatch.setattr(pictures, "confusion_picture", lambda _: contextlib.nullcontext(plots))
    monkeypatch.setattr(registry, "register", lambda *given, **on: registered.append(given[4]))
    monkeypatch.setattr(surgery, "read_spec", lambda _: None)
    which = {key: value for key, value in words.items() if key != "register"}
    wanted = tracking.RunSpec(config.read(ROOT / "params.yaml"), "fcn8s", **which)
    metrics, register = empty / "metrics.json", words.get("register", True)
    score.score(wanted, empty, empty, metrics, plots, register)
    assert registered == versions
    assert run.metrics.called, "its scores are told in any case"
