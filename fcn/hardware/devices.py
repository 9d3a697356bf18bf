"""Which device computes, and how far its results repeat. TensorFlow's own matter, so `tf.` stands
here.
"""

import keras
import tensorflow as tf

from fcn.hardware import cpu

OutOfMemory = tf.errors.ResourceExhaustedError
"""What TensorFlow raises where a device's memory does not do."""


def gpus() -> list[tf.config.PhysicalDevice]:
    """Those that TensorFlow sees; at the first call it looks for them, and prints what it finds."""
    return list(tf.config.list_physical_devices("GPU"))


def prepare(
    seed: int, precision: str = "float32", training: bool = True, deterministic: bool = True
) -> str:
    """Sets up this process before a model is built: seeds, deterministic operations, precision, GPU
    memory on demand.

    Where Keras runs on JAX, TensorFlow still reads the records: on the CPU, for a GPU's memory is
    left to JAX. JAX takes no word from here on deterministic operations: its flag stands in the
    environment, see `tasks.train`.

    Args:
        seed: of all random numbers of the process.
        precision: in which the layers of the backbone compute, "float32" or "bfloat16".
        training: weights are float32 in any case, for the small steps of a training, and memory
            is kept from step to step. Without it those of the backbone are held in `precision`: the
            same numbers come out, but they need not be converted again for every image.
        deterministic: whether TensorFlow leaves out operations that add up in another order each
            time. Once on, it stays on.

    Returns:
        What will compute, in words, e.g. "GPU: NVIDIA L4" or "CPU".
    """
    if training:
        cpu.keep_memory()
    on_jax = keras.backend.backend() == "jax"
    found = gpus()
    if on_jax:
        tf.config.set_visible_devices([], "GPU")
    else:
        for gpu in found:
            tf.config.experimental.set_memory_growth(gpu, True)
    keras.utils.set_random_seed(seed)
    keras.config.set_dtype_policy(
        "mixed_bfloat16" if precision == "bfloat16" and training else precision
    )
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    if on_jax:
        names = _jax_names()
    else:
        names = [
            tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name)
            for gpu in found
        ]
    return f"GPU: {', '.join(names)}" if names else "CPU"


def _jax_names() -> list[str]:
    """Names of this process's devices as JAX sees them; none for CPUs."""
    import jax  # only there where Keras runs on it

    return [device.device_kind for device in jax.local_devices() if device.platform != "cpu"]
