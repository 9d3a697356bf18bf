"""Caffe's update rule on Keras' optimizers: coupled weight decay on kernels, twice the rate on
biases.

Caffe's SGD, with momentum m, rate r, decay d and the multipliers of the authors' net (kernels
lr_mult 1, decay_mult 1; biases lr_mult 2, decay_mult 0):

    v <- m v + r lr_mult (gradient + d decay_mult w)
    w <- w - v

The decay enters *before* the momentum. Keras' own `weight_decay` is decoupled, and at momentum 0.99
about 100 times weaker. AdamW's is decoupled too (Loshchilov and Hutter, arXiv:1711.05101): w <- w -
r lr_mult d w, beside Adam's own update.
"""

import math
from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from fcn.errors import UserError
from fcn.hardware import cpu
from fcn.spec import TrainSpec

LARGE = 2**20
"""Weights from which on an update is worth compiling, which takes a tenth of a second: of VGG's
layers, conv4_1 and later.
"""


class _CaffeRule:
    """Mixin for a Keras optimizer; `decay`, `bias_rate` and `rates` as in `of`."""

    decay: float
    bias_rate: float
    rates: dict[str, float]
    decoupled = False

    def build(self, variables: Any) -> None:
        # By path, noted here: the variable that update_step gets is the backend's own, and its name
        # carries a suffix.
        self.is_bias = [variable.path.endswith("/bias") for variable in variables]
        self.lr_mult = [layer_rate(variable.path, self.rates) for variable in variables]
        super().build(variables)  # type: ignore[misc]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        large = math.prod(variable.shape) >= LARGE
        update = cpu.compiled(self._update, variable) if large else self._update
        update(gradient, variable, learning_rate)

    def _update(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        index = self._get_variable_index(variable)  # type: ignore[attr-defined]
        if self.lr_mult[index] != 1:
            learning_rate = learning_rate * self.lr_mult[index]
        if self.is_bias[index]:
            learning_rate = learning_rate * self.bias_rate
        elif self.decoupled:
            decay = ops.cast(learning_rate, variable.dtype) * self.decay
            self.assign_sub(variable, ops.multiply(variable, decay))  # type: ignore[attr-defined]
        else:
            gradient = ops.add(
                gradient, ops.multiply(ops.cast(variable, gradient.dtype), self.decay)
            )
        super().update_step(gradient, variable, learning_rate)  # type: ignore[misc]

    def get_config(self) -> dict[str, Any]:
        own = {"decay": self.decay, "bias_rate": self.bias_rate, "rates": self.rates}
        return {**super().get_config(), **own}  # type: ignore[misc]


@keras.saving.register_keras_serializable("fcn")
class CaffeSGD(_CaffeRule, keras.optimizers.SGD):  # type: ignore[misc]
    """SGD with momentum by Caffe's rule."""

    def __init__(
        self,
        learning_rate: Any = 1e-10,
        decay: float = 5e-4,
        bias_rate: float = 2.0,
        rates: Mapping[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """`decay`, `bias_rate` and `rates` as in `of`; the rest as Keras' SGD."""
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.decay, self.bias_rate, self.rates = decay, bias_rate, dict(rates or {})


@keras.saving.register_keras_serializable("fcn")
class CaffeAdam(_CaffeRule, keras.optimizers.Adam):  # type: ignore[misc]
    """Adam, with decay and bias rate by Caffe's rule: the decay is part of the gradient."""

    def __init__(
        self,
        learning_rate: Any = 1e-4,
        decay: float = 0.0,
        bias_rate: float = 1.0,
        rates: Mapping[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """As `CaffeSGD`; the rest as Keras' Adam."""
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.decay, self.bias_rate, self.rates = decay, bias_rate, dict(rates or {})


@keras.saving.register_keras_serializable("fcn")
class DecoupledAdam(CaffeAdam):
    """AdamW: the decay is no part of the gradient. On kernels only."""

    decoupled = True


@keras.saving.register_keras_serializable("fcn")
class WarmUp(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """Another schedule, or a number, times (t + 1) / steps in the first `steps` steps."""

    def __init__(self, rate: Any, steps: int) -> None:
        """`rate`: a number or a schedule of Keras; `steps`: at least 1."""
        self.rate, self.steps = rate, steps

    def __call__(self, step: Any) -> Any:
        """`step`: from 0 on."""
        rate = self.rate(step) if callable(self.rate) else self.rate
        return rate * ops.minimum(1.0, (ops.cast(step, "float32") + 1) / self.steps)

    def get_config(self) -> dict[str, Any]:
        """What `__init__` takes."""
        return {"rate": self.rate, "steps": self.steps}


def layer_rate(path: str, rates: Mapping[str, float]) -> float:
    """The factor on a layer's learning rate: that of the longest prefix in `rates` that its name
    begins with, or 1.

    Args:
        path: the layer's name, or a variable's path that begins with it ("conv5_1/kernel").
        rates: factor by prefix.

    Example:
        >>> layer_rate("conv5_3/bias", {"conv": 0.0, "conv5": 0.1})
        0.1
    """
    fitting = [prefix for prefix in rates if path.startswith(prefix)]
    return rates[max(fitting, key=len)] if fitting else 1.0


def hold(model: keras.Model, rates: Mapping[str, float]) -> None:
    """Holds the layers whose rate is 0: they have no gradient and no slots in the optimizer, and
    cost no backward pass.

    Args:
        model: changed in place; layers of another rate are trained, also if they were held before.
        rates: see `layer_rate`.

    Raises:
        UserError: a prefix that no layer with weights begins with, or nothing is left to train.
    """
    layers = [layer for layer in model.layers if layer.weights]
    for prefix in rates:
        if not any(layer.name.startswith(prefix) for layer in layers):
            names = ", ".join(layer.name for layer in layers)
            raise UserError(
                f"rates: {prefix}: no layer's name begins with it; the layers are {names}"
            )
    for layer in layers:
        layer.trainable = layer_rate(layer.name, rates) != 0
    if not model.trainable_variables:
        raise UserError("rates: every layer has the rate 0: nothing would be trained")


def of(recipe: TrainSpec) -> Any:
    """The optimizer of a recipe, with its rate over the training.

    `clip_norm` is of the gradients before any decay, as Caffe's `clip_gradients` is.

    Args:
        recipe: its `optimizer`, `learning_rate` (per unit of the loss's gradient, so a summed loss
            takes a tiny one), `schedule`, `momentum` (Adam's beta_1), `weight_decay`, `bias_rate`,
            `rates`, `accumulate` and `clip_norm` count.

    Returns:
        A Keras optimizer.

    Raises:
        UserError: an unknown optimizer or schedule.
    """
    if recipe.optimizer not in KINDS:
        raise UserError(f"optimizer: expected sgd, adam or adamw, got {recipe.optimizer!r}")
    kind, momentum = KINDS[recipe.optimizer]
    return kind(
        learning_rate=rate(recipe.schedule, recipe.learning_rate, recipe.iterations, recipe.warmup),
        decay=recipe.weight_decay,
        bias_rate=recipe.bias_rate,
        rates=recipe.rates,
        gradient_accumulation_steps=recipe.accumulate if recipe.accumulate > 1 else None,
        global_clipnorm=recipe.clip_norm or None,
        **{momentum: recipe.momentum},
    )


KINDS = {
    "sgd": (CaffeSGD, "momentum"),
    "adam": (CaffeAdam, "beta_1"),
    "adamw": (DecoupledAdam, "beta_1"),
}
"""Classes, and what each calls the recipe's momentum."""


def rate(schedule: str, start: float, steps: int, warmup: int = 0) -> Any:
    """The learning rate over a training, in the form that Keras takes.

    Args:
        schedule: "fixed"; "poly", start (1 - t/steps)^0.9; "cosine", start (1 + cos(pi t/steps))/2.
        start: the rate of the first step.
        steps: how many there are; with accumulation an update is made at the rate of its last step.
        warmup: steps at the beginning in which the rate of the schedule is multiplied by (t + 1) /
            warmup.

    Returns:
        The number itself, or one of Keras' schedules.

    Raises:
        UserError: another schedule.

    Example:
        >>> poly = rate("poly", start=1e-10, steps=100)
        >>> [f"{float(poly(step)):.1e}" for step in (0, 50, 99)]
        ['1.0e-10', '5.4e-11', '1.6e-12']
        >>> float(rate("fixed", 1.0, steps=100, warmup=4)(0))
        0.25
    """
    if schedule == "fixed":
        base: Any = start
    elif schedule == "poly":
        base = keras.optimizers.schedules.PolynomialDecay(
            start, steps, end_learning_rate=0.0, power=0.9
        )
    elif schedule == "cosine":
        base = keras.optimizers.schedules.CosineDecay(start, steps)
    else:
        raise UserError(f"schedule: expected fixed, poly or cosine, got {schedule!r}")
    return WarmUp(base, warmup) if warmup else base
