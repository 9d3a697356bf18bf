"""MatConvNet's `imagenet-vgg-verydeep-{16,19}.mat`.

Kernels are H x W x I x O, rows first, and conv1_1 takes RGB: MatConvNet's import-caffe.py
transposes Caffe's spatial axes and turns BGR into RGB "in a sane MATLAB format", which is its
default (vlfeat/matconvnet, utils/import-caffe.py and layers.py). Comments in public code say the
opposite of either, so `convert` checks both by the values of conv1_1.
"""

import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
from scipy.io.matlab import MatReadError

from fcn.errors import UserError

_BROKEN = (
    MatReadError, OSError, EOFError, ValueError, TypeError, LookupError, AttributeError,
    NotImplementedError, OverflowError,
    MemoryError, zlib.error,
)  # fmt: skip
"""What scipy raises on a damaged file, depending on where it stumbles."""


def read(path: str | os.PathLike[str]) -> tuple[dict[str, tuple[np.ndarray, ...]], str]:
    """Read the layers with weights of a SimpleNN network, and what its first layer expects.

    Returns:
        Layer name -> (kernel H x W x I x O, bias O), in the file's order; both forms of a layer are
        read, `weights` and the older `filters` and `biases`. And "rgb" or "bgr": the order of the
        mean image, whose red is the largest in all of these networks (123.68, 116.779, 103.939);
        "rgb" where there is none.

    Raises UserError if it is no such network, or truncated.
    """
    path = Path(path)
    try:
        names = [name for name, *_ in scipy.io.whosmat(path)]
        if "layers" not in names:
            raise UserError(
                f"{path}: wanted a network of MatConvNet with `layers`, but the file holds "
                f"{', '.join(names) or 'nothing'}"
            )
        content = scipy.io.loadmat(path, variable_names=["layers", "meta", "normalization"])
        layers = (layer[0, 0] for layer in content["layers"].reshape(-1))
        return {
            _text(layer["name"]): _blobs(layer) for layer in layers if _has_weights(layer)
        }, _channels(content)
    except UserError:
        raise
    except _BROKEN as error:
        size = path.stat().st_size
        raise UserError(
            f"{path}: wanted a network of MatConvNet, but the file is truncated, damaged or "
            f"another kind of MATLAB file ({size} bytes; {error})"
        ) from error


def _has_weights(layer: Any) -> bool:
    return "filters" in layer.dtype.names or (
        "weights" in layer.dtype.names and layer["weights"].size > 0
    )


def _blobs(layer: Any) -> tuple[np.ndarray, ...]:
    """A layer's kernel and its bias, a vector; MATLAB has no arrays of one axis."""
    if "weights" in layer.dtype.names:
        kernel, *rest = layer["weights"].reshape(-1)
    else:
        kernel, rest = layer["filters"], [layer["biases"]]
    return (kernel, *(bias.reshape(-1) for bias in rest))


def _text(value: Any) -> str:
    return str(value.reshape(-1)[0]) if value.size else ""


def _channels(content: dict[str, Any]) -> str:
    holder = content["meta"][0, 0] if "meta" in content else content
    names = holder.dtype.names if isinstance(holder, np.void) else holder
    if "normalization" not in (names or ()):
        return "rgb"
    normalization = holder["normalization"][0, 0]
    if "averageImage" not in normalization.dtype.names or normalization["averageImage"].size % 3:
        return "rgb"
    image = normalization["averageImage"]
    mean = image.mean(axis=(0, 1)) if image.ndim == 3 else image.reshape(-1)
    return "bgr" if mean.size == 3 and mean[0] < mean[2] else "rgb"
