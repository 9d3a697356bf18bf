"""`GTcls.Segmentation` out of a MATLAB 5 file.

Not by scipy.io.loadmat: a damaged file can end the process there (of 600 batches of 20 files with
some bytes changed, 259 did, by signal 11 or 7), and a stage that dies without a word names no file.
Here every size is checked before it is believed.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fcn import reading
from fcn.errors import UserError

_HEADER, _VERSION = 128, b"\x00\x01IM"
_MATRIX, _COMPRESSED = 14, 15
_STRUCT = 2
_TYPES = {
    1: "i1",
    2: "u1",
    3: "i2",
    4: "u2",
    5: "i4",
    6: "u4",
    7: "f4",
    9: "f8",
    12: "i8",
    13: "u8",
}
"""Types of stored numbers; an array may be stored in a smaller one than its own."""
_NUMERIC = range(6, 16)
"""Classes of arrays of numbers: double, single, and integers of 8 to 64 bits."""
_LIMIT = 2**28
"""Bytes that a compressed element may grow to: a thousand times one of SBD's."""


class _Damaged(Exception):
    pass


def segmentation(path: Path) -> np.ndarray:
    """Reads the class values of an SBD label.

    Args:
        path: a file of `cls`: MATLAB 5, little-endian, with a struct `GTcls` that has a field
            `Segmentation`.

    Returns:
        uint8 (H, W).

    Raises:
        UserError: no such file; not of this kind; truncated or damaged; no whole numbers of 0..255.
    """
    if not os.path.lexists(path):
        raise UserError(f"{path}: the label is missing")
    data = reading.content(path, "unpack the archive again", reading.LARGE)
    if len(data) < _HEADER or data[124:128] != _VERSION:
        raise UserError(
            f"{path}: expected a label of SBD, a MATLAB 5 file, but it does not begin "
            f"like one ({len(data)} bytes)"
        )
    try:
        return _values(_find(_matrices(data[_HEADER:])))
    except (_Damaged, ValueError, zlib.error, struct.error) as error:
        raise UserError(
            f"{path}: expected a label of SBD (GTcls.Segmentation in a MATLAB 5 file), but it is "
            f"truncated, damaged or another kind of file ({len(data)} bytes): {error}. Unpack the "
            "archive again."
        ) from error


def _elements(data: bytes, packed: bool = True) -> Iterator[tuple[int, bytes]]:
    """Type and content of each element; a small one has both in its first 8 bytes, others are
    padded to 8.
    """
    at = 0
    while at < len(data):
        kind, size = struct.unpack_from("<II", data, at)
        start = at + 8
        if packed and kind >> 16:
            kind, size, start = kind & 0xFFFF, kind >> 16, at + 4
            at += 8
            if size > 4:
                raise _Damaged(f"an element of {size} bytes where 4 have room")
        else:
            at = start + size + (-size % 8 if kind != _COMPRESSED else 0)
        if start + size > len(data):
            raise _Damaged(f"an element of {size} bytes where {len(data) - start} are left")
        yield kind, data[start : start + size]


def _matrices(data: bytes) -> Iterator[bytes]:
    """The arrays of a file, each by itself or compressed."""
    for kind, content in _elements(data, packed=False):
        if kind == _COMPRESSED:
            unpacker = zlib.decompressobj()
            inside = unpacker.decompress(content, _LIMIT)
            if not unpacker.eof:
                raise _Damaged("a compressed element does not end")
            (kind, content), *_ = _elements(inside, packed=False)
        if kind != _MATRIX:
            raise _Damaged(f"an element of type {kind} where an array was expected")
        yield content


def _find(matrices: Iterator[bytes]) -> bytes:
    """The array `Segmentation` of the struct `GTcls`."""
    names = []
    for matrix in matrices:
        # ValueError, if there are fewer
        flags, _, name, *rest = (content for _, content in _elements(matrix))
        names.append(name.decode("latin-1"))
        if names[-1] == "GTcls" and flags[:1] == bytes([_STRUCT]) and len(rest) > 1:
            length = int.from_bytes(rest[0], "little")
            text = rest[1].decode("latin-1")
            fields = [
                text[at : at + length].partition("\0")[0]
                for at in range(0, len(text), max(length, 1))
            ]
            if "Segmentation" not in fields or len(rest) != 2 + len(fields):
                raise _Damaged(
                    f"GTcls has {len(rest) - 2} arrays for the fields {fields}, "
                    "Segmentation expected among them"
                )
            return rest[2 + fields.index("Segmentation")]
    raise _Damaged(f"no struct GTcls, only {names}")


def _values(matrix: bytes) -> np.ndarray:
    """An array of numbers as uint8 (H, W); MATLAB stores columns one after the other."""
    parts = list(_elements(matrix))
    if len(parts) < 4 or len(parts[0][1]) != 8 or len(parts[1][1]) % 4:
        raise _Damaged("Segmentation is no array of numbers")
    (_, flags), (_, sizes), _, (kind, content) = parts[:4]
    shape = tuple(np.frombuffer(sizes, "<i4").tolist())
    if flags[0] not in _NUMERIC or kind not in _TYPES or len(shape) != 2 or min(shape) < 1:
        raise _Damaged(
            f"Segmentation is no matrix of numbers, but of class {flags[0]}, type "
            f"{kind} and size {shape}"
        )
    dtype = np.dtype("<" + _TYPES[kind])
    if len(content) != shape[0] * shape[1] * dtype.itemsize:
        raise _Damaged(
            f"Segmentation has {len(content)} bytes for {shape[0]}x{shape[1]} numbers "
            f"of {dtype.itemsize} bytes"
        )
    values = np.frombuffer(content, dtype).reshape(shape, order="F")
    if dtype != np.uint8 and not np.isin(values, np.arange(256)).all():
        raise _Damaged("Segmentation has numbers that are no whole ones of 0..255")
    return np.ascontiguousarray(values, np.uint8)
