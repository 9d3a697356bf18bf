"""Scores and settings as tables."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from fcn.compare import bootstrap
from fcn.errors import UserError, shown
from fcn.evaluate import Evaluation
from fcn.io import files, public
from fcn.spec import Place
from tasks.settings import Settings, config, params
from tasks.tracking import SCORES

HEAD = (
    "All keys of a profile in `profiles.yaml`, from `tasks/settings/params.py` and",
    "`fcn/spec/recipe.py`, where they are declared and checked. `<name>` under `train` is a",
    "variant (`fcn32s`, ...), under `archives` and `roots` a part of the data set, under `rates`",
    "the beginning of a layer's name, under `class_weights` a class. `fcn show params` prints what",
    "they are set to.",
    "",
    "A profile may be `from` another one, and a block of `train` may name a `recipe`, with all of",
    "which it begins. In `params.yaml`, `profiles.<profile>.<key>` and `recipes.<recipe>.<key>`",
    "change a value; no value takes a key away.",
    "",
    "| key | may be | default | what it is |",
    "|---|---|---|---|",
)


def show(what: str, under: Sequence[str]) -> None:
    """Print what a person asks for.

    Args:
        what: `scores`, `params` (a line for each value, with its key and the place to change it
            at), `keys` or `cost`.
        under: beginnings of the keys of `params` that are shown; none: all.

    Raises:
        UserError: there is nothing to show, or a file is wrong.
    """
    if what == "scores":
        Console().print(scores())
    elif what == "keys":
        print(reference(), end="")
    elif what == "cost":
        print(*cost(config.resolved()[1]), sep="\n")
    else:
        print(*table(*config.resolved(), under), sep="\n")


def cost(settings: Settings) -> Iterator[str]:
    """What the profile will cost, in lines; measures this machine for 20 seconds."""
    from tasks import cost as costs  # only now: what is measured needs Keras

    wanted: set[str] = {recipe.precision for recipe in settings.train.values()}
    wanted.add(settings.evaluate.precision)
    share = costs.SECONDS / len(wanted)
    rates = {precision: costs.measured(precision, share) for precision in sorted(wanted)}
    return costs.told(costs.estimate(settings, rates), rates, settings.profile)


def scores(
    folder: Path = Path("metrics"), plots: Path = Path("plots"), models: Path = Path("models")
) -> Table:
    """The scores of all evaluated nets, in percent.

    Args:
        folder: with a file for each net, as the stages `evaluate` write it.
        plots: with a folder for each net; where it is there, the interval of the mean IU is told.
        models: with a folder for each net; one that has other weights than those that were
            evaluated is named below the table.

    Raises:
        UserError: there is none, or one is damaged.
    """
    found = {path.stem: Evaluation(path).content for path in sorted(folder.glob("*.json"))}
    if not found:
        raise UserError(f"{folder}: expected scores there, found none; `fcn repro` makes them")
    ordered = sorted(found.items(), key=lambda each: each[1]["mean_iu"])
    table = Table(title=f"Scores, in percent; {_measured(found)}", title_justify="left")
    table.add_column("net")
    for name in SCORES:
        table.add_column(name.replace("_", " "), justify="right")
    spans = {name: Evaluation(None, plots / name).interval for name in found}
    if any(spans.values()):
        column = f"{bootstrap.LEVEL:.0%} of mean IU"
        table.add_column(column, justify="right", no_wrap=True)
    for name, each in ordered:
        row = [f"{100 * each[score]:.2f}" for score in SCORES]
        if span := spans[name]:
            row.append(f"{100 * span.low:.1f} to {100 * span.high:.1f}")
        table.add_row(shown(name), *row)
    if old := [shown(name) for name, each in ordered if _is_old(each, models / name)]:
        table.caption = (
            f"{', '.join(old)}: trained again since; `fcn repro` evaluates the new weights"
        )
    return table


def _is_old(content: Mapping[str, Any], model: Path) -> bool:
    """Whether scores are those of other weights than a folder has now."""
    known, weights = content["provenance"].get("model"), model / "weights.npz"
    if not known or not weights.is_file():
        return False
    return not files.digest(weights).startswith(str(known))


def _measured(found: Mapping[str, Mapping[str, Any]]) -> str:
    """On what they were measured, as far as all say the same."""
    keys = ("split", "dataset", "protocol")
    known = {key: {str(each["provenance"].get(key)) for each in found.values()} for key in keys}
    return ", ".join(f"{key} {shown(min(each))}" for key, each in known.items() if len(each) == 1)


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
            rows.append(
                (
                    key,
                    public(json.dumps(value, ensure_ascii=False)),
                    found.origins.get(place, "by default"),
                )
            )
    if not rows:
        raise UserError(
            f"{' '.join(under)}: no such key; the keys are below {', '.join(found.data)}"
        )
    width, middle = (max(len(row[n]) for row in rows) for n in (0, 1))
    for key, value, where in rows:
        yield f"{key:{width}}  {value:{min(middle, 40)}}  {where}"


def reference() -> str:
    """All keys of a profile, from where they are declared."""
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
