"""caffe-tensorflow's `.npy` (also known as vgg16.npy), read without unpickling it as it would like
to be.

Such a file is a pickled dict inside a 0-d object array, and a pickle can name any function of this
machine to be called. Here it may name only what an array is pickled with, and even that is not
called: the calls are noted down and the arrays made from the notes.
"""

import math
import os
import pickle
import re
import tokenize
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from fcn.errors import UserError


class _Call:
    """A call that the pickle asks for: its arguments, and what it would set as the state of the
    result.
    """

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Array(_Call):
    """`_reconstruct`: state (version, shape, dtype, in Fortran's order, bytes
    or list of objects).
    """


class _Dtype(_Call):
    """`dtype`: arguments (code, ...), state (version, byte order, ...)."""


class _Bytes(_Call):
    """`_codecs.encode`, by which Python 3 pickles bytes for Python 2:
    arguments (text, "latin1").
    """


# All that a pickle of arrays may name; "_core" since numpy 2, "scalar" for single numbers.
_ALLOWED: dict[tuple[str, str], type[_Call]] = {
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _Array for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _Call for core in ("core", "_core")},
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): _Call,
    ("_codecs", "encode"): _Bytes,
}
_NUMBERS = re.compile(r"[fiu][1248]|b1")
_PAIRS = ({"weights", "biases"}, {"kernel", "bias"})
_BROKEN = (
    pickle.UnpicklingError, EOFError, TypeError, ValueError, AttributeError, LookupError,
    OverflowError, MemoryError,
    RecursionError, SyntaxError, tokenize.TokenError,
)  # fmt: skip
"""What the unpickler, or numpy on the header, raises on bytes that are none, depending on where it
stumbles.
"""


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: Any, path: Path) -> None:
        super().__init__(file, encoding="latin1")  # numpy's own rule for what Python 2 wrote
        self.path = path

    def find_class(self, module: str, name: str) -> Any:
        """Gives the note-taker for one of the few names allowed."""
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise UserError(
                f"{self.path}: wanted arrays, dicts, lists, texts and numbers, but this pickle "
                f"asks to call {module}.{name}, which weights do not need and which is not done: "
                "do not trust this file"
            ) from None


def read(path: str | os.PathLike[str]) -> dict[str, tuple[np.ndarray, ...]]:
    """Read a `.npy` with a dict of layers: layer name -> (kernel, bias), in the file's order.

    Both layouts are read: name -> [kernel, bias], and name -> {"weights": kernel, "biases": bias};
    of Python 2 and 3. Arrays are as they are stored (kernels H x W x I x O, matrices I x O); most
    are not writeable.

    Raises UserError if it is no such file, is truncated, or asks for anything but arrays, dicts,
    lists, texts and numbers.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            _check_header(file, path)
            content = _value(_Unpickler(file, path).load(), str(path))
        if isinstance(content, list) and len(content) == 1:
            content = content[0]  # out of the 0-d array
        if not isinstance(content, Mapping):
            raise UserError(
                f"{path}: wanted a dict of layers, but the file holds "
                f"{type(content).__name__.strip('_')}"
            )
        return {str(name): _pair(pair, f"{path}: {name}") for name, pair in content.items()}
    except UserError:
        raise
    except _BROKEN as error:
        size = path.stat().st_size
        raise UserError(
            f"{path}: wanted a pickled dict of layers, but it is truncated or damaged ({size} "
            f"bytes; {error})"
        ) from error


def _check_header(file: Any, path: Path) -> None:
    """Leaves `file` where the pickle begins."""
    version = np.lib.format.read_magic(file)
    read_header = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    shape, _, dtype = read_header(file)
    if not dtype.hasobject:
        raise UserError(
            f"{path}: wanted a dict of layers, but the file holds one array of "
            f"{dtype}, shape {shape}"
        )


def _pair(value: Any, where: str) -> tuple[np.ndarray, ...]:
    """A layer's kernel and bias out of either layout."""
    value = _value(value, where)
    if isinstance(value, Mapping):
        keys = next((keys for keys in _PAIRS if set(value) == keys), None)
        if not keys:
            raise UserError(
                f"{where}: wanted weights and biases, but it holds {', '.join(map(str, value))}"
            )
        value = [value[key] for key in sorted(keys, reverse=True)]
    if not isinstance(value, list | tuple):
        raise UserError(
            f"{where}: wanted a kernel and a bias, but it holds {type(value).__name__.strip('_')}"
        )
    arrays = tuple(_value(item, where) for item in value)
    for array in arrays:
        if not isinstance(array, np.ndarray):
            raise UserError(
                f"{where}: wanted two arrays, but one is {type(array).__name__.strip('_')}"
            )
    return arrays


def _value(noted: Any, where: str) -> Any:
    """The array (objects: a list) that the notes describe; anything else as it is."""
    if not isinstance(noted, _Array):
        return noted
    if not noted.state:
        _refuse(where, "an array without content")
    *_, shape, dtype, fortran, data = noted.state
    if not isinstance(dtype, _Dtype):
        _refuse(where, "an array without a type")
    code, order = dtype.arguments[0], dtype.state[1] if dtype.state else "<"
    if code in ("O", "O8") and isinstance(data, list):
        return data
    if not (isinstance(code, str) and _NUMBERS.fullmatch(code)):
        _refuse(where, f"an array of type {code!r}, which are no numbers")
    raw = data.arguments[0] if isinstance(data, _Bytes) else data
    raw = raw.encode("latin1") if isinstance(raw, str) else raw
    kind = np.dtype(code).newbyteorder(">" if order == ">" else "<")
    if math.prod(shape) * kind.itemsize != len(raw):
        _refuse(where, f"an array of shape {shape} of {code}, but {len(raw)} bytes")
    return np.frombuffer(raw, kind).reshape(shape, order="F" if fortran else "C")


def _refuse(where: str, what: str) -> NoReturn:
    raise UserError(f"{where}: holds {what}: the file is damaged or no weight file")
