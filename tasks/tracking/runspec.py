"""Which run it is: what a training, its evaluation, and the repetitions of both have in common."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from fcn.spec import TrainSpec
from tasks.settings import Settings
from tasks.tracking import steps
from tasks.tracking.run import experiment


@dataclass(frozen=True)
class RunSpec:
    """One variant of a profile, and how the run differs from the profile's own.

    Attributes:
        settings: the profile, as it is set.
        variant: e.g. `fcn8s`.
        seed: in place of the recipe's, see `fcn seeds`; None: the recipe's.
        fold: of the data that the records are, e.g. `2/5`, see `fcn folds`; None: all of it.
    """

    settings: Settings
    variant: str
    seed: int | None = None
    fold: str | None = None

    @property
    def profile(self) -> str:
        """The profile's name."""
        return self.settings.profile

    @property
    def recipe(self) -> TrainSpec:
        """By which the variant is trained."""
        recipe = self.settings.train[self.variant]
        return recipe if self.seed is None else replace(recipe, seed=self.seed)

    @property
    def apart(self) -> bool:
        """Whether its results are kept apart from DVC's outputs."""
        return self.seed is not None or self.fold is not None

    @property
    def name(self) -> str:
        """As a part of a file's name, such as `sample-fcn8s-seed2`."""
        seed = "" if self.seed is None else f"-seed{self.seed}"
        fold = f"-fold{self.fold.replace('/', 'of')}" if self.fold else ""
        return f"{self.profile}-{self.variant}{seed}{fold}"

    @property
    def experiment(self) -> str:
        """Its experiment in MLflow."""
        return experiment(self.profile, self.seed, self.fold)

    @property
    def params(self) -> dict[str, Any]:
        """Its parameters in MLflow, nested."""
        return {
            "profile": self.profile,
            "variant": self.variant,
            "model": asdict(self.settings.model),
            "train": asdict(self.recipe),
        }

    def tags(self, made: Mapping[str, str]) -> dict[str, str]:
        """Its tags in MLflow.

        Args:
            made: what it was made from, see `provenance.tags`.
        """
        tags = {
            "pipeline": steps.pipeline_id(),
            "seed": str(self.recipe.seed),
            "git.commit": made["git.commit"],
        }
        return tags | ({"fold": self.fold} if self.fold else {})

    def __str__(self) -> str:
        """In words, without a full stop."""
        return (
            f"{self.variant} of the profile {self.profile}, trained for {self.recipe.iterations} "
            f"iterations with seed {self.recipe.seed}"
        )
