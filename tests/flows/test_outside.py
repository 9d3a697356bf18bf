"""A folder outside of the project is looked at before each run, without reading its files."""

import os
import shutil
from pathlib import Path

import pytest
import yaml

from flows import outside
from tasks.settings import config, yamlfile

ROOT = Path(__file__).parents[2]


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A folder that a profile names, beside a checkout that is the current folder."""
    mine = tmp_path / "mine"
    (mine / "masks").mkdir(parents=True)
    (mine / "masks" / "a.png").write_text("one")
    checkout = tmp_path / "checkout"
    (checkout / "data/own").mkdir(parents=True)
    shutil.copy(ROOT / "profiles.yaml", checkout)
    monkeypatch.chdir(checkout)
    own = {**yamlfile.plain(ROOT / "params.yaml"), "profile": "folder"}
    own["variants"] = config.fitting(own, yamlfile.plain(ROOT / "profiles.yaml"))
    archives = {"folder": {"urls": [f"file:{mine}"]}}
    own["profiles"] = {"folder": {"download": {"archives": archives}}}
    Path("params.yaml").write_text(yaml.safe_dump(own, sort_keys=False))
    return mine


def noted():
    outside.note()
    return outside.NOTE.read_text()


def test_what_changes_outside_changes_the_note(mine):
    first = noted()
    assert first.startswith(f"{mine} ")
    assert noted() == first
    mask = mine / "masks" / "a.png"
    mask.write_text("two")  # as large as it was
    os.utime(mask, ns=(1, 1))
    corrected = noted()
    assert corrected != first
    (mine / "images").mkdir()
    (mine / "images" / "new.jpg").touch()
    more = noted()
    assert more not in (first, corrected)
    (mine / "linked").symlink_to(mine.parent / "disk")
    (mine.parent / "disk").mkdir()
    (mine.parent / "disk" / "b.jpg").touch()
    assert noted() != more, "behind links, too"


def test_inside_of_the_project_dvc_looks_itself(mine):
    noted()
    own = yamlfile.plain(Path("params.yaml"))
    del own["profiles"]["folder"]
    Path("params.yaml").write_text(yaml.safe_dump(own, sort_keys=False))
    outside.note()
    assert not outside.NOTE.exists()
