"""One self-contained page that shows the staged models side by side."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from PIL import Image
from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from fcn import files, records, visualize
from fcn.errors import UserError
from tasks import pictures

SCORES = {
    "pixel_accuracy": "pixel accuracy",
    "mean_accuracy": "mean accuracy",
    "mean_iu": "mean IU",
    "frequency_weighted_iu": "f.w. IU",
}

PAPER = {
    "fcn32s": (0.9048, 0.7648, 0.6363, 0.8346),
    "fcn16s": (0.9100, 0.7807, 0.6501, 0.8426),
    "fcn8s": (0.9122, 0.7761, 0.6551, 0.8454),
    "fcn8s_atonce": (0.9113, 0.7850, 0.6540, 0.8443),
}
"""The authors' published weights on seg11valid (736 images of VOC2011), in the order of `SCORES`."""


@task(cache_policy=NO_CACHE)
def write_report(
    profile: str, variants: Sequence[str], data: Path, models: Path, metrics: Path, plots: Path, out: Path
) -> None:
    """Writes the folder `out` from what the other stages left in `data` (records), `models`, `metrics` and `plots`.

    `index.html` is the page, `overview.png` its first picture: images, truth and the prediction of every model.

    Raises:
        UserError: there is not a single metrics file.
    """
    measured = {name: json.loads(path.read_text()) for name in variants if (path := metrics / f"{name}.json").is_file()}
    if not measured:
        raise UserError(f"{metrics}: expected a metrics file such as fcn32s.json; run the stages `evaluate` first")
    names = list(measured)
    with files.replacing(out) as folder:
        folder.mkdir()
        _overview(data, plots, names).save(folder / "overview.png")
        overview = pictures.data_url(folder / "overview.png")
        (folder / "index.html").write_text(_page(profile, models, plots, measured, overview), encoding="utf-8")
    get_run_logger().info("%s: open it in a browser; it needs no network", out / "index.html")


def _overview(data: Path, plots: Path, names: list[str]) -> Image.Image:
    """The drawn validation images, one a row: image, truth, and what each model makes of it."""
    drawn = {path.stem for path in (plots / names[0] / "predictions").glob("*.png")}
    classes = records.read_index(data)["classes"]
    rows, labelled = [], []
    for image_id, image, truth in records.read(data, "val"):
        if image_id in drawn:
            predicted = [np.asarray(Image.open(plots / name / "predictions" / f"{image_id}.png")) for name in names]
            rows.append([image, *(visualize.overlay(image, labels, classes) for labels in (truth, *predicted))])
            labelled += [truth, *predicted]
    scale = max(1, 200 // max(row[0].shape[1] for row in rows))
    return visualize.panels(rows, ("image", "truth", *names), classes, visualize.painted(labelled, classes), scale)


def _page(profile: str, models: Path, plots: Path, measured: dict[str, Any], overview: str) -> str:
    names = list(measured)
    ious = {n: {r["class"]: float(r["iu"]) for r in pictures.read_table(plots / n / "class_iu.csv")} for n in names}
    specs = {name: json.loads((models / name / "model.json").read_text()) for name in names}
    return _template().render(
        profile=profile,
        scores=SCORES,
        measured=measured,
        paper=PAPER,
        classes=list(dict.fromkeys(c for row in ious.values() for c in row)),
        ious=ious,
        specs=specs,
        charts={
            "Mean IU on the validation set": pictures.svg(
                pictures.curves_figure(pictures.present(models, names, "validation.csv"), "mean_iu", "mean IU")
            ),
            "Training loss": pictures.svg(
                pictures.curves_figure(pictures.present(models, names, "history.csv"), "loss", "loss", log=True)
            ),
            "IU by class": pictures.svg(pictures.bars_figure(ious, "IU")),
        },
        confusions={n: pictures.svg(pictures.confusion_figure(plots / n / "confusion.csv")) for n in names},
        overview=overview,
    )


def _template() -> jinja2.Template:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(Path(__file__).with_name("report.html").read_text(encoding="utf-8"))
