"""What is known of the published VGGs, by which a file's own conventions can be told from its
numbers.

No file says which input channel comes first, or whether a kernel's rows do; in a network whose
values are known, they do.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

# conv1_1's first biases, as published.
_BIASES = {
    "vgg16": (0.73429835, 0.09340367, 0.06775674, 0.8862966),
    "vgg19": (0.7301776, 0.06493629, 0.03428847),
}
# Standard deviations of VGG-16's conv1_1: on blue, green and red; in its three rows; in its three
# columns.
_STD_BGR = (0.1829, 0.2274, 0.2067)
_STD_ROWS = (0.2117, 0.2125, 0.1954)
_STD_COLUMNS = (0.1990, 0.2151, 0.2057)
_TOLERANCE = 1e-4
_BIAS_TOLERANCE = 6e-4
"""Some copies round them to 2^-11; the two networks lie 4e-3 apart."""

VGG16_SHA256 = {
    "conv1_1": ("564034bfdba3ca76", "1ef208fe2fce06d3"),
    "conv1_2": ("88349446ede86402", "4b72fa1a0ca6aaf2"),
    "conv2_1": ("4eedcea5414f4914", "9319bfabce800a0e"),
    "conv2_2": ("d04e9376fa0603eb", "753369cbe1f3df5c"),
    "conv3_1": ("61854131434cc09f", "bfb7228878910873"),
    "conv3_2": ("0a3ba315ec7a81d9", "2dfcb4bb7f8a1bfe"),
    "conv3_3": ("ace776cfb805a575", "bd23367d71708929"),
    "conv4_1": ("1909f6c1a80a6b08", "c33c2dcc6290bb0f"),
    "conv4_2": ("1250abdd410cb89b", "c36252293630a716"),
    "conv4_3": ("dc4ec7c7bd32f3bc", "59a2abf76b13ac13"),
    "conv5_1": ("8396e0b82aee6020", "312ab22d6dece721"),
    "conv5_2": ("691a5087bbf6fab4", "16bb5bca01eefdf7"),
    "conv5_3": ("5be0ee0f7ddc0de1", "384c7a4f72e853a0"),
}
"""Of the published VGG-16, by layer: the first 16 digits of the SHA-256 of its kernel (float32, H x
W x I x O, for BGR) and of its bias."""


@dataclass(frozen=True)
class Known:
    """What conv1_1 gives away.

    Attributes:
        network: "vgg16" or "vgg19", as published by its authors.
        channels: the input channels' order, "bgr" or "rgb"; None: the values do not say (of VGG-19
            only biases are known).
        columns_first: whether the kernel is stored W x H instead of H x W; None likewise.
    """

    network: str
    channels: str | None = None
    columns_first: bool | None = None


def recognise(kernel: np.ndarray, bias: np.ndarray) -> Known | None:
    """Tell whether conv1_1 is that of a published network.

    Args:
        kernel: H x W x I x O, or what is taken for it.
        bias: O.

    Returns None if it is not: another training, another width.
    """
    network = next(
        (
            name
            for name, known in _BIASES.items()
            if _alike(bias[: len(known)], known, _BIAS_TOLERANCE)
        ),
        None,
    )
    if network != "vgg16":
        return Known(network) if network else None
    std = {
        axis: kernel.std(axis=tuple({0, 1, 2, 3} - {axis}), dtype=np.float64) for axis in (0, 1, 2)
    }
    channels = {
        order: _alike(std[2], known)
        for order, known in (("bgr", _STD_BGR), ("rgb", _STD_BGR[::-1]))
    }
    rows = {
        swapped: _alike(std[swapped], _STD_ROWS) and _alike(std[1 - swapped], _STD_COLUMNS)
        for swapped in (0, 1)
    }
    return Known(
        network,
        next((order for order, fits in channels.items() if fits), None),
        next((bool(swapped) for swapped, fits in rows.items() if fits), None),
    )


def differing(checksums: Mapping[tuple[str, str], str | None]) -> list[str]:
    """The convolutions that are not those of the published VGG-16.

    Args:
        checksums: the first 16 digits of an array's SHA-256 by (layer, "kernel" or "bias").
    """
    return [
        layer
        for layer, known in VGG16_SHA256.items()
        if known != tuple(checksums.get((layer, array)) for array in ("kernel", "bias"))
    ]


def _alike(found: np.ndarray, known: tuple[float, ...], tolerance: float = _TOLERANCE) -> bool:
    return len(found) == len(known) and np.allclose(found, known, rtol=0, atol=tolerance)
