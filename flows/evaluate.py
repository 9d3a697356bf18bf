"""Stages `evaluate@<variant>`: the scores of one model, its confusion, its boundaries and its
pictures.
"""

from pathlib import Path

from tasks.score import score
from tasks.settings import config
from tasks.tracking import RunSpec, kept


def evaluate(
    variant: str,
    records: Path,
    model: Path,
    metrics: Path,
    plots: Path,
    settings: Path = config.PARAMS,
    seed: int | None = None,
    fold: str | None = None,
    registry: bool = True,
) -> None:
    """Score one model on the validation records.

    Args:
        variant: its name in params.yaml.
        records: folder of the records.
        model: model folder.
        metrics: JSON file to write.
        plots: folder to write.
        settings: what is set: params.yaml, or the settings.json that came out of it.
        seed: that the model was trained with instead of the recipe's; see `fcn seeds`.
        fold: of the data that the records are; see `fcn folds`.
        registry: whether MLflow's registry gets it as a version, which may become champion; scores
            go to MLflow anyway.
    """
    kept.forget()
    wanted = RunSpec(config.read(settings), variant, seed, fold)
    score(wanted, records, model, metrics, plots, registry)
