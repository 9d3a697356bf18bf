import contextvars
import os

import keras
import numpy as np
import pytest

from fcn.hardware import cpu, devices


@pytest.mark.parametrize("shape", [(3, 5, 7), (1,), (0, 4)])
def test_a_tensor_has_an_array_s_numbers_at_a_place_of_its_own(shape):
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    wanted, tensor = array.copy(), cpu.tensor(array)
    array[...] = -1
    assert keras.backend.standardize_dtype(tensor.dtype) == "float32"
    assert np.array_equal(np.asarray(tensor), wanted)


def test_a_tensor_begins_where_tensorflow_wants_it():
    if keras.backend.backend() != "tensorflow":
        pytest.skip("JAX copies")
    tensors = [cpu.tensor(np.ones(count, np.float32)) for count in (1, 3, 17, 1000)]
    assert [np.asarray(memoryview(tensor)).ctypes.data % 64 for tensor in tensors] == [0] * 4


def test_a_variable_that_began_as_a_tensor_has_its_memory_alone():
    tensor = cpu.tensor(np.ones(1000, np.float32))
    one, other = keras.Variable(tensor), keras.Variable(tensor)
    one.assign_sub(np.full(1000, 3, np.float32))
    assert [float(np.asarray(each)[7]) for each in (one, other, tensor)] == [-2, 1, 1]


@pytest.mark.parametrize("training", [True, False])
def test_a_training_keeps_its_memory(monkeypatch, training):
    given: dict[str, str] = {}
    monkeypatch.setattr(os, "putenv", given.__setitem__)

    def process():
        devices.prepare(seed=0, training=training)
        cpu.give_back_memory()

    contextvars.Context().run(process)
    assert given == ({} if training else {"TF_ONEDNN_USE_SYSTEM_ALLOCATOR": "1"})
