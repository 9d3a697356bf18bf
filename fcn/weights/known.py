"""What is known of the published VGGs' first layer, by which a file's own conventions can be told from its numbers.

No file says which input channel comes first, or whether a kernel's rows do; in a network whose values are known, they do.
"""

from dataclasses import dataclass

import numpy as np

# conv1_1's first biases. VGG-16: to 4 decimals; VGG-19: as published.
_BIASES = {"vgg16": (0.7339, 0.0933, 0.0674, 0.8862), "vgg19": (0.7301776, 0.06493629, 0.03428847)}
# Standard deviations of VGG-16's conv1_1: on blue, green and red; in its three rows; in its three columns.
_STD_BGR = (0.1829, 0.2274, 0.2067)
_STD_ROWS = (0.2117, 0.2125, 0.1954)
_STD_COLUMNS = (0.1990, 0.2151, 0.2057)
_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Known:
    """What conv1_1 gives away.

    Attributes:
        network: "vgg16" or "vgg19", as published by its authors.
        channels: the input channels' order, "bgr" or "rgb"; None: the values do not say (of VGG-19 only biases are known).
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
    network = next((name for name, known in _BIASES.items() if _alike(bias[: len(known)], known)), None)
    if network != "vgg16":
        return Known(network) if network else None
    std = {axis: kernel.std(axis=tuple({0, 1, 2, 3} - {axis}), dtype=np.float64) for axis in (0, 1, 2)}
    channels = {order: _alike(std[2], known) for order, known in (("bgr", _STD_BGR), ("rgb", _STD_BGR[::-1]))}
    rows = {swapped: _alike(std[swapped], _STD_ROWS) and _alike(std[1 - swapped], _STD_COLUMNS) for swapped in (0, 1)}
    return Known(
        network,
        next((order for order, fits in channels.items() if fits), None),
        next((bool(swapped) for swapped, fits in rows.items() if fits), None),
    )


def _alike(found: np.ndarray, known: tuple[float, ...]) -> bool:
    return len(found) == len(known) and np.allclose(found, known, rtol=0, atol=_TOLERANCE)
