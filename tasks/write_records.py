"""Images and labels into TFRecord files."""

from pathlib import Path
from typing import Any

from fcn import doctor
from fcn.datasets import DatasetSpec, Listing, Pair, catalog, folds
from fcn.errors import UserError
from fcn.records import writing
from fcn.spec import VOID
from tasks.settings import Records
from tasks.tracking import Progress, steps


@steps.step("write records")
def write_records(
    images: Path, params: Records, out: Path, part: tuple[int, int] | None = None
) -> None:
    """Checks and writes the training and validation splits of the data set in `images` to the
    folder `out`.

    Args:
        images: has a folder for each key of `params.roots`.
        params: which data set, which splits, what to do about bad pairs.
        out: folder to make or replace.
        part: number of a fold and how many there are, in place of the division in `params`.

    Raises:
        UserError: see `folds.fold`, `catalog.load` and `writing.write`; nothing is left in `out`
            then.
    """
    log = steps.logger()
    progress = {
        split: Progress(log.info, f"records {split}", "images") for split in ("train", "val")
    }
    roots = {key: images / key / root for key, root in params.roots.items()}
    asked = DatasetSpec(roots, params.classes, params.train, params.val, params.seed)
    listing, lists = catalog.load(params.dataset, asked), asked.splits
    if part:
        listing = folds.fold(listing, *part, params.seed)
        lists = {
            "train": f"all but fold {part[0]} of {part[1]}",
            "val": "fold {} of {}".format(*part),
        }

    def done(split: str, written: int, total: int) -> None:
        progress[split](written, total)

    def explain(pair: Pair) -> str:
        findings = doctor.check(pair, len(listing.classes), listing.colours)
        return "; ".join(str(finding) for finding in findings if finding.stops)

    index = writing.write(
        listing, lists, out, params.shards, params.seed, params.on_bad, done, explain=explain
    )
    _judge(index, listing)
    for note in index["notes"]:
        log.info("%s: %s", params.dataset, note)
    rows = []
    for split, info in index["splits"].items():
        pixels = {**info["pixels"], "void": info["void_pixels"]}
        total = sum(pixels.values())
        rows += [
            {"split": split, "class": n, "pixels": p, "share": f"{p / total:.2%}"}
            for n, p in pixels.items()
        ]
        log.info(
            "%s: %d images of list %s, %s pixels", split, info["images"], info["list"], f"{total:,}"
        )
        for bad in info["skipped"]:
            log.warning("%s: skipped %s: %s", split, bad["id"], bad["reason"])
    steps.show("dataset", "Pixels by class", table=rows)


def _judge(index: dict[str, Any], listing: Listing) -> None:
    """What can be told only of all labels together: masks of 0 and 255, or a single class, teach a
    net nothing.
    """
    for split, info in index["splits"].items():
        pixels = [info["pixels"].get(name, 0) for name in listing.classes]
        pixels += [0] * (VOID - len(pixels)) + [info["void_pixels"]]
        for finding in doctor.check_counts(pixels, listing.classes):
            if finding.stops and split == "train":
                raise UserError(f"the labels of {info['list']}: {finding}")
            steps.logger().warning("%s: %s", split, finding)
