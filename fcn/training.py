"""One stage of training: steps, validation, checkpoints, resume. Knows of no tracker and no file layout but its own.

What is trained, on what, and who listens comes in from outside. All state lives in arrays, so a training that was killed
goes on from its last checkpoint and ends with the same bytes.
"""

import json
import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from fcn import evaluation, files, metrics, optimizers
from fcn.errors import UserError
from fcn.losses import PixelLoss
from fcn.recipe import TrainSpec
from fcn.surgery import named_weights

Report = Callable[[int, dict[str, float]], None]
"""Called with (step, values): `{"loss": ...}` every `log_every` steps, `{"val_mean_iu": ..., ...}` at each validation."""


def train(
    model: keras.Model,
    spec: TrainSpec,
    data: Callable[[int], Iterable[Any]],
    validation: Callable[[], Iterable[dict[str, Any]]],
    checkpoint: Path,
    report: Report,
    seconds: float = 30.0,
) -> list[dict[str, float]]:
    """Trains `model` in place.

    Args:
        model: as its training begins; overwritten when there is a checkpoint to go on from.
        spec: the recipe.
        data: from a step to the endless batches from there on, see `inputs.training`.
        validation: the validation set, from its start; see `inputs.validation`.
        checkpoint: file to resume from if it exists, and to write to. The caller removes it after storing the model, and
            chooses its name such that trainings of other parameters or inputs never meet.
        report: gets the numbers as they come; after a resume, from the checkpoint on.
        seconds: least time between checkpoints; also, writing them takes no more than about a twentieth of all time.

    Returns:
        The history: a row for every report, with `step` first.

    Raises:
        UserError: a checkpoint that cannot be read; a loss that is no longer finite (the last checkpoint is kept).
    """
    optimizer = optimizers.make(spec.optimizer, spec.learning_rate, spec.momentum, spec.weight_decay, spec.bias_rate)
    optimizer.build(model.trainable_variables)
    # No XLA: sizes vary from image to image, and on a CPU it is slower even for one.
    model.compile(optimizer=optimizer, loss=PixelLoss(spec.loss), jit_compile=False)
    loop = _Loop(model, spec, validation, checkpoint, report, seconds)
    if checkpoint.is_file():
        loop.restore()
    else:
        loop.validate()
    if loop.step < spec.iterations:
        model.fit(
            data(loop.step), shuffle=False, verbose=0, callbacks=[loop], steps_per_epoch=spec.log_every,
            initial_epoch=loop.step // spec.log_every, epochs=spec.iterations // spec.log_every,
        )  # fmt: skip
    return loop.history


class _Loop(keras.callbacks.Callback):  # type: ignore[misc]
    """What happens between the steps. An "epoch" of Keras is `log_every` steps here."""

    def __init__(
        self,
        model: keras.Model,
        spec: TrainSpec,
        validation: Callable[[], Iterable[dict[str, Any]]],
        checkpoint: Path,
        report: Report,
        seconds: float,
    ) -> None:
        super().__init__()
        self.net, self.spec, self.validation = model, spec, validation
        self.checkpoint, self.report, self.seconds = checkpoint, report, seconds
        self.label = evaluation.labeler(model)
        self.step, self.history, self.next_save = 0, list[dict[str, float]](), time.monotonic() + seconds

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """After every `log_every` steps: the loss, then, when it is time for them, validation and checkpoint."""
        self.step = (epoch + 1) * self.spec.log_every
        loss = float((logs or {})["loss"])
        if not math.isfinite(loss):
            raise UserError(
                f"the loss is {loss} after step {self.step}: the rate {self.spec.learning_rate:g} is too high for "
                f"`loss: {self.spec.loss}`, or the weights do not fit the recipe. The last checkpoint is kept; lower the rate."
            )
        self.emit({"loss": loss})
        if self.step % self.spec.validate_every == 0 or self.step == self.spec.iterations:
            self.validate()
        if self.step < self.spec.iterations and time.monotonic() >= self.next_save:
            self.save()

    def emit(self, values: dict[str, float]) -> None:
        self.history.append({"step": self.step, **values})
        self.report(self.step, values)

    def validate(self) -> None:
        histogram = evaluation.evaluate(self.label, self.validation(), self.net.output_shape[-1])
        self.emit({f"val_{name}": value for name, value in metrics.scores(histogram).items()})

    def state(self) -> dict[str, Any]:
        """Every variable that the next step depends on, by a stable name: weights, slots, step counter, dropout seeds."""
        seeds = [v for v in self.net.non_trainable_variables if "seed" in v.path]
        return {
            **{f"weights/{name}": variable for name, variable in named_weights(self.net).items()},
            **{f"optimizer/{n}": variable for n, variable in enumerate(self.net.optimizer.variables)},
            **{f"seeds/{n}": variable for n, variable in enumerate(seeds)},
        }

    def save(self) -> None:
        begin = time.monotonic()
        arrays = {name: np.asarray(variable) for name, variable in self.state().items()}
        text = json.dumps({"step": self.step, "history": self.history}).encode()
        files.save_arrays(self.checkpoint, {**arrays, "progress": np.frombuffer(text, np.uint8)})
        now = time.monotonic()
        self.next_save = now + max(self.seconds, 20 * (now - begin))

    def restore(self) -> None:
        arrays = files.load_arrays(self.checkpoint)
        variables = self.state()
        if {*variables, "progress"} != {*arrays}:
            raise UserError(f"{self.checkpoint}: a checkpoint of another net or version. Remove it to start this stage anew.")
        progress = json.loads(arrays["progress"].tobytes())
        for name, variable in variables.items():
            variable.assign(arrays[name])
        self.step, self.history = progress["step"], progress["history"]
