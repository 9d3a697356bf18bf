"""`fcn seeds --n 3`: the chain with several seeds, and mean and deviation of every score of every
variant.

How much of a difference between two nets is luck. Everything lies in
.cache/seeds/<profile>/<seed>/, so DVC's outputs, its lock and the committed metrics stay as they
are. What is done already is not done again, and what was broken off goes on.
"""

from pathlib import Path

from fcn.compare import spread
from fcn.errors import UserError
from fcn.io import files
from flows import repeats
from flows.runner import console
from tasks.settings import config
from tasks.tracking import steps

FOLDER = Path(".cache/seeds")
PREPARED = ("convert_vgg", "records")
"""The stages before the trainings. No seed of a recipe concerns them, so DVC's own outputs serve
all.
"""
CHAIN = ("train", "evaluate")


def seeds(n: int = 3, out: Path = Path("reports/seeds.json")) -> None:
    """Train and evaluate all variants with the seeds 1 to n, and report mean and standard deviation
    of their scores.

    Args:
        n: how many seeds.
        out: JSON file to write.

    Raises:
        UserError: see `repeats.run`.
    """
    if n < 1:
        raise UserError(f"--n: expected at least 1 seed, got {n}")
    files.check_file(out, "--out")
    name, numbers = config.read().profile, range(1, n + 1)
    repeated = [
        repeats.Repeat(f"seed {seed}", ("--seed", str(seed)), FOLDER / name / str(seed))
        for seed in numbers
    ]
    found = repeats.run(f"fcn seeds --n {n}", repeated, PREPARED, CHAIN)
    summed = spread.summary(repeats.scores(found))
    words, table = spread.words(summed), spread.table(summed)
    files.write_json(
        out, {"profile": name, "seeds": [*numbers], "variants": summed, "words": words}
    )
    console.say("\n".join(["", table, "", *words, f"All values: {out}"]))
    steps.show("seeds", f"{name} with {n} seeds", markdown="\n\n".join([table, *words]))
