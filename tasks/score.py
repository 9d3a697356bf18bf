"""One model evaluated, and its scores added to its MLflow run."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from fcn.compare import bootstrap, results
from fcn.evaluate import score as scoring
from fcn.input import records
from tasks import tracking
from tasks.report import pictures
from tasks.settings import Profile
from tasks.tracking import Progress, durations, evaluated, provenance, registry, steps


@steps.step("score {variant}")
def score(
    profile_name: str,
    profile: Profile,
    variant: str,
    data: Path,
    model: Path,
    metrics: Path,
    plots: Path,
    seed: int | None = None,
    register: bool = True,
) -> None:
    """Evaluates the model folder `model` on the validation records in `data`; writes `metrics`
    (JSON) and `plots`.

    A model that was trained with a `seed` in place of the recipe's has its run in another
    experiment; see `tasks.train`. Without `register` it becomes no version in MLflow's registry,
    and moves no alias there.

    Raises:
        UserError: see `fcn.evaluate.score.run`.
    """
    log = steps.logger()
    progress = Progress(log.info, f"evaluate {variant}", "images", show=steps.Bar())
    recipe = asdict(profile.train[variant]) | ({} if seed is None else {"seed": seed})
    # the others are no outputs of DVC
    made = provenance.tags(finished=f"train@{variant}" if seed is None else None)
    tags = {
        "pipeline": steps.pipeline_id(),
        "seed": str(recipe["seed"]),
        "git.commit": made["git.commit"],
    }
    with durations.recording(f"evaluate-{variant}", made) as entry:
        result = scoring.run(model, data, metrics, plots, profile.evaluate, progress)
        entry.done(metrics)
    scores = {name: result[name] for name in tracking.SCORES}
    spread = {
        name: str(score)
        for name, score in bootstrap.scores(evaluated.read_counts(plots / "images.csv")).items()
    }
    shown = {name: spread.get(name, f"{value:.4f}") for name, value in scores.items()}
    interval = f"95 % of draws of {result['provenance']['images']} such images"
    log.info(
        "%s: %s (in brackets: %s)",
        variant,
        ", ".join(f"{name} {text}" for name, text in shown.items()),
        interval,
    )

    measured, validation = result["provenance"], records.split_info(data, "val")
    params = {
        "profile": profile_name,
        "variant": variant,
        "model": asdict(profile.model),
        "train": recipe,
    }
    # What the training noted stays; params and tags are for a model whose training this store does
    # not know.
    experiment = tracking.experiment(profile_name, seed)
    with tracking.scoring(
        experiment, variant, result["model_sha256"], params=params, tags=tags
    ) as run:
        run.metrics(scores | _more(result))
        on = {name: str(measured[name]) for name in ("split", "dataset", "protocol", "images")}
        note = tracking.sentence(variant, params)
        note += f"; mean IU {scores['mean_iu']:.4f} on {on['images']} images of {on['split']}."
        run.tags({**{f"evaluate.{name}": text for name, text in on.items()}, tracking.NOTE: note})
        run.facts("evaluation", {**measured, "prefect.flow_run_id": steps.run_id(), **made})
        run.dataset(f"{profile_name}/{validation['list']}", validation["digest"], "validation")
        # Not the folder of predictions, one per image: DVC has it, and the run says which model and
        # data it belongs to.
        for path in (metrics, *sorted(path for path in plots.iterdir() if path.is_file())):
            run.artifact(path)
        with pictures.confusion_picture(plots / "confusion.csv") as picture:
            run.artifact(picture)
        # With a seed of its own it is a measurement, no model to use: the best of many seeds would
        # owe that to luck.
        if register and seed is None:
            said = registry.register(
                run,
                profile_name,
                variant,
                model,
                scores["mean_iu"],
                on["split"],
                on["dataset"],
                result["model_sha256"],
            )
            if said:
                log.info("MLflow: %s", said)

    table = [{"score": name, "value": text} for name, text in shown.items()]
    steps.show("scores", f"{variant} on {measured['split']}; in brackets: {interval}", table=table)
    rows = results.table(plots / "class_iu.csv", results.ClassIU)
    classes = [
        {"class": row.name, "iu": _short(row.iu), "accuracy": _short(row.accuracy)} for row in rows
    ]
    steps.show("class-iu", f"{variant} on {measured['split']}, by class", table=classes)
    if (plots / "overlays.png").is_file():
        url = pictures.data_url(plots / "overlays.png")
        steps.show("overlays", f"{variant}: image, truth, prediction", image=url)


def _short(value: float | None) -> str:
    """A number with four places; nothing, if there is none."""
    return "" if value is None else f"{value:.4f}"


def _more(result: dict[str, Any]) -> dict[str, float]:
    """The numbers beside the headline, by the names that they have in MLflow."""
    more: dict[str, float] = {
        name: result[name] for name in ("boundary_iu", "upper_bound") if name in result
    }
    for name, values in {
        "iu": result["class_iu"],
        "accuracy": result["class_accuracy"],
        **result["protocols"],
    }.items():
        more |= {f"{name}/{key}": value for key, value in values.items()}
    return more
