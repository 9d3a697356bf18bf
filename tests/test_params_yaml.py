"""The committed params.yaml and profiles.yaml: they parse, and their numbers are the published
ones.
"""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.settings import config, yamlfile

ROOT = Path(__file__).parents[1]
OWN = yamlfile.plain(ROOT / "params.yaml")
DATA = yamlfile.plain(ROOT / "profiles.yaml")
VOC = ("voc2011", "voc2011_rebuilt", "voc2012")
CHAIN = ("fcn32s", "fcn16s", "fcn8s")


def profile(name):
    own = {**OWN, "profile": name}
    return config.resolve({**own, "variants": config.fitting(own, DATA)}, DATA)[1]


def test_the_sample_is_what_a_newcomer_gets():
    assert {"profile": "sample", "variants": OWN["variants"], "profiles": {}, "recipes": {}} == OWN
    assert tuple(config.resolve(OWN, DATA)[1].variants) == CHAIN


@pytest.mark.parametrize("name", DATA["profiles"])
def test_every_profile_parses_and_fits_together(name):
    found = profile(name)
    assert set(found.variants) <= set(found.train)
    assert found.variants == (found.chain or config.PAPER)
    for variant, recipe in found.train.items():
        assert recipe.iterations % recipe.log_every == 0, variant
        assert recipe.validate_every % recipe.log_every == 0, variant
    assert set(found.download.archives) == set(found.records.roots)
    assert found.records.train != found.records.val


@pytest.mark.parametrize("name", DATA["profiles"])
def test_checksums_are_well_formed_and_stand_for_all_that_comes_from_the_network(name):
    digits = {"md5": 32, "sha1": 40, "sha256": 64}
    found = profile(name).download
    for source in (*found.archives.values(), found.weights):
        for checksum in source.checksums:
            kind, _, value = checksum.partition(":")
            assert re.fullmatch(rf"[0-9a-f]{{{digits[kind]}}}", value), checksum
        if not all(url.startswith("file:") for url in source.urls):
            assert source.checksums, source.urls


@pytest.mark.parametrize("name", DATA["profiles"])
def test_no_path_leads_out_of_the_project(name):
    found = profile(name)
    sources = (*found.download.archives.values(), found.download.weights)
    for url in (url for source in sources for url in source.urls):
        assert re.match(r"https?://[a-z0-9.-]+/|file:[^/~]", url), url
        assert ".." not in re.split("[:/]", url), url
    for root in map(Path, found.records.roots.values()):
        assert not root.is_absolute()
        assert ".." not in root.parts


@pytest.mark.parametrize("name", DATA["profiles"])
def test_nets_that_know_no_photographs_say_so(name):
    drawn = {
        "sample": "six drawn shapes",
        "sample_modern": "six drawn shapes",
        "toy": "handwritten digits",
    }
    knows = profile(name).model.knows
    if name in drawn:
        assert drawn[name] in knows
        assert "on photographs its answers mean nothing" in knows
    else:
        assert ("PASCAL VOC's 20 classes" in knows) == (name in ("voc2012_transfer", "voc_subset"))


@pytest.mark.parametrize("name", VOC)
def test_voc_has_the_published_recipe(name):
    found = profile(name)
    assert {variant: found.train[variant].learning_rate for variant in CHAIN} == {
        "fcn32s": 1e-10,
        "fcn16s": 1e-12,
        "fcn8s": 1e-14,
    }
    for variant in CHAIN:
        recipe = found.train[variant]
        assert (recipe.optimizer, recipe.momentum, recipe.weight_decay, recipe.bias_rate) == (
            "sgd",
            0.99,
            5e-4,
            2.0,
        )
        assert (recipe.loss, recipe.iterations) == ("sum", 100_000)
        assert replace(recipe, learning_rate=1.0) == replace(
            found.train["fcn32s"], learning_rate=1.0
        ), "only the rate changes"
    model = found.model
    assert (model.backbone, model.width, model.fc_units, model.padding) == (
        "vgg16",
        1.0,
        4096,
        "caffe",
    )
    assert (model.upsampling, model.dropout, model.mean_bgr) == (
        "fixed",
        0.5,
        (104.00699, 116.66877, 122.67892),
    )


@pytest.mark.parametrize(
    ("name", "md5", "root"),
    [
        ("voc2011", "6c3384ef61512963050cb5d687e5bf1e", "TrainVal/VOCdevkit/VOC2011"),
        ("voc2011_rebuilt", "6cd6e144f989b92b3379bac3b3de84fd", "VOCdevkit/VOC2012"),
        ("voc2012", "6cd6e144f989b92b3379bac3b3de84fd", "VOCdevkit/VOC2012"),
    ],
)
def test_voc_names_the_published_archive(name, md5, root):
    found = profile(name)
    assert f"md5:{md5}" in found.download.archives["voc"].checksums
    assert found.records.roots["voc"] == root


def test_the_paper_s_data_are_sbd_s_training_images_and_seg11valid():
    records = profile("voc2011").records
    assert (records.dataset, records.train, records.val) == ("voc2011", "sbd_train", "seg11valid")
    assert records == replace(profile("voc2011_rebuilt").records, roots=records.roots)
