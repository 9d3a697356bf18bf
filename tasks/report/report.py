"""One self-contained page that shows the staged models side by side, and its pictures for Prefect and MLflow."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from prefect import get_run_logger, task
from prefect.artifacts import create_image_artifact, create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from fcn.compare import results
from fcn.errors import UserError
from fcn.input import records
from fcn.io import files
from tasks import tracking
from tasks.report import charts, examples, page, pictures
from tasks.settings import Profile
from tasks.tracking import durations, provenance

MARK = ("index.html", "<title>FCN, profile ")
"""By which a folder is known as a report; see `files.replacing_folder`."""
EXTREMES = 5
"""How many of the best and of the worst images are shown."""
PICTURES = {
    "overview.jpg": "Images, truth, and what each model makes of them",
    "worst.jpg": "The images with the lowest IU",
    "best.jpg": "The images with the highest IU",
    "boundary.png": "Mean IU around the true boundaries",
}


@task(cache_policy=NO_CACHE, task_run_name="write report")
def write_report(
    profile_name: str, profile: Profile, variants: Sequence[str],
    data: Path, models: Path, metrics: Path, plots: Path, out: Path,
) -> None:  # fmt: skip
    """Writes the folder `out`, see `build`, and shows its pictures in Prefect and in the models' runs of MLflow.

    Raises:
        UserError: see `build`.
    """
    log = get_run_logger()
    measured = build(profile_name, profile, variants, data, models, metrics, plots, out)
    log.info("%s: open it in a browser; it needs no network", out / "index.html")
    create_markdown_artifact(_table(measured), key="report", description=f"The models of {profile_name}")
    for name, text in PICTURES.items():
        if (out / name).is_file():
            create_image_artifact(pictures.data_url(out / name), key=f"report-{Path(name).stem}", description=text)
    for variant in measured:
        params = {"profile": profile_name, "variant": variant, "model": asdict(profile.model)}
        params["train"] = asdict(profile.train[variant])
        tags = {"pipeline": provenance.pipeline(), "git.commit": provenance.tags()["git.commit"]}
        sha256 = files.digest(models / variant / "weights.npz")
        with tracking.scoring(f"fcn-{profile_name}", variant, sha256, params=params, tags=tags) as run:
            run.artifact(out, "report")


def build(
    profile_name: str, profile: Profile, variants: Sequence[str],
    data: Path, models: Path, metrics: Path, plots: Path, out: Path,
    lock: Path = Path("dvc.lock"), runs: Path = durations.RUNS,
) -> dict[str, Any]:  # fmt: skip
    """Writes the folder `out` from what the other stages left in `data` (records), `models`, `metrics` and `plots`.

    `index.html` is the page. Its pictures as files: `overview.jpg`, and if there are the tables for them, `worst.jpg`,
    `best.jpg` and `boundary.png`; see `PICTURES`. `lock` and `runs`: see `page.render`.

    Returns:
        What the metrics files hold, by variant.

    Raises:
        UserError: there is not a single metrics file.
    """
    files.check_folder(out, MARK)
    measured = {name: results.metrics(path) for name in variants if (path := metrics / f"{name}.json").exists()}
    if not measured:
        raise UserError(f"{metrics}: expected a metrics file such as fcn32s.json; run the stages `evaluate` first")
    names, classes = list(measured), records.read_index(data)["classes"]
    chosen = _chosen(data, plots, names, profile.evaluate.overlays)
    html = page.render(profile_name, profile, measured, data, models, metrics, plots, chosen, lock, runs)
    with files.replacing_folder(out, MARK) as folder:
        folder.mkdir()
        (folder / "index.html").write_text(html, encoding="utf-8")
        for section, found in chosen.items():
            if found:
                examples.sheet(found, names, classes).save(folder / f"{section}.jpg", quality=80)
        if bands := charts.bands(plots, names):
            charts.boundary(bands, "mean_iu", "mean IU").savefig(folder / "boundary.png", dpi=120)
    return measured


def _chosen(data: Path, plots: Path, names: Sequence[str], overlays: int) -> dict[str, list[examples.Example]]:
    """The images of each section: some evenly spread, and the last model's worst and best."""
    table = plots / names[-1] / "images.csv"
    worst, best = examples.extremes(examples.image_ious(table), EXTREMES) if table.is_file() else ([], [])
    sections = {"overview": examples.spread(records.split_info(data, "val")["ids"], overlays), "worst": worst, "best": best}
    loaded = examples.load(data, plots, names, dict.fromkeys(image for ids in sections.values() for image in ids))
    return {section: [loaded[image] for image in ids] for section, ids in sections.items()}


def _table(measured: Mapping[str, Any]) -> str:
    rows = [f"| {name} | {' | '.join(f'{row[key]:.4f}' for key in page.SCORES)} |" for name, row in measured.items()]
    return "\n".join([f"| model | {' | '.join(page.SCORES.values())} |", "|---|---|---|---|---|", *rows])
