"""What the commands' options have in common."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Group, Parameter, Token

from fcn import pretrained
from fcn.cli import workspace
from fcn.errors import UserError, shown

NET, MADE, SERVER = Group("The net"), Group("What comes out"), Group("The server")


def _path(_: Any, tokens: Sequence[Token]) -> Path:
    """A path; an empty one, as an unset variable of a shell gives it, is misuse."""
    if not tokens[0].value:
        raise ValueError("expected a path, got nothing")
    return Path(tokens[0].value)


Place = Annotated[Path, Parameter(converter=_path)]
"""A path on the command line."""
Model = Annotated[
    str,
    Parameter(
        group=NET,
        help="A net in the box; a variant, `fcn8s`, which stands for models/fcn8s of this "
        "workspace; a model's folder; models:/NAME@ALIAS of this workspace's registry; or "
        "voc-fcn8s, voc-fcn16s, voc-fcn32s: the authors' own nets, fetched once.",
    ),
]
"""The option `--model`, the same for every command."""
Allow = Annotated[
    list[str] | None,
    Parameter(
        group=SERVER, negative="", help="A further host to answer as: that of a proxy in front."
    ),
]
Port = Annotated[int, Parameter(group=SERVER, help="Where to listen; 0: a port that is free.")]


def model_folder(given: str = pretrained.DEFAULT) -> Path:
    """The folder of a model.

    Args:
        given: a variant that has been trained in this workspace; a net in the box; a folder, also
            of MLflow's; a version in this workspace's registry, `models:/NAME@ALIAS`; or one of the
            authors' nets, `voc-<variant>`, which is fetched the first time.

    Raises:
        UserError: none of these.
    """
    if given.startswith("models:"):
        return workspace.registered(given)
    trained = workspace.models() / given
    if os.path.isfile(trained / "model.json"):  # also of a name that no disk takes
        return trained

    from fcn.predict import models

    if found := models.find(given):
        return found
    from fcn.spec import VARIANTS

    boxed = [*pretrained.folders()]
    fetched = [name for name in models.names() if name not in boxed]
    there = [*boxed, *map(shown, workspace.trained()), *fetched]
    raise UserError(
        f"--model: expected {', '.join(there)}, a variant ({', '.join(VARIANTS)}) once it has been "
        f"trained, or a folder with model.json and weights.npz; got {shown(given)}"
    )
