"""Caffe's update rule on Keras' optimizers: coupled weight decay on kernels, twice the rate on biases.

Caffe's SGD, with momentum m, rate r, decay d and the multipliers of the authors' net (kernels lr_mult 1, decay_mult 1;
biases lr_mult 2, decay_mult 0):

    v <- m v + r lr_mult (gradient + d decay_mult w)
    w <- w - v

The decay enters *before* the momentum. Keras' own `weight_decay` is decoupled, and at momentum 0.99 about 100 times weaker.
"""

import math
from typing import Any

import keras
from keras import ops

from fcn import cpu
from fcn.errors import UserError

LARGE = 2**20
"""Weights from which on an update is worth compiling, which takes a tenth of a second: of VGG's layers, conv4_1 and later."""


class _CaffeRule:
    """Mixin for a Keras optimizer; `decay` and `bias_rate` as in the module's docstring."""

    decay: float
    bias_rate: float

    def build(self, variables: Any) -> None:
        # By path, noted here: the variable that update_step gets is the backend's own, and its name carries a suffix.
        self.is_bias = [variable.path.endswith("/bias") for variable in variables]
        super().build(variables)  # type: ignore[misc]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        large = math.prod(variable.shape) >= LARGE
        update = cpu.compiled(self._update, variable) if large else self._update
        update(gradient, variable, learning_rate)

    def _update(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        if self.is_bias[self._get_variable_index(variable)]:  # type: ignore[attr-defined]
            learning_rate = learning_rate * self.bias_rate
        else:
            gradient = ops.add(gradient, ops.multiply(ops.cast(variable, gradient.dtype), self.decay))
        super().update_step(gradient, variable, learning_rate)  # type: ignore[misc]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "decay": self.decay, "bias_rate": self.bias_rate}  # type: ignore[misc]


@keras.saving.register_keras_serializable("fcn")
class CaffeSGD(_CaffeRule, keras.optimizers.SGD):  # type: ignore[misc]
    """SGD with momentum by Caffe's rule."""

    def __init__(self, learning_rate: Any = 1e-10, decay: float = 5e-4, bias_rate: float = 2.0, **kwargs: Any) -> None:
        """`decay`: weight decay of kernels; `bias_rate`: factor on the rate of biases; the rest as Keras' SGD."""
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.decay, self.bias_rate = decay, bias_rate


@keras.saving.register_keras_serializable("fcn")
class CaffeAdam(_CaffeRule, keras.optimizers.Adam):  # type: ignore[misc]
    """Adam, with decay and bias rate by Caffe's rule: the decay is part of the gradient."""

    def __init__(self, learning_rate: Any = 1e-4, decay: float = 0.0, bias_rate: float = 1.0, **kwargs: Any) -> None:
        """As `CaffeSGD`; the rest as Keras' Adam."""
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.decay, self.bias_rate = decay, bias_rate


def make(name: str, learning_rate: Any, momentum: float, weight_decay: float, bias_rate: float, accumulate: int = 1) -> Any:
    """An optimizer by its name in the parameters.

    Args:
        name: "sgd" or "adam".
        learning_rate: rate of kernels, per unit of the loss's gradient (so a summed loss takes a tiny one): a number, or a
            schedule, see `rate`.
        momentum: SGD's momentum, 0..1; Adam's beta_1.
        weight_decay: coupled decay, on kernels only.
        bias_rate: factor on the rate of biases, 2 in the paper.
        accumulate: steps whose gradients are averaged into one update.

    Returns:
        A Keras optimizer.

    Raises:
        UserError: unknown name.
    """
    common = {
        "learning_rate": learning_rate, "decay": weight_decay, "bias_rate": bias_rate,
        "gradient_accumulation_steps": accumulate if accumulate > 1 else None,
    }  # fmt: skip
    if name == "sgd":
        return CaffeSGD(momentum=momentum, **common)
    if name == "adam":
        return CaffeAdam(beta_1=momentum, **common)
    raise UserError(f"optimizer: expected sgd or adam, got {name!r}")


def rate(schedule: str, start: float, steps: int) -> Any:
    """The learning rate over a training, in the form that Keras takes.

    Args:
        schedule: "fixed"; "poly", start (1 - t/steps)^0.9; "cosine", start (1 + cos(pi t/steps))/2.
        start: the rate of the first step.
        steps: how many there are; with accumulation an update is made at the rate of its last step.

    Raises:
        UserError: another schedule.
    """
    if schedule == "fixed":
        return start
    if schedule == "poly":
        return keras.optimizers.schedules.PolynomialDecay(start, steps, end_learning_rate=0.0, power=0.9)
    if schedule == "cosine":
        return keras.optimizers.schedules.CosineDecay(start, steps)
    raise UserError(f"schedule: expected fixed, poly or cosine, got {schedule!r}")
