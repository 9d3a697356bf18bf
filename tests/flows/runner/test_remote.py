"""A clone with a DVC remote, on a DAG of the project's form in shell commands that note when they
run.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from flows import pipeline
from flows.runner import remote

DVC = """
stages:
  download:
    cmd: echo download >> $RAN && mkdir -p raw/${profile}/images && \
cp source raw/${profile}/images/x
    deps: [source]
    outs:
      - raw/${profile}/images: {cache: false, persist: true}
  records:
    cmd: echo records >> $RAN && mkdir -p data && cat raw/${profile}/images/x params.yaml > data/x
    deps: ["raw/${profile}/images"]
    params: [shards]
    outs: [data]
  train:
    foreach: {a: {}}
    do:
      cmd: echo train >> $RAN && mkdir -p models/${key} && \
(cat data/x; echo trained) > models/${key}/x
      deps: [data]
      outs: ["models/${key}"]
  evaluate:
    cmd: echo evaluate >> $RAN && mkdir -p metrics && echo '{"iu":1}' > metrics/a.json
    deps: [models/a]
    metrics:
      - metrics/a.json: {cache: false}
"""


def run(folder, *command):
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def origin(tmp_path_factory):
    """A project that was run and pushed to the folder `store` beside it, and the environment for
    all that works on it.
    """
    folder = tmp_path_factory.mktemp("remote")
    changes = {
        "RAN": folder / "ran",
        "DVC_GLOBAL_CONFIG_DIR": folder / "g",
        "DVC_SITE_CACHE_DIR": folder / "s",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("DVC_", "GIT_"))]:
            patch.delenv(name)
        for name, value in {
            **changes,
            "DVC_NO_ANALYTICS": 1,
            "GIT_CONFIG_GLOBAL": os.devnull,
        }.items():
            patch.setenv(name, str(value))
        origin = folder / "origin"
        origin.mkdir()
        ignored = "raw\ndata\nmodels\n"
        files = {
            "dvc.yaml": DVC,
            "params.yaml": "profile: p\nshards: 1\n",
            "source": "pixels\n",
            ".gitignore": ignored,
        }
        for name, text in files.items():
            (origin / name).write_text(text)
        dvc = (sys.executable, "-m", "dvc")
        run(origin, "git", "init", "--quiet")
        run(origin, *dvc, "init", "--quiet")
        with (origin / ".dvc/config").open("a") as config:
            config.write(
                "[core]\n    remote = store\n['remote \"store\"']\n    url = ../../store\n"
            )
        run(origin, *dvc, "repro")
        run(origin, *dvc, "push", "--run-cache")
        run(origin, "git", "add", "--all")
        run(
            origin,
            "git",
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@t",
            "commit",
            "--quiet",
            "--message",
            "all of it",
        )
        assert (folder / "ran").read_text().split() == ["download", "records", "train", "evaluate"]
        yield folder


@pytest.fixture
def clone(origin, tmp_path, monkeypatch):
    """Clones the project and its remote; the function returned runs the pipeline: the command, what
    ran, what was said.
    """
    run(tmp_path, "git", "clone", "--quiet", str(origin / "origin"), "clone")
    shutil.copytree(origin / "store", tmp_path / "store")
    monkeypatch.chdir(tmp_path / "clone")

    def reproduce(capfd):
        (origin / "ran").write_text("")
        command = pipeline.words([], False)
        capfd.readouterr()
        pipeline.reproduce(command)
        return command, (origin / "ran").read_text().split(), capfd.readouterr().out

    return reproduce


def test_a_clone_pulls_and_makes_nothing_until_something_changes(clone, tmp_path, capfd):
    lock = (tmp_path / "clone/dvc.lock").read_bytes()
    command, ran, said = clone(capfd)
    assert (command, ran) == (["repro", "--pull"], [])
    assert re.search(r"^pulled: .*\btrain@a\b", said, re.MULTILINE)
    assert (tmp_path / "clone/models/a/x").read_text() == "pixels\nprofile: p\nshards: 1\ntrained\n"
    assert (tmp_path / "clone/dvc.lock").read_bytes() == lock

    # Nobody needs the download now, which no remote has: nothing is to do, and no remote is asked.
    shutil.move(tmp_path / "store", tmp_path / "away")
    command, ran, said = clone(capfd)
    assert (command, ran) == (["repro", "--allow-missing"], [])
    assert re.search(r"^unchanged: .*\bdownload\b", said, re.MULTILINE)

    # A changed stage needs it, so it runs.
    (tmp_path / "clone/params.yaml").write_text("profile: p\nshards: 2\n")
    command, ran, said = clone(capfd)
    assert ran == ["download", "records", "train", "evaluate"]
    assert (
        "not to be had from the remote (failed to reproduce 'records': [Errno 2] No such file "
        "or directory: "
    ) in said
    assert remote.options() == [], "all is there"


def test_a_remote_that_has_nothing_costs_no_run(clone, tmp_path, capfd):
    shutil.rmtree(tmp_path / "store")
    command, ran, _ = clone(capfd)
    # the metrics lie in git
    assert (command, ran) == (["repro", "--pull"], ["download", "records", "train"])


def test_without_a_default_remote_nothing_is_pulled(clone, tmp_path):
    assert remote.options() == ["--pull"]
    (tmp_path / "clone/.dvc/config").write_text("")
    assert remote.options() == []


def test_own_data_that_were_added_are_brought_before_the_pipeline_runs(
    clone, tmp_path, monkeypatch, capfd
):
    """`dvc add own/photos` and `dvc push` by one, a clone by another."""
    monkeypatch.setattr(remote, "OWN", Path("own"))
    clone(capfd)
    here = tmp_path / "clone"
    (here / "own/photos").mkdir(parents=True)
    (here / "own/photos/a.jpg").write_text("a photograph")
    for words in (["add", "own/photos"], ["push", "own/photos.dvc"]):
        run(here, sys.executable, "-m", "dvc", *words)
    assert remote.lacking() == []
    shutil.rmtree(here / "own/photos")
    shutil.rmtree(here / ".dvc/cache")
    assert remote.lacking() == ["own/photos.dvc"]
    clone(capfd)
    assert (here / "own/photos/a.jpg").read_text() == "a photograph"
    assert remote.lacking() == []
