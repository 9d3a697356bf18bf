"""How a stage is trained, as data. Imports no framework."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt

from fcn.errors import UserError
from fcn.spec.augment import OFF, Augment
from fcn.spec.bounds import CHECKED, Precision, Seed, Steps


@dataclass(frozen=True)
class TrainSpec:
    """A recipe for one stage.

    Attributes:
        optimizer: "sgd", "adam" or "adamw".
        learning_rate: of kernels, at the start. With `loss: sum` it is per summed pixel: 1e-10 in
            the heavy recipe.
        momentum: 0..1.
        weight_decay: on kernels only; coupled (part of the gradient), but for adamw.
        bias_rate: factor on the rate of biases.
        loss: "sum" or "mean" of the cross entropy over the valid pixels of a batch; or "dice", 1
            less the mean soft Dice of the classes that the batch shows, on one device.
        iterations: training steps; a multiple of `log_every`.
        log_every: steps that one point of the loss curve is the mean of.
        validate_every: steps between two validations; a multiple of `log_every`.
        seed: of the dropout and of the order of the images.
        schedule: what becomes of the rate: "fixed"; "poly", (1 - t/T)^0.9 of it; or "cosine", both
            down to 0 at the end.
        batch: images per step. 1: whole images as they are; more: padded to a few common sizes, the
            padding masked out.
        accumulate: steps whose gradients are averaged into one update of the weights; divides
            `log_every`.
        precision: of the layers up to fc7: "float32", or "bfloat16" (weights, scores and loss stay
            float32).
        augment: random changes to the images.
        deterministic: whether the same machine gives the same bytes each time. False is faster on
            some GPUs.
        rates: factors on the learning rate by prefix of the layers' names; the longest prefix
            counts, and 1 where there is none. A layer of rate 0 is held: it has no slots, and where
            all below are held too, no backward pass.
        warmup: steps in which the rate rises from nothing to that of the schedule.
        clip_norm: the largest norm of the gradient over all weights together; larger ones are
            scaled down. 0: no limit.
        new_layers: fully connected layers that begin at random (He et al.) although they stand in
            no file, as fc6 and fc7 of a VGG without them, or in place of those in the file. Only
            where the training starts from a classifier.
        validate_images: how many of the validation images are looked at while training, evenly
            chosen; 0: all of them. The evaluation afterwards scores all.
        class_weights: factors on the loss by name of a class, for data in which some are rare; 1
            where there is none.
        keep: which weights are left at the end: the "last" ones, or the "best": those of the
            validation with the highest mean IU, of equal ones the first.
        patience: after so many validations in a row without a higher mean IU the training ends; 0:
            it goes on to `iterations`.
    """

    __pydantic_config__ = CHECKED

    optimizer: Literal["sgd", "adam", "adamw"]
    learning_rate: Annotated[float, Gt(0), Le(1000)]
    momentum: Annotated[float, Ge(0), Lt(1)]
    weight_decay: Annotated[float, Ge(0), Le(1)]
    bias_rate: Annotated[float, Ge(0), Le(1000)]
    loss: Literal["sum", "mean", "dice"]
    iterations: Steps
    log_every: Steps
    validate_every: Steps
    seed: Seed
    schedule: Literal["fixed", "poly", "cosine"] = "fixed"
    batch: Annotated[int, Ge(1), Le(1024)] = 1
    accumulate: Annotated[int, Ge(1), Le(10_000)] = 1
    precision: Precision = "float32"
    augment: Augment = OFF
    deterministic: bool = True
    rates: dict[str, Annotated[float, Ge(0), Le(1000)]] = field(default_factory=dict)
    warmup: Annotated[int, Ge(0), Le(10**9)] = 0
    clip_norm: Annotated[float, Ge(0)] = 0.0
    new_layers: tuple[str, ...] = ()
    validate_images: Annotated[int, Ge(0)] = 0
    class_weights: dict[str, Annotated[float, Ge(0), Le(1000)]] = field(default_factory=dict)
    keep: Literal["last", "best"] = "last"
    patience: Annotated[int, Ge(0), Le(10**6)] = 0

    def __post_init__(self) -> None:
        """Raises UserError for steps that do not fit together, with a line for each."""
        faults = [
            f"{key}: expected a multiple of log_every = {self.log_every}, got {steps}"
            for key, steps in (
                ("iterations", self.iterations),
                ("validate_every", self.validate_every),
            )
            if steps % self.log_every or steps < self.log_every
        ]
        if self.log_every % self.accumulate:
            faults.append(
                f"accumulate: expected a divisor of log_every = {self.log_every}, got "
                f"{self.accumulate}"
            )
        if faults:
            raise UserError(*faults)
