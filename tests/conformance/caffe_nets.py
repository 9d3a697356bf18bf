"""The authors' nets as Caffe prototxts of our own writing, and what OpenCV computes from them.

Facts from `net.py` of voc-fcn32s, voc-fcn16s, voc-fcn8s and voc-fcn8s-atonce
(shelhamer/fcn.berkeleyvision.org). Nothing here is taken from `fcn.spec.architecture` or
`fcn.net.model`, so that a mistake there cannot repeat itself here.
"""

from typing import NamedTuple

import cv2
import numpy as np

from fcn.net import model, surgery
from fcn.published import authors
from fcn.weights import caffe

MEAN = np.array([104.00699, 116.66877, 122.67892])  # BGR
DEPTHS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
FILTERS = (64, 128, 256, 512, 512)
SCALES = {"pool4": 0.01, "pool3": 0.0001}
VARIANTS = ("fcn32s", "fcn16s", "fcn8s", "fcn8s_atonce")


class Layer(NamedTuple):
    """One layer of a prototxt; `blobs` are the shapes of its weights."""

    kind: str
    name: str
    bottoms: tuple[str, ...]
    parameters: str = ""
    blobs: tuple[tuple[int, ...], ...] = ()

    def text(self):
        # Like the authors', ReLU and Dropout work in place.
        top = self.bottoms[0] if self.kind in ("ReLU", "Dropout") else self.name
        bottoms = " ".join(f'bottom: "{bottom}"' for bottom in self.bottoms)
        return (
            f'layer {{ name: "{self.name}" type: "{self.kind}" {bottoms} top: "{top}" '
            f"{self.parameters} }}\n"
        )


def convolution(name, bottom, inputs, outputs, size, pad=0):
    parameters = f"convolution_param {{ num_output: {outputs} kernel_size: {size} pad: {pad} }}"
    return Layer(
        "Convolution", name, (bottom,), parameters, ((outputs, inputs, size, size), (outputs,))
    )


def deconvolution(name, bottom, classes, size, stride):
    parameters = (
        f"convolution_param {{ num_output: {classes} kernel_size: {size} stride: "
        f"{stride} bias_term: false }}"
    )
    return Layer("Deconvolution", name, (bottom,), parameters, ((classes, classes, size, size),))


def inner_product(name, bottom, inputs, outputs):
    parameters = f"inner_product_param {{ num_output: {outputs} }}"
    return Layer("InnerProduct", name, (bottom,), parameters, ((outputs, inputs), (outputs,)))


def crop(name, bottom, like, offset):
    return Layer("Crop", name, (bottom, like), f"crop_param {{ axis: 2 offset: {offset} }}")


def relu(number, bottom):
    return Layer("ReLU", f"relu{number}", (bottom,))


def dropout(number, bottom):
    return Layer("Dropout", f"drop{number}", (bottom,), "dropout_param { dropout_ratio: 0.5 }")


def pooling(name, bottom, kind="MAX"):
    return Layer(
        "Pooling", name, (bottom,), f"pooling_param {{ pool: {kind} kernel_size: 2 stride: 2 }}"
    )


def vgg(backbone, width, first_pad):
    """Blocks 1 to 5; conv1_1 pads by `first_pad`."""
    layers, bottom, inputs = [], "data", 3
    for block, (depth, filters) in enumerate(zip(DEPTHS[backbone], FILTERS, strict=True), 1):
        for number in range(1, depth + 1):
            name, outputs = f"conv{block}_{number}", int(filters * width)
            layers += [
                convolution(name, bottom, inputs, outputs, 3, first_pad if bottom == "data" else 1)
            ]
            layers += [relu(f"{block}_{number}", name)]
            bottom, inputs = name, outputs
        layers.append(pooling(f"pool{block}", bottom))
        bottom = f"pool{block}"
    return layers


def fcn(variant, classes, backbone="vgg16", width=1.0, fc=4096):
    """One of the authors' nets, as a list of layers from `data` to `score`."""
    channels = {f"pool{block}": int(filters * width) for block, filters in enumerate(FILTERS, 1)}
    layers = vgg(backbone, width, 100)
    layers += [
        convolution("fc6", "pool5", channels["pool5"], fc, 7),
        relu(6, "fc6"),
        dropout(6, "fc6"),
    ]
    layers += [convolution("fc7", "fc6", fc, fc, 1), relu(7, "fc7"), dropout(7, "fc7")]
    layers += [convolution("score_fr", "fc7", fc, classes, 1)]

    def skip(pool, upsampled, offset):
        scored = pool
        if variant == "fcn8s_atonce":
            scored = f"scale_{pool}"
            layers.append(Layer("Scale", scored, (pool,), "", ((channels[pool],),)))
        layers.append(convolution(f"score_{pool}", scored, channels[pool], classes, 1))
        layers.append(crop(f"score_{pool}c", f"score_{pool}", upsampled, offset))
        layers.append(
            Layer(
                "Eltwise",
                f"fuse_{pool}",
                (upsampled, f"score_{pool}c"),
                "eltwise_param { operation: SUM }",
            )
        )

    if variant == "fcn32s":
        return [
            *layers,
            deconvolution("upscore", "score_fr", classes, 64, 32),
            crop("score", "upscore", "data", 19),
        ]
    layers.append(deconvolution("upscore2", "score_fr", classes, 4, 2))
    skip("pool4", "upscore2", 5)
    if variant == "fcn16s":
        return [
            *layers,
            deconvolution("upscore16", "fuse_pool4", classes, 32, 16),
            crop("score", "upscore16", "data", 27),
        ]
    layers.append(deconvolution("upscore_pool4", "fuse_pool4", classes, 4, 2))
    skip("pool3", "upscore_pool4", 9)
    return [
        *layers,
        deconvolution("upscore8", "fuse_pool3", classes, 16, 8),
        crop("score", "upscore8", "data", 31),
    ]


def prototxt(layers, shape):
    """The text of a net with the input `data` of a shape (N, C, H, W)."""
    sides = " ".join(f"dim: {side}" for side in shape)
    return (
        f'layer {{ name: "data" type: "Input" top: "data" input_param {{ shape {{ {sides} }} '
        f"}} }}\n"
    ) + "".join(layer.text() for layer in layers)


def bilinear(shape):
    """The authors' upsampling: a triangle on the diagonal of the channels."""
    factor = shape[-1] // 2
    line = 1 - np.abs(np.arange(2 * factor) - factor + 0.5) / factor
    return (np.eye(shape[0])[:, :, None, None] * np.outer(line, line)).astype(np.float32)


def random_weights(layers, seed, learned=True):
    """Layer -> (type, blobs): numbers that keep the scale of what flows through, in every weight,
    biases included.

    Upsampling is bilinear where it is the last or was not `learned`. What the at-once net scales
    down is scaled up again by its score layer, or it would not be seen in the sum.
    """
    random, weights = np.random.default_rng(seed), {}
    last = ([layer for layer in layers if layer.kind == "Deconvolution"] or [None])[-1]
    for layer in layers:
        blobs = [random.standard_normal(shape, np.float32) for shape in layer.blobs]
        if layer.kind == "Scale":
            blobs[0][:] = SCALES[layer.bottoms[0]]
        elif layer.kind == "Deconvolution" and (layer is last or not learned):
            blobs[0] = bilinear(layer.blobs[0])
        elif layer.kind == "Deconvolution":
            # of every input channel, 2 x 2 weights meet
            blobs[0] *= np.float32(0.5 / np.sqrt(blobs[0].shape[0]))
        elif blobs:
            scale = (
                SCALES.get(layer.bottoms[0].removeprefix("scale_"), 1)
                if layer.bottoms[0].startswith("scale_")
                else 1
            )
            blobs[0] *= np.float32(np.sqrt(2 / blobs[0][0].size) / scale)
            blobs[1] *= np.float32(10)
        if blobs:
            weights[layer.name] = (layer.kind, blobs)
    return weights


class OpenCV:
    """A net that OpenCV runs from a prototxt and a caffemodel."""

    def __init__(self, layers, caffemodel, folder, shape=(1, 3, 64, 64)):
        path = folder / "net.prototxt"
        path.write_text(prototxt(layers, shape))
        self.net = cv2.dnn.readNetFromCaffe(str(path), str(caffemodel))

    def __call__(self, data, name=None):
        """`data` is float (N, C, H, W); gives the layer `name`, or the last, as (N, H, W, C) or (N,
        C).
        """
        self.net.setInput(np.ascontiguousarray(data, np.float32))
        result = self.net.forward(name) if name else self.net.forward()
        return np.moveaxis(result, 1, -1) if result.ndim == 4 else result

    def on_image(self, image, name=None):
        """The same from an RGB image (H, W, 3) of range 0..255, prepared as the authors do it."""
        return self((image[:, :, ::-1] - MEAN).transpose(2, 0, 1)[None], name)[0]


def pair(variant, folder, classes=3, backbone="vgg16", width=1 / 32, fc=8, seed=0, learned=True):
    """The same net twice from one caffemodel of random weights: OpenCV's, and ours by way of the
    project's converter.
    """
    layers = fcn(variant, classes, backbone, width, fc)
    caffemodel = folder / f"{variant}.caffemodel"
    caffe.write(caffemodel, variant, random_weights(layers, seed, learned))
    weights, spec = authors.convert_net(
        caffe.read(caffemodel), [f"class {n}" for n in range(classes)], str(caffemodel)
    )
    assert (spec.variant, spec.backbone, spec.width, spec.padding) == (
        variant,
        backbone,
        width,
        "caffe",
    )
    ours = model.build(spec)
    surgery.transplant(ours, weights)
    return OpenCV(layers, caffemodel, folder), ours


def assert_same_scores(found, expected, tolerance=1e-4):
    """No value differs by more than `tolerance` of the largest one; and there is something to
    compare.
    """
    assert found.shape == expected.shape, f"{found.shape} instead of {expected.shape}"
    size = np.abs(expected).max()
    assert size > 0
    assert np.std(expected) > 0.05 * size, (
        "the expected values are nearly constant: they prove nothing"
    )
    error = np.abs(found - expected).max() / size
    assert error <= tolerance, f"off by {error:.2e} of the largest value"


def scores(net, image):
    """Our net's scores of an RGB image (H, W, 3)."""
    return np.asarray(net(image[None], training=False))[0]


def picture(height, width, seed=1):
    """A random RGB image, rough and smooth: noise on a few large patches."""
    random = np.random.default_rng(seed)
    patches = (
        random.integers(20, 200, (height // 16 + 1, width // 16 + 1, 3)).repeat(16, 0).repeat(16, 1)
    )
    return (patches[:height, :width] + random.integers(0, 56, (height, width, 3))).astype(np.uint8)
