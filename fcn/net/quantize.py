"""Weights in 8 bits: a quarter of the bytes, for a net that is to be passed on.

A kernel becomes whole numbers of -127..127 and one scale for each of its outputs, `<layer>/scale`;
biases stay as they are.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fcn.errors import UserError

LEVELS = 127


def pack(weights: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Quantizes every kernel; `unpack` gives numbers that differ by at most half a scale.

    Args:
        weights: "layer/kernel" float32 (H, W, in, out) and "layer/bias" float32 (out,); arrays, or
            variables, of which one at a time becomes an array.

    Returns:
        "layer/kernel" int8 of the same shape, "layer/scale" float32 (out,), "layer/bias" as it was.

    Example:
        >>> packed = pack({"fc7/kernel": np.array([[[[1.0, -254.0], [0.5, 2.0]]]], np.float32)})
        >>> packed["fc7/kernel"].tolist(), packed["fc7/scale"].tolist()
        ([[[[127, -127], [64, 1]]]], [0.007874015718698502, 2.0])
    """
    packed = {}
    for name, weight in weights.items():
        layer, _, part = name.rpartition("/")
        array = np.asarray(weight)
        if part != "kernel":
            packed[name] = array
            continue
        packed[name], packed[f"{layer}/scale"] = _rounded(array)
    return packed


def _rounded(kernel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whole numbers, and the scale of each output."""
    largest = np.maximum(kernel.max(axis=(0, 1, 2)), -kernel.min(axis=(0, 1, 2)))
    scale = largest / np.float32(LEVELS)
    scale[scale == 0] = 1
    levels = kernel / scale
    return np.rint(levels, out=levels).astype(np.int8), scale


def unpack(weights: Mapping[str, np.ndarray], source: str) -> dict[str, np.ndarray]:
    """The weights as float32; those that are not in 8 bits stay as they are.

    Args:
        weights: as stored, by `pack` or not.
        source: what to call the file in errors.

    Raises:
        UserError: a kernel in 8 bits without a scale for each of its outputs, or a scale without
            such a kernel.
    """
    plain = dict(weights)
    for name in [name for name, array in weights.items() if array.dtype == np.int8]:
        layer = name.rpartition("/")[0]
        scale = plain.pop(f"{layer}/scale", None)
        if scale is None or scale.dtype != np.float32 or scale.shape != plain[name].shape[-1:]:
            raise UserError(
                f"{source}: {name} has 8 bits, but {layer}/scale is no number for each of its "
                "outputs: it is damaged"
            )
        plain[name] = plain[name] * scale
    return plain
