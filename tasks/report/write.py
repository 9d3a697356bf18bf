"""One self-contained page that shows the staged models side by side, and its pictures for Prefect
and MLflow.
"""

from collections.abc import Mapping
from pathlib import Path

from fcn.errors import UserError
from fcn.evaluate import Evaluation
from fcn.input import records
from fcn.io import files
from tasks import tracking
from tasks.report import charts, examples, explained, gallery, page, pictures
from tasks.settings import Settings
from tasks.tracking import RunSpec, provenance, steps

MARK = ("index.html", "<title>FCN, profile ")
"""By which a folder is known as a report; see `files.replacing_folder`."""
TIMES = Path(".cache/times.js")
"""Times and machines, which the page shows where it finds this: it is an output of DVC, and they
would change its digest.
"""
EXTREMES = 5
"""How many of the best and of the worst images are shown."""
PICTURES = {
    "overview.jpg": "Images, truth, and what each model makes of them",
    "worst.jpg": "The images with the lowest IU",
    "best.jpg": "The images with the highest IU",
    "boundary.png": "Mean IU around the true boundaries",
}


@steps.step("write report")
def write_report(
    settings: Settings, data: Path, models: Path, metrics: Path, plots: Path, out: Path
) -> None:
    """Writes the folder `out`, see `build`, and shows its pictures in Prefect and in the models'
    runs of MLflow.

    Raises:
        UserError: see `build`.
    """
    log = steps.logger()
    found = build(settings, data, models, metrics, plots, out)
    log.info("%s: open it in a browser; it needs no network", out / "index.html")
    steps.show("report", f"The models of {settings.profile}", markdown=_table(found))
    for name, text in PICTURES.items():
        if (out / name).is_file():
            steps.show(f"report-{Path(name).stem}", text, image=pictures.data_url(out / name))
    for variant in found:
        wanted = RunSpec(settings, variant)
        tags = {"pipeline": steps.pipeline_id(), "git.commit": provenance.tags()["git.commit"]}
        sha256 = files.digest(models / variant / "weights.npz")
        with tracking.scoring(
            wanted.experiment, variant, sha256, params=wanted.params, tags=tags, stage="report"
        ) as run:
            for path in sorted(out.iterdir()):
                # the pictures beside a large page: MLflow's viewer would not find them
                if path.is_file():
                    run.artifact(path, "report")


def build(
    settings: Settings, data: Path, models: Path, metrics: Path, plots: Path, out: Path,
    lock: Path = Path("dvc.lock"),
) -> dict[str, Evaluation]:  # fmt: skip
    """Writes the folder `out` from what the other stages left in `data` (records), `models`,
    `metrics` and `plots`.

    `index.html` is the page; `explained-<variant>.html` says what a model does with an image;
    `pictures/` beside it has the pictures of more images than it holds
    itself, see `gallery`. As files for others: `overview.jpg`, and if there are the tables for
    them, `worst.jpg`, `best.jpg` and `boundary.png`; see `PICTURES`. What differs from machine to
    machine goes to `TIMES`, see `page.times`. `lock`: see `page.render`.

    Returns:
        The evaluations, by variant.

    Raises:
        UserError: there is not a single metrics file.
    """
    files.check_folder(out, MARK)
    found = {
        name: Evaluation(path, plots / name)
        for name in settings.variants
        if (path := metrics / f"{name}.json").exists()
    }
    if not found:
        raise UserError(
            f"{metrics}: expected a metrics file such as fcn32s.json; run the stages "
            "`evaluate` first"
        )
    names, classes = list(found), records.read_index(data)["classes"]
    chosen = _chosen(data, found[names[-1]], settings.evaluate.overlays)
    with files.replacing_folder(out, MARK) as folder:
        folder.mkdir()
        inside = list(dict.fromkeys(image for ids in chosen.values() for image in ids))
        if len(known := records.split_info(data, "val")["ids"]) <= gallery.INSIDE:
            inside = known
        folders = {name: plots / name for name in names}
        pictured = examples.read(data, folders)
        looked = gallery.build(pictured, found, classes, folder, inside[: gallery.INSIDE])
        shown = explained.write(folder, found, page.specs(models, names))
        html = page.render(settings, found, data, models, looked, shown, lock)
        (folder / "index.html").write_text(html, encoding="utf-8")
        loaded = (
            {each.id: each for each in examples.read(data, folders, inside)}
            if any(chosen.values())
            else {}
        )
        for section, ids in chosen.items():
            if ids:
                examples.sheet([loaded[image] for image in ids], names, classes).save(
                    folder / f"{section}.jpg", quality=80
                )
        if any(evaluation.bands for evaluation in found.values()):
            charts.boundary(found, "mean_iu", "mean IU").savefig(folder / "boundary.png", dpi=120)
    TIMES.parent.mkdir(parents=True, exist_ok=True)
    with files.replacing_file(TIMES) as path:
        path.write_text(page.times(names, models, metrics), encoding="utf-8")
    return found


def _chosen(data: Path, last: Evaluation, overlays: int) -> dict[str, list[str]]:
    """The images of each sheet: some evenly spread, and the last model's worst and best."""
    worst, best = examples.extremes(last.mean_ius, EXTREMES)
    return {
        "overview": examples.spread(records.split_info(data, "val")["ids"], overlays),
        "worst": worst,
        "best": best,
    }


def _table(found: Mapping[str, Evaluation]) -> str:
    rows = [
        f"| {name} | {' | '.join(f'{each.scores[key]:.4f}' for key in page.SCORES)} |"
        for name, each in found.items()
    ]
    return "\n".join(
        [f"| model | {' | '.join(page.SCORES.values())} |", "|---|---|---|---|---|", *rows]
    )
