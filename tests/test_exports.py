"""What a room offers is what others use, and what begins with an underscore stays in its file."""

import ast
import importlib
import inspect
import re

import pytest
from rooms import LAYERS, ROOT, imports, room, sources

FACE = {("fcn.datasets", "open"), ("fcn.score", "Scores"), ("fcn.score", "evaluate")}
FACE |= {("fcn.cli", "main")}
"""What `import fcn` offers to others than this house, and the command itself."""
FILES = {
    path: (file.read_text(encoding="utf-8"), room(path.removesuffix(".py").replace("/", ".")))
    for path, file in sources(*LAYERS, "sample").items()
}
ROOMS = sorted(
    file.parent.relative_to(ROOT).as_posix()
    for layer in LAYERS
    for file in (ROOT / layer).glob("*/__init__.py")
)


def offered(name):
    """What a room's `__init__` lists, read and not run."""
    tree = ast.parse((ROOT / name / "__init__.py").read_text(encoding="utf-8"))
    lists = [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and [ast.unparse(t) for t in node.targets] == ["__all__"]
    ]
    return set(ast.literal_eval(lists[0])) if lists else set()


def defined(name):
    """What a room's `__init__` defines itself."""
    tree = ast.parse((ROOT / name / "__init__.py").read_text(encoding="utf-8"))
    functions = {
        node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))
    }
    targets = [t for node in tree.body if isinstance(node, ast.Assign) for t in node.targets]
    return functions | {ast.unparse(target) for target in targets} - {"__all__"}


def used():
    """(module, name) of all that is imported from a room by others, or read as its attribute."""
    found = set()
    for text, here in FILES.values():
        for module, name in imports(text):
            if room(module) != here:
                found.add((module, name))
        short = {
            name: f"{module}.{name}"
            for module, name in imports(text)
            if name and (ROOT / module.replace(".", "/") / name).is_dir()
        }
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                found.add((short.get(node.value.id), node.attr))
    return found


USED = used()


def handed_out(name):
    """The types of what a room's functions return."""
    module = importlib.import_module(name.replace("/", "."))
    said = [str(inspect.signature(function).return_annotation) for _, function in functions(module)]
    return {word for text in said for word in re.findall(r"\w+", text)}


@pytest.mark.parametrize("name", ROOMS)
def test_what_a_room_offers_is_used_by_others(name):
    module = name.replace("/", ".")
    others = {each for each in offered(name) if (module, each) not in USED | FACE}
    assert others - handed_out(name) == set()


@pytest.mark.parametrize("name", ROOMS)
def test_others_take_of_a_room_what_it_offers_and_its_modules(name):
    module, folder = name.replace("/", "."), ROOT / name
    modules = {path.stem for path in folder.glob("*.py")}
    modules |= {path.name for path in folder.iterdir() if (path / "__init__.py").is_file()}
    taken = {each for where, each in USED if where == module and each is not None}
    assert taken - offered(name) - modules - defined(name) == set()


def test_what_begins_with_an_underscore_stays_in_its_file():
    found = []
    for path, (text, _) in FILES.items():
        tree = ast.parse(text)
        names = [(m, n) for m, n in imports(text) if n and n.startswith("_")]
        found += [f"{path}: {m}.{n}" for m, n in names if m.split(".")[0] in LAYERS]
        own = {n for m, n in imports(text) if n and m.split(".")[0] in LAYERS}
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                private = node.attr.startswith("_") and not node.attr.startswith("__")
                if private and node.value.id in own:
                    found.append(f"{path}, line {node.lineno}: {ast.unparse(node)}")
    assert found == []


LIBRARY = [name for name in ROOMS if name.startswith("fcn/")]


def functions(module):
    """By name, the functions that a module offers, and the public methods of its classes."""
    for name in getattr(module, "__all__", ()):
        value = getattr(module, name)
        if inspect.isfunction(value):
            yield name, value
        elif inspect.isclass(value) and value.__module__.startswith("fcn"):
            for key, method in vars(value).items():
                method = getattr(method, "__func__", method)
                if inspect.isfunction(method) and not key.startswith("_"):
                    yield f"{name}.{key}", method


@pytest.mark.parametrize("name", ["fcn", *LIBRARY])
def test_what_the_library_offers_says_what_it_takes_and_what_it_raises(name):
    """Beyond ruff's rules: D417 looks only where there are arguments already."""
    missing = []
    for which, function in functions(importlib.import_module(name.replace("/", "."))):
        said = inspect.getdoc(function) or ""
        for argument in inspect.signature(function).parameters:
            if argument not in ("self", "cls") and not re.search(rf"(?m)^    {argument}: ", said):
                missing.append(f"{which}: {argument}")
        if re.search(r"(?m)^\s+raise \w", inspect.getsource(function)) and "Raises" not in said:
            missing.append(f"{which}: what it raises")
    assert missing == []
