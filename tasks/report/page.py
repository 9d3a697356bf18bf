"""The report's page: every number and picture that it shows, gathered from files, and the template
filled with them.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from fcn import reading
from fcn.compare import bootstrap
from fcn.evaluate import Evaluation
from fcn.input import records
from fcn.spec import ModelSpec
from tasks.report import charts, examples, gallery, references
from tasks.report.pictures import present
from tasks.settings import Settings
from tasks.tracking import duration, durations, provenance

HERE = Path(__file__).parent
SCORES = {
    "pixel_accuracy": "pixel accuracy",
    "mean_accuracy": "mean accuracy",
    "mean_iu": "mean IU",
    "frequency_weighted_iu": "f.w. IU",
}

CELLS = 30
"""Classes of a confusion matrix that is printed as a table; a larger one is a picture."""
CONFUSED = 10
"""Confusions that are listed."""


def render(
    settings: Settings, found: Mapping[str, Evaluation],
    data: Path, models: Path, looked: Mapping[str, Any],
    explained: Mapping[str, Mapping[str, str]],
    lock: Path = Path("dvc.lock"),
) -> str:  # fmt: skip
    """The page as HTML, without times and machines, see `times`. Sections whose files are not there
    are left out.

    Args:
        settings: all that is set.
        found: the evaluations, by variant.
        data: folder of the records.
        models: folder with a model folder per variant.
        looked: see `gallery.build`.
        explained: see `explained.write`.
        lock: DVC's lock file.
    """
    names, classes = list(found), records.read_index(data)["classes"]
    measured = {n: evaluation.content for n, evaluation in found.items()}
    beside, where = references.beside(settings.records.dataset, classes, measured)
    ious = {n: evaluation.class_iu for n, evaluation in found.items()}
    return template("report.html").render(
        **script(looked),
        profile=settings.profile,
        names=names,
        scores=SCORES,
        measured=measured,
        spans={n: span for n, evaluation in found.items() if (span := evaluation.interval)},
        level=bootstrap.LEVEL,
        references=[each for each in beside if {*each.scores} & {*names}],
        measured_on=where,
        explained=explained,
        protocols=any(row.get("protocols") for row in measured.values()),
        kept=(gallery.ERRORS, f"{100 * gallery.LEAST:g}"),
        bands=any("boundary_iu" in row for row in measured.values()),
        bounds=any("upper_bound" in row for row in measured.values()),
        ious=ious,
        classes=sorted(classes, key=lambda name: -ious[names[-1]].get(name, -1.0)),
        learning=_learning(models, names),
        boundary=_boundary(found),
        trained={n: durations.read(models / n / "weights.npz", "train") for n in names},
        confusions={n: _confusion(evaluation) for n, evaluation in found.items()},
        specs=specs(models, names),
        model=asdict(settings.model),
        recipes={n: asdict(settings.train[n]) for n in names},
        records=asdict(settings.records),
        hashes=_hashes(lock, found, data, models),
    )


def specs(models: Path, names: Sequence[str]) -> dict[str, ModelSpec]:
    """What the models are, by variant."""
    return {
        n: reading.read_json(models / n / "model.json", ModelSpec, "train the model again")
        for n in names
    }


def times(names: Sequence[str], models: Path, metrics: Path) -> str:
    """How long the results took here, and on what: a script that the page loads where it finds it.

    Args:
        names: of the models.
        models: see `render`.
        metrics: see `render`.
    """
    made = {f"train@{n}": durations.read(models / n / "weights.npz", "train") for n in names}
    made |= {f"evaluate@{n}": durations.read(metrics / f"{n}.json", "evaluate") for n in names}
    return (
        "window.fcnTimes = "
        f"{json.dumps(template('times.html').render(made=made, duration=duration))};\n"
    )


def _learning(models: Path, names: Sequence[str]) -> dict[str, dict[str, str]]:
    """SVG by title and variant."""
    wanted = (("Mean IU on the validation set", "validation.csv", "mean_iu", "mean IU", False),
              ("Training loss", "history.csv", "loss", "loss", True))  # fmt: skip
    return {
        title: {
            name: charts.svg(figure, f"{title} of {name} by iteration")
            for name, figure in charts.curves(
                present(models, names, file), column, label, log
            ).items()
        }
        for title, file, column, label, log in wanted
    }


def _boundary(found: Mapping[str, Evaluation]) -> list[str]:
    if not any(evaluation.bands for evaluation in found.values()):
        return []
    text = "by the width of the band around the true boundaries, a line for each model"
    return [
        charts.svg(charts.boundary(found, column, title), f"{title} {text}")
        for column, title in (("mean_iu", "mean IU"), ("pixel_accuracy", "pixel accuracy"))
    ]


def _confusion(evaluation: Evaluation) -> dict[str, Any]:
    """A matrix as whole percents of each true class, or as a picture, and its largest cells off the
    diagonal.
    """
    names, shares = evaluation.classes, evaluation.shares
    off = [(float(shares[i, j]), names[i], names[j]) for i, j in np.argwhere(shares > 0) if i != j]
    matrix = np.rint(100 * shares).astype(int).tolist() if len(names) <= CELLS else None
    picture = None if matrix else examples.heat_url(shares)
    return {
        "names": names,
        "matrix": matrix,
        "picture": picture,
        "largest": sorted(off, key=lambda x: -x[0])[:CONFUSED],
    }


def _hashes(
    lock: Path, found: Mapping[str, Evaluation], data: Path, models: Path
) -> dict[str, str]:
    """DVC's hashes of what the page is made from. All of it is a dependency of its stage: none can
    change without it.
    """
    mine = {str(data), *(str(models / n) for n in found)}
    mine |= {str(path) for each in found.values() for path in (each.file, each.folder)}
    written = provenance.outputs(lock)
    return {
        path: text
        for path, text in written.items()
        if path in mine or Path(path) == models / "vgg.npz"
    }


def script(looked: Mapping[str, Any]) -> dict[str, Any]:
    """The script of a page with a gallery, its digest for the page's policy, and its data as text
    that ends no element.
    """
    code = (HERE / "report.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    data = json.dumps(looked, separators=(",", ":"), ensure_ascii=False)
    return {"code": code, "digest": digest, "looked": data.replace("<", "\\u003c")}


def template(name: str) -> jinja2.Template:
    """A template of this folder; what it is filled with is text and never HTML, unless it says
    `safe`.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)
