"""How a stage is trained, as data. Imports no framework."""

from dataclasses import dataclass

from fcn.errors import UserError


@dataclass(frozen=True)
class TrainSpec:
    """A recipe for one stage.

    Attributes:
        optimizer: "sgd" or "adam".
        learning_rate: constant, of kernels. With `loss: sum` it is per summed pixel: 1e-10 in the heavy recipe.
        momentum: 0..1.
        weight_decay: coupled, on kernels only.
        bias_rate: factor on the rate of biases.
        loss: "sum" or "mean" over the valid pixels.
        iterations: training steps of one image each; a multiple of `log_every`.
        log_every: steps that one point of the loss curve is the mean of.
        validate_every: steps between two validations; a multiple of `log_every`.
        seed: of the dropout and of the order of the images.
    """

    optimizer: str
    learning_rate: float
    momentum: float
    weight_decay: float
    bias_rate: float
    loss: str
    iterations: int
    log_every: int
    validate_every: int
    seed: int

    def __post_init__(self) -> None:
        """Raises UserError for steps that do not fit together."""
        for key in ("iterations", "validate_every"):
            steps = getattr(self, key)
            if steps % self.log_every or steps < self.log_every:
                raise UserError(f"{key}: expected a multiple of log_every = {self.log_every}, got {steps}")
