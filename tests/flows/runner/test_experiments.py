"""Experiments that DVC runs in a copy of the workspace report to the workspace."""

import contextlib
import re
import shutil
import sqlite3
import subprocess
import sys

import pytest

from tests.flows import conftest

STAGE = """
import sys
from pathlib import Path
from flows.runner import stage
from tasks import tracking
from tasks.tracking import forwarder

def tiny(text: str, out: Path) -> None:
    with tracking.training("fcn-e", text, text, params={"text": text}, tags={}) as run:
        run.metrics({"loss": 1.0}, 1)
    forwarder.wait()
    out.write_text(text)

if __name__ == "__main__":
    sys.exit(stage.main(tiny))
"""


def rows(database, query):
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return connection.execute(query).fetchall()


@pytest.fixture
def workspace(tmp_path):
    folder = tmp_path / "a b"  # DVC itself cannot do it in a folder with a #
    folder.mkdir()
    found = conftest.Project(folder, None, None, conftest._isolated(tmp_path))
    found.environment["GIT_CONFIG_GLOBAL"] = str(tmp_path / "gitconfig")
    (tmp_path / "gitconfig").write_text("[user]\nname = t\nemail = t@t\n")
    shutil.copy(conftest.REPO / "pyproject.toml", folder)
    (folder / "tiny.py").write_text(STAGE)
    (folder / "dvc.yaml").write_text(conftest.FIRST)
    (folder / ".gitignore").write_text(".prefect\n.cache\n__pycache__\nmlflow.db*\nfirst.txt\n")
    found.params(first="one")
    for command in (
        ["git", "init", "-q"],
        [sys.executable, "-m", "dvc", "init", "--quiet"],
        ["git", "add", "-A"],
        ["git", "commit", "-qm", "all"],
    ):
        subprocess.run(command, cwd=folder, env=found.environment, check=True)
    return found


def test_experiments_in_a_copy_report_to_the_workspace(workspace):
    for command in (
        ["exp", "run", "--temp", "-S", "first=two"],
        ["exp", "run", "--queue", "-S", "first=three"],
        ["exp", "run", "--run-all"],
    ):
        code, said = workspace.run("dvc", *command)
        assert code == 0, said
    names = rows(
        workspace.folder / "mlflow.db", "SELECT value FROM params WHERE key = 'text' ORDER BY value"
    )
    assert names == [("three",), ("two",)]
    found = rows(
        workspace.folder / ".prefect/prefect.db", "SELECT name, state_name, tags FROM flow_run"
    )
    folders = [re.findall('folder:([^"]+)', tags) for _, _, tags in found]
    assert folders
    assert all(names[:1] == [workspace.folder.name] for names in folders), folders
    assert {state for _, state, _ in found} == {"Completed"}
    assert len([name for name, *_ in found if name == "first"]) == 2
    assert not [*workspace.folder.glob(".dvc/tmp/exps/**/mlflow.db")]
    assert not [*workspace.folder.glob(".dvc/tmp/exps/**/.prefect")]


def test_that_mlflow_failed_is_said_once_with_the_pipeline(workspace):
    workspace.environment["MLFLOW_TRACKING_URI"] = "nonsense://nowhere"
    code, said = workspace.run("fcn", "repro")
    assert code == 0, said
    assert said.count("MLflow at nonsense://nowhere failed: ") == 1, said
    assert not (workspace.folder / "mlflow.db").exists()
    del workspace.environment["MLFLOW_TRACKING_URI"]
    code, said = workspace.run("fcn", "sync", "--from", "nonsense://nowhere")
    assert (code, "has now the records of 1 earlier runs, too" in said) == (0, True), said
