"""A parameter that is changed is changed: each leaf of each profile, by --set and by DVC's own
writer.
"""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides
from dvc.utils.serialize import parse_yaml

from fcn.errors import UserError
from flows import show
from flows.runner import overrides
from tasks.settings import config, yamlfile

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "params.yaml").read_text(encoding="utf-8")
OWN = yamlfile.plain(ROOT / "params.yaml")
SHARED = yamlfile.plain(ROOT / "profiles.yaml")
OTHER = {
    "dataset": lambda v: "folder" if v != "folder" else "voc", "backbone": lambda v: "vgg19",
    "classes": lambda v: ["a", "b"],
    "mean_bgr": lambda v: [1.0, 2.0, 3.0], "scale": lambda v: [0.25, 2.5],
    "protocols": lambda v: ["multiscale"],
    "new_layers": lambda v: ["fc7"], "urls": lambda v: ["file:another.tar"],
    "checksums": lambda v: ["md5:" + "0" * 32],
    "cross_check": lambda v: [{"urls": ["file:another.npy"], "checksums": []}],
    "on_bad": lambda v: "skip", "padding": lambda v: {"caffe": "same", "same": "caffe"}[v],
    "upsampling": lambda v: "learned", "keep": lambda v: {"last": "best", "best": "last"}[v],
    "optimizer": lambda v: "adamw", "loss": lambda v: {"sum": "mean", "mean": "sum"}[v],
    "schedule": lambda v: "cosine",
    "precision": lambda v: {"float32": "bfloat16", "bfloat16": "float32"}[v],
    "momentum": lambda v: (v + 1) / 2, "dropout": lambda v: (v + 1) / 2,
}  # fmt: skip
"""Another valid value, where none follows from the type; numbers are doubled, or become 1, so steps
go on fitting together.
"""


def other(key, value):
    if key in OTHER:
        return OTHER[key](value)
    if isinstance(value, bool):
        return not value
    return value + "x" if isinstance(value, str) else value * 2 or 1


def profile(name, profiles):
    """What comes out, and all leaves of it with their values and defaults."""
    variants = config.fitting({**OWN, "profile": name}, SHARED)
    settings = config.resolve(
        {**OWN, "profile": name, "variants": variants, "profiles": profiles}, SHARED
    )[1]
    leaves = json.loads(
        json.dumps([[place, value] for place, value in show.leaves(asdict(settings))])
    )
    return {
        tuple(place): value
        for place, value in leaves
        if place[0] not in ("profile", "variants", "chain")
    }


def chain(name):
    """The profile, the one that it is from, and so on."""
    while name:
        yield name
        name = SHARED["profiles"][name].get("from")


def declares(name, place):
    """Whether a profile has a value of its own at a place, read off its block."""
    node = SHARED["profiles"][name]
    for part in place:
        if not isinstance(node, dict):  # taken away
            return True
        if part not in node:
            return "recipe" in node
        node = node[part]
    return True


def inherits(name, ancestor, place):
    below = [*chain(name)]
    return ancestor in below and not any(
        declares(each, place) for each in below[: below.index(ancestor)]
    )


def hydra(value):
    """A value as DVC's command line takes it."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{hydra(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(hydra, value)) + "]"
    return json.dumps(value)


@pytest.mark.parametrize("name", SHARED["profiles"])
def test_every_leaf_of_a_profile_can_be_changed_and_nothing_else_changes(
    name, tmp_path, monkeypatch
):
    before = {each: profile(each, {}) for each in SHARED["profiles"]}
    wanted = {
        place: other(place[-1], value) for place, value in before[name].items() if value != {}
    }
    assert len(wanted) > 40
    assert not any(wanted[place] == before[name][place] for place in wanted)
    keys = {f"profiles.{name}.{'.'.join(place)}": value for place, value in wanted.items()}

    monkeypatch.chdir(ROOT)
    by_set = yamlfile.parsed(overrides.changed(TEXT, keys), "")
    (tmp_path / "params.yaml").write_text(TEXT)
    apply_overrides(
        tmp_path / "params.yaml", [f"++{key}={hydra(value)}" for key, value in keys.items()]
    )
    by_dvc = yamlfile.plain(tmp_path / "params.yaml")
    assert by_set == by_dvc
    assert {**by_dvc, "profiles": {}} == OWN

    for each in SHARED["profiles"]:
        after = profile(each, by_dvc["profiles"])
        assert {
            place: value for place, value in after.items() if value != before[each].get(place)
        } == {place: value for place, value in wanted.items() if inherits(each, name, place)}, each


RATE = "profiles.voc2011.train.fcn32s.learning_rate"


@pytest.mark.parametrize(
    ("change", "old", "new"),
    [
        ("profile=voc2012", "profile: sample", "profile: voc2012"),
        (
            f"{RATE}=1e-9",
            "profiles: {}",
            "profiles: {voc2011: {train: {fcn32s: {learning_rate: 1e-09}}}}",
        ),
        ("recipes.heavy.batch=2", "recipes: {}", "recipes: {heavy: {batch: 2}}"),
        ("~variants.fcn8s", "  fcn8s: models/fcn16s\n", ""),
    ],
)
def test_a_change_is_one_line(change, old, new, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert overrides.changed(TEXT, dict([overrides.change(change)])) == TEXT.replace(old, new)


def test_changes_upon_changes_stay_lines_of_their_own(monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    text = TEXT
    for key, value in (
        ("profiles.sample.model.dropout", 0.3),
        ("profiles.sample.records.seed", 7),
        ("recipes.heavy.seed", 2),
    ):
        text = overrides.changed(text, {key: value})
    assert (
        "profiles: {sample: {model: {dropout: 0.3}, records: {seed: 7}}}\nrecipes: {heavy: "
        "{seed: 2}}\n"
    ) in text
    (tmp_path / "params.yaml").write_text(text)
    apply_overrides(tmp_path / "params.yaml", ["profile=sample"])
    assert (tmp_path / "params.yaml").read_text() == text, "DVC's own writer leaves it alone"
    one = overrides.changed(text, {"profiles.sample.model.dropout": overrides.REMOVE})
    assert "profiles: {sample: {records: {seed: 7}}}\n" in one, "nothing empty is left"
    back = overrides.changed(one, {"profiles.sample.records.seed": overrides.REMOVE})
    assert back == overrides.changed(TEXT, {"recipes.heavy.seed": 2})
    back = overrides.changed(
        text, {"profiles.sample": overrides.REMOVE, "recipes.heavy": overrides.REMOVE}
    )
    assert back == TEXT


@pytest.mark.parametrize(
    "changes",
    [{"profiles.mine.model.width": 0.5}, {"profiles.mine.download.weights.urls": ["file:b.npz"]}],
)
def test_an_address_in_a_list_keeps_the_quotes_that_dvc_needs(changes, monkeypatch):
    monkeypatch.chdir(ROOT)
    weights = "{download: {weights: {urls: ['file:a.npz'], checksums: []}}, from: sample}"
    text = overrides.changed(TEXT.replace("profiles: {}", f"profiles:\n  mine: {weights}"), changes)
    assert parse_yaml(text, "params.yaml")["profiles"]["mine"]["from"] == "sample"


@pytest.mark.parametrize(
    ("file", "change"),
    [("params.yaml", "profile=sample"), ("profiles.yaml", "recipes.heavy.learning_rate=1e-09")],
)
def test_dvcs_own_writer_changes_one_line_and_no_comment(file, change, tmp_path):
    text = (ROOT / file).read_text(encoding="utf-8")
    (tmp_path / file).write_text(text)
    apply_overrides(tmp_path / file, [change])
    expected = text.replace("    learning_rate: 1.0e-10\n", "    learning_rate: 1e-09\n", 1)
    assert (tmp_path / file).read_text() == (text if file == "params.yaml" else expected)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("profile", "nix", "got 'nix', did you mean `"),
        ("profiles.sample.model.widht", 1, "params.yaml: profiles.sample.model.widht: unknown key, "
                                           "did you mean `width`?"),
        (RATE, float("nan"), f"params.yaml: {RATE}: expected a number, above 0 and at most 1000; "
                             "got nan"),
        ("profile.sample.train", 1, "params.yaml: profile: expected keys with values there, to set "
                                    "profile.sample.train"),
        ("profiles.sample.model", overrides.REMOVE, "params.yaml: profiles.sample: expected keys "
                                                    "with values there"),
        ("variants.fcn64s", overrides.REMOVE, "params.yaml: variants.fcn64s: there is no such key "
                                              "to remove"),
    ],
)  # fmt: skip
def test_a_wrong_change_is_refused_and_leaves_the_file_alone(
    key, value, words, tmp_path, monkeypatch
):
    for name in ("params.yaml", "profiles.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as error:
        overrides.write({key: value})
    assert words in str(error.value)
    assert (tmp_path / "params.yaml").read_text() == TEXT
    assert sorted(path.name for path in tmp_path.iterdir()) == ["params.yaml", "profiles.yaml"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "params.yaml: expected keys with values; the keys are profile, "),
        ("- profile", "params.yaml: expected keys with values; the keys are profile, "),
        (TEXT + "more: 2020-13-45\n", "params.yaml: DVC cannot read it: "),
        ("profile: nix\n" + TEXT.partition("profile: sample\n")[2], ""),  # is mended
    ],
)
def test_a_file_that_is_wrong_already(text, words, tmp_path, monkeypatch):
    shutil.copy(ROOT / "profiles.yaml", tmp_path)
    (tmp_path / "params.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    if not words:
        assert overrides.write({"profile": "sample"})
        assert config.read().profile == "sample"
        return
    with pytest.raises(UserError) as error:
        overrides.write({"profile": "sample"})
    assert str(error.value).startswith(words)
    assert (tmp_path / "params.yaml").read_text() == text


@dataclass
class Commands:
    """Runs a command in a folder, and gives what it printed."""

    folder: Path
    environment: dict[str, str]

    def __call__(self, *command):
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def dvc(tmp_path_factory):
    """DVC in a copy of the project's files, committed; only the stage `settings` is run there."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(
        ROOT / "tasks/settings",
        folder / "tasks/settings",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    for name in ("dvc.yaml", "params.yaml", "profiles.yaml", "settings.json"):
        shutil.copy(ROOT / name, folder / name)
    who = {
        f"GIT_{each}_{what}": "t@t"
        for each in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    }
    paths = {
        "DVC_SITE_CACHE_DIR": str(folder / ".site"),
        "HOME": str(folder),
        "PYTHONPATH": str(ROOT),
    }
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {
        **os.environ,
        **who,
        **paths,
        "PATH": path,
        "DVC_NO_ANALYTICS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }

    run = Commands(folder, env)
    run("git", "init", "-q")
    run("dvc", "init", "-q")
    (folder / ".gitignore").write_text("/.site\n/.cache\n/.config\n")
    run("dvc", "repro", "-q", "settings")
    run("git", "add", "-A")
    run("git", "commit", "-qm", "start")
    return run


def test_dvc_runs_what_a_change_concerns_and_says_what_was_changed(dvc):
    """By `dvc exp run -S`; who depends on which part of settings.json says the order of `dvc
    status` afterwards.
    """
    dvc("dvc", "exp", "run", "-S", "++profiles.sample.train.fcn16s.learning_rate=1e-9", "settings")
    assert (
        json.loads((dvc.folder / "settings.json").read_text())["train"]["fcn16s"]["learning_rate"]
        == 1e-9
    )
    found = json.loads(dvc("dvc", "params", "diff", "--json"))
    values = {
        file: {key: (row["old"], row["new"]) for key, row in rows.items()}
        for file, rows in found.items()
    }
    assert values == {
        "params.yaml": {"profiles.sample.train.fcn16s.learning_rate": (None, 1e-9)},
        "settings.json": {"train.fcn16s.learning_rate": (1e-8, 1e-9)},
    }
    dvc("git", "checkout", "-q", ".")


def test_a_sweep_of_two_rates_is_two_trainings(dvc):
    dvc(
        "dvc",
        "exp",
        "run",
        "--queue",
        "-S",
        "++profiles.sample.train.fcn32s.learning_rate=2e-8,3e-8",
        "settings",
    )
    rows = json.loads(dvc("dvc", "exp", "show", "--json", "--no-pager"))
    queued = [
        each["revs"][0]["data"]["params"]["params.yaml"]["data"]
        for row in rows
        for each in row["experiments"] or []
    ]
    found = [
        config.resolve(own, SHARED)[1].train["fcn32s"].learning_rate
        for own in queued
        if own["profiles"]
    ]
    assert sorted(found)[-2:] == [2e-8, 3e-8]
