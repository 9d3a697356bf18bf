"""The workspace around the current folder, looked for upwards as git does."""

import contextlib
import pkgutil
import sys
from collections.abc import Mapping
from pathlib import Path

from fcn.errors import UserError, shown

MARKS = ("params.yaml", "dvc.yaml")
"""Both lie in a workspace."""
CHECKOUT = Path(__file__).resolve().parents[2]
"""Where this code lies; in a checkout, `flows/` lies beside it."""
COMMANDS = ("repro", "ui", "show", "compare", "seeds", "folds", "sync", "verify", "deploy", "stage")
"""The files of `flows/commands`."""
ANYWHERE = ("compare",)
"""Those that need the code of a checkout, and no workspace."""
FETCH = "tasks.tracking.fetched:model"
"""The function that brings a model from MLflow's registry."""


def find() -> Path | None:
    """The nearest folder, from the current one upwards, with params.yaml and dvc.yaml."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if all((folder / mark).is_file() for mark in MARKS):
            return folder
    return None


def models() -> Path:
    """The folder of the trained nets: that of the workspace, or of the current folder.

    As it is seen from the current folder, for messages.
    """
    root = find()
    return Path("models") if root in (None, Path.cwd()) else root / "models"


def trained() -> dict[str, Path]:
    """The trained nets by name."""
    return {path.parent.name: path.parent for path in sorted(models().glob("*/model.json"))}


def missing(root: Path | None, command: str = "") -> str:
    """Why the commands of a workspace cannot be had; empty: they can.

    Code is taken from the checkout of this very command alone, never from a folder that happens to
    be around the current one.

    Args:
        root: see `find`.
        command: which of them.
    """
    here = (CHECKOUT / "flows" / "commands").is_dir()
    if root is None and not (here and command in ANYWHERE):
        return (
            f"it needs a workspace: neither {shown(Path.cwd())} nor a folder above it has "
            f"{' and '.join(MARKS)}; go to a clone of the project"
        )
    other = root is not None and (root / "fcn").is_dir() and root.resolve() != CHECKOUT
    if other or not here:
        return (
            f"the workspace {shown(root)} needs its own `fcn`, and this one is that of "
            f"{shown(CHECKOUT)}: type `make env` there, then {shown(root)}/.venv/bin/fcn"
        )
    return ""


def enter() -> None:
    """Makes `flows` and `tasks` importable, which no installation brings."""
    if str(CHECKOUT) not in sys.path:
        sys.path.insert(0, str(CHECKOUT))


def registered(uri: str) -> Path:
    """The model folder of a version in MLflow's registry, such as `models:/fcn-sample@champion`.

    Raises:
        UserError: there is no workspace, or no such version.
    """
    root = find()
    if why := missing(root):
        raise UserError(f"{uri}: {why}")
    assert root is not None
    enter()
    with contextlib.chdir(root):  # where its store is
        return root / Path(pkgutil.resolve_name(FETCH)(uri))


def absolute(given: Mapping[str, object]) -> dict[str, object]:
    """Paths of a command line, which are seen from the current folder, as seen from anywhere."""
    return {
        name: Path.cwd() / value if isinstance(value, Path) else value
        for name, value in given.items()
    }
