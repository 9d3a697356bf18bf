"""The stage `download` in a checkout, and in the copy that DVC makes of it for an experiment."""

import shutil
from pathlib import Path

import pytest
import yaml

from flows import download
from tasks.settings import config

ROOT = Path(__file__).parents[2]


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """The current folder: DVC's copy of a checkout; it has what git has."""
    copy = tmp_path / ".dvc/tmp/exps/tmp1"
    for folder in (tmp_path, copy):
        (folder / "sample").mkdir(parents=True)
        (folder / "sample/world.tar.gz").write_text("of git")
        for name in ("params.yaml", "profiles.yaml"):
            shutil.copy(ROOT / name, folder)
    monkeypatch.chdir(copy)
    return copy


def run(monkeypatch, profile):
    """What is fetched: where to, from which URLs, and what of it is here already."""
    own = {**config.plain(ROOT / "params.yaml"), "profile": profile}
    own["variants"] = config.fitting(own, config.plain(ROOT / "profiles.yaml"))
    Path("params.yaml").write_text(yaml.safe_dump(own, sort_keys=False))
    fetched = {}

    def fetch(source, folder, local):
        fetched[folder.name, source.name] = (source.urls, local)
        return folder / source.name

    monkeypatch.setattr(download, "fetch", fetch)
    monkeypatch.setattr(download, "unpack", lambda *_: None)
    download.download(Path("data/raw") / profile)
    return fetched


def test_an_experiment_takes_what_the_checkout_has_downloaded(copy, tmp_path, monkeypatch):
    tar, weights = "VOCtrainval_11-May-2012.tar", "VGG_ILSVRC_16_layers.caffemodel"
    there = tmp_path / "data/raw/voc2012"
    for folder, name in (("archives", tar), ("weights", weights)):
        (there / folder).mkdir(parents=True)
        (there / folder / name).write_text("long downloaded")
    fetched = run(monkeypatch, "voc2012")
    assert fetched["archives", tar][1] == there / "archives" / tar
    assert fetched["weights", weights][1] == there / "weights" / weights
    assert fetched["archives", "benchmark.tgz"][1] is None, "what is not there is downloaded"
    assert fetched["archives", tar][0][0].startswith("http://host.robots.ox.ac.uk/")


def test_an_experiment_finds_own_data_in_the_checkout_and_takes_gits_files_from_its_copy(
    copy, tmp_path, monkeypatch
):
    (tmp_path / "data/own").mkdir(parents=True)
    Path("data/own").mkdir(parents=True)  # git has its README
    fetched = run(monkeypatch, "folder")
    assert fetched["archives", "own"] == ((f"file:{tmp_path}/data/own",), None)
    assert run(monkeypatch, "sample")["archives", "world.tar.gz"] == (
        ("file:sample/world.tar.gz",),
        None,
    )


def test_in_the_checkout_itself_nothing_is_taken_from_elsewhere(copy, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/raw/sample/archives").mkdir(parents=True)
    (tmp_path / "data/raw/sample/archives/world.tar.gz").write_text("x")
    assert run(monkeypatch, "folder")["archives", "own"] == (("file:data/own",), None)
    assert run(monkeypatch, "sample")["archives", "world.tar.gz"] == (
        ("file:sample/world.tar.gz",),
        None,
    )
