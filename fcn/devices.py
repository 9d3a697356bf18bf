"""Which device computes, and how far its results repeat. TensorFlow's own matter, so `tf.` stands here."""

import keras
import tensorflow as tf

OutOfMemory = tf.errors.ResourceExhaustedError
"""What TensorFlow raises where a device's memory does not do."""


def prepare(seed: int, precision: str = "float32") -> str:
    """Sets up this process before a model is built: seeds, deterministic operations, precision, GPU memory on demand.

    Args:
        seed: of all random numbers of the process.
        precision: in which the layers of the backbone compute, "float32" or "bfloat16"; weights are float32 in any case.

    Returns:
        What will compute, in words, e.g. "GPU: NVIDIA L4" or "CPU".
    """
    keras.utils.set_random_seed(seed)
    keras.config.set_dtype_policy("mixed_bfloat16" if precision == "bfloat16" else "float32")
    tf.config.experimental.enable_op_determinism()
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    names = [tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in gpus]
    return f"GPU: {', '.join(names)}" if gpus else "CPU"
