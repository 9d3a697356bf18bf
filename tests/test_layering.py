"""flows -> tasks -> fcn, room by room, and who may import what: read from the sources, and from a
process.
"""

import ast
import subprocess
import sys

import pytest
from rooms import FACE, LAYERS, ROOT, arrows, imports, room, sources

HOUSE = (
    "flows/commands", "flows", "flows/runner", "tasks", "tasks/report", "tasks/tracking",
    "tasks/settings",
    "fcn/cli", FACE, "fcn/predict", "fcn/explain", "fcn/published", "fcn/evaluate", "fcn/train",
    "fcn/monitor", "fcn/score", "fcn/net",
    "fcn/records", "fcn/input", "fcn/hardware", "fcn/doctor", "fcn/datasets", "fcn/weights",
    "fcn/compare",
    "fcn/pixels", "fcn/spec", "fcn/io", "fcn/pretrained", "fcn",
)  # fmt: skip
"""The rooms from the roof to the ground: a room imports only from those after it. `fcn` itself: its
errors and its readers.
"""
PLAIN = ("spec", "io", "pixels", "weights", "datasets", "doctor", "compare")
"""Data, files and numbers: usable, and fast to import, without any framework."""


def packages(path):
    return {module.partition(".")[0] for module, _ in imports(path.read_text(encoding="utf-8"))}


def test_imports_are_seen_in_every_form():
    source = "import a.b as c\nfrom d.e import f\ndef g():\n    import h\n"
    assert imports(source) == [("a.b", None), ("d.e", "f"), ("h", None)]
    assert [room(name) for name in ("fcn.net.model", "fcn.net", "fcn.errors", "tasks.train")] == [
        "fcn/net", "fcn/net", "fcn", "tasks"
    ]  # fmt: skip


def test_every_arrow_between_rooms_points_down():
    found = arrows()
    assert set(found) <= set(HOUSE)
    # `flows` starts as a child of DVC does before anything of its rooms is imported.
    up = [
        (here, there)
        for here in found
        for there in found[here]
        if HOUSE.index(there) <= HOUSE.index(here)
    ]
    assert up == []


def test_a_room_is_entered_through_its_door():
    """From outside, a name comes from the room itself: its `__init__` exports it, or it is one of
    the room's modules.
    """
    around = []
    for path, file in sources(*LAYERS).items():
        here = room(path.removesuffix(".py").replace("/", "."))
        for module, name in imports(file.read_text(encoding="utf-8")):
            there = room(module) if module.split(".")[0] in LAYERS else here
            if there != here and "/" in there and (name is None or module.count(".") > 1):
                around.append(f"{path}: {module}")
    assert around == []


def test_every_room_says_in_a_sentence_what_it_is():
    for name in HOUSE:
        if "/" in name and (ROOT / name).is_dir():
            said = ast.get_docstring(
                ast.parse((ROOT / name / "__init__.py").read_text(encoding="utf-8"))
            )
            assert said, name
            assert said.split("\n\n")[0].rstrip().endswith("."), name


def test_few_files_stand_in_no_room():
    assert len(list((ROOT / "fcn").glob("*.py"))) <= 8


@pytest.mark.parametrize(
    ("layer", "forbidden"),
    [("fcn", {"tasks", "flows", "sample"}), ("tasks", {"flows", "sample"}), ("flows", {"sample"})],
)
def test_a_layer_imports_only_those_below_it(layer, forbidden):
    assert {
        name: packages(path) & forbidden
        for name, path in sources(layer).items()
        if packages(path) & forbidden
    } == {}


def test_the_library_knows_no_tracker_no_orchestrator_and_no_command_line():
    forbidden = {"prefect", "mlflow", "dvc", "argparse"}
    assert {
        name: packages(path) & forbidden
        for name, path in sources("fcn").items()
        if packages(path) & forbidden
    } == {}


def test_the_library_reads_neither_environment_nor_arguments_nor_the_parameter_file():
    for name, path in sources("fcn").items():
        if name.startswith("fcn/cli/"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute):
                assert node.attr not in ("environ", "getenv", "argv"), f"{name}, line {node.lineno}"
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert not node.value.endswith("params.yaml"), f"{name}, line {node.lineno}"


def test_mlflow_is_imported_only_by_those_that_speak_with_it():
    found = {
        name for name, path in sources(*LAYERS, "sample").items() if "mlflow" in packages(path)
    }
    assert {room(name.replace("/", ".")) for name in found} == {"tasks/tracking"}


def test_tensorflow_stands_only_where_keras_has_nothing():
    found = {name for name, path in sources(*LAYERS).items() if "tensorflow" in packages(path)}
    found.remove("fcn/predict/tflite_graph.py")  # a format of TensorFlow's own
    assert {room(name.replace("/", ".")) for name in found} == {
        "fcn/hardware",
        "fcn/input",
        "fcn/records",
    }


def test_plain_rooms_import_no_framework():
    found = sources(*(f"fcn/{name}" for name in PLAIN))
    assert {
        name for name, path in found.items() if packages(path) & {"keras", "tensorflow"}
    } == set()


def loaded_after(statement):
    code = (
        f"import sys\n{statement}\nprint(*sorted(n for n in ('tensorflow', 'keras', 'mlflow', "
        "'prefect') if n in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()[-1].split()


def test_plain_rooms_load_no_framework_through_others():
    found = sources(*(f"fcn/{name}" for name in PLAIN))
    names = ", ".join(
        name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in found
    )
    assert loaded_after(f"import {names}") == []


def test_download_conversion_and_pipeline_start_without_any_of_them():
    assert (
        loaded_after("import flows.download, flows.convert_vgg, flows.pipeline, flows.commands.ui")
        == []
    )


def test_comparing_starts_without_any_of_them():
    assert loaded_after("import flows.compare") == []
