"""Small random VGGs and a LeNet, and their files as other programs write them. Written from what is
published of each.
"""

import itertools
import struct

import h5py
import numpy as np
import scipy.io

from fcn.spec import BACKBONES
from fcn.weights import caffe


def classifier(backbone="vgg16", width=2, hidden=5, seed=0):
    """A VGG of `width`, 2 x width, ... channels with random weights, in Caffe's shapes: O x I x H x
    W, O x C*H*W.
    """
    rng = np.random.default_rng(seed)
    layers, channels = {}, 3
    for block, convolutions in enumerate(BACKBONES[backbone].blocks):
        for name, _ in convolutions:
            out = width * min(2**block, 8)
            layers[name] = (
                rng.normal(size=(out, channels, 3, 3)).astype("f4"),
                rng.normal(size=out).astype("f4"),
            )
            channels = out
    for name, inputs, out in (
        ("fc6", channels * 49, hidden),
        ("fc7", hidden, hidden + 1),
        ("fc8", hidden + 1, 10),
    ):
        layers[name] = (
            rng.normal(size=(out, inputs)).astype("f4"),
            rng.normal(size=out).astype("f4"),
        )
    return layers


def lenet(width=2, hidden=5, seed=0):
    """A LeNet of `width` and 2 x width filters with random weights, in Caffe's shapes."""
    rng = np.random.default_rng(seed)
    shapes = {
        "conv1": (width, 1, 5, 5),
        "conv2": (2 * width, width, 5, 5),
        "ip1": (hidden, 2 * width * 16),
        "ip2": (10, hidden),
    }
    return {
        name: (rng.normal(size=shape).astype("f4"), rng.normal(size=shape[0]).astype("f4"))
        for name, shape in shapes.items()
    }


def hwio(layers):
    """The same as TensorFlow has it: H x W x I x O, and matrices for an H x W x C input, H*W*C x O;
    loop by loop.
    """
    sides = {"fc6": 7, "ip1": 4}
    result = {}
    for name, (kernel, bias) in layers.items():
        if kernel.ndim == 4:
            turned = np.stack(
                [
                    np.stack([kernel[o, i] for i in range(kernel.shape[1])], -1)
                    for o in range(kernel.shape[0])
                ],
                -1,
            )
        elif name in sides:
            side, area = sides[name], sides[name] ** 2
            column = lambda y, x, c: kernel[:, c * area + y * side + x]  # noqa: E731, B023
            places = range(side), range(side), range(kernel.shape[1] // area)
            turned = np.stack([column(*place) for place in itertools.product(*places)])
        else:
            turned = kernel.T
        result[name] = (np.ascontiguousarray(turned), bias)
    return result


def write_caffemodel(path, layers):
    kinds = {"c": "Convolution", "f": "InnerProduct"}
    caffe.write(path, "vgg", {name: (kinds[name[0]], blobs) for name, blobs in layers.items()})


def write_npy(path, layers, layout=list):
    """caffe-tensorflow's file, as numpy writes it today; `layout` list or dict."""
    content = {
        n: list(p) if layout is list else dict(zip(("weights", "biases"), p, strict=True))
        for n, p in layers.items()
    }
    with open(path, "wb") as file:
        np.save(file, content, allow_pickle=True)


def python2_npy(layers):
    """The bytes that numpy 1.x on Python 2 left: protocol 2, texts and array contents as one-byte
    strings.
    """

    def text(value):
        return b"U" + bytes([len(value)]) + value

    def number(value):
        return b"J" + struct.pack("<i", value)

    def kind(code):
        return b"cnumpy\ndtype\n" + text(code) + number(0) + number(1) + b"\x87R"

    def array(shape, dtype, content):
        made = (
            b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n"
            + number(0)
            + b"\x85"
            + text(b"b")
            + b"\x87R"
        )
        return (
            made
            + b"("
            + number(1)
            + b"("
            + b"".join(map(number, shape))
            + b"t"
            + dtype
            + b"\x89"
            + content
            + b"tb"
        )

    floats = (
        kind(b"f4")
        + b"("
        + number(3)
        + text(b"<")
        + b"NNN"
        + number(-1)
        + number(-1)
        + number(0)
        + b"tb"
    )
    objects = (
        kind(b"O8")
        + b"("
        + number(3)
        + text(b"|")
        + b"NNN"
        + number(-1)
        + number(-1)
        + number(63)
        + b"tb"
    )
    items = b""
    for name, blobs in layers.items():
        arrays = [
            array(b.shape, floats, b"T" + struct.pack("<i", b.nbytes) + b.astype("<f4").tobytes())
            for b in blobs
        ]
        items += text(name.encode()) + b"](" + b"".join(arrays) + b"e"
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (), }"
    header += b" " * (117 - len(header)) + b"\n"
    pickled = b"\x80\x02" + array((), objects, b"](}(" + items + b"ue") + b"."
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + pickled


def write_mat(
    path,
    layers,
    older=False,
    mean=(123.68, 116.779, 103.939),
    columns_first=False,
    compressed=False,
):
    """MatConvNet's SimpleNN: conv1_1 takes RGB; between the layers with weights others without."""
    cells = []
    for name, (kernel, bias) in layers.items():
        side = 7 if name == "fc6" else 1
        kernel = kernel if kernel.ndim == 4 else kernel.reshape(side, side, -1, kernel.shape[1])
        if name == "conv1_1":
            kernel = kernel[:, :, ::-1]
        if columns_first:
            kernel = kernel.transpose(1, 0, 2, 3)
        if older:
            weights = {"filters": kernel, "biases": bias.reshape(1, -1)}
        else:
            pair = np.empty((1, 2), object)
            pair[0, 0], pair[0, 1] = kernel, bias.reshape(-1, 1)
            weights = {"weights": pair}
        cells += [
            {"type": "conv", "name": name, **weights},
            {"type": "relu", "name": f"relu_{name}", "leak": 0.0},
        ]
    cells.append({"type": "softmax", "name": "prob", "weights": np.empty((0, 0))})
    array = np.empty((1, len(cells)), object)
    array[0, :] = cells
    content: dict[str, object] = {"layers": array}
    if mean:
        normalization = {
            "averageImage": np.array(mean).reshape(1, 1, 3),
            "interpolation": "bicubic",
        }
        content |= (
            {"normalization": normalization}
            if older
            else {"meta": {"normalization": normalization}}
        )
    with open(path, "wb") as file:  # by name, savemat would add a suffix
        scipy.io.savemat(file, content, do_compression=compressed)


KERAS = {"fc6": "fc1", "fc7": "fc2", "fc8": "predictions"}
KERAS_LAYOUTS = {
    "2016": "{0}/{0}_{1}_1:0",
    "keras 2": "{0}/{0}/{2}:0",
    "whole model": "model_weights/{0}/{0}/{2}:0",
    "keras 3": "layers/{0}/vars/{3}",
}


def write_h5(path, layers, layout="2016"):
    """Keras applications' file: block1_conv1 ... predictions, with the pooling layers' empty
    groups.
    """
    with h5py.File(path, "w") as file:
        for name, (kernel, bias) in layers.items():
            keras = KERAS.get(name) or f"block{name[4]}_conv{name[6]}"
            file[KERAS_LAYOUTS[layout].format(keras, "b", "bias", 1)] = bias
            file[KERAS_LAYOUTS[layout].format(keras, "W", "kernel", 0)] = kernel
        file.create_group("block1_pool")
        if layout == "whole model":
            file["optimizer_weights/adam/block1_conv1/kernel/momentum"] = np.zeros((3, 3, 3, 2))
