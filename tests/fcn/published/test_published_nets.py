"""`--model voc-fcn8s`: the authors' net by its name, over http, with a small net of the same
layers.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from published_nets import FILES, blobs, net, write

from fcn.cli.app import main
from fcn.datasets import voc
from fcn.net import surgery
from fcn.published import nets as published_nets

FILE = FILES["fcn8s"]


@pytest.fixture
def authors(tmp_path, monkeypatch):
    """A folder with the net as published, and a function that says under which address; the current
    folder is another.
    """
    folder, work = tmp_path / "authors", tmp_path / "work"
    for made in (folder, work):
        made.mkdir()
    write(folder / FILE, net("fcn8s"))
    digest = hashlib.sha256((folder / FILE).read_bytes()).hexdigest()
    shipped = json.loads(published_nets.FACTS.read_text())

    def at(url, checksum=f"sha256:{digest}", variant="fcn8s"):
        shipped["nets"][variant]["weights"] = {
            "urls": [f"{url}/{FILE}"],
            "checksums": [checksum] * bool(checksum),
        }
        (tmp_path / "facts.json").write_text(json.dumps(shipped))

    monkeypatch.setattr(published_nets, "FACTS", tmp_path / "facts.json")
    monkeypatch.chdir(work)
    return folder, at


def cached():
    return sorted(path.name for path in Path(".cache/models").iterdir() if path.suffix != ".lock")


def test_it_is_fetched_and_converted_once(authors, over_http, capsys):
    folder, at = authors
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)).save(
        "photo.png"
    )
    command = ["photo.png", "--model", "voc-fcn8s", "--out", "out"]
    with over_http(folder) as url:
        at(url)
        assert main(["predict", *command]) == 0
    said = capsys.readouterr()
    assert f"voc-fcn8s is fetched from {url}/{FILE} and converted. This is done once.\n" in said.err
    assert "voc-fcn8s is ready in .cache/models/voc-fcn8s.\n" in said.err
    assert said.out.endswith("fcn8s: 1 of 1 images predicted; see out/overlays\n")
    assert cached() == ["voc-fcn8s"]  # what was fetched is not kept twice
    model, spec = surgery.load(Path(".cache/models/voc-fcn8s"))
    assert (spec.variant, spec.classes) == ("fcn8s", voc.CLASSES)
    kernel, _ = blobs(net("fcn8s"))["score_fr"]
    np.testing.assert_array_equal(model.get_layer("score_fr").kernel, kernel.transpose(2, 3, 1, 0))
    assert main(["predict", *command]) == 0  # nobody answers at that address any more
    assert capsys.readouterr().err == ""


def test_without_a_network_it_says_how_to_bring_the_file(authors, capsys):
    folder, at = authors
    at("http://127.0.0.1:9")
    Image.new("RGB", (9, 9)).save("photo.png")
    command = ["photo.png", "--model", "voc-fcn8s", "--out", "out"]
    assert main(["predict", *command]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    place = f"http://127.0.0.1:9/{FILE} to .cache/models"
    assert said.startswith(
        f"{FILE} could not be fetched; bring it from {place} yourself and run this again ("
    )
    (folder / FILE).rename(Path(".cache/models", FILE))
    assert published_nets.model_folder("voc-fcn8s") == Path(".cache/models/voc-fcn8s")
    assert cached() == [FILE, "voc-fcn8s"]  # what the user brought stays
    assert f"voc-fcn8s is fetched from .cache/models/{FILE}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "checksum", "words"),
    [
        (
            "voc-fcn8s",
            "md5:" + "0" * 32,
            f"{FILE}.part: not the file that was published: wanted md5:000",
        ),
        ("voc-fcn16s", "", f"{FILE}.part: wanted fcn16s, but its layers are those of fcn8s"),
    ],
)
def test_another_file_is_refused_and_not_kept(authors, over_http, name, checksum, words):
    folder, at = authors
    with over_http(folder) as url:
        at(url, checksum, name.removeprefix("voc-"))
        with pytest.raises(ValueError, match=words):
            published_nets.model_folder(name)
    assert cached() == []


def test_a_name_that_nobody_knows_is_answered_with_these(authors, capsys):
    authors[1]("http://127.0.0.1:9")
    Image.new("RGB", (9, 9)).save("photo.png")
    assert main(["predict", "photo.png", "--model", "voc-fcn4s", "--out", "out"]) == 2
    assert (
        "voc-fcn32s, voc-fcn16s, voc-fcn8s, voc-fcn8s_atonce, a variant (fcn32s, "
    ) in capsys.readouterr().err
