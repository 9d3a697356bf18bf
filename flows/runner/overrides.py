"""What may reach DVC from a command line, a deployment or a params.yaml, and how a change gets into
params.yaml.

DVC writes the names of the profile and of the variants into the command lines of dvc.yaml and gives
these to a shell, before any code of ours sees them; so they are checked here, before DVC starts.
"""

import contextlib
import io
import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from fcn import reading
from fcn.errors import UserError
from fcn.io import files, secret
from fcn.spec import nearest
from flows.runner import output, remote
from tasks.settings import FOLDER, NAME, NAME_WORDS, Profile, Settings, config, yamlfile

BEFORE = Path(".cache/params-before.json")
"""What params.yaml was and is while a run changes it for itself; by it the next run repairs a
killed one.
"""
REMOVE = object()
"""The value of a key that a change removes."""
_CHANGE = re.compile(r"([+~]{0,2})([\w.-]+)(?:=(.*))?", re.DOTALL)
_TARGET = re.compile(r"\w[\w.@-]*")
_URL = re.compile(r"[a-z]+://[^\s\"'\],]+")
_STARTS = (["repro"], ["exp", "run"])
_WIDTH = 80  # from which on DVC's writer breaks lines


def change(text: str) -> tuple[str, Any]:
    """Takes a `KEY=VALUE`, as `dvc exp run -S` does, apart; the value is YAML. `~KEY` removes what
    params.yaml has there.

    The names of the profile and the variants must be names. `FILE:KEY=VALUE`, by which DVC would
    write into another file, interpolations (`${oc.env:HOME}` would write the environment into the
    file) and URLs with secrets are refused.

    Returns:
        The key, and the value or `REMOVE`.

    Raises:
        UserError: any of these; a secret is not repeated.
    """
    found = _CHANGE.fullmatch(text)
    if not found or (found[1] == "~") != (found[3] is None):
        raise UserError(
            f"--set {text.partition('=')[0]!r}: expected KEY=VALUE, the key of "
            "letters, digits and _ . - only"
        )
    sign, key, written = found.groups()
    for url in _URL.findall(written or ""):
        if what := secret(url):
            raise UserError(
                f"--set {key}: the URL holds {what}, and params.yaml is no place for "
                "one; see docs/explanation/security.md"
            )
    if "${" in (written or ""):
        raise UserError(f"--set {key}: expected a plain value, got the interpolation {written!r}")
    value = REMOVE if sign == "~" else yamlfile.parsed(written, f"--set {key}")
    top, *below = key.split(".")
    if top not in config.KEYS:
        meant = nearest(top, config.KEYS)
        if top in (field.name for field in fields(Profile)):
            meant = f"did you mean `profiles.NAME.{key}`, with the name of the profile?"
        raise UserError(f"--set {key}: expected a key below {', '.join(config.KEYS)}; {meant}")
    if top in ("profile", "variants"):
        names, folders = [*below, *(value if isinstance(value, Mapping) else ())], []
        if value is not REMOVE:
            folders = [*value.values()] if isinstance(value, Mapping) else [value]
        if top == "profile":
            names, folders = [*names, *folders], []
        for name, form in (
            *((name, NAME) for name in names),
            *((name, FOLDER) for name in folders),
        ):
            if name is None or not form.fullmatch(str(name)):
                raise UserError(f"--set {key}: expected {NAME_WORDS}; got {name!r}")
    return key, value


def check_command(command: Sequence[str]) -> None:
    """Refuses words after `dvc` that are more than `repro` or `exp run` with stages, --force and
    what `remote` adds.

    Raises:
        UserError: another command or option.
    """
    start = next((start for start in _STARTS if list(command[: len(start)]) == start), None)
    if start is None:
        raise UserError(
            f"dvc {' '.join(command[:2])}: expected `dvc repro` or `dvc exp run`, and "
            "no other command"
        )
    for word in command[len(start) :]:
        if word not in ("--force", *remote.LENIENT) and not _TARGET.fullmatch(word):
            raise UserError(
                f"{word!r}: expected the name of a stage, such as train@fcn32s (see "
                "`dvc stage list`)"
            )


def check_file(
    path: Path = config.PARAMS, changes: Mapping[str, Any] | None = None
) -> Settings | None:
    """Refuses a params.yaml that is wrong, or would be with these changes.

    Where there is no profiles.yaml, the workspace is none of this project's: then names of profile
    and variants that a shell would not take for names are refused, and all else is left to DVC.

    Returns:
        What is set, with the changes; None: there is no profiles.yaml.

    Raises:
        UserError: a name with other characters than letters, digits, `_`, `.` and `-`; or see
            `config.read`.
    """
    settings = None
    if path.with_name(config.PROFILES).exists():
        own = yamlfile.plain(path)
        if changes:
            own = yamlfile.parsed(changed(_text(path), changes), "")
        shared = yamlfile.plain(path.with_name(config.PROFILES))
        settings = config.resolve(own, shared, path.name)[1]
    data = yamlfile.plain(path) if path.exists() else None
    if not isinstance(data, Mapping):
        return settings
    variants = data.get("variants")
    pairs = variants.items() if isinstance(variants, Mapping) else ()
    named = [("profile", data.get("profile", "none"), NAME)]
    named += [
        (f"variants.{key}", name, form)
        for key, item in pairs
        for name, form in ((key, NAME), (item, FOLDER))
    ]
    for where, name, form in named:
        if not form.fullmatch(str(name)):
            raise UserError(f"{path}: {where}: expected {NAME_WORDS}; got {name!r}")
    return settings


def changed(text: str, changes: Mapping[str, Any]) -> str:
    """A params.yaml's text with these changes: a line for each, all other lines as they are.

    Args:
        text: valid YAML.
        changes: values by their full keys; `REMOVE` for one that is to go.

    Raises:
        UserError: a key leads through a value that is no mapping, or there is nothing to remove; or
            what comes out is not valid: see `config.read`.
    """
    writer = YAML()  # as DVC has it, so that neither writes anew what the other has written
    writer.default_flow_style = False
    writer.preserve_quotes = True  # DVC reads no `[file:a.npz]`, which would be written without
    try:
        data = writer.load(text)
    except (YAMLError, ValueError) as error:  # DVC's parser is another one than ours
        raise UserError(
            f"params.yaml: DVC cannot read it: {' '.join(str(error).split())}"
        ) from error
    if not isinstance(data, CommentedMap):
        raise UserError(
            f"params.yaml: expected keys with values; the keys are {', '.join(config.KEYS)}"
        )
    for key, value in changes.items():
        *outer, last = key.split(".")
        node = data
        for depth, name in enumerate(outer, 1):
            if node.get(name) is None and value is not REMOVE:
                node[name] = CommentedMap()
            if not isinstance(node.get(name), CommentedMap):
                raise UserError(
                    f"params.yaml: {'.'.join(outer[:depth])}: expected keys with "
                    f"values there, to set {key}"
                )
            if not node[name] and len(key) + len(repr(value)) + 4 * len(outer) < _WIDTH:
                node[name].fa.set_flow_style()
            node = node[name]
        if value is not REMOVE:
            node[last] = _flowing(value)
        elif last in node:
            del node[last]
            _prune(data, outer)
        else:
            raise UserError(f"params.yaml: {key}: there is no such key to remove")
    shared = yamlfile.plain(config.PARAMS.with_name(config.PROFILES))
    if "profile" in changes and not any(key.partition(".")[0] == "variants" for key in changes):
        fitting = config.fitting(yamlfile.parsed(_dumped(writer, data), "params.yaml"), shared)
        if fitting != data.get("variants"):
            data["variants"] = CommentedMap(fitting)
    out = _dumped(writer, data)
    config.resolve(yamlfile.parsed(out, "params.yaml"), shared)
    return out


def _prune(data: CommentedMap, outer: Sequence[str]) -> None:
    """Takes out the mappings below the first key of `outer` that have nothing left in them."""
    nodes = list(itertools.accumulate(outer, lambda node, name: node[name], initial=data))
    for name, node in reversed([*zip(outer[1:], nodes[1:-1], strict=True)]):
        if not node[name]:
            del node[name]


def _dumped(writer: YAML, data: CommentedMap) -> str:
    out = io.StringIO()
    writer.dump(data, out)
    return out.getvalue()


def _flowing(value: Any) -> Any:
    """Mappings in one line, if it is not too long; addresses in quotes, see `changed`."""
    if isinstance(value, str) and ":" in value:
        return DoubleQuotedScalarString(value)
    if isinstance(value, list):
        return [_flowing(each) for each in value]
    if isinstance(value, Mapping):
        value = CommentedMap({key: _flowing(each) for key, each in value.items()})
        if len(json.dumps(value)) < _WIDTH - 30:
            value.fa.set_flow_style()
    return value


def write(changes: Mapping[str, Any]) -> bool:
    """Write changes into params.yaml; whether that made a difference.

    Raises:
        UserError: see `changed`; the file is as it was.
    """
    before = _text()
    after = changed(before, changes)
    if yamlfile.parsed(after, "") == yamlfile.parsed(before, ""):
        return False
    _replace(after)
    return True


@dataclass(frozen=True)
class _Kept:
    """What params.yaml was, and what a run made of it for itself."""

    before: str
    after: str


@contextlib.contextmanager
def applied(changes: Mapping[str, Any], keep: bool) -> Iterator[None]:
    """Has changes in params.yaml inside of this context; with `keep`, also after it.

    The workspace must be held.

    Raises:
        UserError: see `changed`; the file is as it was.
    """
    restore()
    before = _text()
    after = changed(before, changes)
    if not keep and after != before:
        files.write_json(BEFORE, asdict(_Kept(before, after)))
    if after != before:
        _replace(after)
    try:
        yield
    finally:
        restore()


def restore() -> None:
    """Takes back what `applied` wrote, also that of a killed run. The workspace must be held."""
    if not BEFORE.exists():
        return
    kept = reading.read_json(
        BEFORE, _Kept, f"look at params.yaml (`git diff params.yaml`), and remove {BEFORE}"
    )
    if not config.PARAMS.exists() or config.PARAMS.read_bytes() == kept.after.encode():
        _replace(kept.before)
        output.say("params.yaml: as it was before the run that changed it for itself")
    else:
        output.say("params.yaml: edited while a run had changed it for itself, and left as it is")
    BEFORE.unlink()


def _text(path: Path = config.PARAMS) -> str:
    """The file's text, of which it is known that it is YAML."""
    yamlfile.plain(path)
    return path.read_text(encoding="utf-8-sig")


def _replace(text: str) -> None:
    with files.replacing_file(config.PARAMS) as temporary:
        temporary.write_text(text, encoding="utf-8")
