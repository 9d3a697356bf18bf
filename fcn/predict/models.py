"""A net by its name, or by the place of its folder: `fcn.load`."""

import glob
import os
from pathlib import Path
from typing import TYPE_CHECKING

from fcn import pretrained
from fcn.errors import UserError, shown

if TYPE_CHECKING:
    from fcn.predict.predictor import Predictor


def load(
    name_or_path: str | Path = pretrained.DEFAULT,
    tile: int = 1024,
    precision: str = "float32",
) -> "Predictor":
    """Reads a net, and prepares this process for it (see `fcn.hardware.devices.prepare`).

    Args:
        name_or_path: a net in the box, "voc20"; a model folder, with `model.json` and
            `weights.npz`; or one of the authors' nets, "voc-fcn8s", "voc-fcn16s" or "voc-fcn32s",
            fetched to `.cache/models` the first time.
        tile: pixels of a side up to which an image is taken whole.
        precision: in which the backbone computes, "float32" or "bfloat16".

    Raises:
        UserError: no such net, a folder that is no model, or tiles that are too small.

    Example:
        >>> import fcn, numpy as np
        >>> model = fcn.load("voc20")
        >>> found = model.predict(np.zeros((40, 60, 3), np.uint8), probabilities=True)
        >>> found.labels.shape, found.probabilities.shape
        ((40, 60), (40, 60, 21))
        >>> found.classes[15]
        'person'
    """
    folder = find(str(name_or_path)) or Path(name_or_path)
    if not folder.is_dir():
        raise UserError(
            f"expected {', '.join(names())}, or a folder with model.json and weights.npz; "
            f"got {shown(name_or_path)}"
        )
    from fcn.predict import predictor  # only now: Keras takes seconds

    return predictor.load(folder, tile, precision)


def find(given: str) -> Path | None:
    """The folder of a model.

    Args:
        given: a net in the box, "voc20"; a folder with `model.json` and `weights.npz`, or one of
            MLflow's around it; or one of the authors' nets, "voc-fcn8s", "voc-fcn16s" or
            "voc-fcn32s": it is fetched to `.cache/models` the first time.

    Returns:
        The folder; None if it is none of these.

    Raises:
        UserError: one of the authors' nets, which cannot be had.
    """
    artifacts = sorted(glob.glob(f"{glob.escape(given)}/artifacts/*"))
    for folder in (pretrained.folders().get(given, Path(given)), *map(Path, artifacts)):
        if os.path.isfile(folder / "model.json"):  # also of a name that no disk takes
            return folder

    from fcn.published import nets as published_nets  # only now: what lies here needs no HTTP

    return published_nets.model_folder(given) if given in published_nets.names() else None


def names() -> list[str]:
    """The nets in the box and those of the authors."""
    from fcn.published import nets as published_nets

    return [*pretrained.folders(), *published_nets.names()]
