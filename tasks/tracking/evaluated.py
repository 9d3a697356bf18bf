"""What an evaluation left behind, wherever it lies: in this workspace, in a folder, in MLflow."""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fcn import reading
from fcn.compare import Counts, results
from fcn.errors import UserError
from tasks.tracking import store

IMAGES = "images.csv"
MOST = 2**25
"""Pairs of image and class that are compared: three tables of 256 MiB."""
FORMS = (
    "a variant's name (fcn8s), a folder with images.csv (../other/plots/fcn8s), mlflow:<run id>, "
    "mlflow:<experiment>/<variant or run name>, or a registered model "
    "(models:/fcn-sample@champion, models:/fcn-sample/3)"
)
"""How a run is named on the command line."""


@dataclass(frozen=True)
class Evaluation:
    """One model, evaluated.

    Attributes:
        name: its variant or folder.
        where: its source, in words.
        counts: pixels per image and class.
        provenance: of its metrics file, e.g. `split`, `dataset`, `protocol`; empty where there is
            none.
        mean_iu: that file's; None where there is none.
        folder: on this machine, with `predictions/`; None: it lies elsewhere.
    """

    name: str
    where: str
    counts: Counts
    provenance: dict[str, Any]
    mean_iu: float | None
    folder: Path | None = None


def find(run: str, root: Path = Path()) -> Evaluation:
    """Reads the evaluation that `run` names; see `FORMS`.

    Args:
        run: what the user wrote.
        root: the workspace, with `plots/` and `metrics/`.

    Raises:
        UserError: there is no such run, or its table is missing or wrong.
    """
    if run.startswith(("mlflow:", "models:/")):
        with tempfile.TemporaryDirectory() as temporary:
            name, run_id = _fetch(run, Path(temporary))
            return _read(
                Path(temporary) / IMAGES,
                Path(temporary) / f"{name}.json",
                name,
                f"MLflow run {run_id}",
                run,
            )
    folder, name = (
        (root / "plots" / run, run)
        if (root / "plots" / run / IMAGES).is_file()
        else (Path(run), Path(run).name)
    )
    table = folder / IMAGES
    if not table.is_file():
        places = ", no ".join(dict.fromkeys((str(root / "plots" / run / IMAGES), str(table))))
        raise UserError(
            f"{run}: there is no {places}. Expected {FORMS}. `dvc repro` or `dvc pull` brings the "
            "table of a variant."
        )
    beside = (
        folder.resolve().parent.parent / "metrics" / f"{folder.resolve().name}.json",
        folder / f"{name}.json",
    )
    read = _read(
        table,
        next((path for path in beside if path.is_file()), None),
        name,
        str(folder),
        str(table),
    )
    return replace(read, folder=folder)


def _read(table: Path, metrics: Path | None, name: str, where: str, shown: str) -> Evaluation:
    counts = read_counts(table, shown)
    if metrics is None or not metrics.is_file():
        return Evaluation(name, where, counts, {}, None)
    content = results.metrics(metrics)
    return Evaluation(name, where, counts, content["provenance"], content["mean_iu"])


def read_counts(path: Path, shown: str | None = None) -> Counts:
    """Reads `images.csv`: a row per image and class that occurs there, in truth or prediction.

    Args:
        path: the table, see `results.ImageClass`.
        shown: its name for messages.

    Raises:
        UserError: another header, a row that is no such row, a pair of image and class twice, or no
            row.
    """
    where = shown or str(path)
    cells: dict[tuple[str, str], tuple[int, ...]] = {}
    for row in reading.read_csv(path, results.ImageClass, "evaluate the model again", where=where):
        if (row.image, row.name) in cells:
            raise UserError(
                f"{where}: {row.image!r}, {row.name!r} came before: expected each "
                "once; evaluate the model again"
            )
        cells[row.image, row.name] = (row.both, row.truth, row.prediction)
    if not cells:
        raise UserError(
            f"{where}: expected a row per image and class, got none; evaluate the model again"
        )
    images, classes = (tuple(dict.fromkeys(pair[at] for pair in cells)) for at in (0, 1))
    rows, columns = ({name: at for at, name in enumerate(names)} for names in (images, classes))
    if len(images) * len(classes) > MOST:
        raise UserError(
            f"{where}: expected at most {MOST} pairs of image and class, got {len(images)} images "
            f"of {len(classes)} classes"
        )
    tables = np.zeros((3, len(images), len(classes)), np.int64)
    for (image, label), numbers_ in cells.items():
        tables[:, rows[image], columns[label]] = numbers_
    return Counts(images, classes, *tables)


def _fetch(run: str, folder: Path) -> tuple[str, str]:
    """Downloads the table and the metrics file of an MLflow run; returns its variant and id."""
    store.prepare()
    try:
        with store.asked():
            client = store.connect().client
            found = client.get_run(_run_id(client, run))
            name = found.data.tags.get("variant", found.info.run_name)
            there = {artifact.path for artifact in client.list_artifacts(found.info.run_id)}
            for artifact in (IMAGES, f"{name}.json"):
                if artifact in there:
                    client.download_artifacts(found.info.run_id, artifact, str(folder))
    except store.failures() as error:
        raise UserError(
            f"{run}: MLflow at {store.address()} has no such run, or does not answer: "
            f"{store.reason(error)}. Expected {FORMS}."
        ) from error
    if not (folder / IMAGES).is_file():
        raise UserError(
            f"{run}: the run has no artifact {IMAGES}: expected one that was "
            "evaluated. `dvc repro` evaluates it."
        )
    return str(name), str(found.info.run_id)


def _run_id(client: Any, run: str) -> str:
    kind, _, rest = run.partition(":")
    if kind == "models":
        name, alias, version = rest.strip("/").partition("@")
        if alias:
            return str(client.get_model_version_by_alias(name, version).run_id)
        name, _, version = name.rpartition("/")
        return str(client.get_model_version(name, version).run_id)
    experiment, slash, name = rest.rpartition("/")
    if not slash:
        return rest
    known = client.get_experiment_by_name(experiment)
    runs: list[Any] = []
    for field in ("tags.variant", "attributes.run_name"):
        if known and not runs:
            order = ["attributes.start_time DESC"]
            runs = client.search_runs(
                [known.experiment_id], f"{field} = '{name}'", max_results=1, order_by=order
            )
    if not runs:
        raise UserError(
            f"{run}: MLflow at {store.address()} has no run {name!r} in an experiment "
            f"{experiment!r}"
        )
    return str(runs[0].info.run_id)
