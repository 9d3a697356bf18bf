"""`fcn folds`: an honest score from little data."""

from pathlib import Path

from fcn.cli import Place


def folds(*, k: int = 5, out: Place = Path("reports/folds.json")) -> int:
    """Train and evaluate all variants k times, each time on another part of the images.

    Every image is scored once, by a net that has not seen it; the scores of all together come with
    their interval. What is done already is not done again, and what was interrupted is continued.

    Example: `fcn folds --k 5`

    Args:
        k: How many parts, from 2 on.
        out: JSON file to write.

    Returns:
        0; 1: a stage failed; 130: interrupted.
    """
    from flows import folds
    from flows.runner import console, stage

    with console.opened("folds"):
        return stage.execute(folds.folds, {"k": k, "out": out}, name=None)
