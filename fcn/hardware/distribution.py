"""Several devices, of one machine or of several, that share every batch.

The environment decides which: TensorFlow takes all GPUs that it sees (`MirroredStrategy`), Keras on
JAX all devices of all processes that were started together (`DataParallel`). `batch` is what they
compute together, so the result does not depend on their number but for the rounding of sums.
"""

import contextlib
import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import keras
import numpy as np
import tensorflow as tf

from fcn.errors import UserError

T = TypeVar("T")


@dataclass(frozen=True)
class Share:
    """What of a batch is computed where; see `share`.

    Attributes:
        devices: how many share a batch, in all processes together.
        process: the number of this one; 0 is the one that writes files.
        processes: how many there are.
        strategy: TensorFlow's, where it has several devices; else None.
    """

    devices: int = 1
    process: int = 0
    processes: int = 1
    strategy: Any = None

    @property
    def first(self) -> bool:
        """Whether this process writes the files."""
        return self.process == 0

    @property
    def here(self) -> int:
        """How many of the devices this process has."""
        return self.devices // self.processes

    def scope(self) -> Any:
        """The `with` in which model, optimizer and metrics are made."""
        return self.strategy.scope() if self.strategy else contextlib.nullcontext()

    def total(self, value: Any) -> Any:
        """Inside a step: the sum of a number over the devices, of which TensorFlow shows each its
        own part of the batch.

        JAX shows the whole batch to everybody, so there the number is the sum already.

        Args:
            value: this device's number, a scalar tensor.
        """
        # of which Keras' dry run is
        if self.strategy is None or tf.distribute.in_cross_replica_context():
            return value
        return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, value)

    def spread(self, batches: Any) -> Any:
        """Batches (image (N, ...), label (N, ...)), N a multiple of the devices -> what `fit`
        takes.

        TensorFlow's own division of batches is one of equal batches, and ours have sizes of their
        own.

        Args:
            batches: a `tf.data.Dataset` of them.
        """
        if self.strategy is None:
            return batches
        count = self.devices

        def parts(image: tf.Tensor, label: tf.Tensor) -> tf.data.Dataset:
            return tf.data.Dataset.from_tensor_slices(
                (tf.stack(tf.split(image, count)), tf.stack(tf.split(label, count)))
            )

        return self.strategy.distribute_datasets_from_function(lambda _: batches.flat_map(parts))

    def apart(self, net: keras.Model) -> Callable[[Sequence[Any]], list[np.ndarray]]:
        """A net of which every device computes an input of its own.

        Args:
            net: from images (N, H, W, 3) to uint8 (N, H, W); made within `scope`.

        Returns:
            A function from at most `here` inputs to their outputs.
        """
        labels = _on_jax(net) if keras.backend.backend() == "jax" else self._on_tensorflow(net)

        def run(inputs: Sequence[Any]) -> list[np.ndarray]:
            # Of too few the last is computed again: all devices do the same at the same time.
            filled = [*inputs, *[inputs[-1]] * (self.here - len(inputs))]
            return labels(filled)[: len(inputs)]

        return run

    def _on_tensorflow(self, net: keras.Model) -> Callable[[Sequence[Any]], list[np.ndarray]]:
        kind = tf.TensorSpec((None, None, None, 3), tf.float32)

        # One function with a part for each device, which TensorFlow runs at the same time.
        @tf.function(input_signature=[kind] * self.devices, autograph=False)
        def labels(*inputs: Any) -> Any:
            def own() -> Any:
                replica = tf.distribute.get_replica_context().replica_id_in_sync_group
                return net(inputs[int(tf.get_static_value(replica))], training=False)

            return self.strategy.experimental_local_results(self.strategy.run(own))

        def run(inputs: Sequence[Any]) -> list[np.ndarray]:
            return [
                np.asarray(found) for found in labels(*(tf.cast(x, tf.float32) for x in inputs))
            ]

        return run

    def own(self, items: Iterable[T]) -> Iterator[T]:
        """Those of some items that this process works on.

        Args:
            items: every process has the same ones, in the same order.
        """
        return itertools.islice(items, self.process, None, self.processes)

    def sum(self, counts: np.ndarray) -> np.ndarray:
        """What all processes have counted together. Waits for all of them.

        Args:
            counts: int64, this process's own.
        """
        if self.processes == 1:
            return counts
        from jax.experimental import multihost_utils

        # As bytes: JAX's own whole numbers end at 2^31.
        gathered = multihost_utils.process_allgather(np.frombuffer(counts.tobytes(), np.uint8))
        found = np.frombuffer(np.asarray(gathered).tobytes(), np.int64)
        total: np.ndarray = found.reshape(self.processes, *counts.shape).sum(0)
        return total

    def from_first(self, value: Callable[[], Any]) -> np.ndarray:
        """An array or number that only the first process asks for; all get it. Waits for all of
        them.

        Bools become 0 or 1. Other processes learn dtype and shape from the first.

        Args:
            value: called in the first process alone.
        """
        if self.processes == 1:
            return np.asarray(value())
        from jax.experimental import multihost_utils

        array = np.asarray(value()) if self.first else np.zeros(0, np.uint8)
        # dtype and shape, in numbers: JAX sends arrays of known shape only
        kind = np.zeros(16, np.int32)
        if self.first:
            kind[: 2 + array.ndim] = array.dtype.num, array.ndim, *array.shape
        kind = np.asarray(multihost_utils.broadcast_one_to_all(kind))
        shape, dtype = tuple(kind[2 : 2 + kind[1]].tolist()), _BY_NUMBER[int(kind[0])]
        size = int(np.prod(shape)) * dtype.itemsize
        raw = np.frombuffer(array.tobytes(), np.uint8) if self.first else np.zeros(size, np.uint8)
        sent = np.asarray(multihost_utils.broadcast_one_to_all(raw)) if size else raw
        return np.frombuffer(sent.astype(np.uint8).tobytes(), dtype).reshape(shape)


def _on_jax(net: keras.Model) -> Callable[[Sequence[Any]], list[np.ndarray]]:
    """Each device of this process computes with its own copy of the weights."""
    import jax

    step = jax.jit(lambda *given: net.stateless_call(*given, training=False)[0])
    kinds = net.trainable_variables, net.non_trainable_variables

    def run(inputs: Sequence[Any]) -> list[np.ndarray]:
        found = []
        for device, x in zip(jax.local_devices(), inputs, strict=True):
            weights = [[_copy_on(device, variable.value) for variable in kind] for kind in kinds]
            found.append(step(*weights, jax.device_put(np.asarray(x), device)))
        return [np.asarray(each) for each in found]  # now they are waited for

    return run


def _copy_on(device: Any, array: Any) -> Any:
    import jax

    with contextlib.suppress(ValueError):  # of what a step of several processes has returned
        for shard in array.addressable_shards:
            if shard.device == device:
                return shard.data
    return jax.device_put(np.asarray(array), device)


_BY_NUMBER: dict[int, Any] = {
    np.dtype(code).num: np.dtype(code)
    for code in np.typecodes["AllInteger"] + np.typecodes["Float"] + "?"
}

ONE = Share()
"""One device, one process."""

ADDRESSES, PROCESSES, PROCESS = (
    f"KERAS_DISTRIBUTION_{name}" for name in ("JOB_ADDRESSES", "NUM_PROCESSES", "PROCESS_ID")
)
"""Keras' names of what `join` takes."""


def join(settings: Mapping[str, str]) -> Share:
    """Meets the other processes of this training, where Keras runs on JAX; before anything
    computes.

    Args:
        settings: Keras' own three, as the environment has them: KERAS_DISTRIBUTION_JOB_ADDRESSES,
            the first process's address:port (others behind a comma are ignored);
            KERAS_DISTRIBUTION_NUM_PROCESSES; and KERAS_DISTRIBUTION_PROCESS_ID, from 0 on. Without
            the first one there is one process, and nothing is done.

    Returns:
        Which process this is; what it computes is for `share` to say.

    Raises:
        UserError: Keras does not run on JAX; a setting is missing; or the processes do not find
            each other.
    """
    if not settings.get(ADDRESSES):
        return ONE
    backend = keras.backend.backend()
    if backend != "jax":
        raise UserError(
            f"{ADDRESSES} is set: several processes need KERAS_BACKEND=jax, here it is {backend}; "
            "see docs/how-to/devices.md"
        )
    import jax

    try:
        count, number = int(settings[PROCESSES]), int(settings[PROCESS])
        # Keras' own `initialize` leaves JAX's 100 s, in which the others wait for one that died.
        jax.distributed.initialize(
            settings[ADDRESSES].split(",")[0], count, number, heartbeat_timeout_seconds=20
        )
    except (KeyError, RuntimeError, ValueError) as error:
        raise UserError(
            f"the processes of this training did not connect: {error}. {ADDRESSES} must be the "
            f"same address:port for all, {PROCESSES} their number, {PROCESS} 0, 1, ...; start "
            "all of "
            "them within five minutes. See docs/how-to/devices.md"
        ) from error
    return Share(1, number, count)


def share(batch: int, accumulate: int = 1) -> Share:
    """Spreads batches over all devices that there are. Under JAX it holds for every model made from
    here on.

    Args:
        batch: images per step, of all devices together. A single image is not divided: one device
            computes it.
        accumulate: steps per update.

    Returns:
        Who computes what.

    Raises:
        UserError: `batch` is no multiple of the number of devices, or TensorFlow is to accumulate
            on several.
    """
    on_jax = keras.backend.backend() == "jax"
    names = keras.distribution.list_devices() if on_jax else [device.name for device in _logical()]
    process, processes = _process() if on_jax else (0, 1)
    if batch == 1 and processes == 1:
        names = names[:1]
    if batch % len(names):
        raise UserError(
            f"batch: expected a multiple of the {len(names)} devices that share it "
            f"({', '.join(names)}), got {batch}. Change batch and with it the rate "
            "(docs/explanation/recipes.md), or show fewer devices: CUDA_VISIBLE_DEVICES=0,1"
        )
    if on_jax:
        shared = (
            keras.distribution.DataParallel(devices=names, auto_shard_dataset=False)
            if len(names) > 1
            else None
        )
        keras.distribution.set_distribution(shared)
        return Share(len(names), process, processes)
    if len(names) == 1:
        return ONE
    if accumulate > 1:
        raise UserError(
            f"accumulate: on {len(names)} devices TensorFlow cannot average the gradients of "
            f"{accumulate} steps. Write accumulate: 1 and a batch {accumulate} times as large, or "
            "set KERAS_BACKEND=jax, or CUDA_VISIBLE_DEVICES=0"
        )
    return Share(len(names), strategy=_mirrored(tuple(names)))


def everywhere() -> Share:
    """All devices of a lone process, for images that come one by one; see `Share.apart`."""
    on_jax = keras.backend.backend() == "jax"
    return share(len(keras.distribution.list_devices() if on_jax else _logical()))


@functools.cache
def _mirrored(names: tuple[str, ...]) -> Any:
    """One for a process: a second one would number its exchanges from the start again, and mistake
    them for the first's.
    """
    return tf.distribute.MirroredStrategy(names)


def _logical() -> list[Any]:
    return list(tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU"))


def _process() -> tuple[int, int]:
    import jax

    return jax.process_index(), jax.process_count()
