"""What an evaluation left behind, wherever it lies: in this workspace, in a folder, in MLflow."""

import tempfile
from pathlib import Path
from typing import Any

from fcn.errors import UserError
from fcn.evaluate import Evaluation, results
from tasks.tracking import store

FORMS = (
    "a variant's name (fcn8s), a folder with images.csv (../other/plots/fcn8s), mlflow:<run id>, "
    "mlflow:<experiment>/<variant or run name>, or a registered model "
    "(models:/fcn-sample@champion, models:/fcn-sample/3)"
)
"""How a run is named on the command line."""


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
            place = Path(temporary)
            name, run_id = _fetch(run, place)
            metrics = place / f"{name}.json"
            where = f"MLflow run {run_id}"
            found = Evaluation(metrics if metrics.is_file() else None, place, name, where, run)
            found = _read(found)
            found.folder = None
            return found
    folder, name = (
        (root / "plots" / run, run)
        if (root / "plots" / run / results.IMAGES).is_file()
        else (Path(run), Path(run).name)
    )
    table = folder / results.IMAGES
    if not table.is_file():
        places = ", no ".join(
            dict.fromkeys((str(root / "plots" / run / results.IMAGES), str(table)))
        )
        raise UserError(
            f"{run}: there is no {places}. Expected {FORMS}. `dvc repro` or `dvc pull` brings the "
            "table of a variant."
        )
    beside = (
        folder.resolve().parent.parent / "metrics" / f"{folder.resolve().name}.json",
        folder / f"{name}.json",
    )
    file = next((path for path in beside if path.is_file()), None)
    return _read(Evaluation(file, folder, name, str(folder)))


def _read(found: Evaluation) -> Evaluation:
    """The same, with its tables read: at once, while they are there, and refused if damaged."""
    assert found.counts.images
    assert found.content is not None
    return found


def _fetch(run: str, folder: Path) -> tuple[str, str]:
    """Downloads the table and the metrics file of an MLflow run; returns its variant and id."""
    store.prepare()
    try:
        with store.asked():
            client = store.connect().client
            found = client.get_run(_run_id(client, run))
            name = found.data.tags.get("variant", found.info.run_name)
            there = {artifact.path for artifact in client.list_artifacts(found.info.run_id)}
            for artifact in (results.IMAGES, f"{name}.json"):
                if artifact in there:
                    client.download_artifacts(found.info.run_id, artifact, str(folder))
    except store.Unavailable as error:
        raise UserError(
            f"{run}: MLflow at {store.address()} has no such run, or does not answer: {error}. "
            f"Expected {FORMS}."
        ) from error
    if not (folder / results.IMAGES).is_file():
        raise UserError(
            f"{run}: the run has no artifact {results.IMAGES}: expected one that was "
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
