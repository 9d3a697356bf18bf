"""An optimizer of fcn/train from numbers, where the rest of a recipe does not matter."""

from typing import Any

from fcn.spec.recipe import TrainSpec
from fcn.train import optimizers


def optimizer(
    name: Any, rate: float, momentum: float, decay: float, bias_rate: float, **more: Any
) -> Any:
    """As `optimizers.of` makes it; `more` is of `TrainSpec`, and `steps` its iterations."""
    steps = more.pop("steps", 100)
    lengths = (steps, steps, steps)
    return optimizers.of(
        TrainSpec(name, rate, momentum, decay, bias_rate, "mean", *lengths, 0, **more)
    )
