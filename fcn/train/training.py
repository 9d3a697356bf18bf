"""One stage of training: steps, validation, checkpoints, resume. Knows of no tracker and no file
layout but its own.

What is trained, on what, and who listens comes in from outside. All state lives in arrays, so a
training that was killed goes on from its last checkpoint and ends with the same bytes.
"""

import contextlib
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from fcn.errors import UserError, enumeration
from fcn.hardware import Share, interrupts
from fcn.input import Stream
from fcn.monitor import health, watches
from fcn.net import Transfer, masked, named_weights
from fcn.score import evaluation, metrics
from fcn.spec import TrainSpec
from fcn.train import checkpoint as resume
from fcn.train import optimizers
from fcn.train.losses import PixelLoss


@dataclass(frozen=True)
class Listener:
    """Who is told of a training; what is left out is told to nobody.

    Attributes:
        begins: once: the device in words, and the account of the parent's weights.
        report: the numbers as they come, (step, values): `{"loss": ...}` every `log_every` steps,
            `{"val_mean_iu": ..., ...}` at each validation; after a resume, from the checkpoint on.
        watch: is handed each validation's examples and yields them on, to see how far it is.
        note: what looks wrong, (kind, text), each kind once; see `fcn.monitor.health`. Also a
            checkpoint that could not be written, which stops nothing: the one before stays, and the
            next is tried at its time.
    """

    begins: Callable[[str, list[Transfer]], None] = lambda device, transfers: None
    report: Callable[[int, dict[str, float]], None] = lambda step, values: None
    watch: Callable[[Iterable[Any]], Iterable[Any]] = lambda examples: examples
    note: Callable[[str, str], None] = lambda kind, text: None


NOBODY = Listener()


def train(
    model: keras.Model,
    stream: Stream,
    validation: Callable[[], Iterable[dict[str, Any]]],
    checkpoint: Path,
    told: Listener = NOBODY,
    seconds: float = 30.0,
) -> list[dict[str, float]]:
    """Trains `model` in place.

    Args:
        model: as its training begins, made within `stream.share.scope()`; overwritten when there is
            a checkpoint to go on from.
        stream: the recipe, its batches, and who computes; of several processes the first one reads
            and writes the checkpoint.
        validation: the validation set, from its start; see `inputs.validation`.
        checkpoint: file to resume from if it exists, and to write to, also upon KeyboardInterrupt.
            The caller removes it after storing the model, and chooses its name such that trainings
            of other parameters or inputs never meet.
        told: hears of it.
        seconds: least time between checkpoints; also, writing them takes no more than about a
            twentieth of all time.

    Returns:
        The history: a row for every report, with `step` first.

    Raises:
        UserError: a weight for a class that is none; "dice" on several devices; a checkpoint that
            cannot be read; a loss that is no longer finite (the last checkpoint is kept); another
            process of the same training that died.
    """
    spec, share = stream.recipe, stream.share
    weights = _class_weights(spec, stream.classes)
    if spec.loss == "dice" and share.devices > 1:
        raise UserError(
            f"loss: dice is computed on one device, there are {share.devices}: use "
            "one, or `loss: mean`"
        )
    optimizers.hold(model, spec.rates)
    label = evaluation.divided(model, share)
    with share.scope():
        net, not_finite = _compiled(model, spec, share, weights)
    seed_dropout(net, spec.seed)
    loop = _Loop(net, label, not_finite, stream, validation, checkpoint, told, seconds)
    if share.from_first(checkpoint.is_file):
        loop.restore()
    else:
        loop.validate()
    try:
        loop.run()
    except KeyboardInterrupt:
        loop.save_interrupted()
        raise
    except (RuntimeError, ValueError) as error:
        if share.processes == 1 or isinstance(error, UserError):
            raise
        raise UserError(
            f"process {share.process} of {share.processes} could not go on with the others: "
            f"{str(error).splitlines()[0]} Likely one of them has died: see its last messages. "
            "Start all of them again; they go on from the last checkpoint."
        ) from error
    return loop.history


def _compiled(
    model: keras.Model,
    spec: TrainSpec,
    share: Share,
    weights: tuple[float, ...],
) -> tuple[keras.Model, watches.NotFinite]:
    """The net with optimizer and loss, and what looks at its losses; for several images at once it
    is the masked net, which has the same weights.
    """
    optimizer = optimizers.of(spec)
    net = masked(model) if spec.batch > 1 else model
    optimizer.build(net.trainable_variables)
    not_finite = watches.NotFinite(spec.log_every)
    loss = PixelLoss(spec.loss, share.total, weights=weights)
    net.compile(
        optimizer=optimizer, loss=loss, metrics=[not_finite], jit_compile=evaluation.COMPILED
    )
    return net, not_finite


def _class_weights(spec: TrainSpec, classes: Sequence[str]) -> tuple[float, ...]:
    """The weight of each class, if any has one."""
    if unknown := [name for name in spec.class_weights if name not in classes]:
        known = enumeration(classes)
        raise UserError(
            f"class_weights: {enumeration(unknown)}: expected names of the classes, "
            f"which are {known}"
        )
    return (
        tuple(spec.class_weights.get(name, 1.0) for name in classes) if spec.class_weights else ()
    )


def seed_dropout(net: keras.Model, seed: int) -> None:
    """Gives every dropout layer random numbers of its own, which follow from `seed` alone.

    Keras draws their seeds from the random numbers of the process when a layer is made. Prefect's
    and MLflow's threads draw from these too, at times of their own, and a training would not
    repeat.
    """
    for number, state in enumerate(resume.seeds(net)):
        # Keras: the seed, and a counter
        state.assign([np.random.SeedSequence([seed, number]).generate_state(1)[0], 0])


class _Loop(keras.callbacks.Callback):  # type: ignore[misc]
    """What happens between the steps. An "epoch" of Keras is what lies between two reports,
    `log_every` steps.

    `step` counts the steps that are done, `told` those whose report is: a multiple of `log_every`,
    unless that was changed.
    """

    def __init__(
        self,
        net: keras.Model,
        label: evaluation.Labeler | evaluation.Divided,
        not_finite: watches.NotFinite,
        stream: Stream,
        validation: Callable[[], Iterable[dict[str, Any]]],
        checkpoint: Path,
        listener: Listener,
        seconds: float,
    ) -> None:
        super().__init__()
        self.net = net
        self.label = label
        self.not_finite = not_finite
        self.stream = stream
        self.spec, self.share = stream.recipe, stream.share
        self.validation = validation
        self.checkpoint = checkpoint
        self.report, self.say = listener.report, health.once(listener.note)
        self.seconds = seconds
        self.told = 0
        self.history: list[dict[str, float]] = []
        self.next_save = time.monotonic() + seconds
        self.mean_so_far: list[np.ndarray] | None = None
        self.kept: int | None = None  # the step of the last checkpoint
        weights = named_weights(net).items() if self.spec.keep == "best" else ()
        self.best = {name: resume.Copy(weight) for name, weight in weights}
        self.looked: watches.Sample | None = None
        self.held = interrupts.Held() if keras.backend.backend() == "jax" else None
        if self.held:
            interrupts.between_steps(net, self.held)

    @property
    def step(self) -> int:
        # `iterations` counts updates, of which there may be fewer. As an array: several devices'
        # variable is no number.
        return int(np.asarray(self.net.optimizer.variables[0]))

    @property
    def loss(self) -> Any:
        """Keras' running mean of the losses since the last report."""
        return next(metric for metric in self.net.metrics if metric.name == "loss")

    def since_report(self) -> list[Any]:
        """The variables that Keras resets after every report."""
        return [*self.loss.variables, *self.not_finite.variables]

    def run(self) -> None:
        """Steps from where the training is to its end; the first stretch is shorter if it was
        interrupted within.
        """
        every = self.spec.log_every
        if self.step > self.told and self.step % every == 0:  # interrupted in its report
            self.tell()
        if self.step == self.told:
            self.mean_so_far = None
        rest = -self.step % every
        for steps, stop in ((rest, self.step + rest), (every, self.spec.iterations)):
            if steps and self.step < stop and not self.ended:
                batches = self.share.spread(self.stream.batches(self.step))
                with self.held or contextlib.nullcontext():
                    self.net.fit(
                        batches, shuffle=False, verbose=0, callbacks=[self], steps_per_epoch=steps,
                        initial_epoch=self.step // every, epochs=stop // every,
                    )  # fmt: skip
        for name, weight in named_weights(self.net).items() if self.best else ():
            weight.assign(np.asarray(self.best[name]))

    @property
    def ended(self) -> bool:
        """All steps are done, or the recipe's patience is at its end."""
        return self.step >= self.spec.iterations or 0 < self.spec.patience <= self.waited

    @property
    def waited(self) -> int:
        """Validations since the best one."""
        scores = [row["val_mean_iu"] for row in self.history if "val_mean_iu" in row]
        return len(scores) - 1 - scores.index(max(scores))

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Keras has just begun a new mean; after an interrupted stretch the old one goes on."""
        if self.mean_so_far is not None:
            self.set_mean()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """After every stretch the report; then, when it is time for it, a checkpoint."""
        self.tell()
        if self.ended:
            self.net.stop_training = True
        elif time.monotonic() >= self.next_save:
            self.save()

    def tell(self) -> None:
        loss = float(self.loss.result())
        if not math.isfinite(loss):
            raise self.stopped(loss)
        self.emit({"loss": loss})
        if self.looked:
            self.say(watches.from_updates(self.looked, watches.sample(self.net), self.spec, loss))
            self.looked = None
        if self.step % self.spec.validate_every == 0 or self.step == self.spec.iterations:
            self.validate()
        self.told = self.step
        if self.ended and self.step < self.spec.iterations:
            self.say([health.stopped_early(self.history, self.spec)])

    def stopped(self, loss: float) -> UserError:
        """The error of a loss that is not finite."""
        first = self.not_finite.first()
        step = None if first is None else self.told + first
        images = self.stream.ids(step - 1) if step else ()
        before = self.stream.ids(step - 2) if step and step > 1 else ()
        rate = float(np.asarray(self.net.optimizer.learning_rate))
        finding = health.not_finite(
            loss, self.step, step, rate, self.spec, self.stream.pixels, images, before, self.kept
        )
        self.say([finding])
        return UserError(finding.text)

    def emit(self, values: dict[str, float]) -> None:
        self.history.append({"step": self.step, **values})
        self.report(self.step, values)

    def validate(self) -> None:
        mine = self.share.own(self.moments())
        counted = evaluation.evaluate(self.label, mine, self.net.output_shape[-1])
        histogram = self.share.sum(counted)
        self.emit({f"val_{name}": value for name, value in metrics.scores(histogram).items()})
        self.say(
            health.from_validation(
                histogram, self.history, self.spec, self.stream.pixels, self.stream.classes
            )
        )
        self.looked = watches.sample(self.net)  # until the next report
        if not self.waited:
            for name, copy in self.best.items():
                copy.assign(named_weights(self.net)[name])

    def moments(self) -> Iterator[dict[str, Any]]:
        """The validation set; between two images is a moment for Ctrl-C."""
        for example in self.validation():
            yield example
            if self.held:
                self.held.let()

    def state(self) -> dict[str, Any]:
        return resume.variables(self.net, self.since_report(), self.best)

    def save(self, interrupted: bool = False) -> None:
        if not self.share.first:
            return
        begin = time.monotonic()
        state = self.state()
        # the last update spoilt the weights, as the next report will say: the one before is kept
        if health.broken(state):
            return
        try:
            resume.save(self.checkpoint, state, self.told, self.history)
            self.kept = self.step
        # a full disk costs this checkpoint, neither the one before nor the training
        except OSError as error:
            self.say([health.not_saved(error, self.checkpoint, self.step, self.kept, interrupted)])
        now = time.monotonic()
        self.next_save = now + max(self.seconds, 20 * (now - begin))

    def save_interrupted(self) -> None:
        """After Ctrl-C, which comes between two steps or in a report: nothing that was computed is
        lost.
        """
        if self.step and self.history:  # Before the first step there is nothing.
            self.save(interrupted=True)

    def restore(self) -> None:
        self.told, self.history = resume.load(self.checkpoint, self.state(), self.share)
        if self.step > self.spec.iterations:
            raise UserError(
                f"{self.checkpoint} is at step {self.step}, and `iterations` is "
                f"{self.spec.iterations}: set it to {self.step} or more to go on, or remove the "
                "file to begin anew"
            )
        self.kept = self.step
        self.mean_so_far = [np.asarray(variable).copy() for variable in self.since_report()]

    def set_mean(self) -> None:
        for variable, value in zip(self.since_report(), self.mean_so_far or (), strict=True):
            variable.assign(value)
        self.mean_so_far = None
