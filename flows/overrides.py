"""What may reach DVC from a command line, a deployment or a params.yaml.

DVC writes the names of the profile and of the variants into the command lines of dvc.yaml and gives these to a shell, before
any code of ours sees them; so they are checked here, before DVC starts.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from fcn.addresses import secret
from fcn.errors import UserError
from fcn.params import NAME, NAME_WORDS
from flows import remote

_CHANGE = re.compile(r"([+~]{0,2})([\w.-]+)(?:=(.*))?", re.DOTALL)
_TARGET = re.compile(r"\w[\w.@-]*")
_URL = re.compile(r"[a-z]+://[^\s\"'\],]+")
_STARTS = (["repro"], ["exp", "run"])


def check_change(change: str) -> None:
    """Refuses a `KEY=VALUE`, as `dvc exp run -S` takes it, that is more than a value of params.yaml.

    The names of the profile and the variants must be names. `FILE:KEY=VALUE`, by which DVC would write into another file,
    interpolations (`${oc.env:HOME}` would write the environment into the file) and URLs with secrets are refused.

    Raises:
        UserError: any of these; a secret is not repeated.
    """
    found = _CHANGE.fullmatch(change)
    if not found:
        raise UserError(f"--set {change.partition('=')[0]!r}: expected KEY=VALUE, the key of letters, digits and _ . - only")
    _, key, value = found.groups()
    for url in _URL.findall(value or ""):
        if what := secret(url):
            raise UserError(f"--set {key}: the URL holds {what}, and params.yaml is no place for one; see docs/security.md")
    if "${" in (value or ""):
        raise UserError(f"--set {key}: expected a plain value, got the interpolation {value!r}")
    top, *below = key.split(".")
    if top in ("profile", "variants"):
        names = [".".join(below)] * bool(below) + [value] * (value is not None)
        for name in names:
            if not NAME.fullmatch(name):
                raise UserError(f"--set {key}: expected {NAME_WORDS}; got {name!r}")


def check_command(command: Sequence[str]) -> None:
    """Refuses words after `dvc` that are more than `repro` or `exp run` with stages, changes, --force and what `remote` adds.

    Raises:
        UserError: another command or option, or see `check_change`.
    """
    start = next((start for start in _STARTS if list(command[: len(start)]) == start), None)
    if start is None:
        raise UserError(f"dvc {' '.join(command[:2])}: expected `dvc repro` or `dvc exp run`, and no other command")
    words = iter(command[len(start) :])
    for word in words:
        if word == "-S" and start == ["exp", "run"]:
            check_change(next(words, ""))
        elif word not in ("--force", *remote.LENIENT) and not _TARGET.fullmatch(word):
            raise UserError(f"{word!r}: expected the name of a stage, such as train@fcn32s (see `dvc stage list`)")


def check_file(path: Path = Path("params.yaml")) -> None:
    """Refuses a params.yaml whose profile or variants have names that a shell would not take for names.

    A file that is missing or that is no mapping is left to DVC, whose words about it are good.

    Raises:
        UserError: a name with other characters than letters, digits, `_`, `.` and `-`; or no YAML.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:  # DVC's parser is another one, and might read what this one cannot
        raise UserError(f"{path}: not valid YAML: {error}") from error
    except (OSError, ValueError):
        return
    if not isinstance(data, Mapping):
        return
    variants = data.get("variants")
    pairs = variants.items() if isinstance(variants, Mapping) else ()
    named = [("profile", data.get("profile", "none"))]
    named += [(f"variants.{key}", name) for key, item in pairs for name in (key, item)]
    for where, name in named:
        if not NAME.fullmatch(str(name)):
            raise UserError(f"{path}: {where}: expected {NAME_WORDS}; got {name!r}")
