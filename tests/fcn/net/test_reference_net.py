"""The whole net against a second implementation in numpy, and against numbers that another VGG-16
printed.
"""

from pathlib import Path

import keras
import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from fcn.net import model
from fcn.net.surgery import named_weights
from fcn.spec import BACKBONES, MEAN_BGR

VGG = Path(__file__).parents[4] / "shared" / "realdata" / "vgg"


def conv(x, weights, name, pad):
    kernel, bias = weights[f"{name}/kernel"], weights[f"{name}/bias"]
    x = np.pad(x, ((pad, pad), (pad, pad), (0, 0)))
    windows = sliding_window_view(x, kernel.shape[:2], axis=(0, 1))  # (h, w, in, k, k)
    return np.tensordot(windows, kernel.transpose(2, 0, 1, 3), 3) + bias


def pool(x):
    """Maximum over 2x2; a last odd row or column stands for itself."""
    x = np.pad(x, ((0, x.shape[0] % 2), (0, x.shape[1] % 2), (0, 0)), constant_values=-np.inf)
    return x.reshape(x.shape[0] // 2, 2, x.shape[1] // 2, 2, -1).max((1, 3))


def upsample(x, factor):
    """Every value spread over (2 * factor) x (2 * factor) pixels with bilinear weights, factor
    pixels apart.
    """
    line = [1 - abs(i - factor + 0.5) / factor for i in range(2 * factor)]
    out = np.zeros((factor * (x.shape[0] + 1), factor * (x.shape[1] + 1), x.shape[2]))
    for i, a in enumerate(line):
        for j, b in enumerate(line):
            out[i : i + factor * x.shape[0] : factor, j : j + factor * x.shape[1] : factor] += (
                a * b * x
            )
    return out


def crop(x, offset, like):
    return x[offset : offset + like.shape[0], offset : offset + like.shape[1]]


def reference(image, weights, skips, factor, scales, padding):
    """Scores of an RGB image (H, W, 3); every crop offset as the authors published it."""
    caffe = padding == "caffe"
    maps, x = {}, image[:, :, ::-1] - np.array(MEAN_BGR)
    x = np.pad(x, ((99, 99), (99, 99), (0, 0))) if caffe else x  # and 1 more by conv1_1
    for number, block in enumerate(BACKBONES["vgg16"].blocks, 1):
        for name, _ in block:
            x = np.maximum(conv(x, weights, name, 1), 0)
        maps[number] = x = pool(x)
    x = np.maximum(conv(x, weights, "fc6", 0 if caffe else 3), 0)
    x = np.maximum(conv(x, weights, "fc7", 0), 0)
    x = conv(x, weights, "score_fr", 0)
    for number, offset in skips:
        x = upsample(x, 2)
        skip = conv(scales.get(number, 1) * maps[number], weights, f"score_pool{number}", 0)
        x = x + crop(skip, offset, x) if caffe else crop(x, 1, skip) + skip
    offset = {32: 19, 16: 27, 8: 31}[factor] if caffe else factor // 2
    return crop(upsample(x, factor), offset, image)


@pytest.mark.parametrize("padding", ["caffe", "same"])
@pytest.mark.parametrize(
    ("variant", "skips", "factor", "scales"),
    [
        ("fcn32s", (), 32, {}),
        ("fcn16s", ((4, 5),), 16, {}),
        ("fcn8s", ((4, 5), (3, 9)), 8, {}),
        ("fcn8s_atonce", ((4, 5), (3, 9)), 8, {4: 0.01, 3: 0.0001}),
    ],
)
def test_net_equals_the_second_implementation(small, variant, skips, factor, scales, padding):
    """Maximum, not average; skips fused after scoring, by addition; nothing between the sum and the
    scores.
    """
    random = np.random.default_rng(5)
    net = model.build(small(variant, padding=padding))
    for name, weight in named_weights(net).items():
        if not name.startswith("upscore"):
            deviation = np.sqrt(2 / np.prod(weight.shape[:-1])) if name.endswith("kernel") else 3
            weight.assign(random.normal(size=weight.shape) * deviation)
    for number, scale in scales.items():  # or what is scaled down would not be seen in the sum
        kernel = net.get_layer(f"score_pool{number}").kernel
        kernel.assign(kernel / scale)
    image = random.integers(0, 256, (45, 58, 3)).astype(np.uint8)
    weights = {name: np.asarray(weight, np.float64) for name, weight in named_weights(net).items()}
    expected = reference(image.astype(np.float64), weights, skips, factor, scales, padding)
    found = np.asarray(net(image[None].astype(np.float32), training=False))[0]
    size = np.abs(expected).max()
    assert expected.min() < -0.1 * size
    assert expected.max() > 0.1 * size
    np.testing.assert_allclose(found, expected, atol=1e-4 * size)
    for number, offset in skips:  # every skip weighs enough in the comparison above to be missed
        weights[f"score_pool{number}/kernel"] *= 0
        without = reference(image.astype(np.float64), weights, skips, factor, scales, padding)
        assert np.abs(without - expected).max() > 0.01 * size, (number, offset)


@pytest.mark.realdata
@pytest.mark.skipif(
    not VGG.is_dir(), reason="real VGG activations are not here: ../shared/realdata"
)
def test_true_vgg16_gives_the_activations_that_others_printed(small):
    """Order of channels, mean, orientation of kernels, padding and pooling, proven from outside."""
    net = model.build(small(width=1.0, fc_units=1, padding="same"))
    kernels = np.load(VGG / "vgg16_partial.npz")
    printed = np.load(VGG / "reference_activations" / "printed_activations.npz")
    layers = ["conv1_1", "conv1_2", "pool1", "conv2_1", "conv2_2", "pool2"]
    for layer in ("conv1_1", "conv1_2", "conv2_1", "conv2_2"):
        # conv1_2 is block1_conv2 there
        stored = layer.replace("conv", "block").replace("_", "_conv")
        net.get_layer(layer).kernel.assign(kernels[f"{stored}/kernel"])
        net.get_layer(layer).bias.assign(kernels[f"{stored}/bias_q11"])
    text = (VGG / "reference_activations" / "persian_cat.txt").read_text()
    # BGR, the mean already subtracted
    cat = np.array(text.split(), np.float32).reshape(224, 224, 3)
    inner = keras.Model(net.input, [net.get_layer(layer).output for layer in layers])
    for layer, values in zip(
        layers, inner((cat + np.array(MEAN_BGR, np.float32))[None, :, :, ::-1]), strict=True
    ):
        picked = np.asarray(values)[0][np.ix_(*[[0, 1, 2, -3, -2, -1]] * 3)]
        assert np.abs(picked - printed[layer]).max() < 0.02, layer
