"""Stages `train@<variant>`: one variant, from its parent's weights."""

from pathlib import Path

from fcn.errors import UserError
from tasks import train as tasks
from tasks.settings import config
from tasks.tracking import RunSpec, kept


def train(
    variant: str,
    records: Path,
    look: Path,
    init: Path,
    out: Path,
    settings: Path = config.PARAMS,
    seed: int | None = None,
    fold: str | None = None,
) -> None:
    """Train one variant.

    Args:
        variant: its name in params.yaml.
        records: folder of the records.
        look: folder with the look at the data, which is kept with the run in MLflow.
        init: the classifier's .npz, or the parent variant's model folder.
        out: model folder to write.
        settings: what is set: params.yaml, or the settings.json that came out of it.
        seed: instead of the recipe's; see `fcn seeds`.
        fold: of the data that the records are; see `fcn folds`.
    """
    profile = config.read(settings)
    if variant not in profile.train:
        known = ", ".join(profile.train)
        raise UserError(f"profiles.{profile.profile}.train.{variant}: missing; it has {known}")
    kept.forget()
    tasks.train(RunSpec(profile, variant, seed, fold), records, look, init, out)
