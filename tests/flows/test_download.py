"""The stage `download` in a checkout, and in the copy that DVC makes of it for an experiment."""

import hashlib
import shutil
from pathlib import Path

import pytest
import yaml

from fcn.errors import UserError
from fcn.io.download import Interrupted
from flows import download
from tasks import reach
from tasks.settings import config, yamlfile

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
    own = {**yamlfile.plain(ROOT / "params.yaml"), "profile": profile}
    own["variants"] = config.fitting(own, yamlfile.plain(ROOT / "profiles.yaml"))
    Path("params.yaml").write_text(yaml.safe_dump(own, sort_keys=False))
    fetched = {}

    def fetch(source, folder, local):
        fetched[folder.name, source.name] = (source.urls, local)
        return folder / source.name

    monkeypatch.setattr(download, "fetch", fetch)
    monkeypatch.setattr(download, "unpack", lambda *_: None)
    monkeypatch.setattr(reach, "check", lambda *_: None)  # asks servers of the world
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


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout with a profile whose archive and weights a server has that is gone."""
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    own = yamlfile.plain(ROOT / "params.yaml")
    gone = {"urls": ["http://127.0.0.1:9/a/world.tar.gz"], "checksums": []}
    weights = {"urls": ["http://127.0.0.1:9/vgg.caffemodel"], "checksums": [MD5]}
    own["profiles"] = {"sample": {"download": {"archives": {"voc": gone}, "weights": weights}}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(own, sort_keys=False))
    shutil.copy(ROOT / "profiles.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    return tmp_path


CONTENT = b"weights"
MD5 = f"md5:{hashlib.md5(CONTENT).hexdigest()}"


def test_files_of_ones_own_are_put_where_the_stage_looks_for_them(checkout, monkeypatch):
    asked = []
    monkeypatch.setattr(reach, "check", lambda profile, missing: asked.extend(missing))
    settings, mine = config.read(), checkout / "mine"
    download.check(settings)
    assert [source.name for source in asked] == ["world.tar.gz", "vgg.caffemodel"]
    (mine / "vgg.caffemodel").write_bytes(CONTENT)
    asked.clear()
    download.check(settings, mine)
    assert [source.name for source in asked] == ["world.tar.gz"]
    assert download.bring(settings, mine) == [Path("data/raw/sample/weights/vgg.caffemodel")]
    assert Path("data/raw/sample/weights/vgg.caffemodel").read_bytes() == CONTENT
    asked.clear()
    download.check(settings)
    assert [source.name for source in asked] == ["world.tar.gz"]


def test_a_wrong_file_of_ones_own_is_refused(checkout):
    (checkout / "mine/vgg.caffemodel").write_bytes(b"others")
    with pytest.raises(UserError, match=r"vgg.caffemodel: not the file that is wanted"):
        download.bring(config.read(), checkout / "mine")
    with pytest.raises(UserError, match="expected one of the profile's files"):
        download.check(config.read(), checkout / "params.yaml")


def test_a_download_that_does_not_come_says_how_to_go_on(checkout, monkeypatch):
    def fetch(*_):
        raise Interrupted("http://127.0.0.1:9/a/world.tar.gz: the server does not answer")

    monkeypatch.setattr(download, "fetch", fetch)
    monkeypatch.setattr(reach, "check", lambda *_: None)
    with pytest.raises(UserError, match=r"does not answer\. The same command .*--from-local"):
        download.download(Path("data/raw/sample"))
