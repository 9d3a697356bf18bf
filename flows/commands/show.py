"""`python -m flows.commands.show params`: the profile as it comes out, and where each value was written; `keys`: what may be
set."""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from fcn.errors import UserError
from fcn.io import public
from tasks.settings import Place, Settings, config, params

HEAD = (
    "# Parameters",
    "",
    "All keys of a profile in [`profiles.yaml`](../profiles.yaml), as `python -m flows.commands.show keys` prints them from",
    "[`tasks/settings/params.py`](../tasks/settings/params.py) and [`fcn/spec/recipe.py`](../fcn/spec/recipe.py), where",
    "they are declared and checked.",
    "`<name>` under `train` is a variant (`fcn32s`, ...), under `archives` and `roots` a part of the data set, under",
    "`rates` the beginning of a layer's name. `python -m flows.commands.show params` prints what they are set to.",
    "",
    "A profile may be `from` another one, and a block of `train` may name a `recipe`, with all of which it begins.",
    "In `params.yaml`, `profiles.<profile>.<key>` and `recipes.<recipe>.<key>` change a value; no value takes a key away.",
    "",
    "| key | may be | default | what it is |",
    "|---|---|---|---|",
)


def main(argv: list[str] | None = None) -> int:
    """Print what is set: a line for each value, with its key and the place to change it at.

    Returns:
        0, or 1 for an error.
    """
    parser = argparse.ArgumentParser(prog="python -m flows.commands.show", description=__doc__)
    parser.add_argument("what", choices=["params", "keys"], help="params: the profile of params.yaml; keys: what may be set")
    parser.add_argument("under", nargs="*", help="only keys that begin so: model, train.fcn32s")
    arguments = parser.parse_args(argv)
    if arguments.what == "keys":
        print(reference(), end="")
        return 0
    try:
        print(*table(*config.resolved(), arguments.under), sep="\n")
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def table(found: config.Resolved, settings: Settings, under: Sequence[str] = ()) -> Iterator[str]:
    """The lines of the table: key, value, and where it was written.

    Args:
        found: what was written, and where.
        settings: the same with all defaults.
        under: beginnings of the keys that are shown; none: all.

    Raises:
        UserError: no key begins so.
    """
    rows = []
    for place, value in leaves(asdict(settings)):
        key = ".".join(map(str, place))
        if not under or any(f"{key}.".startswith(f"{beginning}.") for beginning in under):
            rows.append((key, public(json.dumps(value, ensure_ascii=False)), found.origins.get(place, "by default")))
    if not rows:
        raise UserError(f"{' '.join(under)}: no such key; the keys are below {', '.join(found.data)}")
    width, middle = (max(len(row[n]) for row in rows) for n in (0, 1))
    for key, value, where in rows:
        yield f"{key:{width}}  {value:{min(middle, 40)}}  {where}"


def reference() -> str:
    """docs/parameters.md: all keys of a profile, from where they are declared."""
    rows = [
        f"| `{key}` | {allowed} | {f'`{given}`' if given else ''} | {what} |"
        for key, allowed, given, what in params.reference()
    ]
    return "\n".join([*HEAD, *rows, ""])


def leaves(data: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    """All values of nested mappings, with their places; an empty mapping is one."""
    if isinstance(data, dict) and data:
        for key, value in data.items():
            yield from leaves(value, (*place, key))
    else:
        yield place, data


if __name__ == "__main__":
    sys.exit(main())
