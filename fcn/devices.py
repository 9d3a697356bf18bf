"""Which device computes, and how far its results repeat. TensorFlow's own matter, so `tf.` stands here."""

import keras
import tensorflow as tf


def prepare(seed: int) -> str:
    """Sets up this process before a model is built: seeds, deterministic operations, GPU memory on demand.

    Args:
        seed: of all random numbers of the process.

    Returns:
        What will compute, in words, e.g. "GPU: NVIDIA L4" or "CPU".
    """
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    names = [tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in gpus]
    return f"GPU: {', '.join(names)}" if gpus else "CPU"
