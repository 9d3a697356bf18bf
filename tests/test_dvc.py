"""dvc.yaml against the code: a stage depends on what its module of fcn/ imports, and on no more."""

import ast
import functools
import hashlib
import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ruamel.yaml import YAML

from tasks.settings import config

ROOT = Path(__file__).parents[1]
WORK = {
    "settings": [],
    "download": ["fcn.io.download", "fcn.io.archives", "fcn.io.contents"],
    "convert_vgg": ["fcn.weights.readers", "fcn.weights.conversion", "fcn.weights.account", "fcn.io.files"],
    "records": ["fcn.records.writing", "fcn.datasets.catalog", "fcn.records.look"],
    "train": ["fcn.train.fit"],
    "evaluate": ["fcn.evaluate.score"],
}
"""The modules that decide the bytes of a stage's outputs; tasks/ and flows/ hand them parameters and paths."""
VALUES = {"tasks/settings/params.py", "fcn/monitor/health.py", "fcn/monitor/watches.py"}
"""Left out of every stage: what params makes of settings.json are values, which the stages track as parameters; what health and
watches say of a training is words, and changes no byte of it."""
SETTINGS = {"tasks/settings/config.py", "tasks/settings/yamlfile.py"}
"""What decides the bytes of settings.json."""
CHAIN = ["train@fcn32s", "train@fcn16s", "train@fcn8s"]


def file_of(module):
    path = ROOT / f"{module.replace('.', '/')}.py"
    return path if path.is_file() else None


def closure(modules):
    """Paths of all modules of fcn/ that `modules` import, directly or not, themselves included."""
    found, left = set(), list(modules)
    while left:
        path = file_of(left.pop())
        if path is None or path in found:
            continue
        found.add(path)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                left += [alias.name for alias in node.names if alias.name.startswith("fcn.")]
            elif isinstance(node, ast.ImportFrom) and node.module.partition(".")[0] == "fcn":
                left += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return {path.relative_to(ROOT).as_posix() for path in found}


def stages():
    return yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]


def body(stage):
    return stage.get("do", stage)


def code(stage):
    return [dep for dep in body(stage)["deps"] if dep.endswith((".py", ".html"))]


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
                yield f"{name}@{key}", stage["do"], {"profile": params["profile"], "key": key, "item": item}


@pytest.mark.parametrize("name", WORK)
def test_a_stage_depends_on_exactly_the_code_that_decides_its_bytes(name):
    deps = code(stages()[name])
    assert len(deps) == len(set(deps))
    assert set(deps) == closure(WORK[name]) - VALUES | (SETTINGS if name == "settings" else set())


def test_the_closure_follows_imports_of_imports():
    # fit -> surgery -> model -> layers; inputs -> batches -> augment. Nothing of the report, the pictures, the download.
    trained = closure(["fcn.train.fit"])
    assert {
        "fcn/train/fit.py",
        "fcn/net/surgery.py",
        "fcn/net/model.py",
        "fcn/net/layers.py",
        "fcn/input/records.py",
        "fcn/spec/augment.py",
    } <= trained
    others = {
        "fcn/pixels/labels.py",
        "fcn/records/writing.py",
        "fcn/pixels/visualize.py",
        "fcn/io/download.py",
        "fcn/io/archives.py",
        "fcn/evaluate/score.py",
    }
    assert not trained & {*others, "fcn/weights/caffe.py"}


def test_the_tasks_call_the_modules_that_the_stages_depend_on():
    """Keeps WORK honest: what tasks/ and flows/ import of fcn/ besides is no computation on a stage's outputs."""
    carriers = {f"fcn/{name}.py" for name in ("params", "errors", "architecture", "files", "results", "surgery")}
    carriers |= {path.relative_to(ROOT).as_posix() for path in (ROOT / "fcn" / "doctor").glob("*.py")}  # words, no bytes
    tasks = {
        "download": "fetch", "convert_vgg": "convert", "records": "write_records", "train": "train", "evaluate": "score",
    }  # fmt: skip
    for stage, task in tasks.items():
        used = set()
        for path in (ROOT / "tasks" / f"{task}.py", ROOT / "flows" / f"{stage}.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom) and node.module.partition(".")[0] == "fcn":
                    names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
                    used |= {file.relative_to(ROOT).as_posix() for file in map(file_of, names) if file}
        assert used - carriers, stage
        assert used - carriers <= set(code(stages()[stage])), stage


def test_only_the_report_depends_on_files_of_tasks():
    named = {name: [dep for dep in code(stage) if not dep.startswith("fcn/")] for name, stage in stages().items()}
    report = named.pop("report")
    names = ("durations", "dvcfiles", "progress", "provenance")
    assert set(report) == {f"tasks/{name}.py" for name in names}
    assert {*named.pop("settings")} == SETTINGS
    assert named == {name: [] for name in WORK if name != "settings"}


def test_every_dependency_on_code_exists():
    assert [dep for stage in stages().values() for dep in code(stage) if not (ROOT / dep).is_file()] == []


def test_every_dependency_on_data_is_another_stage_s_output():
    outs, needed = set(), set()
    for _, stage, values in expanded():
        listed = [*stage["outs"], *stage.get("metrics", [])]
        outs |= {resolved(out if isinstance(out, str) else next(iter(out)), **values) for out in listed}
        needed |= {resolved(dep, **values) for dep in stage["deps"] if not dep.endswith((".py", ".html"))}
    needed -= {"data/own", "profiles.yaml"}  # the user's own images, if there are any
    # A folder stands for all outputs below it.
    assert [need for need in needed if need not in outs and not any(out.startswith(f"{need}/") for out in outs)] == []


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

    words = [word for text in strings(yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))) for word in text.split()]
    assert words
    assert [word for word in words if word.startswith(("/", "~", "file:/")) or ".." in word.split("/")] == []


def lock():
    if not (ROOT / "dvc.lock").is_file():
        pytest.skip("there is no dvc.lock yet: nothing has been reproduced")
    # With DVC's own reader: it writes 1e-08, which PyYAML takes for a text.
    return YAML(typ="safe").load((ROOT / "dvc.lock").read_text(encoding="utf-8"))["stages"]


def test_no_shell_stays_above_a_stage():
    """It would die of Ctrl-C at once, and DVC end before the stage has written its checkpoint."""
    assert {name for name, stage, _ in expanded() if not stage["cmd"].startswith("exec python -m flows.")} == set()


def test_the_lock_has_every_stage_with_its_command():
    assert {name: entry["cmd"] for name, entry in lock().items()} == {
        name: resolved(stage["cmd"], **values) for name, stage, values in expanded()
    }


def test_the_lock_has_the_code_as_it_is():
    stale = []
    for name, stage, _ in expanded():
        entry = lock()[name]
        recorded = {dep["path"]: dep["md5"] for dep in entry["deps"] if dep["path"].endswith((".py", ".html"))}
        assert set(recorded) == set(code(stage)), name
        stale += [(name, p) for p, md5 in recorded.items() if hashlib.md5((ROOT / p).read_bytes()).hexdigest() != md5]
    assert stale == []


def test_the_lock_has_the_parameters_as_they_are():
    for name, stage, values in expanded():
        for entry in stage["params"]:
            ((file, keys),) = entry.items()
            data = config.plain(ROOT / file)
            wanted = {}
            for key in keys or data:  # none: the whole file
                path = resolved(key, **values)
                wanted[path] = functools.reduce(lambda found, part: found[part], path.split(".") if keys else [path], data)
            assert lock()[name]["params"] == {file: wanted}, name


def test_all_stages_see_what_comes_out_and_only_the_first_what_was_written():
    files = {name: [next(iter(entry)) for entry in stage["params"]] for name, stage, _ in expanded()}
    assert files.pop("settings") == ["params.yaml"]
    assert set(map(tuple, files.values())) == {("settings.json",)}
    for name, stage, _ in expanded():
        assert ("--settings settings.json" in stage["cmd"]) == (name != "settings"), "and read it from there"


def test_the_lock_joins_the_stages_without_a_gap():
    """The hash under which a stage found its input is that under which another one left it."""
    left = {out["path"]: out["md5"] for entry in lock().values() for out in entry["outs"]}
    found = {dep["path"]: dep["md5"] for entry in lock().values() for dep in entry["deps"]}
    made = {path: md5 for path, md5 in found.items() if path in left}
    assert {"data/records", "models/vgg.npz", "models/fcn16s"} <= set(made)
    assert made == {path: left[path] for path in made}


@pytest.fixture(scope="module")
def dvc(tmp_path_factory):
    """Runs DVC on a copy of dvc.yaml and params.yaml, so that nothing of the checkout is touched."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("dvc.yaml", "params.yaml"):
        (folder / name).write_bytes((ROOT / name).read_bytes())
    env = {**os.environ, "DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(folder / "site"), "HOME": str(folder)}

    def run(*arguments):
        command = [sys.executable, "-m", "dvc", *arguments]
        return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=True).stdout

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
        (begin, end) for begin, end in edges if end.startswith("train@") and begin not in ("records", "settings")
    }
    assert {end for begin, end in edges if begin == "settings"} == {name for name, *_ in expanded()} - {"settings"}
    assert {"records", "convert_vgg"} <= after("download")
    for variant, stage in zip(("fcn32s", "fcn16s", "fcn8s"), CHAIN, strict=True):
        assert ("records", stage) in edges
        assert {("records", f"evaluate@{variant}"), (stage, f"evaluate@{variant}"), (f"evaluate@{variant}", "report")} <= edges
    assert after("report") == set()
