"""One model evaluated, and its scores added to its MLflow run."""

from dataclasses import asdict
from pathlib import Path

from prefect import get_run_logger, runtime, task
from prefect.artifacts import create_image_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE

from fcn import score as scoring
from fcn.params import Profile
from tasks import pictures, provenance, tracking
from tasks.progress import Progress


@task(cache_policy=NO_CACHE)
def score(
    profile_name: str,
    profile: Profile,
    variant: str,
    data: Path,
    model: Path,
    metrics: Path,
    plots: Path,
    seed: int | None = None,
) -> None:
    """Evaluates the model folder `model` on the validation records in `data`; writes `metrics` (JSON) and `plots`.

    A model that was trained with a `seed` in place of the recipe's has its run in another experiment; see `tasks.train`.

    Raises:
        UserError: see `fcn.score.run`.
    """
    log = get_run_logger()
    progress = Progress(log.info, f"evaluate {variant}", "images")
    result = scoring.run(model, data, metrics, plots, profile.evaluate.overlays, progress)
    scores = {name: result[name] for name in tracking.SCORES}
    log.info("%s: %s", variant, ", ".join(f"{name} {value:.4f}" for name, value in scores.items()))

    recipe = asdict(profile.train[variant]) | ({} if seed is None else {"seed": seed})
    params = {"profile": profile_name, "variant": variant, "model": asdict(profile.model), "train": recipe}
    # What the training noted stays; these are for a model whose training this store does not know.
    made = provenance.tags(finished=f"train@{variant}" if seed is None else None)  # the others are no outputs of DVC
    tags = {"pipeline": provenance.pipeline(), "seed": str(recipe["seed"]), **made}
    with tracking.scoring(
        tracking.experiment(profile_name, seed), variant, result["model_sha256"], params=params, tags=tags
    ) as run:
        run.metrics({**scores, **{f"iu/{name}": iu for name, iu in result["class_iu"].items()}})
        run.tags({f"evaluate.{name}": str(value) for name, value in result["provenance"].items()})
        run.tags({"evaluate.prefect.flow_run_id": str(runtime.flow_run.id)})
        for path in (metrics, *sorted(plots.iterdir())):
            run.artifact(path)
        with pictures.confusion_picture(plots / "confusion.csv") as picture:
            run.artifact(picture)

    table = [{"score": name, "value": f"{value:.4f}"} for name, value in scores.items()]
    create_table_artifact(table, key="scores", description=f"{variant} on {result['provenance']['split']}")
    if (plots / "overlays.png").is_file():
        url = pictures.data_url(plots / "overlays.png")
        create_image_artifact(url, key="overlays", description=f"{variant}: image, truth, prediction")
