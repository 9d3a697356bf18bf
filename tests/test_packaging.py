"""What is imported is declared, what is declared is locked, and `pip install .` brings the library
alone.
"""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
LOCK = {path.stem: path.read_text() for path in (ROOT / "requirements").glob("*.txt")}
PLUGIN = {"jax"}
"""Imported only where Keras runs on it; whoever chooses that has it."""


def normal(name):
    return re.sub(r"[-_.]+", "-", re.findall(r"^[\w.-]+", name)[0]).lower()


def imported(folder):
    """The packages that a folder's files import, at any depth, that are no part of Python or of the
    project.
    """
    names = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.partition(".")[0])
    return names - set(sys.stdlib_module_names) - {"fcn", "tasks", "flows", "sample"}


@pytest.mark.parametrize(
    ("folder", "extras"),
    [
        ("fcn", ("onnx", "video")),
        ("tasks", ("pipeline",)),
        ("flows", ("pipeline",)),
        ("sample", ("pipeline",)),
    ],
)
def test_what_is_imported_is_declared(folder, extras):
    declared = {normal(each) for each in PROJECT["dependencies"]}
    declared |= {normal(each) for extra in extras for each in EXTRAS[extra]}
    known = packages_distributions()
    for name in imported(folder) - PLUGIN:
        mine = {normal(each) for each in known.get(name, [name])}
        # Of a name that several share (google, ruamel) the one that is declared counts.
        assert mine & declared, f"{folder}/ imports {name} of {sorted(mine)}, which is not declared"


def test_the_library_needs_neither_prefect_nor_mlflow_nor_dvc():
    assert {normal(each) for each in PROJECT["dependencies"]} & {
        "prefect",
        "mlflow",
        "dvc",
    } == set()
    include = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"][
        "packages"
    ]["find"]["include"]
    assert include == ["fcn*"]


def test_the_files_that_the_library_reads_are_packaged():
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"][
        "package-data"
    ]
    packaged = {
        path
        for package, globs in data.items()
        for glob in globs
        for path in (ROOT / package.replace(".", "/")).glob(glob)
    }
    other = {
        path
        for path in (ROOT / "fcn").rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc", ".md")
    }
    assert other - packaged == set()


def test_each_package_is_locked_in_one_file_and_all_that_is_declared_is_locked():
    pins = {
        name: {normal(line) for line in re.findall(r"^[\w.-]+==", text, re.MULTILINE)}
        for name, text in LOCK.items()
    }
    assert set(pins) == {"pipeline", "gpu", "s3", "onnx", "video", "docs", "dev"}
    assert sum(map(len, pins.values())) == len(set().union(*pins.values()))
    files = {
        "pipeline": ("pipeline",),
        "onnx": ("pipeline", "onnx"),
        "dev": ("pipeline", "onnx", "video", "docs", "dev"),
    }
    for extra, wanted in {"": PROJECT["dependencies"], **EXTRAS}.items():
        locked = set().union(
            *(
                pins[file]
                for file in files.get(extra, ("pipeline", extra) if extra else ("pipeline",))
            )
        )
        assert {normal(each) for each in wanted} - locked - {"fcn-pipeline"} == set(), extra


def test_no_file_of_the_project_names_a_registry():
    registry = "pypi" + ".org"
    texts = [
        *ROOT.glob("*.*"),
        ROOT / "Makefile",
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("deploy/*"),
        *ROOT.glob("requirements/*"),
    ]
    texts += [*ROOT.glob("tests/**/*.py"), *ROOT.glob("f*/**/*.py"), *ROOT.glob("tasks/**/*.py")]
    texts = [path for path in texts if path.is_file() and path.suffix not in (".db", ".lock")]
    assert len(texts) > 200
    assert [
        str(path) for path in texts if registry in path.read_text(encoding="utf-8", errors="ignore")
    ] == []
    assert all("://" not in text for text in LOCK.values())
