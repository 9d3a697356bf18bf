"""Two clones on one machine, one a copy of the other that was made while it worked: each has a
server and runs of its own.
"""

import contextlib
import re
import shutil
import sqlite3
import subprocess
import sys

import pytest

from tests.flows import conftest


class Clone(conftest.Project):
    """A workspace whose database is read as it lies there."""

    def runs(self):
        """(name, state, its words, folder by the tags) of each flow run."""
        with contextlib.closing(sqlite3.connect(self.folder / ".prefect/prefect.db")) as connection:
            rows = connection.execute(
                "SELECT flow_run.name, state_name, flow_run_state.message, tags FROM flow_run JOIN "
                "flow_run_state ON flow_run_state.id = flow_run.state_id ORDER BY flow_run.created"
            ).fetchall()
        return [
            (name, state, words, re.findall('folder:([^"]+)', tags)[0])
            for name, state, words, tags in rows
        ]


def clone(folder):
    return Clone(folder, None, None, conftest._isolated(folder))


@pytest.fixture
def one(tmp_path):
    one = clone(tmp_path / "one")
    one.folder.mkdir()
    shutil.copy(conftest.REPO / "pyproject.toml", one.folder)
    waits = conftest.STAGE.replace('text == "wait"', 'text == "wait" and not Path("go").exists()')
    (one.folder / "tiny.py").write_text(waits)
    (one.folder / "dvc.yaml").write_text(conftest.FIRST)
    (one.folder / ".gitignore").write_text(".prefect\n.cache\n__pycache__\nfirst.txt\ngo\n")
    one.params(first="wait")
    name = ("-c", "user.name=t", "-c", "user.email=t@t")
    dvc = [sys.executable, "-m", "dvc", "init", "--quiet"]
    for command in (
        ["git", "init", "-q"],
        dvc,
        ["git", "add", "-A"],
        ["git", *name, "commit", "-qm", "all"],
    ):
        subprocess.run(command, cwd=one.folder, env=one.environment, check=True)
    return one


def test_a_copy_of_a_working_clone_has_its_own_server_port_and_runs(one, tmp_path):
    process, said = one.start("fcn", "repro", "--verbose"), ""
    while "waiting\n" not in said:
        line = process.stdout.readline()
        assert line, said
        said += line
    two = clone(tmp_path / "two")
    shutil.copytree(one.folder, two.folder)
    two.params(first="hello")
    code, other = two.run("fcn", "repro", "--verbose")
    assert code == 0, other
    (one.folder / "go").touch()
    said += process.communicate()[0]
    assert process.returncode == 0, said

    (port,), (port_of_copy,) = (
        {*re.findall(r"View at http://127.0.0.1:(\d+)/runs/flow-run/", text)}
        for text in (said, other)
    )
    assert port != port_of_copy
    done = [("dvc repro", "Completed"), ("first", "Completed")]
    assert [run[:2] for run in one.runs() if run[3] == "one"] == done
    assert [run[:2] for run in two.runs() if run[3] == "two"] == done
    assert {run[3] for run in one.runs()} == {"one"}
    # What the copy began with is history there, and nobody's work.
    assert {run[1] for run in two.runs() if run[3] == "one"} == {"Crashed"}

    one.params(first="other")
    code, temporary = one.run("dvc", "exp", "run", "--temp")
    assert code == 0, temporary
    assert [run[:2] for run in one.runs()][2:] == [
        ("dvc exp run --temp", "Completed"),
        ("first", "Completed"),
    ]
    assert {run[3] for run in one.runs()} == {"one"}
