"""`fcn folds --k 5`: the chain on k parts of the data, each validated on once, and all of them
scored together.

For little data: every labelled image is scored, by a net that has not seen it. Everything lies in
.cache/folds/<profile>/<k>/, beside DVC's outputs, as that of `fcn seeds` does.
"""

from collections.abc import Sequence
from pathlib import Path

from fcn.compare import bootstrap, spread
from fcn.errors import UserError
from fcn.evaluate import Evaluation
from fcn.io import files
from flows import repeats
from flows.runner import console
from tasks.settings import config
from tasks.tracking import steps

FOLDER = Path(".cache/folds")
PREPARED = ("convert_vgg", "download")
"""The stages that all folds have in common: DVC's own outputs serve all."""
CHAIN = ("records", "train", "evaluate")


def folds(k: int = 5, out: Path = Path("reports/folds.json")) -> None:
    """Train and evaluate all variants k times, each time on another part of the data, and score the
    parts together.

    Args:
        k: how many parts.
        out: JSON file to write.

    Raises:
        UserError: see `repeats.run`.
    """
    if k < 2:
        raise UserError(f"--k: expected at least 2 folds, got {k}")
    files.check_file(out, "--out")
    name, numbers = config.read().profile, range(1, k + 1)
    repeated = [
        repeats.Repeat(f"fold {n} of {k}", ("--fold", f"{n}/{k}"), FOLDER / name / str(k) / str(n))
        for n in numbers
    ]
    found = repeats.run(f"fcn folds --k {k}", repeated, PREPARED, CHAIN)
    summed = spread.summary(repeats.scores(found))
    pooled = {variant: _pooled(jobs) for variant, jobs in found.items()}
    table, words = spread.table(summed), _words(pooled, k)
    of_all = {
        variant: {
            "images": len(counts.images),
            **{key: vars(score) for key, score in bootstrap.scores(counts).items()},
            "class_iu": bootstrap.class_iu(counts),
        }
        for variant, counts in pooled.items()
    }
    content = {"profile": name, "folds": k, "pooled": of_all, "variants": summed, "words": words}
    files.write_json(out, content)
    console.say("\n".join(["", "By fold:", table, "", *words, f"All values: {out}"]))
    steps.show("folds", f"{name} in {k} folds", markdown="\n\n".join([*words, table]))


def _pooled(jobs: Sequence[repeats.Job]) -> bootstrap.Counts:
    """The counts of all images, each by the net of its fold."""
    folders = [out for job in jobs for out in job.outs if out.is_dir()]
    return bootstrap.pooled([Evaluation(None, folder).counts for folder in folders])


def _words(pooled: dict[str, bootstrap.Counts], k: int) -> list[str]:
    """What all parts together say, in sentences."""
    said = []
    for variant, counts in pooled.items():
        score = bootstrap.scores(counts)["mean_iu"]
        said.append(
            f"{variant}: mean IU {score} on all {len(counts.images)} images together, each by the "
            f"net of the {k} that has not seen it; in brackets where {bootstrap.LEVEL:.0%} of the "
            "draws of as many such images lie."
        )
    return said
