"""YAML files that people and DVC write: read once, as DVC reads them, and
refused in one sentence.
"""

import copy
import functools
import re
from pathlib import Path
from typing import Any

import yaml

from fcn import reading
from fcn.errors import UserError
from fcn.io import public

_DEEPEST = 40  # levels of mappings and lists


class _Loader(yaml.SafeLoader):
    """Reads what DVC reads as DVC reads it: YAML 1.2, where `no` and 2020-01-02 are texts and 1e-10
    is a number.

    A key that stands twice and what is nested without end are refused; and so are anchors, through
    which DVC's own writer would put an old value in the place of a new one.
    """

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's
    level = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise _refused(
                "anchors and aliases (&name, *name) are not taken; profiles are `from` one another",
                event,
            )
        self.level += 1
        if self.level > _DEEPEST:
            raise _refused(f"it is nested more than {_DEEPEST} levels deep", event)
        node = super().compose_node(parent, index)
        self.level -= 1
        if isinstance(node, yaml.MappingNode):
            lines: dict[str, int] = {}
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode):
                    if key.value in lines:
                        first = lines[key.value]
                        raise _refused(
                            f"the key `{key.value}` stands there twice, first in line {first}", key
                        )
                    lines[key.value] = key.start_mark.line + 1
        return node

    def number(self, node: Any) -> int | float:
        """A number, of as many digits as anybody needs."""
        text = self.construct_scalar(node)
        if len(text) > 60:
            raise _refused(f"a number of {len(text)} digits", node)
        return (
            int(text)
            if re.fullmatch(r"[-+]?[0-9]+", text)
            else float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
        )


for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})$"), [*_first]
    )
for _tag in ("int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", _Loader.number)


def _refused(problem: str, at: Any) -> yaml.YAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=at.start_mark)


def plain(path: Path) -> Any:
    """What a file holds, unchecked.

    Raises:
        UserError: no such file, or no valid YAML; see `parsed`.
    """
    data = reading.content(path, "run this from the project's root, where git has it")
    try:
        return parsed(data.decode("utf-8-sig"), str(path))
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        byte = f"{data[error.start]:#04x}"
        raise UserError(
            f"{path}, line {line}: not in UTF-8, as the byte {byte} says; save it as UTF-8"
        ) from error


def parsed(text: str, where: str) -> Any:
    """What a text in YAML says; `where` is what it is called.

    Raises:
        UserError: it is not valid, or has what is not taken: see `_Loader`.
    """
    try:
        return copy.deepcopy(_loaded(text))
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UserError(
            f"{where}{line}: not valid YAML: {_brief(error.problem or str(error))}"
        ) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{where}: not valid YAML: {_brief(str(error))}") from error


@functools.lru_cache(maxsize=8)
def _loaded(text: str) -> Any:
    """Each text once: a command reads params.yaml and profiles.yaml several times."""
    return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader


def _brief(words: str) -> str:
    return public(" ".join(words.split()))[:300]
