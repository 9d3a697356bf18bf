"""params.yaml over profiles.yaml: what inherits what, and what is said of a file that is wrong."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
from dvc.utils.serialize import loads_yaml

from fcn.cli.app import main
from fcn.errors import UserError
from flows import settings
from tasks.settings import config, yamlfile
from tasks.tracking.checkout import root

ROOT = Path(__file__).parents[3]
SHARED = yamlfile.plain(ROOT / "profiles.yaml")
OWN = yamlfile.plain(ROOT / "params.yaml")


def resolved(profile="sample", **own):
    return config.resolve({**OWN, "profile": profile, **own}, SHARED)[1]


def message(profile="sample", shared=SHARED, **own):
    with pytest.raises(UserError) as error:
        config.resolve({**OWN, "profile": profile, **own}, shared)
    return str(error.value)


def test_the_committed_files_are_read_from_the_current_folder(monkeypatch):
    monkeypatch.chdir(ROOT)
    found = config.read()
    assert (found.profile, found.records.classes[0], [*found.variants]) == (
        "sample",
        "background",
        ["fcn32s", "fcn16s", "fcn8s"],
    )
    assert config.read(ROOT / "params.yaml") == found


def test_settings_json_is_what_comes_out_and_is_read_back(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    out = tmp_path / "settings.json"
    assert settings.main(["--out", str(out)]) == 0
    assert config.read(out) == config.read()
    assert out.read_bytes() == (ROOT / "settings.json").read_bytes(), (
        "the committed one is stale: `dvc repro settings`"
    )


@pytest.mark.parametrize("text", ["", "{", '{"profile": "sample"}'])
def test_a_broken_settings_json_says_who_writes_it(tmp_path, text):
    path = tmp_path / "settings.json"
    path.write_text(text)
    with pytest.raises(
        UserError, match=r"settings\.json.*(not what the stage `settings` writes|not valid YAML)"
    ):
        config.read(path)


def test_a_profile_begins_with_the_one_that_it_is_from():
    parent, child = resolved("voc2011"), resolved("voc2012")
    assert (parent.model, parent.train, parent.evaluate) == (
        child.model,
        child.train,
        child.evaluate,
    )
    assert child.records.roots == {
        "voc": "VOCdevkit/VOC2012",
        "sbd": "benchmark_RELEASE/dataset",
    }, "key by key"
    assert child.download.archives["voc"].checksums == ("md5:6cd6e144f989b92b3379bac3b3de84fd",), (
        "lists as a whole"
    )
    assert [*resolved("ade20k").download.archives] == ["ade20k"], "a key without a value takes away"


def test_a_change_reaches_who_inherits_it_and_nobody_else():
    rate = {"voc2012": {"model": {"dropout": 0.25}}}
    for name in SHARED["profiles"]:
        variants = config.fitting({**OWN, "profile": name}, SHARED)
        before, after = (resolved(name, variants=variants, profiles=each) for each in ({}, rate))
        assert after.model.dropout == (0.25 if name == "voc2012" else before.model.dropout)
    both = {"recipes": {"heavy": {"momentum": 0.5}}}
    assert resolved("voc2011", **both).train["fcn16s"].momentum == 0.5
    assert resolved("sample", **both).train["fcn16s"].momentum == 0.9, (
        "the recipe `sample` has its own"
    )


def test_a_block_that_names_a_recipe_keeps_nothing_of_an_older_one():
    for profiles in ({"voc2011": {"train": {"fcn16s": {"recipe": "modern"}}}},
                     {"mine": {"from": "voc2011",
                               "train": {"fcn16s": {"recipe": "modern"}}}}):  # fmt: skip
        found = resolved(next(iter(profiles)), profiles=profiles).train
        assert (found["fcn16s"].learning_rate, found["fcn16s"].batch) == (1.5e-3, 8), (
            "and not 1e-12"
        )
        assert (found["fcn8s"].learning_rate, found["fcn8s"].batch) == (1e-14, 1)
    kept = {"voc2011": {"train": {"fcn16s": {"recipe": "modern", "batch": 4}}}}
    assert resolved("voc2011", profiles=kept).train["fcn16s"].batch == 4


def test_a_profile_of_ones_own_stands_in_params_yaml():
    mine = {"mine": {"from": "voc_subset", "records": {"shards": 3}}}
    found = resolved(
        "mine", profiles=mine, recipes={"quick": {"recipe": "transfer", "iterations": 700}}
    )
    assert (found.profile, found.records.shards, found.train["fcn32s"].new_layers) == (
        "mine",
        3,
        ("fc6", "fc7"),
    )


def test_where_each_value_was_written(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    assert main(["show", "params", "train.fcn32s", "model.width", "profile"]) == 0
    lines = {
        line.split()[0]: line.split(maxsplit=2)[1:] for line in capsys.readouterr().out.splitlines()
    }
    assert lines["profile"] == ['"sample"', "params.yaml: profile"]
    assert lines["model.width"] == ["0.125", "profiles.yaml: profiles.sample.model.width"]
    assert lines["train.fcn32s.learning_rate"] == [
        "1e-08",
        "profiles.yaml: recipes.sample.learning_rate",
    ]
    assert lines["train.fcn32s.bias_rate"] == ["2.0", "profiles.yaml: recipes.heavy.bias_rate"]
    assert lines["train.fcn32s.warmup"] == ["0", "by default"]
    assert not any(key.startswith("train.fcn16s") for key in lines)
    assert main(["show", "params", "trains"]) == 2
    assert (
        "trains: no such key; the keys are below profile, variants, download"
    ) in capsys.readouterr().err


def test_the_keys_are_those_that_are_declared(capsys):
    assert main(["show", "keys"]) == 0
    page = capsys.readouterr().out
    rows = {line.split("`")[1]: line for line in page.splitlines() if line.startswith("| `")}
    given = resolved("voc_subset").train["fcn32s"]
    assert {f"train.<name>.{field.name}" for field in dataclasses.fields(given)} - {*rows} == {
        # which have keys of their own
        "train.<name>.augment", "train.<name>.class_weights", "train.<name>.rates",
    }  # fmt: skip
    assert [key for key, line in rows.items() if line.endswith("|  |")] == [], "each is described"
    assert ("| a whole number, at least 1 and at most 1024 | `1` | images per step.") in rows[
        "train.<name>.batch"
    ]


FROM_RECIPE = (
    "params.yaml: recipes.heavy.batch (for profiles.sample.train.fcn32s.batch): "
    "expected a whole number, "
)


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ({"profile": "smaple"}, "params.yaml: profile: expected one of sample, sample_modern, "
                                "toy, "),
        ({"profile": "smaple"}, "; got 'smaple', did you mean `sample`?"),
        ({"profile": 2012}, "got 2012, did you mean `voc2012`?"),
        ({"profile": ["sample"]}, "got ['sample'], did you mean `sample`?"),
        (
            {"variants": {"fcn16s": "models/fcn32s"}},
            "params.yaml: variants: `fcn16s: models/fcn32s` does not fit the profile sample",
        ),
        ({"profiles": {"samle": {"model": {}}}}, "params.yaml: profiles.samle: expected one of "
                                                 "sample, "),
        ({"profiles": {"samle": None}}, "did you mean `sample`? A new one names what it begins "
                                        "with: `from: sample`"),
        ({"profiles": {"mine": {"from": "voc"}}}, "params.yaml: profiles.mine.from: expected one "
                                                  "of sample, "),
        ({"profiles": {"sample": {"from": {}}}}, "profiles: expected the name of another one below "
                                                 "`from` or `recipe`"),
        ({"profiles": {"sample": {"from": "folder"}}}, "profiles.sample: begins with itself: "
                                                       "sample <- folder <- sample"),
        ({"profiles": {"sample": 5}}, "params.yaml: profiles.sample: expected keys with values, "
                                      "got 5"),
        ({"profiles": ["sample"]}, "params.yaml: profiles: expected keys with values, got "
                                   "['sample']"),
        ({"recipes": {"hevy": {"batch": 2}}}, "params.yaml: recipes.hevy: expected one of heavy, "),
        ({"recipes": {"heavy": {"batch": 0}}}, FROM_RECIPE),
        # not in use
        ({"recipes": {"cvpr": {"batch": 0}}}, "params.yaml: recipes.cvpr.batch: expected a whole "
                                              "number"),
        ({"profiles": {"voc2012": {"model": {"widht": 1}}}}, "params.yaml: "
                                                             "profiles.voc2012.model.widht: "
                                                             "unknown key, did"),
        ({"profiles": {"sample": {"train": 5}}}, "params.yaml: profiles.sample.train: expected "
                                                 "keys with values; got 5"),
        ({"profiles": {"sample": {"records": {"seed": None}}}}, "profiles.sample.records.seed: "
                                                                "missing"),
        ({"profiles": {"sample": {"model": {"width": 1e9}}}}, "expected a number, above 0 and at "
                                                              "most 4; got 1000000000.0"),
    ],
)  # fmt: skip
def test_one_fault_is_one_line_with_the_key_what_is_allowed_and_what_came(own, words):
    found = message(**own)
    assert words in found
    assert "\n" not in found


def test_all_contradictions_come_at_once():
    found = message(
        profiles={
            "sample": {
                "train": {
                    "fcn16s": {"validate_every": 75, "accumulate": 3},
                    "fcn8s": {"iterations": 1601},
                },
                "model": {"dropout": 1},
            },
            "voc2012": {"records": {"shards": 0}},
        },
        recipes={"transfer": {"log_every": 33}},
    ).splitlines()
    assert found[0] == "7 errors in the settings:"
    assert found[1:] == [
        "params.yaml: profiles.sample.model.dropout: expected a number, at least 0 and below 1; "
        "got 1",
        "params.yaml: profiles.sample.train.fcn16s.validate_every: expected a multiple of "
        "log_every = 50, got 75",
        "params.yaml: profiles.sample.train.fcn16s.accumulate: expected a divisor of log_every = "
        "50, got 3",
        "params.yaml: profiles.sample.train.fcn8s.iterations: expected a multiple of log_every = "
        "50, got 1601",
        "params.yaml: profiles.voc2012.records.shards: expected a whole number, at least 1 and at "
        "most 10000; got 0",
        "profiles.yaml: recipes.transfer.iterations: expected a multiple of log_every = 33, got "
        "1400",
        "profiles.yaml: recipes.transfer.validate_every: expected a multiple of log_every = 33, "
        "got 700",
    ]


def test_a_fault_in_profiles_yaml_is_said_to_be_there():
    shared = json.loads(json.dumps(SHARED))
    shared["profiles"]["sample"]["download"]["weights"]["urls"] = ["https://me:Geheim@host/a"]
    found = message(shared=shared)
    assert found.startswith(
        "profiles.yaml: profiles.sample.download.weights.urls[0]: https://host/a holds a user or a "
        "password"
    )
    assert "Geheim" not in found


@pytest.mark.parametrize(
    ("own", "words"),
    [
        (
            None,
            "params.yaml: expected keys with values; the keys are profile, variants, profiles, "
            "recipes",
        ),
        ([1], "params.yaml: expected keys with values; "),
        ({"profile": "sample"}, "params.yaml: variants: missing"),
        ({"variants": {}}, "params.yaml: profile: missing"),
        ({**OWN, "profils": {}}, "params.yaml: unknown key `profils`, did you mean `profiles`? "),
        ({**OWN, "heavy": {}}, "params.yaml: unknown key `heavy`, "),
    ],
)
def test_a_file_of_another_shape(own, words):
    with pytest.raises(UserError) as error:
        config.resolve(own, SHARED)
    assert str(error.value).startswith(words)


# Files that are no params.yaml
# -------------------------------------------------------------------------------------------


BOMB = "a: &a [x]\n" + "".join(
    f"{new}: &{new} [*{old}, *{old}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"profile: sample\nprofiles: {sample: [1, 2\nmore: 3\n", ", line 3: not valid YAML: "),
        (b"a: !!python/object/apply:os.getcwd []\n", ", line 1: not valid YAML: could not "
                                                     "determine a constructor"),
        (BOMB.encode(), ", line 1: not valid YAML: anchors and aliases (&name, *name) are not "
                        "taken"),
        (b"a: {<<: {b: 1}}\nb: *x\n", ", line 2: not valid YAML: anchors and aliases"),
        (b"seed: 1\nshards: 2\nshards: 3\n", ", line 3: not valid YAML: the key `shards` stands "
                                             "there twice, first in line 2"),
        (b"# \xe9\nprofile: sample\n", ", line 1: not in UTF-8, as the byte 0xe9 says; save it as "
                                       "UTF-8"),
        (b"a: " + b"[" * 3000, ", line 1: not valid YAML: it is nested more than 40 levels deep"),
        (b"a: " + b"9" * 5000, ", line 1: not valid YAML: a number of 5000 digits"),
        (b"? [a, b]\n: 1\n", ", line 1: not valid YAML: found unhashable key"),
        (b"a: 1\x00\n", ": not valid YAML: "),
        (b"x: " + b"y" * 2**20, ": more than 1048576 bytes, which no such file has; "),
    ],
)  # fmt: skip
def test_what_is_no_such_file_is_one_sentence_with_its_line(tmp_path, text, words):
    path = tmp_path / "params.yaml"
    path.write_bytes(text)
    with pytest.raises(UserError) as error:
        config.read(path)
    assert str(error.value).startswith(f"{path}{words}")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500


def test_no_file_and_a_folder_in_its_place(tmp_path):
    path = tmp_path / "params.yaml"
    with pytest.raises(UserError) as error:
        config.read(path)
    assert str(error.value) == (
        f"{path}: no such file; run this from the project's root, where git has it"
    )
    path.mkdir()
    with pytest.raises(UserError) as error:
        config.read(path)
    assert str(error.value).startswith(f"{path}: expected a file, but it is not a regular file; ")
    path.rmdir()
    shutil.copy(ROOT / "params.yaml", path)
    with pytest.raises(UserError, match=r"profiles\.yaml: no such file"):
        config.read(path)


def test_words_and_numbers_are_what_they_are_for_dvc():
    words = [
        "1e-10",
        "1.e-10",
        "+1E-10",
        '"1e-10"',
        "1e",
        "no",
        "010",
        "1:30",
        "true",
        "~",
        ".inf",
        "-3",
        "-.5",
        "1_0",
    ]
    text = "".join(f"- {word}\n" for word in words[:-1])
    expected = [
        1e-10,
        1e-10,
        1e-10,
        "1e-10",
        "1e",
        "no",
        10,
        "1:30",
        True,
        None,
        float("inf"),
        -3,
        -0.5,
    ]
    assert yamlfile.parsed(text, "x") == expected == loads_yaml(text)
    assert yamlfile.parsed("2020-13-45", "x") == "2020-13-45"


def test_an_experiments_copy_belongs_to_its_checkout(tmp_path, monkeypatch):
    copy = tmp_path / "my project/.dvc/tmp/exps/tmpx/sub"
    copy.mkdir(parents=True)
    monkeypatch.chdir(copy)
    assert root() == tmp_path / "my project"
    monkeypatch.chdir(tmp_path)
    assert root() == tmp_path
