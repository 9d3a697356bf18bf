"""What became of every weight, in numbers, and how far two conversions of the same network lie
apart.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from fcn.errors import UserError

_PIECE = 2**20
"""Numbers worked on at once: fc6's deviations in double precision would take 0.8 GB."""

_SAME = 1e-3
"""Two files hold the same weights if no number differs by more than this share of the largest one.
"""

# What was done differently, if that makes two kernels (H, W, in, out) the same. Each has been seen
# in public code.
_MISTAKES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "input channels flipped": lambda kernel: kernel[:, :, ::-1],
    "rows and columns swapped": lambda kernel: kernel.transpose(1, 0, 2, 3),
    "turned by 180 degrees": lambda kernel: kernel[::-1, ::-1],
    "a C x H x W matrix cut up as H x W x C": lambda kernel: _from_chw(kernel),
}


def row(
    layer: str, array: str, before: np.ndarray, after: np.ndarray | None, action: str, source: str
) -> dict[str, Any]:
    """Describe one array of a file.

    Args:
        layer: its name.
        array: "kernel" or "bias".
        before: as it stands in the file.
        after: what it was made into; None if it was dropped.
        action: what was done.
        source: what to call the file in errors.

    Returns:
        layer, array, source_shape, result_shape, action, mean, std and sha256 (first 16 digits, of
        the bytes) of `after`, or of `before` where nothing comes after; then without a checksum.

    Raises UserError if a number is not finite.
    """
    values = np.ascontiguousarray(before if after is None else after)
    mean = sum(float(piece.sum(dtype=np.float64)) for piece in _pieces(values)) / values.size
    std = (
        sum(float(np.square(piece - mean, dtype=np.float64).sum()) for piece in _pieces(values))
        / values.size
    ) ** 0.5
    if not np.isfinite(std):
        raise UserError(
            f"{source}: {layer}: the {array} holds numbers that are not finite: the file is damaged"
        )
    return {
        "layer": layer,
        "array": array,
        "source_shape": list(before.shape),
        "result_shape": None if after is None else list(after.shape),
        "action": action,
        # Six digits: the last ones depend on how a processor adds up.
        "mean": float(f"{mean:.6g}"),
        "std": float(f"{std:.6g}"),
        "sha256": None if after is None else hashlib.sha256(values.data).hexdigest()[:16],
    }


def differences(
    first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray], source: str
) -> list[dict[str, Any]]:
    """Compare two conversions of one network, array by array.

    Args:
        first: weights by "layer/kernel" (H, W, in, out) and "layer/bias".
        second: others of the same names and shapes.
        source: what to call the file of `second` in errors.

    Returns:
        One row per array: layer, array, `largest`, the largest absolute difference; `share`, the
        same as a share of the first's largest number; and for a kernel that is not the same
        `explained_by`: what was done differently, if that is all, or None.

    Raises UserError if names or shapes differ.
    """
    shapes, others = (
        {name: array.shape for name, array in weights.items()} for weights in (first, second)
    )
    different = [name for name in {**shapes, **others} if shapes.get(name) != others.get(name)]
    if different:
        came = ", ".join(
            f"{name} is {others.get(name)} and not {shapes.get(name)}" for name in different[:5]
        )
        raise UserError(
            f"{source}: wanted the same network as in the first file, to compare the "
            f"two, but {came}"
        )
    return [_difference(name, first[name], second[name]) for name in first]


def _difference(name: str, first: np.ndarray, second: np.ndarray) -> dict[str, Any]:
    largest, size = (
        _largest(first, second),
        max(float(np.abs(piece).max()) for piece in _pieces(first)),
    )
    layer, _, array = name.rpartition("/")
    share = largest / (size or 1)
    result = {
        "layer": layer,
        "array": array,
        "largest": float(f"{largest:.6g}"),
        "share": float(f"{share:.6g}"),
    }
    if first.ndim == 4 and largest > _SAME * size:
        undone = (
            why for why, undo in _MISTAKES.items() if _largest(first, undo(second)) <= _SAME * size
        )
        result["explained_by"] = next(undone, None)
    return result


def _from_chw(kernel: np.ndarray) -> np.ndarray:
    height, width, inputs, outputs = kernel.shape
    return kernel.reshape(inputs, height, width, outputs).transpose(1, 2, 0, 3)


def _largest(first: np.ndarray, second: np.ndarray) -> float:
    both = zip(_pieces(first), _pieces(second), strict=True)
    return max(float(np.abs(a.astype(np.float64) - b).max()) for a, b in both)


def _pieces(array: np.ndarray) -> Iterator[np.ndarray]:
    """An array's numbers, in pieces of the same sizes for the same shape."""
    flat = array.reshape(-1)
    return iter(np.array_split(flat, -(-flat.size // _PIECE)))
