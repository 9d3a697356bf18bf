"""What docs/explanation/security.md claims of the sources, the pinned packages and the servers; the
values are tested where they arise.
"""

import ast
import re
import warnings
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(
    path for folder in ("fcn", "tasks", "flows", "sample") for path in (ROOT / folder).rglob("*.py")
)

# Each can execute what it is given, or hands it to a shell.
CALLS = {
    "eval", "exec", "compile", "__import__", "runpy.run_path", "os.system", "os.popen",
    "pty.spawn", "subprocess.getoutput",
    "subprocess.getstatusoutput", "asyncio.create_subprocess_shell", "yaml.load", "yaml.full_load",
    "yaml.unsafe_load",
    "pd.read_pickle", "torch.load", "tf.saved_model.load", "logging.config.listen",
}  # fmt: skip
SAFE_LOADERS = {"yaml.SafeLoader", "yaml.CSafeLoader"}
MODULES = {
    "pickle",
    "cPickle",
    "dill",
    "cloudpickle",
    "shelve",
    "marshal",
    "joblib",
    "torch",
    "imp",
    "xmlrpc",
}
UNPICKLER = "fcn/weights/npy.py"
"""Has an unpickler of its own that calls nothing: tests/fcn/weights/test_weights_npy.py."""


def names(tree):
    """Dotted names of all calls, with their keywords."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield (
                ast.unparse(node.func),
                {word.arg: ast.unparse(word.value) for word in node.keywords},
            )


def forbidden(source):
    """What of a source could execute what it reads."""
    tree = ast.parse(source)
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    safe = SAFE_LOADERS | {
        node.name for node in classes if {ast.unparse(base) for base in node.bases} & SAFE_LOADERS
    }
    found = set()
    for name, words in names(tree):
        if name == "yaml.load" and words.get("Loader") in safe:
            continue
        if name in CALLS or name.endswith((".extractall", ".load_model")):
            found.add(name)
        if words.get("shell", "False") != "False":
            found.add(f"{name}(shell)")
        if words.get("allow_pickle", "False") != "False":
            found.add(f"{name}(allow_pickle)")
        if (
            name.endswith(("enable_unsafe_deserialization", ".unsafe_load"))
            or words.get("safe_mode") == "False"
        ):
            found.add(name)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = (
                {alias.name for alias in node.names}
                if isinstance(node, ast.Import)
                else {node.module or ""}
            )
            found |= {module for module in modules if module.partition(".")[0] in MODULES}
    return found


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("eval(x)", {"eval"}),
        ("import subprocess\nsubprocess.run(x, shell=True)", {"subprocess.run(shell)"}),
        ("np.load(x, allow_pickle=True)", {"np.load(allow_pickle)"}),
        ("yaml.load(x, Loader=L)", {"yaml.load"}),
        ("class L(yaml.Loader): ...\nyaml.load(x, Loader=L)", {"yaml.load"}),
        (
            "class L(yaml.SafeLoader): ...\nyaml.load(x, Loader=L); yaml.load(x, "
            "Loader=yaml.CSafeLoader)",
            set(),
        ),
        ("from pickle import loads", {"pickle"}),
        ("keras.models.load_model(x, safe_mode=False)", {"keras.models.load_model"}),
        ("t.extractall(x)", {"t.extractall"}),
        (
            "np.load(x, allow_pickle=False); yaml.safe_load(x); subprocess.run(['a'], check=True); "
            "re.compile(x)",
            set(),
        ),
    ],
)
def test_the_search_finds_what_it_looks_for(source, found):
    assert forbidden(source) == found


def test_nothing_that_is_read_can_be_executed():
    found = {
        path.relative_to(ROOT).as_posix(): forbidden(path.read_text(encoding="utf-8"))
        for path in SOURCES
    }
    assert len(found) > 100
    assert {name: what for name, what in found.items() if what} == {
        UNPICKLER: {"pickle"},
    }


def test_numpy_is_told_not_to_unpickle():
    calls = [
        words
        for path in SOURCES
        for name, words in names(ast.parse(path.read_text("utf-8")))
        if name == "np.load"
    ]
    assert calls
    assert all(words.get("allow_pickle") == "False" for words in calls)


def test_no_server_of_the_sources_and_examples_is_told_to_listen_elsewhere():
    files = [*SOURCES, ROOT / "Makefile", ROOT / "README.md", ROOT / "docs/how-to/serving.md"]
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert set(re.findall(r"--host[= ]+(\S+)", text)) <= {"127.0.0.1"}, path
        assert "0.0.0.0" not in text, path
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in SOURCES]
    bound = [
        ast.unparse(node) for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)
    ]
    bound = [call for call in bound if re.match(r"[\w.]+\.(create_server|bind|launch)\(", call)]
    assert (
        len(bound) >= 3
    )  # flows/runner and fcn/predict/local, whose own tests look at the sockets
    assert [
        call
        for call in bound
        if not re.search(r"\(\(?'127\.0\.0\.1'|\(\(?HOST|server_name=HOST", call)
    ] == []


def test_the_servers_of_mlflow_and_prefect_listen_on_this_machine_unless_told_otherwise(
    monkeypatch,
):
    """`prefect server start`, `mlflow server`, `mlflow models serve` without --host."""
    with warnings.catch_warnings(action="ignore"):  # SQLAlchemy's, about MLflow
        from mlflow import cli
        from mlflow.models import cli as models_cli
    from prefect.settings.models.server.api import ServerAPISettings

    for name in ("MLFLOW_HOST", "PREFECT_SERVER_API_HOST"):
        monkeypatch.delenv(name, raising=False)
    for command in (cli.server, models_cli.commands.commands["serve"]):
        (host,) = (option for option in command.params if option.name == "host")
        assert host.default == "127.0.0.1"
    assert ServerAPISettings.model_fields["host"].default == "127.0.0.1"


@pytest.mark.parametrize(
    "path", sorted((ROOT / "requirements").glob("*.txt")), ids=lambda path: path.name
)
def test_every_pinned_package_has_a_version_and_hashes_and_comes_from_the_usual_index(path):
    text = path.read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    assert lines
    pinned = re.compile(
        r"[A-Za-z0-9][\w.-]*(\[[\w,-]+\])?==[\w.!+-]+( *;[^#]*?)?( +--hash=sha256:[0-9a-f]{64})+ *"
    )
    # no URL, no git, no --index-url, no editable
    assert [line for line in lines if not pinned.fullmatch(line)] == []
