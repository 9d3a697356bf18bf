"""The nets as ONNX graphs, written straight from the tables of `fcn.spec.architecture`: no second
copy of the weights is made.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import keras
import numpy as np
import onnx
from onnx import TensorProto, helper

from fcn.net import bilinear_kernel, quantize
from fcn.predict.graph import GREY, Graph, Map, Wanted, convolved
from fcn.spec import ModelSpec

OPSET, IR = 18, 8
"""Of ONNX: onnxruntime has read them since 1.14."""
INSIDE = 64 * 2**20
"""Bytes of weights that are kept in `model.onnx` itself. Larger ones lie beside, where a reader
maps them into its memory.
"""
DATA = "model.onnx.data"
PAGE, PIECE, COPIED = 4096, 64, 2**22
"""Weights begin at multiples of so many bytes, and are written so many outputs at a time, copied so
many bytes at a time.
"""


def save(model: keras.Model, spec: ModelSpec, folder: Path, wanted: Wanted) -> None:
    """Writes `model.onnx`, and `model.onnx.data` with the weights beside it; see `finish`.

    The graph takes `image`, float32 RGB (N, H, W, 3), 0..255, and gives `scores`, float32 (N, H, W,
    classes).

    Args:
        model: see `model.build`.
        spec: that it was built from.
        folder: an existing one.
        wanted: what becomes of it. Of a fixed size the weights lie inside, since OpenCV, which
            needs one, looks nowhere else; kernels in 8 bits are turned into float32 by the graph.
    """
    path = folder / "model.onnx"
    with open(folder / DATA, "wb") as data:
        graph = _Graph(model, spec, wanted, data)
        graph.build()
    proto = helper.make_model(
        helper.make_graph(graph.nodes, spec.variant, [graph.ends["input"]], [graph.ends["output"]],
        graph.tensors),
        producer_name="fcn", opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR,
    )  # fmt: skip
    told = "the highest class" if wanted.labels else "before the softmax"
    described = {key: json.dumps(value) for key, value in asdict(spec).items()}
    helper.set_model_props(proto, {**described, "input": "RGB, 0..255", "output": told})
    onnx.save(proto, path)
    onnx.checker.check_model(str(path))


def finish(folder: Path, size: tuple[int, int] | None) -> None:
    """Puts the weights into `model.onnx` where they belong there, once the graph has been checked.

    They are copied from file to file. A protobuf that comes after another one in a file is merged
    into it, so each array is a model of its own behind the graph, and memory holds none of them.

    Args:
        folder: as `save` left it.
        size: see `save`.
    """
    path, beside = folder / "model.onnx", folder / DATA
    if not size and beside.stat().st_size > INSIDE:
        return
    proto = onnx.load(path, load_external_data=False)
    tensors = list(proto.graph.initializer)
    outside = [each for each in tensors if each.data_location == TensorProto.EXTERNAL]
    inside = [each for each in tensors if each.data_location != TensorProto.EXTERNAL]
    del proto.graph.initializer[:]
    proto.graph.initializer.extend(inside)
    with open(beside, "rb") as data, open(path, "wb") as file:
        file.write(proto.SerializeToString())
        for tensor in outside:
            place = {each.key: each.value for each in tensor.external_data}
            length = int(place["length"])
            plain = TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
            begin = plain.SerializeToString() + _head(TensorProto, "raw_data", length)
            whole = _head(onnx.GraphProto, "initializer", len(begin) + length) + begin
            file.write(_head(onnx.ModelProto, "graph", len(whole) + length) + whole)
            data.seek(int(place["offset"]))
            for start in range(0, length, COPIED):
                file.write(data.read(min(COPIED, length - start)))
    beside.unlink()


def _head(message: Any, name: str, length: int) -> bytes:
    """What stands before so many bytes of a field in a protobuf."""
    head = bytearray()
    for number in (message.DESCRIPTOR.fields_by_name[name].number << 3 | 2, length):
        while number > 127:
            head.append(number & 127 | 128)
            number >>= 7
        head.append(number)
    return bytes(head)


class _Graph(Graph):
    """Maps are (N, C, H, W)."""

    def __init__(self, model: keras.Model, spec: ModelSpec, wanted: Wanted, data: BinaryIO) -> None:
        super().__init__(model, spec, wanted, data)
        self.nodes: list[Any] = []
        self.tensors: list[Any] = []
        self.ends: dict[str, Any] = {}

    def shape(self, *channels: int) -> list[Any]:
        """Of the input or the output, channels last."""
        return [1 if self.size else "N", *(self.size or ("H", "W")), *channels]

    def image(self) -> Map:
        self.ends["input"] = helper.make_tensor_value_info(
            "image", TensorProto.FLOAT, self.shape(3)
        )
        return Map(self.node("Transpose", "pixels", ["image"], perm=[0, 3, 1, 2]), self.size)

    def minus_mean(self, image: Map) -> Map:
        mean = np.array(self.spec.mean_bgr[::-1], np.float32).reshape(1, 3, 1, 1)
        constant = self.constant("mean", mean)
        return Map(self.node("Sub", "data", [image.name, constant]), image.size)

    def grey(self, image: Map) -> Map:
        constant = self.constant("grey", GREY.reshape(1, 3, 1, 1))
        return Map(self.node("Conv", "data", [image.name, constant]), image.size)

    def pooled(self, name: str, x: Map) -> Map:
        pool = self.node(
            "MaxPool", name, [x.name], kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1
        )
        return Map(pool, x.size and (-(-x.size[0] // 2), -(-x.size[1] // 2)))

    def convolution(
        self,
        name: str,
        x: Map,
        pads: Sequence[int] = (0, 0, 0, 0),
        relu: bool = False,
        turned: bool = False,
    ) -> Map:
        side = int(self.weights[f"{name}/kernel"].shape[0])
        weights = (
            self.weight(f"{name}/kernel", (3, 2, 0, 1), turned),
            self.weight(f"{name}/bias", (0,)),
        )
        out = self.node("Conv", name, [x.name, *weights], kernel_shape=[side, side], pads=pads)
        size = convolved(x.size, side, pads)
        return Map(self.node("Relu", f"{name}/relu", [out]) if relu else out, size)

    def upsample(self, name: str, factor: int, x: Map, learned: bool) -> Map:
        classes = len(self.spec.classes)
        if learned:
            kernel = self.weight(f"{name}/kernel", (3, 2, 0, 1))
        else:
            kernel = self.constant(
                f"{name}/kernel", np.tile(bilinear_kernel(factor), (classes, 1, 1, 1))
            )
        border = factor // 2 if self.pad.rest == "same" else 0
        height, width = x.size or (0, 0)
        size = x.size and (factor * (height + 1) - 2 * border, factor * (width + 1) - 2 * border)
        out = self.node(
            "ConvTranspose", name, [x.name, kernel], group=1 if learned else classes,
            kernel_shape=[2 * factor] * 2, strides=[factor] * 2, pads=[border] * 4,
        )  # fmt: skip
        return Map(out, size)

    def scaled(self, pool: str, x: Map, factor: float) -> Map:
        scale = self.constant(f"{pool}/scale", np.float32(factor))
        return Map(self.node("Mul", f"scale_{pool}", [x.name, scale]), x.size)

    def crop(self, name: str, offset: int, source: Map, like: Map) -> Map:
        start = self.constant(f"{name}/start", np.array([offset, offset], np.int64))
        if like.size:
            end = self.constant(f"{name}/end", np.array(like.size, np.int64) + offset)
        else:
            shape = self.node("Shape", f"{name}/size", [like.name], start=2)
            end = self.node("Add", f"{name}/end", [shape, start])
        axes = self.constant(f"{name}/axes", np.array([2, 3], np.int64))
        return Map(self.node("Slice", name, [source.name, start, end, axes]), like.size)

    def fused(self, name: str, one: Map, other: Map) -> Map:
        return Map(self.node("Add", name, [one.name, other.name]), one.size)

    def output(self, x: Map) -> None:
        name, kind = ("labels", TensorProto.UINT8) if self.labels else ("scores", TensorProto.FLOAT)
        if self.labels:
            best = self.node("ArgMax", "class", [x.name], axis=1, keepdims=0)
            self.node("Cast", name, [best], to=kind)
        else:
            self.node("Transpose", name, [x.name], perm=[0, 2, 3, 1])
        channels = () if self.labels else (len(self.spec.classes),)
        self.ends["output"] = helper.make_tensor_value_info(name, kind, self.shape(*channels))

    def node(self, kind: str, name: str, inputs: list[str], **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def constant(self, name: str, value: Any) -> str:
        self.tensors.append(onnx.numpy_helper.from_array(np.asarray(value), name))
        return name

    def weight(self, name: str, order: tuple[int, ...], turned: bool = False) -> str:
        """Stores an array with its axes in another order, in pieces of its last axis, and of the
        third turned around.
        """
        array = self.weights[name]
        packed = self.bits == 8 and name.endswith("/kernel")
        self.data.write(bytes(-self.data.tell() % PAGE))
        begin, scales = self.data.tell(), []
        for start in range(0, array.shape[-1], PIECE):
            piece = np.asarray(array.value[..., start : start + PIECE], np.dtype("<f4"))
            if packed:
                piece, scale = quantize.pack({"a/kernel": piece}).values()
                scales.append(scale)
            self.data.write(
                np.ascontiguousarray((piece[:, :, ::-1] if turned else piece).transpose(order)).data
            )
        shape = [int(array.shape[axis]) for axis in order]
        stored = f"{name}/8" if packed else name
        tensor = TensorProto(
            name=stored,
            data_type=TensorProto.INT8 if packed else TensorProto.FLOAT,
            dims=shape,
            data_location=TensorProto.EXTERNAL,
        )
        for key, value in (
            ("location", DATA),
            ("offset", begin),
            ("length", self.data.tell() - begin),
        ):
            tensor.external_data.add(key=key, value=str(value))
        self.tensors.append(tensor)
        if packed:
            factors = self.constant(f"{name}/scale", np.concatenate(scales))
            self.node("DequantizeLinear", name, [stored, factors], axis=order.index(array.ndim - 1))
        return name
