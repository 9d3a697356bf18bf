"""The nets as TensorFlow Lite graphs, written straight from the tables of `fcn.spec.architecture`:
TensorFlow's own converter takes eight times the memory of the weights for it.
"""

import math
import shutil
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import flatbuffers
import keras
import numpy as np
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema

from fcn.net import Upsample, quantize
from fcn.predict.graph import GREY, Graph, Map, Wanted, convolved
from fcn.spec import ModelSpec

INSIDE = 256 * 2**20
"""Bytes of weights that are kept in the flatbuffer. Larger ones lie behind it in the same file,
from where a reader maps them into its memory; runtimes of before 2024 may not know that.
"""
PAGE, PIECE = 4096, 64
"""Weights begin at multiples of so many bytes, and are written so many outputs at a time."""
VERSIONS = {"CONV_2D": 5}
"""Of operations, as of TensorFlow's schema: 5 of convolutions knows kernels in 8 bits. Else 1."""


def save(model: keras.Model, spec: ModelSpec, folder: Path, wanted: Wanted) -> None:
    """Writes `model.tflite`.

    The graph takes `image`, float32 RGB (1, H, W, 3), 0..255, and gives `scores`, float32 (1, H, W,
    classes).

    Args:
        model: see `model.build`.
        spec: that it was built from.
        folder: an existing one.
        wanted: what becomes of it; the size must be fixed. With kernels in 8 bits the runtime
            brings maps to 8 bits as well, each by its largest number.
    """
    path, beside = folder / "model.tflite", folder / "weights"
    with open(beside, "wb") as data:
        graph = _Graph(model, spec, wanted, data)
        graph.build()
        length = data.tell()
    if length <= INSIDE:
        graph.place(beside.read_bytes())
        path.write_bytes(_packed(graph.model()))
    else:
        # offsets have a fixed number of bytes, if they are not 0
        graph.behind(PAGE)
        begin = math.ceil(len(_packed(graph.model())) / PAGE) * PAGE
        graph.behind(begin)
        with open(path, "wb") as file, open(beside, "rb") as data:
            file.write(_packed(graph.model()))
            file.seek(begin)
            shutil.copyfileobj(data, file, 2**22)
    beside.unlink()


def load(folder: Path) -> Callable[[np.ndarray], np.ndarray]:
    """The net that `save` wrote, in TensorFlow's own interpreter."""
    # for little memory: what the default brings along copies the weights
    plain = tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it will be a package of its own one day
        interpreter = tf.lite.Interpreter(
            str(folder / "model.tflite"),
            num_threads=1,  # more would turn all kernels around, into a second copy
            experimental_op_resolver_type=plain,
        )
    interpreter.allocate_tensors()
    [given], [found] = interpreter.get_input_details(), interpreter.get_output_details()

    def scores(image: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(given["index"], image)
        interpreter.invoke()
        answer: np.ndarray = interpreter.get_tensor(found["index"])
        return answer

    return scores


def _packed(model: Any) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


class _Graph(Graph):
    """Maps are (1, H, W, C)."""

    def __init__(self, model: keras.Model, spec: ModelSpec, wanted: Wanted, data: BinaryIO) -> None:
        super().__init__(model, spec, wanted, data)
        self.buffers = [schema.BufferT()]  # the first one is empty: of tensors without numbers
        self.outside: list[tuple[int, int, int]] = []  # buffer, offset, length
        self.tensors: list[Any] = []
        self.numbers: dict[str, int] = {}
        self.operators: list[Any] = []
        self.kinds: list[str] = []
        self.ends: list[str] = []

    def model(self) -> Any:
        """The whole, for the flatbuffer."""
        graph = schema.SubGraphT()
        graph.name, graph.tensors, graph.operators = "fcn", self.tensors, self.operators
        graph.inputs, graph.outputs = ([self.numbers[name]] for name in self.ends)
        signature = schema.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = "serving_default", 0
        maps = []
        for name in self.ends:
            entry = schema.TensorMapT()
            entry.name, entry.tensorIndex = name, self.numbers[name]
            maps.append([entry])
        signature.inputs, signature.outputs = maps
        model = schema.ModelT()
        model.version, model.description = 3, self.spec.variant
        model.subgraphs, model.signatureDefs, model.buffers = [graph], [signature], self.buffers
        model.operatorCodes = []
        for kind in self.kinds:
            code = schema.OperatorCodeT()
            number = getattr(schema.BuiltinOperator, kind)
            code.builtinCode, code.deprecatedBuiltinCode = number, min(number, 127)
            code.version = VERSIONS.get(kind, 1)
            model.operatorCodes.append(code)
        return model

    def place(self, data: bytes) -> None:
        """Puts the weights into the flatbuffer."""
        for number, offset, length in self.outside:
            self.buffers[number].data = np.frombuffer(data, np.uint8, length, offset)

    def behind(self, begin: int) -> None:
        """Says that the weights lie in the file from there."""
        for number, offset, length in self.outside:
            self.buffers[number].offset, self.buffers[number].size = begin + offset, length

    def image(self) -> Map:
        self.ends.append(self.tensor("image", (1, *self.given, 3)))
        return Map("image", self.size)

    @property
    def given(self) -> tuple[int, int]:
        assert self.size
        return self.size

    def minus_mean(self, image: Map) -> Map:
        mean = self.constant("mean", np.array(self.spec.mean_bgr[::-1], np.float32))
        return self.node("SUB", "data", [image.name, mean], image.size, 3, schema.SubOptionsT())

    def grey(self, image: Map) -> Map:
        kernel = self.constant("grey", GREY.reshape(1, 1, 1, 3))
        bias = self.constant("grey/bias", np.zeros(1, np.float32))
        options = _options(schema.Conv2DOptionsT(), schema.Padding.VALID)
        return self.node("CONV_2D", "data", [image.name, kernel, bias], image.size, 1, options)

    def convolution(
        self,
        name: str,
        x: Map,
        pads: Sequence[int] = (0, 0, 0, 0),
        relu: bool = False,
        turned: bool = False,
    ) -> Map:
        kernel = self.weights[f"{name}/kernel"]
        side, depth, filters = (int(kernel.shape[axis]) for axis in (0, 2, 3))
        size, before, after = convolved(x.size, side, pads), (side - 1) // 2, side // 2
        padding = schema.Padding.VALID
        if any(pads) and [*pads] == [before, before, after, after]:
            padding = schema.Padding.SAME
        elif any(pads):
            rows = np.array([[0, 0], pads[::2], pads[1::2], [0, 0]], np.int32)
            padded = self.constant(f"{name}/pads", rows)
            assert x.size
            larger = (x.size[0] + sum(pads[::2]), x.size[1] + sum(pads[1::2]))
            options = schema.PadOptionsT()
            x = self.node("PAD", f"{name}/padded", [x.name, padded], larger, depth, options)
        options = _options(schema.Conv2DOptionsT(), padding)
        if relu:
            options.fusedActivationFunction = schema.ActivationFunctionType.RELU
        weights = (
            self.weight(f"{name}/kernel", (3, 0, 1, 2), turned, self.bits),
            self.weight(f"{name}/bias", (0,)),
        )
        return self.node("CONV_2D", name, [x.name, *weights], size, filters, options)

    def pooled(self, name: str, x: Map) -> Map:
        assert x.size
        options = _options(schema.Pool2DOptionsT(), schema.Padding.SAME, 2)
        options.filterWidth = options.filterHeight = 2
        size = -(-x.size[0] // 2), -(-x.size[1] // 2)
        return self.node("MAX_POOL_2D", name, [x.name], size, self.depth(x), options)

    def upsample(self, name: str, factor: int, x: Map, learned: bool) -> Map:
        assert x.size
        layer, classes = Upsample(factor, self.pad.rest), len(self.spec.classes)
        height, width = (layer.enlarged(side) for side in x.size)
        if learned:
            same = self.pad.rest == "same"
            padding = schema.Padding.SAME if same else schema.Padding.VALID
            shape = self.constant(f"{name}/shape", np.array([1, height, width, classes], np.int32))
            kernel = self.weight(f"{name}/kernel", (2, 0, 1, 3))
            options = _options(schema.TransposeConvOptionsT(), padding, factor)
            inputs = [shape, kernel, x.name]
            return self.node("TRANSPOSE_CONV", name, inputs, (height, width), classes, options)
        wide = self.product(f"{name}/wide", layer, x.size[1], x.name, (x.size[0], width, classes))
        rows = self.reshaped(f"{name}/rows", wide, (1, x.size[0], width * classes))
        high = self.product(f"{name}/high", layer, x.size[0], rows, (height, width * classes))
        return Map(self.reshaped(name, high, (1, height, width, classes)), (height, width))

    def product(
        self, name: str, layer: Upsample, length: int, x: str, shape: tuple[int, ...]
    ) -> str:
        """The shares of a line's cells in its pixels, times a map."""
        shares = np.asarray(layer.shares(length), np.float32)
        constant = self.constant(f"{name}/shares", shares[(None,) * (len(shape) - 1)])
        return self.operator(
            "BATCH_MATMUL", name, [constant, x], (1, *shape), schema.BatchMatMulOptionsT()
        )

    def reshaped(self, name: str, x: str, shape: tuple[int, ...]) -> str:
        """The same numbers in another shape."""
        constant = self.constant(f"{name}/shape", np.array(shape, np.int32))
        options = schema.ReshapeOptionsT()
        options.newShape = list(shape)
        return self.operator("RESHAPE", name, [x, constant], shape, options)

    def scaled(self, pool: str, x: Map, factor: float) -> Map:
        scale = self.constant(f"{pool}/scale", np.float32(factor))
        options = schema.MulOptionsT()
        return self.node("MUL", f"scale_{pool}", [x.name, scale], x.size, self.depth(x), options)

    def crop(self, name: str, offset: int, source: Map, like: Map) -> Map:
        assert like.size
        depth = self.depth(source)
        begin = self.constant(f"{name}/begin", np.array([0, offset, offset, 0], np.int32))
        sides = self.constant(f"{name}/sides", np.array([1, *like.size, depth], np.int32))
        inputs = [source.name, begin, sides]
        return self.node("SLICE", name, inputs, like.size, depth, schema.SliceOptionsT())

    def fused(self, name: str, one: Map, other: Map) -> Map:
        options = schema.AddOptionsT()
        return self.node("ADD", name, [one.name, other.name], one.size, self.depth(one), options)

    def output(self, x: Map) -> None:
        if self.labels:
            axis, options = self.constant("axis", np.array(3, np.int32)), schema.ArgMaxOptionsT()
            options.outputType = schema.TensorType.INT32
            sides = (1, *self.given)
            best = self.operator("ARG_MAX", "class", [x.name, axis], sides, options, np.int32)
            cast = schema.CastOptionsT()
            cast.inDataType, cast.outDataType = schema.TensorType.INT32, schema.TensorType.UINT8
            self.ends.append(self.operator("CAST", "labels", [best], sides, cast, np.uint8))
        else:
            # the crop's map under another name
            shape = (1, *self.given, len(self.spec.classes))
            self.ends.append(self.reshaped("scores", x.name, shape))

    def depth(self, x: Map) -> int:
        """How many channels a map has."""
        return int(self.tensors[self.numbers[x.name]].shape[3])

    def node(
        self,
        kind: str,
        name: str,
        inputs: list[str],
        size: tuple[int, int] | None,
        depth: int,
        options: Any,
    ) -> Map:
        """An operation that gives a map."""
        assert size
        return Map(self.operator(kind, name, inputs, (1, *size, depth), options), size)

    def operator(
        self,
        kind: str,
        name: str,
        inputs: list[str],
        shape: tuple[int, ...],
        options: Any,
        dtype: Any = np.float32,
    ) -> str:
        """An operation; its result has its name."""
        if kind not in self.kinds:
            self.kinds.append(kind)
        made = schema.OperatorT()
        made.opcodeIndex = self.kinds.index(kind)
        made.inputs = [self.numbers[each] for each in inputs]
        made.outputs = [self.numbers[self.tensor(name, shape, dtype)]]
        made.builtinOptions = options
        made.builtinOptionsType = getattr(
            schema.BuiltinOptions, type(options).__name__.removesuffix("T")
        )
        self.operators.append(made)
        return name

    def tensor(
        self, name: str, shape: Sequence[int], dtype: Any = np.float32, buffer: int = 0
    ) -> str:
        """A tensor; without a buffer it is computed."""
        made = schema.TensorT()
        made.name, made.shape, made.buffer = name, [int(side) for side in shape], buffer
        made.type = getattr(schema.TensorType, np.dtype(dtype).name.upper())
        self.numbers[name] = len(self.tensors)
        self.tensors.append(made)
        return name

    def constant(self, name: str, value: Any) -> str:
        array = np.asarray(value)
        made = schema.BufferT()
        made.data = np.frombuffer(array.tobytes(), np.uint8)
        self.buffers.append(made)
        return self.tensor(name, array.shape, array.dtype, len(self.buffers) - 1)

    def weight(
        self, name: str, order: tuple[int, ...], turned: bool = False, bits: int = 32
    ) -> str:
        """Stores an array with its axes in another order, in pieces of its last axis if that comes
        first, and of the third turned around.
        """
        array, scales = self.weights[name], []
        self.data.write(bytes(-self.data.tell() % PAGE))
        begin = self.data.tell()
        step = PIECE if order[0] == array.ndim - 1 else array.shape[-1]
        for start in range(0, array.shape[-1], step):
            piece = np.asarray(array.value[..., start : start + step], np.dtype("<f4"))
            if bits == 8:
                piece, scale = quantize.pack({"a/kernel": piece}).values()
                scales.append(scale)
            piece = piece[:, :, ::-1] if turned else piece
            self.data.write(np.ascontiguousarray(piece.transpose(order)).data)
        made = schema.BufferT()
        self.buffers.append(made)
        number = len(self.buffers) - 1
        self.outside.append((number, begin, self.data.tell() - begin))
        shape = [array.shape[axis] for axis in order]
        self.tensor(name, shape, np.int8 if bits == 8 else np.float32, number)
        if bits == 8:
            rounding = schema.QuantizationParametersT()
            rounding.scale = np.concatenate(scales)
            rounding.zeroPoint = np.zeros(len(rounding.scale), np.int64)
            self.tensors[-1].quantization = rounding
        return name


def _options(made: Any, padding: int, stride: int = 1) -> Any:
    """Of an operation that goes over a map."""
    made.padding, made.strideW, made.strideH = padding, stride, stride
    return made
