import tracemalloc

import numpy as np
import pytest

from fcn.errors import UserError
from fcn.io import files
from fcn.net import quantize, surgery
from fcn.predict import export


def weights():
    random = np.random.default_rng(3)
    kernel = random.normal(size=(3, 3, 4, 5)).astype(np.float32) * np.array(
        [1e-3, 1, 0, 50, 2], np.float32
    )
    return {"conv/kernel": kernel, "conv/bias": random.normal(size=5).astype(np.float32)}


def test_by_hand():
    packed = quantize.pack({"fc7/kernel": np.array([[[[1.0, -254.0], [0.5, 3.1]]]], np.float32)})
    assert packed["fc7/kernel"].tolist() == [[[[127, -127], [64, 2]]]]
    np.testing.assert_allclose(packed["fc7/scale"], [1 / 127, 2])
    np.testing.assert_allclose(
        quantize.unpack(packed, "x")["fc7/kernel"], [[[[1, -254], [64 / 127, 4]]]], rtol=1e-6
    )


def test_no_number_moves_by_more_than_half_a_scale_and_biases_stay():
    whole = weights()
    packed = quantize.pack(whole)
    again = quantize.unpack(packed, "x")
    assert list(again) == list(whole)
    assert (packed["conv/kernel"].dtype, again["conv/kernel"].dtype) == (np.int8, np.float32)
    assert (
        np.abs(again["conv/kernel"] - whole["conv/kernel"]) <= 0.5001 * packed["conv/scale"]
    ).all()
    assert not again["conv/kernel"][..., 2].any()
    assert again["conv/bias"] is whole["conv/bias"]
    assert quantize.unpack(whole, "x") == whole


@pytest.mark.parametrize(
    "change", [lambda p: p.pop("conv/scale"), lambda p: p.update({"conv/scale": np.ones(4, "f4")})]
)
def test_a_scale_that_does_not_fit_is_refused(change):
    packed = quantize.pack(weights())
    change(packed)
    with pytest.raises(
        UserError,
        match=r"box/weights\.npz: conv/kernel has 8 bits, but conv/scale is no number for each",
    ):
        quantize.unpack(packed, "box/weights.npz")


def test_a_net_in_8_bits_is_a_model_folder_of_a_quarter_of_the_bytes(small, tmp_path):
    from fcn.net.model import build

    spec = small("fcn8s", padding="same")
    model = build(spec)
    random = np.random.default_rng(5)
    for weight in surgery.named_weights(model).values():
        weight.assign(
            random.normal(size=weight.shape) * np.sqrt(2 / max(1, np.prod(weight.shape[:-1])))
        )
    (tmp_path / "whole").mkdir()
    surgery.save(model, spec, tmp_path / "whole")
    off = export.write(model, spec, tmp_path / "box", "int8")
    assert 0 < off < 0.1
    again, found = surgery.load(tmp_path / "box")
    assert found == spec
    for name, weight in surgery.named_weights(again).items():
        before = np.asarray(surgery.named_weights(model)[name])
        limit = (
            np.abs(before).max(axis=tuple(range(before.ndim - 1)), initial=0) / 253
            if name.endswith("kernel")
            else 0
        )
        assert (np.abs(np.asarray(weight) - before) <= limit).all(), name
    # Whoever goes on from it goes on from float32.
    child, _ = surgery.start(spec, tmp_path / "box")
    np.testing.assert_array_equal(child.get_layer("fc6").kernel, again.get_layer("fc6").kernel)
    stored = files.load_arrays(tmp_path / "box" / "weights.npz")
    assert sum(array.nbytes for array in stored.values()) < 0.35 * sum(
        np.asarray(weight).nbytes for weight in surgery.named_weights(model).values()
    )


def test_one_kernel_at_a_time_is_in_memory_as_float32():
    kernel = np.ones((1, 1, 1000, 1000), np.float32)
    tracemalloc.start()
    quantize.pack({f"fc{n}/kernel": kernel for n in range(5)})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < (5 * 0.25 + 1.5) * kernel.nbytes
