"""What several seeds say: mean and standard deviation of every score, and what follows for the
comparison of two nets.
"""

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

HEADLINE = "mean_iu"
ALIKE = 2.8
"""Two draws from one normal distribution differ by less than 1.96 x sqrt(2) standard deviations, 19
times out of 20.
"""


def scores(metrics: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """The scores in a metrics file by name, those inside of others with a point:
    `protocols.center513.mean_iu`.

    Args:
        metrics: what `metrics/<variant>.json` holds; `provenance` is none of its scores.
        prefix: before every name.
    """
    found: dict[str, float] = {}
    for name, value in metrics.items():
        if isinstance(value, Mapping) and name != "provenance":
            found |= scores(value, f"{prefix}{name}.")
        elif isinstance(value, float):
            found[f"{prefix}{name}"] = value
    return found


def summary(
    measured: Mapping[str, Sequence[Mapping[str, float]]],
) -> dict[str, dict[str, dict[str, Any]]]:
    """Mean and standard deviation (n - 1; None for a single seed) of every score of every variant,
    with the values.

    Args:
        measured: by variant, for each seed the scores by name.

    Returns:
        variant -> score -> `values` in the order of the seeds, `mean`, `sd`.
    """
    result: dict[str, dict[str, dict[str, Any]]] = {}
    for variant, rows in measured.items():
        result[variant] = {}
        for name in rows[0]:
            values = [row[name] for row in rows]
            sd = statistics.stdev(values) if len(values) > 1 else None
            result[variant][name] = {"values": values, "mean": statistics.fmean(values), "sd": sd}
    return result


def words(summed: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[str]:
    """What the spread of the mean IU says, in sentences: of each variant and the one before it,
    seed by seed; of two runs.
    """
    variants, headline = (
        list(summed),
        {variant: found[HEADLINE] for variant, found in summed.items()},
    )
    n = len(headline[variants[0]]["values"])
    if n == 1:
        return ["One seed says nothing about the spread: use two at least, better three."]
    said = []
    for one, other in itertools.pairwise(variants):
        # In pairs: a seed's variant starts from the same seed's variant before, so they have part
        # of their luck in common.
        pairs = zip(headline[one]["values"], headline[other]["values"], strict=True)
        gains = [after - before for before, after in pairs]
        mean, sd, above = (
            statistics.fmean(gains),
            statistics.stdev(gains),
            sum(gain > 0 for gain in gains),
        )
        said.append(
            f"{other} against {one}, seed by seed: mean IU {mean:+.4f} ± {sd:.4f}, above "
            f"it with {above} of {n} seeds."
        )
    for variant in variants:
        most = ALIKE * headline[variant]["sd"]
        said.append(
            f"{variant}: two trainings that differ in the seed alone differ in mean IU by up to "
            f"{most:.4f} ({ALIKE} sd, 19 pairs of 20); a change of anything else that moves a "
            "single run by less may be luck."
        )
    said.append(
        f"From {n} seeds a standard deviation is itself known to "
        f"{1 / math.sqrt(2 * (n - 1)):.0%} only."
    )
    return said


def table(summed: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """A Markdown table: a row per score, a column per variant, mean ± standard deviation."""
    names = dict.fromkeys(name for found in summed.values() for name in found)

    def cell(found: Mapping[str, Any] | None) -> str:
        if found is None:
            return ""
        return f"{found['mean']:.4f}" + (f" ± {found['sd']:.4f}" if found["sd"] is not None else "")

    rows = [
        ["score", *summed],
        *([name, *(cell(found.get(name)) for found in summed.values())] for name in names),
    ]
    return markdown(rows)


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table that is aligned as text, too.

    Args:
        rows: the cells of each; the titles first.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    return "\n".join([lines[0], f"|{'|'.join('-' * (each + 2) for each in widths)}|", *lines[1:]])
