"""The profiles for a folder of one's own, for ADE20K and for the toy, through the whole DAG in a
few steps.
"""

import json
import re

import numpy as np
import pytest
from PIL import Image

from fcn.pixels import labels

STEPS = {"iterations": 2, "log_every": 2, "validate_every": 2}


def choose(project, name, variants, changes=None):
    """Selects a profile, changes it, shortens its trainings, and leaves `variants` of them."""
    changes = {"train": dict.fromkeys(variants, STEPS), **(changes or {})}
    project.change({"profile": name, "variants": variants, f"profiles.{name}": changes})


def reproduce(project, *targets):
    """Without Prefect, which has no say in what a profile is."""
    return project.run("dvc", "repro", *targets, FCN_PARENT_RUN="")


def scores(project, variant):
    return json.loads((project.folder / f"metrics/{variant}.json").read_text())


def test_a_folder_with_coloured_masks_from_the_doctor_to_overlays(a_checkout):
    """By the README's words: masks in, doctor, its proposal into classes.txt, doctor again,
    profile, run.
    """
    project = a_checkout
    own = project.folder / "data/own"
    rng = np.random.default_rng(1)
    colours = np.array([[0, 0, 0], [255, 0, 0], [0, 160, 255]], np.uint8)
    (own / "images").mkdir()
    (own / "masks").mkdir()
    truths = {}
    for n in range(20):
        truth = np.zeros((64 + n, 72), np.uint8)
        truth[8:40, 8:30], truth[20:50, 40:60] = 1, 2
        photo = np.clip(
            colours[truth] * 0.6 + rng.integers(0, 90, (*truth.shape, 3)), 0, 255
        ).astype(np.uint8)
        Image.fromarray(photo).save(own / f"images/photo {n}.jpg")
        Image.fromarray(colours[truth]).save(own / f"masks/photo {n}.png")
        truths[f"photo {n}"] = truth

    asked = project.run("python", "-m", "fcn", "doctor", "data/own")
    assert asked.returncode == 1, asked.stdout
    proposal = re.findall(r"^ +(\S+ #[0-9a-f]{6})$", asked.stdout, re.MULTILINE)
    assert len(proposal) == 3, asked.stdout
    (own / "classes.txt").write_text("\n".join(proposal) + "\n")
    asked = project.run("python", "-m", "fcn", "doctor", "data/own")
    assert asked.returncode == 0, asked.stdout

    choose(project, "folder", {"fcn8s": "fcn/pretrained/voc20"})
    done = reproduce(project)
    assert done.returncode == 0, done.stdout
    index = json.loads((project.folder / "data/records/index.json").read_text())
    assert (index["splits"]["train"]["images"], index["splits"]["val"]["images"]) == (16, 4)
    pixels = [
        sum(index["splits"][split]["pixels"][name] for split in ("train", "val"))
        for name in index["classes"]
    ]
    found = {line.split("#")[1]: count for line, count in zip(proposal, pixels, strict=True)}
    counts = np.sum([np.bincount(truth.ravel(), minlength=3) for truth in truths.values()], axis=0)
    assert found == dict(zip(("000000", "ff0000", "00a0ff"), counts.tolist(), strict=True))
    assert 0 < scores(project, "fcn8s")["pixel_accuracy"] < 1
    predicted = list((project.folder / "plots/fcn8s/predictions").glob("*.png"))
    assert {path.stem for path in predicted} == set(index["splits"]["val"]["ids"])
    for path in predicted:
        assert labels.read(path, 3, truths[path.stem].shape[::-1]).shape == truths[path.stem].shape
    for picture in ("plots/fcn8s/overlays.png", "plots/data/contact.png", "report/overview.jpg"):
        with Image.open(project.folder / picture) as image:
            assert image.size[0] > 100

    # DVC sees what changes in the folder, and what is bad is named.
    Image.fromarray(np.full((64, 72), 200, np.uint8)).save(own / "masks/photo 0.png")
    done = reproduce(project, "records")
    assert done.returncode != 0
    assert "photo 0.png" in done.stdout
    assert "1 of 20 pairs of image and label cannot be used" in done.stdout
    assert (own / "images/photo 0.jpg").is_file()


@pytest.mark.realdata
def test_real_ade20k_pairs(realdata, a_checkout):
    project, sample = a_checkout, a_checkout.resolved("sample")
    source = {"urls": [f"file:{realdata / 'ade20k'}"], "checksums": []}
    changes = {
        "download": {"archives": {"ade20k": source}, "weights": sample["download"]["weights"]},
        "records": {"roots": {"ade20k": "."}, "train": "80%", "val": "6%"},
        "model": sample["model"],
    }
    choose(project, "ade20k", {"fcn32s": "models/vgg.npz"}, changes)
    done = reproduce(project)
    assert done.returncode == 0, done.stdout
    index = json.loads((project.folder / "data/records/index.json").read_text())
    assert (len(index["classes"]), index["classes"][:3]) == (150, ["wall", "building", "sky"])
    assert (index["splits"]["train"]["images"], index["splits"]["val"]["images"]) == (14, 1)
    name = index["splits"]["val"]["ids"][0]
    with Image.open(next((realdata / "ade20k").rglob(f"{name}.png"))) as annotation:
        assert index["splits"]["val"]["sizes"][0] == [annotation.height, annotation.width]
    assert scores(project, "fcn32s")["provenance"]["images"] == 1


def test_the_toy(a_checkout):
    project = a_checkout
    assert project.run("python", "-m", "sample.toy", "data/toy").returncode == 0
    choose(project, "toy", {"fcn4s": "models/vgg.npz"})
    done = reproduce(project)
    assert done.returncode == 0, done.stdout
    spec = json.loads((project.folder / "models/fcn4s/model.json").read_text())
    assert (spec["backbone"], spec["variant"]) == ("lenet", "fcn4s")
    assert scores(project, "fcn4s")["provenance"]["images"] == 40
    page = (project.folder / "report/index.html").read_text()
    assert "fcn4s" in page
    assert "fcn32s" not in page
