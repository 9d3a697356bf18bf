"""dvc.yaml against the code: a stage depends on the rooms that the room of its work imports, and on
no more.
"""

import functools
import hashlib
import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import rooms
import yaml
from ruamel.yaml import YAML

from fcn.train import fit
from tasks.settings import yamlfile

ROOT = Path(__file__).parents[1]
WORK = {
    "settings": "tasks/settings",
    "download": "fcn/io",
    "convert_vgg": "fcn/weights",
    "records": "fcn/records",
    "train": "fcn/train",
    "evaluate": "fcn/evaluate",
    "report": "tasks/report",
}
"""The room that does the work of a stage; tasks/ and flows/ hand it parameters and paths."""
SILENT = {"fcn", "fcn/io", "fcn/monitor", "tasks", "tasks/settings", "tasks/tracking"}
"""What decides no byte of what another room makes: errors and readers, files that are moved, words
on a training, MLflow, and parameters, which the stages track as such."""
CHAIN = ["train@fcn32s", "train@fcn16s", "train@fcn8s"]


def stages():
    return yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]


def body(stage):
    return stage.get("do", stage)


def code(stage):
    return [dep for dep in body(stage)["deps"] if dep.startswith(("fcn/", "tasks/", "flows/"))]


def resolved(text, **values):
    """What DVC makes of ${...} in a text."""
    return re.sub(r"\$\{([\w.]+)\}", lambda match: values[match[1]], text)


def expanded():
    """(name as in dvc.lock, stage's body, values of its ${...}) of every stage."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for name, stage in stages().items():
        if "foreach" not in stage:
            yield name, stage, {"profile": params["profile"]}
        else:
            assert stage["foreach"] == "${variants}"
            for key, item in params["variants"].items():
                yield (
                    f"{name}@{key}",
                    stage["do"],
                    {"profile": params["profile"], "key": key, "item": item},
                )


@pytest.mark.parametrize("name", WORK)
def test_a_stage_depends_on_exactly_the_rooms_that_decide_its_bytes(name):
    room = WORK[name]
    # The settings are values as they were written; what may be chosen (fcn/spec) refuses some and
    # changes none.
    wanted = {room} if name == "settings" else rooms.below(room, leave=SILENT)
    assert code(stages()[name]) == sorted(wanted)


def test_a_checkpoint_asks_for_the_rooms_that_its_stage_depends_on():
    assert [f"fcn/{name}" for name in fit.ROOMS] == code(stages()["train"])


def test_the_rooms_below_training_are_neither_words_nor_the_rest_of_the_house():
    trained = rooms.below("fcn/train", leave=SILENT)
    assert {"fcn/train", "fcn/net", "fcn/input", "fcn/spec", "fcn/score"} <= trained
    assert not trained & {
        "fcn/monitor",
        "fcn/doctor",
        "fcn/records",
        "fcn/evaluate",
        "fcn/io",
        "fcn/pixels",
        "tasks/report",
    }


def test_the_tasks_call_the_rooms_that_the_stages_depend_on():
    """Keeps WORK honest: what tasks/ and flows/ import of fcn/ besides is no computation on a
    stage's outputs.
    """
    # words and plain data
    carriers = {*SILENT, "fcn/compare", "fcn/spec", "fcn/doctor", "fcn/datasets"}
    tasks = {
        "download": "fetch", "convert_vgg": "convert", "records": "write_records",
        "train": "train", "evaluate": "score",
    }  # fmt: skip
    for stage, task in tasks.items():
        used = set()
        for path in (rooms.ROOT / "tasks" / f"{task}.py", rooms.ROOT / "flows" / f"{stage}.py"):
            found = rooms.imports(path.read_text(encoding="utf-8"))
            used |= {rooms.room(module) for module, _ in found if module.split(".")[0] == "fcn"}
        assert used - carriers <= set(code(stages()[stage])), stage
        assert WORK[stage] in used, stage


def test_every_dependency_on_code_exists():
    assert [
        dep for stage in stages().values() for dep in code(stage) if not (ROOT / dep).is_dir()
    ] == []


def test_every_dependency_on_data_is_another_stage_s_output():
    outs, needed = set(), set()
    for _, stage, values in expanded():
        listed = [*stage["outs"], *stage.get("metrics", [])]
        outs |= {
            resolved(out if isinstance(out, str) else next(iter(out)), **values) for out in listed
        }
        needed |= {resolved(dep, **values) for dep in stage["deps"] if dep not in code(stage)}
    needed -= {"data/own", "profiles.yaml"}  # the user's own images, if there are any
    # A folder stands for all outputs below it.
    assert [
        need
        for need in needed
        if need not in outs and not any(out.startswith(f"{need}/") for out in outs)
    ] == []


@pytest.mark.parametrize("name", ["dvc.yaml", "params.yaml", "profiles.yaml", "dvc.lock"])
def test_no_absolute_path_and_none_outside_of_the_project(name):
    if not (ROOT / name).is_file():
        pytest.skip(f"there is no {name} yet")

    def strings(value):
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            for key, item in value.items():
                yield from (*strings(key), *strings(item))
        elif isinstance(value, list):
            for item in value:
                yield from strings(item)

    words = [
        word
        for text in strings(yaml.safe_load((ROOT / name).read_text(encoding="utf-8")))
        for word in text.split()
    ]
    assert words
    assert [
        word for word in words if word.startswith(("/", "~", "file:/")) or ".." in word.split("/")
    ] == []


def lock():
    if not (ROOT / "dvc.lock").is_file():
        pytest.skip("there is no dvc.lock yet: nothing has been reproduced")
    # With DVC's own reader: it writes 1e-08, which PyYAML takes for a text.
    return YAML(typ="safe").load((ROOT / "dvc.lock").read_text(encoding="utf-8"))["stages"]


def test_no_shell_stays_above_a_stage():
    """It would die of Ctrl-C at once, and DVC end before the stage has written its checkpoint."""
    assert {
        name
        for name, stage, _ in expanded()
        if not stage["cmd"].startswith("exec python -m fcn stage ")
    } == set()


def test_the_lock_has_every_stage_with_its_command():
    assert {name: entry["cmd"] for name, entry in lock().items()} == {
        name: resolved(stage["cmd"], **values) for name, stage, values in expanded()
    }


def test_the_lock_has_the_code_as_it_is():
    """A folder's digest is that of the list of its files, as DVC makes it."""
    stale = []
    for name, stage, _ in expanded():
        recorded = {
            dep["path"]: dep["md5"] for dep in lock()[name]["deps"] if dep["path"] in code(stage)
        }
        assert set(recorded) == set(code(stage)), name
        stale += [(name, path) for path, md5 in recorded.items() if digest(ROOT / path) != md5]
    assert stale == []


def digest(folder):
    files = sorted(
        path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    )
    listed = [
        {
            "md5": hashlib.md5(path.read_bytes()).hexdigest(),
            "relpath": path.relative_to(folder).as_posix(),
        }
        for path in files
    ]
    return hashlib.md5(json.dumps(listed, sort_keys=True).encode()).hexdigest() + ".dir"


def test_the_lock_has_the_parameters_as_they_are():
    for name, stage, values in expanded():
        for entry in stage["params"]:
            ((file, keys),) = entry.items()
            data = yamlfile.plain(ROOT / file)
            wanted = {}
            for key in keys or data:  # none: the whole file
                path = resolved(key, **values)
                wanted[path] = functools.reduce(
                    lambda found, part: found[part], path.split(".") if keys else [path], data
                )
            assert lock()[name]["params"] == {file: wanted}, name


def test_all_stages_see_what_comes_out_and_only_the_first_what_was_written():
    files = {
        name: [next(iter(entry)) for entry in stage["params"]] for name, stage, _ in expanded()
    }
    assert files.pop("settings") == ["params.yaml"]
    assert set(map(tuple, files.values())) == {("settings.json",)}
    for name, stage, _ in expanded():
        assert ("--settings settings.json" in stage["cmd"]) == (name != "settings"), (
            "and read it from there"
        )


def test_the_lock_joins_the_stages_without_a_gap():
    """The hash under which a stage found its input is that under which another one left it."""
    left = {out["path"]: out["md5"] for entry in lock().values() for out in entry["outs"]}
    found = {dep["path"]: dep["md5"] for entry in lock().values() for dep in entry["deps"]}
    made = {path: md5 for path, md5 in found.items() if path in left}
    assert {"data/records", "models/vgg.npz", "models/fcn16s"} <= set(made)
    assert made == {path: left[path] for path in made}


@pytest.fixture(scope="module")
def dvc(tmp_path_factory):
    """Runs DVC on a copy of dvc.yaml and params.yaml, so that nothing of the
    checkout is touched.
    """
    folder = tmp_path_factory.mktemp("project")
    for name in ("dvc.yaml", "params.yaml"):
        (folder / name).write_bytes((ROOT / name).read_bytes())
    env = {
        **os.environ,
        "DVC_NO_ANALYTICS": "1",
        "DVC_SITE_CACHE_DIR": str(folder / "site"),
        "HOME": str(folder),
    }

    def run(*arguments):
        command = [sys.executable, "-m", "dvc", *arguments]
        return subprocess.run(
            command, cwd=folder, env=env, capture_output=True, text=True, check=True
        ).stdout

    run("init", "--no-scm", "-q")
    return run


def test_dvc_itself_reads_the_stages(dvc):
    assert dvc("stage", "list", "--name-only").split() == [name for name, *_ in expanded()]


def test_dvc_orders_the_stages_as_the_paper_does(dvc):
    edges = set(re.findall(r'"([^"]+)" -> "([^"]+)"', dvc("dag", "--dot")))

    def after(name):
        following = {end for begin, end in edges if begin == name}
        return following.union(*map(after, following))

    assert {("convert_vgg", CHAIN[0]), *itertools.pairwise(CHAIN)} == {
        (begin, end)
        for begin, end in edges
        if end.startswith("train@") and begin not in ("records", "settings")
    }
    assert {end for begin, end in edges if begin == "settings"} == {
        name for name, *_ in expanded()
    } - {"settings"}
    assert {"records", "convert_vgg"} <= after("download")
    for variant, stage in zip(("fcn32s", "fcn16s", "fcn8s"), CHAIN, strict=True):
        assert ("records", stage) in edges
        assert {
            ("records", f"evaluate@{variant}"),
            (stage, f"evaluate@{variant}"),
            (f"evaluate@{variant}", "report"),
        } <= edges
    assert after("report") == set()
