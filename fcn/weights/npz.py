"""The project's own weight file: `<layer>/kernel` (H, W, in, out) and `<layer>/bias`."""

import os
from pathlib import Path

import numpy as np

from fcn.errors import UserError
from fcn.io import files


def read(path: str | os.PathLike[str]) -> dict[str, tuple[np.ndarray, ...]]:
    """Read what `files.save_arrays` wrote of a classifier: layer name -> (kernel H x W x I x O,
    bias O).

    Raises UserError if it is no such file, or truncated.
    """
    arrays = files.load_arrays(path)
    layers: dict[str, dict[str, np.ndarray]] = {}
    for name, array in arrays.items():
        layer, _, kind = name.rpartition("/")
        if kind not in ("kernel", "bias") or not layer or not isinstance(array, np.ndarray):
            raise UserError(
                f"{Path(path)}: wanted the project's own weights, <layer>/kernel and <layer>/bias, "
                f"but this archive holds {', '.join(list(arrays)[:10])}"
            )
        layers.setdefault(layer, {})[kind] = array
    return {
        layer: tuple(pair[kind] for kind in ("kernel", "bias") if kind in pair)
        for layer, pair in layers.items()
    }
