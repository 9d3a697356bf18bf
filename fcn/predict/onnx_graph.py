"""The nets as ONNX graphs, written straight from the tables of `fcn.spec.architecture`: no second
copy of the weights is made.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
from onnx import TensorProto, helper

from fcn.net import bilinear_kernel, quantize, surgery
from fcn.spec import BACKBONES, VARIANTS, Backbone, ModelSpec, Padding

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


@dataclass(frozen=True)
class _Map:
    """A tensor (N, C, H, W) of the graph: its name, and height and width where they are fixed."""

    name: str
    size: tuple[int, int] | None


def save(
    model: keras.Model,
    spec: ModelSpec,
    folder: Path,
    size: tuple[int, int] | None = None,
    labels: bool = False,
    bits: int = 32,
) -> None:
    """Writes `model.onnx`, and `model.onnx.data` with the weights beside it; see `finish`.

    The graph takes `image`, float32 RGB (N, H, W, 3), 0..255, and gives `scores`, float32 (N, H, W,
    classes).

    Args:
        model: see `model.build`.
        spec: that it was built from.
        folder: an existing one.
        size: height and width of the only image that the graph takes, N being 1; weights lie inside
            then, since OpenCV, which needs a fixed size, looks nowhere else. None: any.
        labels: the graph gives `labels`, uint8 (N, H, W), the classes of the highest scores,
            instead of the scores.
        bits: of a kernel's numbers: 32, or 8 as of `quantize.pack`, which the graph itself turns
            into float32.
    """
    path = folder / "model.onnx"
    with open(folder / DATA, "wb") as data:
        graph = _Graph(spec, surgery.named_weights(model), data, size, bits)
        graph.build(labels)
    proto = helper.make_model(
        helper.make_graph(graph.nodes, spec.variant, [graph.ends["input"]], [graph.ends["output"]],
        graph.tensors),
        producer_name="fcn", opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR,
    )  # fmt: skip
    told = "the highest class" if labels else "before the softmax"
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


@dataclass
class _Graph:
    spec: ModelSpec
    weights: dict[str, Any]
    data: Any
    size: tuple[int, int] | None
    bits: int = 32
    nodes: list[Any] = field(default_factory=list)
    tensors: list[Any] = field(default_factory=list)
    ends: dict[str, Any] = field(default_factory=dict)

    @property
    def net(self) -> Backbone:
        return BACKBONES[self.spec.backbone]

    @property
    def pad(self) -> Padding:
        return self.net.paddings[self.spec.padding]

    def build(self, labels: bool) -> None:
        """All nodes, as `model.build` makes the layers."""
        variant, classes = VARIANTS[self.spec.variant], len(self.spec.classes)
        height, width = self.size or ("H", "W")
        number = 1 if self.size else "N"
        self.ends["input"] = helper.make_tensor_value_info(
            "image", TensorProto.FLOAT, [number, height, width, 3]
        )
        image = _Map(self.node("Transpose", "pixels", ["image"], perm=[0, 3, 1, 2]), self.size)
        maps = self.backbone(image)
        x = self.convolution("score_fr", maps[self.net.dense[-1].name])
        *inner, last = variant.upsamplings()
        for pool, (name, factor) in zip(variant.skips, inner, strict=True):
            x = self.upsample(name, factor, x, self.spec.upsampling == "learned")
            skip = maps[pool]
            if pool in variant.scales:
                scale = self.constant(f"{pool}/scale", np.float32(variant.scales[pool]))
                skip = _Map(self.node("Mul", f"scale_{pool}", [skip.name, scale]), skip.size)
            skip = self.convolution(f"score_{pool}", skip)
            if self.spec.padding == "caffe":
                skip = self.crop(f"score_{pool}c", self.pad.skip_offset[pool], skip, x)
            else:
                x = self.crop(f"{name}c", self.pad.skip_offset[pool], x, skip)
            x = _Map(self.node("Add", f"fuse_{pool}", [x.name, skip.name]), x.size)
        x = self.crop(
            "score",
            self.pad.score_offset[variant.stride],
            self.upsample(*last, x, learned=False),
            image,
        )
        if labels:
            self.node(
                "Cast",
                "labels",
                [self.node("ArgMax", "class", [x.name], axis=1, keepdims=0)],
                to=TensorProto.UINT8,
            )
            self.ends["output"] = helper.make_tensor_value_info(
                "labels", TensorProto.UINT8, [number, height, width]
            )
        else:
            self.node("Transpose", "scores", [x.name], perm=[0, 2, 3, 1])
            shape = [number, height, width, classes]
            self.ends["output"] = helper.make_tensor_value_info("scores", TensorProto.FLOAT, shape)

    def backbone(self, image: _Map) -> dict[str, _Map]:
        """Every map that can be scored, as of `model.backbone`."""
        net, maps, first = self.net, {}, next(iter(self.net.layers()))
        # the channels stay RGB here: conv1_1's kernel is turned around instead
        if net.input == "bgr":
            mean = self.constant(
                "mean", np.array(self.spec.mean_bgr[::-1], np.float32).reshape(1, 3, 1, 1)
            )
            x = _Map(self.node("Sub", "data", [image.name, mean]), image.size)
        else:
            kernel = self.constant(
                "grey",
                np.array([0.299, 0.587, 0.114], np.float32).reshape(1, 3, 1, 1) / np.float32(256),
            )
            x = _Map(self.node("Conv", "data", [image.name, kernel]), image.size)
        for number, block in enumerate(net.blocks, 1):
            for name, _ in block:
                same = (self.pad.rest if name == first else net.padding) == "same"
                pads = (
                    [net.side // 2] * 4 if same else [self.pad.border if name == first else 0] * 4
                )
                x = self.convolution(
                    name,
                    x,
                    pads,
                    relu=bool(net.activation),
                    turned=name == first and net.input == "bgr",
                )
            size = x.size and (-(-x.size[0] // 2), -(-x.size[1] // 2))
            pool = self.node(
                "MaxPool",
                f"pool{number}",
                [x.name],
                kernel_shape=[2, 2],
                strides=[2, 2],
                ceil_mode=1,
            )
            maps[f"pool{number}"] = x = _Map(pool, size)
        for dense in net.dense:
            before, after = (dense.side - 1) // 2, dense.side // 2
            pads = [before, before, after, after] if self.pad.rest == "same" else [0] * 4
            x = maps[dense.name] = self.convolution(dense.name, x, pads, relu=True)
        return maps

    def convolution(
        self,
        name: str,
        x: _Map,
        pads: list[int] | None = None,
        relu: bool = False,
        turned: bool = False,
    ) -> _Map:
        """A layer of the net, `turned` for an image whose channels come in the other order."""
        kernel, top, left = self.weights[f"{name}/kernel"], *(pads or [0] * 4)[:2]
        weights = (
            self.weight(f"{name}/kernel", (3, 2, 0, 1), turned),
            self.weight(f"{name}/bias", (0,)),
        )
        side = int(kernel.shape[0])
        _, _, bottom, right = pads or [0] * 4
        size = x.size and (x.size[0] + top + bottom - side + 1, x.size[1] + left + right - side + 1)
        out = self.node(
            "Conv", name, [x.name, *weights], kernel_shape=[side, side], pads=pads or [0] * 4
        )
        return _Map(self.node("Relu", f"{name}/relu", [out]) if relu else out, size)

    def upsample(self, name: str, factor: int, x: _Map, learned: bool) -> _Map:
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
        return _Map(out, size)

    def crop(self, name: str, offset: int, source: _Map, like: _Map) -> _Map:
        """As `layers.Crop`."""
        start = self.constant(f"{name}/start", np.array([offset, offset], np.int64))
        if like.size:
            end = self.constant(f"{name}/end", np.array(like.size, np.int64) + offset)
        else:
            shape = self.node("Shape", f"{name}/size", [like.name], start=2)
            end = self.node("Add", f"{name}/end", [shape, start])
        axes = self.constant(f"{name}/axes", np.array([2, 3], np.int64))
        return _Map(self.node("Slice", name, [source.name, start, end, axes]), like.size)

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
