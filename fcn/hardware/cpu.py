"""What TensorFlow does slowly on a CPU, done otherwise with the same results: its own matter, so
`tf.` stands here.
"""

import contextlib
import os
import platform
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import keras
import numpy as np

BLOCK_BYTES = 9 * 128 * 128 * 4
"""Of a convolution's kernel, at a time: what a core's own cache (L2) holds beside parts of the
maps.
"""
_KEPT = ContextVar("kept", default=False)
_PORTABLE = ContextVar("portable", default=False)


def give_back_memory() -> None:
    """Lets TensorFlow return large arrays to the system as soon as they are not needed.

    With oneDNN it keeps all that it ever had, in a pool that comes to be full of holes. Holds for
    the process, if nothing was computed in it before; not after `keep_memory`.
    """
    if not _KEPT.get():
        os.putenv("TF_ONEDNN_USE_SYSTEM_ALLOCATOR", "1")  # TensorFlow asks for it in C++


def keep_memory() -> None:
    """Lets TensorFlow keep that pool, for a training: memory that is touched anew in every step
    costs the full-width FCN-8s 40 % more time, and the pool 0.7 GB.
    """
    _KEPT.set(True)


def tensor(array: np.ndarray) -> Any:
    """An array as a tensor, with one copy of it at a time.

    TensorFlow's own way there holds three for a moment: 1.2 GB of fc6's kernel. Shared memory has
    to begin where its operations expect it, at a multiple of 64 bytes.
    """
    if keras.backend.backend() != "tensorflow":
        return keras.ops.convert_to_tensor(array)
    import tensorflow as tf

    memory = np.empty(array.nbytes + 64, np.uint8)
    begin = -memory.ctypes.data % 64
    aligned = memory[begin : begin + array.nbytes].view(array.dtype).reshape(array.shape)
    aligned[...] = array
    return tf.experimental.dlpack.from_dlpack(aligned.__dlpack__())


def compiled(update: Callable[..., None], variable: Any) -> Callable[..., None]:
    """The update of a large variable, compiled by XLA in TensorFlow's graphs on a CPU; anywhere
    else as it is.

    An update does next to nothing but read and write: for fc6's 103 million weights TensorFlow's
    seven operations go over memory 16 times, XLA's two loops 7 times, in 40 % of the time. JAX
    compiles the whole step anyway; a GPU was not tried.

    Args:
        update: what takes a gradient, `variable` and a rate, and assigns to the variable and its
            slots.
        variable: as Keras hands it to `Optimizer.update_step`.

    Returns:
        A function that does the same.
    """
    if keras.backend.backend() != "tensorflow":
        return update
    import tensorflow as tf  # here, so that JAX's users never wait for it

    if tf.executing_eagerly() or "CPU" not in variable.device:
        return update
    return lambda *args: tf.function(lambda: update(*args), jit_compile=True, autograph=False)()  # type: ignore[no-any-return]


def filters_at_once(inputs: Any, kernel: keras.Variable) -> int:
    """How many filters of a convolution to compute at a time.

    With oneDNN, which TensorFlow takes on newer x86 processors, a float32 convolution is 0.6 to 0.8
    times as fast where its kernel is larger than the cache, as with 512 channels. In bfloat16 it is
    not, and with other libraries blocks would cost.

    Args:
        inputs: what is convolved, (N, h, w, in).
        kernel: (side, side, in, out).

    Returns:
        All of them, `out`; in float32 on such a CPU at most as many as have a kernel of
        `BLOCK_BYTES` together, at least 1.
    """
    side, _, depth, filters = map(int, kernel.shape)
    if (
        _PORTABLE.get()
        or not _has_onednn()
        or inputs.dtype != "float32"
        or "CPU" not in kernel.value.device
    ):
        return filters
    return min(filters, max(1, BLOCK_BYTES // (4 * side * side * depth)))


def _has_onednn() -> bool:
    if keras.backend.backend() != "tensorflow" or platform.machine() not in ("x86_64", "AMD64"):
        return False
    from tensorflow.python.util import _pywrap_util_port  # what nobody says in public

    return bool(_pywrap_util_port.IsMklEnabled())


@contextlib.contextmanager
def portable() -> Iterator[None]:
    """Within it, convolutions are left whole: for graphs that are kept, and may run on a GPU."""
    token = _PORTABLE.set(True)
    try:
        yield
    finally:
        _PORTABLE.reset(token)
