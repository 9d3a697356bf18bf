"""The part of `fcn.monitor.health` that looks at the device: what is noted in every step, and what
is looked at now and then.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from fcn.monitor.health import Finding
from fcn.spec import TrainSpec

FLOAT32 = 6e-8
"""Half the distance from 1 to the next float32: a smaller share of a weight, added to it, is lost.
"""


@dataclass(frozen=True)
class Sample:
    """Some elements of every trained variable and of its velocity, see `sample`.

    Attributes:
        updates: how many have been made.
        weights: float32 (n,), by "layer/kernel" and "layer/bias".
        slots: the same elements of the optimizer's running mean of gradients; {} if it has none
            (SGD without momentum).
        rate: at this step.
    """

    updates: int
    weights: Mapping[str, np.ndarray]
    slots: Mapping[str, np.ndarray]
    rate: float


@keras.saving.register_keras_serializable("fcn")
class NotFinite(keras.metrics.Metric):  # type: ignore[misc]
    """Notes in which steps since the last reset the scores, or the loss that comes of them, were
    not finite.

    One sum over the scores and a few numbers, computed where the scores are; nobody waits for it.
    Its variables are part of a training's state: with them, a step is counted from the right one
    after a resume.
    """

    def __init__(self, steps: int, name: str = "not_finite", **kwargs: Any) -> None:
        """`steps`: how many there are between two resets, at most; later ones are not noted."""
        super().__init__(name=name, **kwargs)
        self.steps = steps
        # A mark for each step, not the number of the first: replicas' variables are added up when
        # they are read.
        self.seen = self.add_variable((), "zeros", name="seen")
        self.marks = self.add_variable((steps,), "zeros", name="marks")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Notes a step; y_pred are scores (N, H, W, C)."""
        # The loss of a pixel is at most twice its largest score and ln C: where this sum is finite,
        # so is the summed loss.
        bad = ops.logical_not(ops.isfinite(2.0 * ops.sum(ops.abs(ops.cast(y_pred, "float32")))))
        now = ops.equal(ops.arange(self.steps, dtype=self.dtype), self.seen)
        self.marks.assign(self.marks + ops.cast(ops.logical_and(now, bad), self.dtype))
        self.seen.assign(self.seen + 1.0)

    def result(self) -> Any:
        """How many steps were not finite."""
        return ops.sum(self.marks)

    def first(self) -> int | None:
        """The first step that was not finite, from 1 for that after the reset; None if there is
        none. Waits for the device.
        """
        marked = np.flatnonzero(np.asarray(self.marks))
        return int(marked[0]) + 1 if marked.size else None

    def get_config(self) -> dict[str, Any]:
        """What `__init__` takes."""
        return {**super().get_config(), "steps": self.steps}


def sample(model: keras.Model, count: int = 1024) -> Sample:
    """Looks at some elements of every trained variable and of its velocity. Waits for the device:
    not for every step.

    Args:
        model: compiled, its optimizer built for its `trainable_variables`.
        count: elements of each variable at most, evenly spread.

    Returns:
        See `Sample`; 32 variables and velocities of 1024 elements, as of VGG-16, are a quarter of a
        megabyte.
    """
    optimizer, variables = model.optimizer, model.trainable_variables
    # of SGD; of Adam
    slots = getattr(optimizer, "momentums", None) or getattr(optimizer, "_momentums", [])
    return Sample(
        updates=int(np.asarray(optimizer.iterations)),
        weights={variable.path: _some(variable, count) for variable in variables},
        slots={
            variable.path: _some(slot, count)
            for variable, slot in zip(variables, slots, strict=False)
        },
        rate=float(np.asarray(optimizer.learning_rate)),
    )


def _some(variable: Any, count: int) -> np.ndarray:
    size = int(np.prod(variable.shape))
    places = (np.arange(min(count, size)) * size // min(count, size)).astype(np.int32)
    return np.asarray(ops.take(ops.reshape(ops.convert_to_tensor(variable), (-1,)), places))


def from_updates(before: Sample, after: Sample, recipe: TrainSpec, loss: float) -> list[Finding]:
    """What became of the weights between two looks at them, some updates apart.

    A velocity v follows v' = momentum v + (what the gradient adds), in SGD and in Adam. Biases have
    no decay, so what theirs gain beyond momentum^n v is the gradient alone, exactly; and it is lost
    in no rounding, however small the rate.

    Args:
        before: the first look.
        after: the second, of the same variables.
        recipe: the training.
        loss: mean of the losses in between.

    Returns:
        Any of these. "no_gradient": no bias got any. "dead_layers": those of some layers got none.
        "resolution": at least half of the weights stayed the same although their velocity is not
        zero, which is information rather than an error; looked for when the velocity has reached
        its full size (after 3 / (1 - momentum) updates) and while a schedule has left a tenth of
        the rate.
    """
    updates = after.updates - before.updates
    if updates < 1 or not after.slots:
        return []
    findings = []
    biases = [name for name in after.slots if name.endswith("/bias")]
    dead = [
        name.removesuffix("/bias")
        for name in biases
        if not _pushed(before, after, name, recipe.momentum)
    ]
    # Score layers start at zero: the first gradient that reaches the layers below comes with the
    # second update.
    if dead and after.updates > 1:
        findings.append(_dead(dead, len(biases), updates, loss, recipe))
    if (
        before.updates >= round(3 / (1 - recipe.momentum))
        and after.rate >= 0.1 * recipe.learning_rate
    ):
        findings += _lost(before, after, recipe)
    return findings


def _pushed(before: Sample, after: Sample, name: str, momentum: float) -> bool:
    updates, old = after.updates - before.updates, before.slots[name].astype(np.float64)
    rounding = 1e-7 * (updates + 10) * np.abs(old).max()
    return not np.abs(after.slots[name] - momentum**updates * old).max() <= rounding


def _dead(
    layers: Sequence[str], count: int, updates: int, loss: float, recipe: TrainSpec
) -> Finding:
    again = f"Start this stage anew with `learning_rate: {recipe.learning_rate / 10:.2g}`."
    if len(layers) < count:
        return Finding(
            "dead_layers",
            f"no gradient reached {', '.join(layers)} in {updates} updates: {len(layers)} of "
            f"{count} layers do not learn. Likely cause: a rate that was too high has made one of "
            f"them 0 for every image (dead ReLUs), or the weights above are all 0. {again}",
        )
    why = (
        "The loss is 0 as well: every pixel of these labels is void. Look at the labels."
        if loss == 0
        else f"The loss is {loss:.6g}, so there is something to learn. Likely cause: scores so "
        f"large that their differences are lost in float32. {again}"
    )
    return Finding(
        "no_gradient", f"all gradients were zero in {updates} updates: nothing is learned. {why}"
    )


def _lost(before: Sample, after: Sample, recipe: TrainSpec) -> list[Finding]:
    moving = {name: (before.slots[name] != 0) & (after.slots[name] != 0) for name in after.slots}
    count = sum(int(each.sum()) for each in moving.values())
    same = {
        name: int((moving[name] & (before.weights[name] == after.weights[name])).sum())
        for name in moving
    }
    lost = sum(same.values())
    if 2 * lost < count or not lost:
        return []
    free = [name for name in moving if 10 * same[name] < moving[name].sum()]
    sizes = np.concatenate(
        [np.abs(after.slots[n] / np.where(w == 0, np.inf, w)) for n, w in after.weights.items()]
    )
    size = (
        (f", and would move them, typically by {np.median(sizes[sizes > 0]):.1g} of themselves")
        if recipe.optimizer == "sgd"
        else ""
    )
    return [
        Finding(
            "resolution",
            f"{lost / count:.0%} of {count} sampled weights stayed the same for "
            f"{after.updates - before.updates} updates, though their velocity is not 0{size}: "
            f"at a rate of {after.rate:.3g} an update is below the resolution of float32, "
            f"{FLOAT32:g} of a weight. Variables that change: {', '.join(free) or 'none'}. This is "
            "no error: the published rates of FCN-16s and FCN-8s (1e-12, 1e-14) come near that. If "
            "the scores do not rise, raise `learning_rate`; `accumulate` averages, and makes no "
            "update larger.",
        )
    ]
