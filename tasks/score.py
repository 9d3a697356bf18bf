"""One model evaluated, and its scores added to its MLflow run."""

from collections.abc import Mapping
from pathlib import Path

from fcn.compare import bootstrap
from fcn.evaluate import Evaluation
from fcn.evaluate import score as scoring
from fcn.input import records
from fcn.io import files
from fcn.net import surgery
from tasks import tracking
from tasks.report import pictures
from tasks.tracking import Progress, RunSpec, durations, provenance, registry, steps


@steps.step("score {wanted.variant}")
def score(
    wanted: RunSpec, data: Path, model: Path, metrics: Path, plots: Path, register: bool = True
) -> None:
    """Evaluates a model on the validation records, and adds the scores to its run.

    Args:
        wanted: which variant, and by which recipe it was trained.
        data: folder of the records.
        model: its folder.
        metrics: JSON file to write.
        plots: folder to write.
        register: whether it becomes a version in MLflow's registry, and may move an alias there.

    Raises:
        UserError: see `fcn.evaluate.score.run`.
    """
    log, variant, profile = steps.logger(), wanted.variant, wanted.settings
    progress = Progress(log.info, f"evaluate {variant}", "images", show=steps.Bar())
    made = provenance.tags(finished=None if wanted.apart else f"train@{variant}")
    # What the training noted stays; params and tags are for a model whose training is not known.
    surgery.read_spec(model)  # what is no model folder is said in its own words
    sha256 = files.digest(model / "weights.npz")
    with tracking.scoring(
        wanted.experiment, variant, sha256, params=wanted.params, tags=wanted.tags(made)
    ) as run:
        run.facts(durations.MACHINE.format("evaluate"), durations.facts(made))
        keep = wanted.recipe.keep
        found = scoring.run(model, data, metrics, plots, profile.evaluate, progress, keep)
        run.made(metrics)
        scores, measured = found.scores, found.provenance
        spread = bootstrap.scores(found.counts)
        shown = {name: str(spread.get(name, f"{value:.4f}")) for name, value in scores.items()}
        interval = f"95 % of draws of {measured['images']} such images"
        log.info(
            "%s: %s (in brackets: %s)",
            variant,
            ", ".join(f"{name} {text}" for name, text in shown.items()),
            interval,
        )
        validation = records.split_info(data, "val")
        run.metrics(scores | _ends(spread) | _more(found))
        on = {name: str(measured[name]) for name in ("split", "dataset", "protocol", "images")}
        note = f"{wanted}; mean IU {shown['mean_iu']} on {on['images']} images of {on['split']}."
        run.tags({**{f"evaluate.{name}": text for name, text in on.items()}, tracking.NOTE: note})
        run.facts("evaluation", {**measured, "prefect.flow_run_id": steps.run_id(), **made})
        run.dataset(f"{wanted.profile}/{validation['list']}", validation["digest"], "validation")
        # Not the folder of predictions, one per image: DVC has it, and the run says which model and
        # data it belongs to.
        for path in (metrics, *sorted(path for path in plots.iterdir() if path.is_file())):
            run.artifact(path)
        with pictures.confusion_picture(found) as picture:
            run.artifact(picture)
        # Apart from the others it is a measurement, no model to use: the best of many seeds would
        # owe that to luck.
        if register and not wanted.apart:
            registry.register(
                run,
                wanted.profile,
                variant,
                model,
                scores["mean_iu"],
                on["split"],
                on["dataset"],
                sha256,
            )

    table = [{"score": name, "value": text} for name, text in shown.items()]
    steps.show("scores", f"{variant} on {measured['split']}; in brackets: {interval}", table=table)
    steps.show("class-iu", f"{variant} on {measured['split']}, by class", table=_by_class(found))
    if (plots / "overlays.png").is_file():
        url = pictures.data_url(plots / "overlays.png")
        steps.show("overlays", f"{variant}: image, truth, prediction", image=url)


def _ends(spread: Mapping[str, bootstrap.Score]) -> dict[str, float]:
    """The ends of the scores' intervals, by the names that they have in MLflow."""
    found = {}
    for name, score in spread.items():
        found[f"{name}_low"] = score.low
        found[f"{name}_high"] = score.high
    return found


def _by_class(found: Evaluation) -> list[dict[str, str]]:
    """A row for each class."""
    accuracy = found.class_accuracy
    return [
        {"class": name, "iu": _short(iu), "accuracy": _short(accuracy.get(name))}
        for name, iu in found.class_iu.items()
    ]


def _short(value: float | None) -> str:
    """A number with four places; nothing, if there is none."""
    return "" if value is None else f"{value:.4f}"


def _more(found: Evaluation) -> dict[str, float]:
    """The numbers beside the headline, by the names that they have in MLflow."""
    content = found.content
    more: dict[str, float] = {
        name: content[name] for name in ("boundary_iu", "upper_bound") if name in content
    }
    for name, values in {
        "iu": found.class_iu,
        "accuracy": found.class_accuracy,
        **content["protocols"],
    }.items():
        more |= {f"{name}/{key}": value for key, value in values.items()}
    return more
