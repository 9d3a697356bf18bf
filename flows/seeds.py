"""`fcn seeds --n 3`: the chain with several seeds, and mean and deviation of every score of every
variant.

How much of a difference between two nets is luck. Everything lies in
.cache/seeds/<profile>/<seed>/, so DVC's outputs, its lock and the committed metrics stay as they
are. What is done already is not done again, and what was broken off goes on.
"""

from collections.abc import Callable
from pathlib import Path

from fcn.compare import spread
from fcn.errors import UserError
from fcn.evaluate import Evaluation
from fcn.io import files
from flows import pipeline, repeats
from flows.runner import children, output, workspace
from tasks.settings import config
from tasks.tracking import dvcfiles, steps

FOLDER = Path(".cache/seeds")
PREPARED = ("convert_vgg", "records")
"""The stages before the trainings. No seed of a recipe concerns them, so DVC's own outputs serve
all.
"""


def seeds(n: int = 3, out: Path = Path("reports/seeds.json")) -> None:
    """Train and evaluate all variants with the seeds 1 to n, and report mean and standard deviation
    of their scores.

    Args:
        n: how many seeds.
        out: JSON file to write.

    Raises:
        UserError: a stage did not end well, what it was made from changed meanwhile, or somebody
            else is at work here.
    """
    if n < 1:
        raise UserError(f"--n: expected at least 1 seed, got {n}")
    files.check_file(out, "--out")
    settings = config.read()
    name, variants = settings.profile, tuple(settings.variants)
    with workspace.held(f"fcn seeds --n {n}"), pipeline.connected() as (extra, record):
        if error := pipeline.dvc(["repro", *PREPARED], extra, record):
            raise UserError(f"dvc repro {' '.join(PREPARED)}: {error}")
        for seed in range(1, n + 1):
            _repeat(name, seed, extra, record)
        measured = _measured(name, variants, n)
    summed = spread.summary(measured)
    words, table = spread.words(summed), spread.table(summed)
    files.write_json(
        out, {"profile": name, "seeds": [*range(1, n + 1)], "variants": summed, "words": words}
    )
    output.say("\n".join(["", table, "", *words, f"All values: {out}"]))
    steps.show("seeds", f"{name} with {n} seeds", markdown="\n\n".join([table, *words]))


def _jobs(name: str, seed: int) -> tuple[list[repeats.Job], dict[str, str]]:
    """The jobs of a seed as dvc.yaml and settings.json now have them, and DVC's digests of its
    outputs.
    """
    dvcfiles.stages()  # is checked; then it is taken as it stands, with all its keys
    stages, lock = dvcfiles.plain(Path("dvc.yaml"), dvcfiles.STAGES)["stages"], dvcfiles.lock()
    known = {
        out.path: out.digest for stage in PREPARED if stage in lock for out in lock[stage].outs
    }
    return list(
        repeats.jobs(stages, config.plain(config.SETTINGS), seed, FOLDER / name / str(seed))
    ), known


def _repeat(name: str, seed: int, extra: dict[str, str], record: Callable[[str], None]) -> None:
    """Runs the jobs of one seed that have to be."""
    jobs, known = _jobs(name, seed)
    for job in jobs:
        called = f"{job.name} seed {seed}"
        if job.is_done(known):
            # as DVC says it; Prefect shows it as Cached
            line = f"Stage '{called}' didn't change, skipping"
            output.say(line)
            record(line)
            continue
        output.say(f"Running stage '{called}':\n> python -m {' '.join(job.command)}")
        key = job.key(known)
        code = children.follow(job.command, {**extra, "DVC_STAGE": called}, lambda line: None)
        if code:
            raise UserError(
                f"{called} ended with {code}, for the reason above. The same command "
                "again goes on from there."
            )
        with files.replacing_file(job.done) as temporary:
            temporary.write_text(key)


def _measured(name: str, variants: tuple[str, ...], n: int) -> dict[str, list[dict[str, float]]]:
    """By variant, the scores of each seed; all of one recipe, data and code."""
    measured: dict[str, list[dict[str, float]]] = {variant: [] for variant in variants}
    for seed in range(1, n + 1):
        jobs, known = _jobs(name, seed)
        for job in jobs:
            if job.variant not in measured or not job.is_done(known):
                raise UserError(
                    f"{job.name} with seed {seed}: parameters, data or code changed in the "
                    "meantime. Run this again."
                )
            if job.scores:
                measured[job.variant].append(spread.scores(Evaluation(job.scores).content))
    return measured
