import numpy as np
import pytest
import tensorflow as tf

from fcn.hardware import devices


@pytest.fixture
def gpu(monkeypatch):
    """A machine with a GPU, as TensorFlow would describe it."""
    gpu, calls = tf.config.PhysicalDevice("/physical_device:GPU:0", "GPU"), []
    monkeypatch.setattr(
        tf.config, "list_physical_devices", lambda kind: [gpu] if kind == "GPU" else []
    )
    monkeypatch.setattr(
        tf.config.experimental, "get_device_details", lambda _: {"device_name": "NVIDIA L4"}
    )
    monkeypatch.setattr(
        tf.config.experimental, "set_memory_growth", lambda *arguments: calls.append(arguments)
    )
    return gpu, calls


def test_a_gpu_is_named_and_its_memory_taken_as_needed(gpu):
    device, calls = gpu
    assert devices.prepare(1) == "GPU: NVIDIA L4"
    assert calls == [(device, True)]


def test_without_one_the_cpu_computes_and_random_numbers_repeat(monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    draws = []
    for seed in (3, 3, 4):
        assert devices.prepare(seed) == "CPU"
        draws.append((float(np.random.random()), float(tf.random.uniform([]))))
    assert draws[0] == draws[1]
    assert draws[0] != draws[2]


@pytest.mark.parametrize("deterministic", [True, False])
def test_operations_are_deterministic_unless_given_up(deterministic, monkeypatch):
    told = []
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    monkeypatch.setattr(tf.config.experimental, "enable_op_determinism", lambda: told.append(True))
    devices.prepare(1, deterministic=deterministic)
    assert told == [True] * deterministic
