"""flows -> tasks -> fcn, and who may import what, read from the sources and from a process."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = ("fcn", "tasks", "flows")
TENSORFLOW = {f"fcn/{name}.py" for name in ("cpu", "devices", "distribution", "encoding", "inputs", "records", "writing")}
MLFLOW = {
    f"tasks/{name}.py"
    for name in (
        "pyfunc", "scoring", "served_model", "tracking/forward", "tracking/registry", "tracking/store", "tracking/tell",
    )
}  # fmt: skip
PLAIN = [  # data, files and numbers: usable, and fast to import, without any framework
    *(f"fcn/{name}.py" for name in (
        "addresses", "architecture", "archives", "augment", "batches", "bootstrap", "boundary", "bounds", "containers", "disk",
        "download", "errors", "files", "health", "images", "interrupts", "labels", "metrics", "near", "params", "predictions",
        "protocols", "reading", "recipe", "results", "serving", "spread", "submission", "tally", "upper_bound", "visualize",
    )),
    *sorted(
        path.relative_to(ROOT).as_posix()
        for folder in ("datasets", "doctor", "weights")
        for path in (ROOT / "fcn" / folder).glob("*.py")
        if path.name != "authors.py"
    ),
]  # fmt: skip


def imported(source):
    """Full names of all modules that a source imports, at any depth; `from a import b` gives a and a.b."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not used here"
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def packages(path):
    return {name.partition(".")[0] for name in imported(path.read_text(encoding="utf-8"))}


def sources(*folders):
    found = {path.relative_to(ROOT).as_posix(): path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))}
    assert found
    return found


def test_imported_sees_every_form():
    source = "import a.b as c\nfrom d.e import f\ndef g():\n    import h\n"
    assert imported(source) == {"a.b", "d.e", "d.e.f", "h"}


@pytest.mark.parametrize(
    ("layer", "forbidden"), [("fcn", {"tasks", "flows", "sample"}), ("tasks", {"flows", "sample"}), ("flows", {"sample"})]
)
def test_a_layer_imports_only_those_below_it(layer, forbidden):
    assert {name: packages(path) & forbidden for name, path in sources(layer).items() if packages(path) & forbidden} == {}


def test_the_library_knows_no_tracker_no_orchestrator_and_no_command_line():
    forbidden = {"prefect", "mlflow", "dvc", "yaml", "argparse"}
    assert {name: packages(path) & forbidden for name, path in sources("fcn").items() if packages(path) & forbidden} == {}


def test_the_library_reads_neither_environment_nor_arguments_nor_the_parameter_file():
    for name, path in sources("fcn").items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute):
                assert node.attr not in ("environ", "getenv", "argv"), f"{name}, line {node.lineno}"
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.endswith("params.yaml"):
                # The default of `where`, a word in messages.
                assert name == "tasks/settings/params.py", f"{name}, line {node.lineno}"


def test_mlflow_is_imported_only_by_those_that_speak_with_it():
    assert {name for name, path in sources(*LAYERS, "sample").items() if "mlflow" in packages(path)} == MLFLOW


def test_tensorflow_stands_only_where_keras_has_nothing():
    assert {name for name, path in sources(*LAYERS).items() if "tensorflow" in packages(path)} == TENSORFLOW


def test_plain_modules_import_no_framework():
    found = sources("fcn")
    assert {name: packages(found[name]) & {"keras", "tensorflow"} for name in PLAIN} == {name: set() for name in PLAIN}


def loaded_after(statement):
    code = (
        f"import sys\n{statement}\nprint(*sorted(n for n in ('tensorflow', 'keras', 'mlflow', 'prefect') if n in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1].split()


def test_plain_modules_load_no_framework_through_others():
    names = ", ".join(name.removesuffix(".py").replace("/", ".") for name in PLAIN)
    assert loaded_after(f"import {names}") == []


def test_download_and_conversion_start_without_tensorflow():
    assert loaded_after("import flows.download, flows.convert_vgg") == ["prefect"]


def test_comparing_starts_without_any_of_them():
    assert loaded_after("import flows.commands.compare") == []
