"""Prefect's server is killed in the middle of a stage, or its database locked: the run ends as it
should, and the next server shows all of it.
"""

import contextlib
import json
import shutil
import sqlite3
import subprocess
import sys
import time

import psutil
import pytest
from prefect.client.orchestration import SyncPrefectClient

from tests.flows.conftest import DVC, REPO, STAGE, Keeper, Project, _isolated


@pytest.fixture
def lonely(tmp_path):
    """A project without a server, in a folder with an odd name, whose first stage waits for the
    file `go`.
    """
    tmp_path = tmp_path / "a?b%20c#d ü"
    tmp_path.mkdir()
    # a server that has just started may be busy
    environment = _isolated(tmp_path) | {"PREFECT_CLIENT_MAX_RETRIES": "1"}
    shutil.copy(REPO / "pyproject.toml", tmp_path)
    (tmp_path / "tiny.py").write_text(
        STAGE.replace('text == "wait"', 'text == "wait" and not Path("go").exists()')
    )
    (tmp_path / "dvc.yaml").write_text(DVC)
    subprocess.run(
        [sys.executable, "-m", "dvc", "init", "--quiet", "--no-scm"],
        cwd=tmp_path,
        env=environment,
        check=True,
    )
    project = Project(tmp_path, None, None, environment)
    project.params(first="wait", second="world")
    return project


@pytest.fixture
def waiting(lonely):
    """`fcn repro` there, in the middle of the first stage."""
    process = lonely.start("fcn", "repro", "--verbose")
    line = ""
    while line != "waiting\n":
        line = process.stdout.readline()
        assert line, "it ended early"
        assert "running without Prefect" not in line
    return process


def test_all_stages_stay_below_their_pipeline(lonely, waiting):
    process = waiting
    entry = json.loads((lonely.folder / ".prefect" / "server.json").read_text())
    psutil.Process(int(entry["server"].partition("-")[0])).kill()
    (lonely.folder / "go").touch()
    output, _ = process.communicate()
    assert process.returncode == 0, output
    assert "running without Prefect" not in output
    assert "could not record" not in output

    assert (lonely.folder / ".prefect" / "prefect.db").is_file()
    assert list(lonely.folder.parent.iterdir()) == [lonely.folder], (
        "the database is not in another folder"
    )

    with Keeper(lonely.folder, lonely.environment) as keeper:
        url, _ = keeper.says()
        assert url == entry["url"], "the next server has the port of the one before"
        assert (
            json.loads((lonely.folder / ".prefect" / "server.json").read_text())["server"]
            != entry["server"]
        )
        all_is_recorded(lonely, url)
        keeper.end()


def all_is_recorded(lonely, url):
    with SyncPrefectClient(url) as lonely.client:
        run = lonely.top()
        assert (run.name, run.state.name) == ("dvc repro", "Completed")
        assert lonely.below(run) == dict.fromkeys(("first", "second@a", "second@b"), "Completed")
        assert lonely.child(run, "first").state.name == "Completed"


def test_a_database_that_is_locked_for_longer_than_the_server_waits(lonely, waiting):
    database = lonely.folder / ".prefect" / "prefect.db"
    with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        (lonely.folder / "go").touch()
        time.sleep(15)  # Prefect's own limit is 10
        other.execute("ROLLBACK")
    output, _ = waiting.communicate()
    assert waiting.returncode == 0, output
    assert "could not record" not in output
    with Keeper(lonely.folder, lonely.environment) as keeper:
        url, _ = keeper.says()
        all_is_recorded(lonely, url)
        keeper.end()
