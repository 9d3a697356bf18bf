"""A registered model, brought from MLflow as a model folder."""

import contextlib
import hashlib
from pathlib import Path

import pytest

from fcn.cli import options, workspace
from fcn.errors import UserError
from tasks.tracking import fetched, registry, scoring


@pytest.fixture
def enter(client, saved, empty, monkeypatch):
    """Registers a model whose weights are this text."""

    def save(model_dir, out):
        kept = out / "artifacts" / model_dir.name
        kept.mkdir(parents=True)
        (out / "MLmodel").write_text("flavors: {python_function: {loader_module: none}}\n")
        for file in model_dir.iterdir():
            (kept / file.name).write_bytes(file.read_bytes())

    def enter(text, mean_iu):
        folder = empty / "models" / "fcn8s"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "weights.npz").write_text(text)
        (folder / "model.json").write_text('{"variant": "fcn8s"}')
        sha256 = hashlib.sha256(text.encode()).hexdigest()
        with scoring("fcn-sample", "fcn8s", sha256, params={}, tags={}) as run:
            registry.register(run, "sample", "fcn8s", folder, mean_iu, "val", "d1", sha256)

    import tasks.tracking

    monkeypatch.setattr(tasks.tracking.pyfunc, "save", save)
    return enter


def test_an_alias_a_version_and_what_it_is_later(enter):
    enter("first", 0.5)
    enter("second", 0.4)
    for uri, text, name in (
        ("models:/fcn-sample@champion", "first", "models-fcn-sample-champion"),
        ("models:/fcn-sample@fcn8s", "second", "models-fcn-sample-fcn8s"),
        ("models:/fcn-sample/2", "second", "models-fcn-sample-2"),
    ):
        folder = fetched.model(uri)
        assert folder == fetched.FOLDER / name
        assert (folder / "weights.npz").read_text() == text
        assert sorted(path.name for path in folder.iterdir()) == ["model.json", "weights.npz"]
    for mark in workspace.MARKS:
        Path(mark).touch()
    enter("third", 0.9)
    Path("below").mkdir()
    with contextlib.chdir("below"):  # as the commands ask, from anywhere in the workspace
        folder = options.model_folder("models:/fcn-sample@champion")
    assert (folder / "weights.npz").read_text() == "third"
    assert (fetched.model("models:/fcn-sample@champion") / "weights.npz").read_text() == "third"


@pytest.mark.parametrize(
    "uri", ["models:/fcn-sample@none", "models:/other/1", "models:/x", "models:/"]
)
def test_what_there_is_not_is_said_in_a_sentence(enter, uri):
    enter("first", 0.5)
    with pytest.raises(UserError, match=f"^{uri}: MLflow at mlflow.db has no such model, or does"):
        fetched.model(uri)
    assert not fetched.FOLDER.exists()


def test_a_model_of_somebody_else_s_is_refused(enter, client, tmp_path):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs/MLmodel").write_text("flavors: {}\n")
    client.create_registered_model("theirs")
    client.create_model_version("theirs", (tmp_path / "theirs").as_uri())
    with pytest.raises(UserError, match="expected a model that `fcn repro` registered"):
        fetched.model("models:/theirs/1")


def test_mlflow_that_is_not_there_is_said(empty, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://nowhere")
    with pytest.raises(UserError, match="MLflow at nonsense://nowhere has no such model, or does"):
        fetched.model("models:/fcn-sample@champion")
