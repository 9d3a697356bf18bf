"""The rooms of the house, and what they import, read from the sources."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
LAYERS = ("fcn", "tasks", "flows")
FACE = "fcn/__init__"


def sources(*folders):
    """By path, all Python files in these folders."""
    found: dict[str, Path] = {}
    for folder in folders:
        found |= {
            path.relative_to(ROOT).as_posix(): path
            for path in sorted((ROOT / folder).rglob("*.py"))
        }
    assert found
    return found


def imports(source):
    """(module, name) of every import at any depth, (module, None) for `import module`."""
    found: list[tuple[str, str | None]] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [(alias.name, None) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not used here"
            assert node.module
            found += [(node.module, alias.name) for alias in node.names]
    return found


def room(module):
    """ "fcn/net" of fcn.net and all in it; the layer itself of what stands in no room. `python -m
    fcn` is the command, and what `import fcn` offers a room of its own.
    """
    if module == "fcn.__init__":
        return FACE
    parts = module.replace("fcn.__main__", "fcn.cli").split(".")
    return (
        "/".join(parts[:2])
        if len(parts) > 1 and (ROOT / parts[0] / parts[1]).is_dir()
        else parts[0]
    )


def arrows():
    """By room, the rooms that it imports."""
    found: dict[str, set[str]] = {}
    for path, file in sources(*LAYERS).items():
        here = room(path.removesuffix(".py").replace("/", "."))
        for module, name in imports(file.read_text(encoding="utf-8")):
            if module.split(".")[0] in LAYERS:
                # `from fcn import errors`, `from fcn import net`
                there = room(module if name is None or "." in module else f"{module}.{name}")
                if there != here:
                    found.setdefault(here, set()).add(there)
        found.setdefault(here, set())
    return found


def below(start, leave=()):
    """`start` and all rooms that it imports, directly or not; those to `leave` are neither taken
    nor followed.
    """
    graph, found, left = arrows(), set(), [start]
    while left:
        here = left.pop()
        if here not in found:
            found.add(here)
            left += [there for there in graph[here] if there not in leave]
    return found
