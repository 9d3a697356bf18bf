"""Images and labels into TFRecord files."""

from pathlib import Path

from prefect import get_run_logger, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from fcn import records
from fcn.params import Records
from tasks.progress import Progress


@task(cache_policy=NO_CACHE)
def write_records(images: Path, params: Records, out: Path) -> None:
    """Checks and writes the training and validation splits of the archive extracted in `images` to the folder `out`.

    Raises:
        UserError: see `records.write`; nothing is left in `out` then.
    """
    log = get_run_logger()
    progress = {split: Progress(log.info, f"records {split}", "images") for split in ("train", "val")}
    splits = {"train": params.train, "val": params.val}

    def done(split: str, written: int, total: int) -> None:
        progress[split](written, total)

    index = records.write(images / params.root, out, splits, params.classes, params.shards, params.seed, done)
    rows = []
    for split, info in index["splits"].items():
        pixels = {**info["pixels"], "void": info["void_pixels"]}
        total = sum(pixels.values())
        rows += [{"split": split, "class": n, "pixels": p, "share": f"{p / total:.2%}"} for n, p in pixels.items()]
        log.info("%s: %d images of list %s, %s pixels", split, info["images"], info["list"], f"{total:,}")
    create_table_artifact(rows, key="dataset", description="Pixels by class")
