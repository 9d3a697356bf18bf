"""`fcn seeds`: how much of a difference between two nets is luck."""

from pathlib import Path

from fcn.cli import Place


def seeds(*, n: int = 3, out: Place = Path("reports/seeds.json")) -> int:
    """Train and evaluate all variants with several seeds: mean and deviation of every score.

    What is done already is not done again, and what was interrupted is continued.

    Example: `fcn seeds --n 5`

    Args:
        n: How many seeds, from 1 on.
        out: JSON file to write.

    Returns:
        0; 1: a stage failed; 130: interrupted.
    """
    from flows import seeds
    from flows.runner import console, stage

    with console.opened("seeds"):
        return stage.execute(seeds.seeds, {"n": n, "out": out}, name=None)
