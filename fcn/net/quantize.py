"""Weights in 8 bits: a quarter of the bytes, for a net that is to be passed on.

A kernel becomes whole numbers of -127..127 and one scale for each of its outputs, `<layer>/scale`;
biases stay as they are.
"""

from collections.abc import Mapping

import numpy as np

from fcn.errors import UserError

LEVELS = 127


def pack(weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Quantizes every kernel; `unpack` gives numbers that differ by at most half a scale.

    Args:
        weights: "layer/kernel" float32 (H, W, in, out) and "layer/bias" float32 (out,).

    Returns:
        "layer/kernel" int8 of the same shape, "layer/scale" float32 (out,), "layer/bias" as it was.

    Example:
        >>> packed = pack({"fc7/kernel": np.array([[[[1.0, -254.0], [0.5, 2.0]]]], np.float32)})
        >>> packed["fc7/kernel"].tolist(), packed["fc7/scale"].tolist()
        ([[[[127, -127], [64, 1]]]], [0.007874015718698502, 2.0])
    """
    packed = {}
    for name, array in weights.items():
        layer, _, part = name.rpartition("/")
        if part != "kernel":
            packed[name] = array
            continue
        scale = np.abs(array).max(axis=(0, 1, 2)) / np.float32(LEVELS)
        scale[scale == 0] = 1
        packed[name] = np.rint(array / scale).astype(np.int8)
        packed[f"{layer}/scale"] = scale
    return packed


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
