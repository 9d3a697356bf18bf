"""params.yaml, read once per process."""

import re
from pathlib import Path
from typing import Any

import yaml

from fcn.errors import UserError
from fcn.params import Profile, select


class _Loader(yaml.SafeLoader):
    """Takes 1e-10 for a number, as DVC does and writes it; PyYAML wants a point."""


_NUMBER = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$")
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _NUMBER, [*"-+0123456789"])


def read(path: Path = Path("params.yaml")) -> tuple[str, Profile, tuple[str, ...]]:
    """The name and the parameters of the profile that `path` selects, and the variants to train.

    Raises:
        UserError: no such file, no valid YAML, or see `params.select`.
    """
    return select(plain(path), str(path))


def plain(path: Path = Path("params.yaml")) -> Any:
    """What the file holds, unchecked.

    Raises:
        UserError: no such file, or no valid YAML.
    """
    try:
        with path.open(encoding="utf-8") as file:
            return yaml.load(file, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; run this from the project's root") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML: {error}") from error
