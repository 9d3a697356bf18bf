"""Keras applications' `vgg16_weights_tf_dim_ordering_tf_kernels.h5`, of old and new Keras, and whole models in HDF5."""

import os
import re
from pathlib import Path

import h5py
import numpy as np

from fcn.errors import UserError

_FULLY_CONNECTED = {"fc1": "fc6", "fc2": "fc7", "predictions": "fc8"}
_MOST = 2**30
"""Bytes of an array; the largest, fc6's kernel, has 411 MB. A file can claim any number for the few that it holds."""
_CONVOLUTION = re.compile(r"block(\d)_conv(\d)")


def read(path: str | os.PathLike[str]) -> dict[str, tuple[np.ndarray, ...]]:
    """Read the layers of a VGG of Keras applications, by the paper's names: block1_conv1 is conv1_1, fc1 is fc6.

    A layer's arrays are found below the group of its name, whatever they are called there: `block1_conv1_W_1:0` (2016),
    `block1_conv1/kernel:0` (Keras 2) or `vars/0` (Keras 3), also below `model_weights`.

    Returns layer name -> (kernel, bias) as stored: kernels H x W x I x O, matrices I x O; conv1_1 takes BGR.

    Raises UserError if it is no such file, truncated, or refers to other files.
    """
    path = Path(path)
    found: dict[str, list[np.ndarray]] = {}

    def visit(name: str, node: h5py.Dataset | h5py.Group) -> None:
        parts = name.split("/")
        layer = next(filter(None, map(_paper_name, parts)), None)
        if isinstance(node, h5py.Dataset) and layer and parts[0] != "optimizer_weights":
            if node.external or node.is_virtual:  # HDF5 would open the other file, whichever it is
                raise UserError(f"{path}: {name}: wanted the weights themselves, but they are said to lie in another file")
            if node.nbytes > _MOST:
                raise UserError(f"{path}: {name}: {node.nbytes} bytes, at most {_MOST} are expected of an array of VGG's")
            found.setdefault(layer, []).append(node[()])

    try:
        with h5py.File(path, "r") as file:
            file.visititems(visit)  # follows no link to another file
            names = list(file)
    except (OSError, RuntimeError, ValueError, TypeError, KeyError, MemoryError) as error:
        raise UserError(f"{path}: wanted Keras' VGG weights, but the file is truncated or damaged: {error}") from error
    if not found:
        raise UserError(
            f"{path}: wanted the layers block1_conv1 ... predictions of Keras applications, but this HDF5 file holds "
            f"{', '.join(names[:10]) or 'nothing'}: it is another network, or not one of Keras"
        )
    # The kernel is the one with more axes.
    return {name: tuple(sorted(arrays, key=np.ndim, reverse=True)) for name, arrays in found.items()}


def _paper_name(part: str) -> str | None:
    match = _CONVOLUTION.fullmatch(part)
    return f"conv{match[1]}_{match[2]}" if match else _FULLY_CONNECTED.get(part)
