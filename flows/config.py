"""params.yaml, read once per process."""

from pathlib import Path

import yaml

from fcn.errors import UserError
from fcn.params import Profile, select


def read(path: Path = Path("params.yaml")) -> tuple[str, Profile, tuple[str, ...]]:
    """The name and the parameters of the profile that `path` selects, and the variants to train.

    Raises:
        UserError: no such file, no valid YAML, or see `params.select`.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; run this from the project's root") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML: {error}") from error
    return select(data, str(path))
