"""A training's state in a file: whoever reads it goes on with the same bytes as the training that
wrote it.
"""

import contextlib
import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import keras
import numpy as np
from pydantic import ConfigDict, FailFast, Field

from fcn import reading
from fcn.errors import UserError
from fcn.hardware import Share
from fcn.io import files
from fcn.net import named_weights

Steps = Annotated[int, Field(ge=0, le=2**53)]
History = list[dict[str, float]]
"""A row for every report, with `step` first."""


class Copy:
    """A weight as it was at a step, in the host's memory: what `load` needs of a variable."""

    def __init__(self, variable: Any) -> None:
        """Takes a weight's value."""
        self.assign(variable)
        self.shape, self.dtype = self._value.shape, self._value.dtype

    def assign(self, value: Any) -> None:
        """Takes another one."""
        self._value = np.asarray(value).copy()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """The value."""
        return self._value if dtype is None else self._value.astype(dtype)


class _Loss(reading.Model):
    step: Steps
    loss: float


class _Validation(reading.Model):
    model_config = ConfigDict(allow_inf_nan=True)  # of a class that no image has

    step: Steps
    val_pixel_accuracy: float
    val_mean_accuracy: float
    val_mean_iu: float
    val_frequency_weighted_iu: float


class Progress(reading.Model):
    """How far a training is: see `save`."""

    told: Steps
    history: Annotated[list[_Loss | _Validation], FailFast()]


def variables(
    net: keras.Model, since_report: Sequence[Any], best: Mapping[str, Copy]
) -> dict[str, Any]:
    """Every variable that the next step or report depends on, by a stable name.

    Args:
        net: compiled, its optimizer built.
        since_report: those of the metrics that go on from step to step, in a fixed order.
        best: weights by name that are kept for the end; empty: the last ones will be.
    """
    return {
        **{f"weights/{name}": variable for name, variable in named_weights(net).items()},
        # slots, step counter
        **{f"optimizer/{n}": variable for n, variable in enumerate(net.optimizer.variables)},
        **{f"seeds/{n}": variable for n, variable in enumerate(seeds(net))},
        **{f"loss/{n}": variable for n, variable in enumerate(since_report)},
        **{f"best/{name}": copy for name, copy in best.items()},
    }


def seeds(net: keras.Model) -> list[Any]:
    """The states of the net's random numbers, one for every dropout layer."""
    return [variable for variable in net.non_trainable_variables if "seed" in variable.path]


def save(path: Path, arrays: Mapping[str, Any], told: int, history: History) -> None:
    """Writes a checkpoint; until it is complete, the one before stays.

    Args:
        path: its file.
        arrays: `variables`, or their values.
        told: the steps whose report is done.
        history: the rows so far. Those beyond `told` are left out: a report that was cut short is
            made again.

    Raises:
        OSError: the disk is full, above all. The checkpoint of before is there.
    """
    text = json.dumps(
        {"told": told, "history": [row for row in history if row["step"] <= told]}
    ).encode()
    files.save_arrays(path, {**arrays, "progress": np.frombuffer(text, np.uint8)})


def load(path: Path, into: Mapping[str, Any], share: Share) -> tuple[int, History]:
    """Reads a checkpoint, one array at a time.

    Args:
        path: its file.
        into: `variables` to assign to. Shapes are checked before the first is assigned; an array
            that is damaged may be found after others were.
        share: who computes; of several processes the first one reads, and hands the others what it
            read.

    Returns:
        `told` and `history` of `save`.

    Raises:
        UserError: no checkpoint, a damaged one, or one with other variables.
    """
    remedy = "remove it to start this stage anew"
    with contextlib.ExitStack() as stack:
        arrays: Mapping[str, np.ndarray] = {}
        if share.first:
            arrays = opened = stack.enter_context(files.Arrays(path))
            if {*into, "progress"} != {*opened}:
                raise UserError(f"{path}: a checkpoint of another net or version; {remedy}")
            for name, variable in into.items():
                shape, dtype = opened.headers[name]
                wanted = tuple(variable.shape), np.dtype(variable.dtype).kind
                marks = name.startswith("loss/") and len(shape) == len(wanted[0]) == 1
                if (wanted[0] if marks else shape, dtype.kind) != wanted:
                    raise UserError(
                        f"{path}: {name}: expected {wanted[0]} of {variable.dtype}, got {shape} of "
                        f"{dtype}; {remedy}"
                    )
        progress = reading.parse_json(
            share.from_first(lambda: arrays["progress"]).tobytes(),
            Progress,
            f"{path}: progress",
            remedy,
        )
        for name, variable in into.items():
            value = share.from_first(functools.partial(arrays.__getitem__, name))
            # a mark for every step of `log_every`, which may be another one now
            if name.startswith("loss/") and value.ndim == 1:
                value = np.resize(
                    np.append(value, np.zeros(variable.shape, value.dtype)), variable.shape
                )
            variable.assign(value)
    return progress.told, [row.model_dump() for row in progress.history]
