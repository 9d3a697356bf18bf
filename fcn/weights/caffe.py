"""Caffe's binary weight files, read and written without Caffe.

The messages are those of BVLC/caffe, src/caffe/proto/caffe.proto, reduced to the fields that hold
weights: protobuf skips what it does not know. Both generations are read: `layers` (V1, until 2014)
and `layer`.
"""

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from fcn.errors import UserError
from fcn.io import replacing_file, sniff

# message -> field -> (number, type, repeated). Packed floats are declared as bytes: on the wire the
# two are the same, and bytes become an array at once, where VGG-16 would be 138 million Python
# floats. `UnpackedBlob` is the other form.
_MESSAGES: dict[str, dict[str, tuple[int, str, bool]]] = {
    "BlobShape": {"dim": (1, "int64", True)},
    "BlobProto": {
        "num": (1, "int64", False),
        "channels": (2, "int64", False),
        "height": (3, "int64", False),
        "width": (4, "int64", False),
        "data": (5, "bytes", True),
        "shape": (7, "BlobShape", False),
        "double_data": (8, "bytes", True),
    },
    "UnpackedBlob": {"data": (5, "float", True), "double_data": (8, "double", True)},
    "LayerParameter": {
        "name": (1, "string", False),
        "type": (2, "string", False),
        "blobs": (7, "BlobProto", True),
    },
    "V1LayerParameter": {
        "name": (4, "string", False),
        "type": (5, "int32", False),
        "blobs": (6, "BlobProto", True),
    },
    "NetParameter": {
        "name": (1, "string", False),
        "layers": (2, "V1LayerParameter", True),
        "layer": (100, "LayerParameter", True),
    },
    "SolverState": {
        "iter": (1, "int64", False),
        "learned_net": (2, "string", False),
        "history": (3, "BlobProto", True),
    },
}
_INNER_PRODUCT = ("InnerProduct", 14)  # LayerParameter.type, V1LayerParameter.type
_CONVOLUTION = ("Convolution", 4)


def _build() -> dict[str, Any]:
    """Make the message classes from the table above."""
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="caffe_weights.proto", package="caffe", syntax="proto2"
    )
    for message, fields in _MESSAGES.items():
        target = file.message_type.add(name=message)
        for name, (number, kind, repeated) in fields.items():
            label = kinds.LABEL_REPEATED if repeated else kinds.LABEL_OPTIONAL
            field = target.field.add(name=name, number=number, label=label)
            if kind in _MESSAGES:
                field.type, field.type_name = kinds.TYPE_MESSAGE, f".caffe.{kind}"
            else:
                field.type = kinds.Type.Value(f"TYPE_{kind.upper()}")
                field.options.packed = repeated and kind != "bytes"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"caffe.{name}"))
        for name in _MESSAGES
    }


MESSAGES = _build()


def read(path: str | os.PathLike[str]) -> dict[str, tuple[np.ndarray, ...]]:
    """Read a `.caffemodel`: layer name -> its blobs, in the file's order; layers without blobs are
    left out.

    Blobs are float32, not writeable, in Caffe's shapes: convolution kernels O x I x H x W, inner
    products O x I, biases O; the 1 x 1 x O x I and 1 x 1 x 1 x O of old files are brought to that
    form.

    Raises UserError, naming the file and what it is instead, if it is missing, empty, truncated or
    no network.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: wanted a .caffemodel, but there is no such file")
    layers: dict[str, tuple[np.ndarray, ...]] = {}
    try:
        # The message has all bytes of the file, and every array of its own: the file's are not kept
        # as a third copy.
        net = MESSAGES["NetParameter"].FromString(path.read_bytes())
        for layer in (*net.layers, *net.layer):
            if layer.name in layers and layer.blobs:
                raise UserError(
                    f"{path}: two layers with weights are named {layer.name!r}: no "
                    "network of Caffe's own"
                )
            if layer.blobs:
                layers[layer.name] = _arrays(layer, f"{path}: layer {layer.name!r}")
    except DecodeError as error:
        raise _refusal(path) from error
    if not layers:
        raise _refusal(path)
    return layers


def write(
    path: str | os.PathLike[str], name: str, layers: Mapping[str, tuple[str, Sequence[np.ndarray]]]
) -> None:
    """Write a `.caffemodel` in the current format (`layer`, BlobShape); the same layers give the
    same bytes.

    `name` is the network's; `layers` maps a layer's name to Caffe's type ("Convolution",
    "InnerProduct", ...) and its blobs in Caffe's shapes, as `read` returns them; they are stored as
    float32.
    """
    net = MESSAGES["NetParameter"](name=name)
    for layer_name, (kind, blobs) in layers.items():
        layer = net.layer.add(name=layer_name, type=kind)
        for array in blobs:
            blob = layer.blobs.add(data=[np.asarray(array, dtype="<f4", order="C").tobytes()])
            blob.shape.dim.extend(array.shape)
    with replacing_file(path) as temporary:
        temporary.write_bytes(net.SerializeToString(deterministic=True))


def _arrays(layer: Any, where: str) -> tuple[np.ndarray, ...]:
    """Return a layer's blobs as arrays; `where` names the layer in errors."""
    plain = layer.type in _INNER_PRODUCT or layer.type in _CONVOLUTION
    # What a file without BlobShape puts before a matrix (two ones) or a bias (three), to make
    # everything 4-d.
    padding = (2 if layer.type in _INNER_PRODUCT else 0, 3)
    arrays = []
    for at, blob in enumerate(layer.blobs):
        array = _array(blob, f"{where}, blob {at}")
        ones = padding[at] if plain and at < 2 and array.ndim == 4 else 0
        arrays.append(
            array.reshape(array.shape[ones:]) if set(array.shape[:ones]) == {1} else array
        )
    return tuple(arrays)


def _array(blob: Any, where: str) -> np.ndarray:
    """Return a BlobProto's numbers in the shape that it states; `where` names it in errors."""
    shape = (
        tuple(blob.shape.dim)
        if blob.HasField("shape")
        else (blob.num, blob.channels, blob.height, blob.width)
    )
    packed = [(part, "<f4") for part in blob.data] + [(part, "<f8") for part in blob.double_data]
    parts = [
        np.frombuffer(part, kind, count=len(part) // np.dtype(kind).itemsize)
        for part, kind in packed
    ]
    if not parts:
        # Floats written one by one, each with its own tag, were kept by protobuf as unknown fields.
        unpacked = MESSAGES["UnpackedBlob"].FromString(blob.SerializeToString())
        parts = [
            np.fromiter(field, "<f4", len(field)) for field in (unpacked.data, unpacked.double_data)
        ]
    values = parts[0] if len(parts) == 1 else np.concatenate(parts)
    if min(shape, default=1) < 1 or values.size != math.prod(shape):
        stated = " x ".join(map(str, shape))
        raise UserError(
            f"{where}: the shape says {stated}, but it holds {values.size} numbers: "
            "the file is damaged"
        )
    return values.astype(np.float32, copy=False).reshape(shape)


def _is_text(head: bytes) -> bool:
    """A line feed may also begin a text, and be no field 1."""
    return all(byte > 31 or byte in b"\t\n\r" for byte in head)


def _refusal(path: Path) -> UserError:
    """Say what `path`, which is no network with weights, is instead."""
    kind, data = sniff(path), path.read_bytes()
    try:
        state = MESSAGES["SolverState"].FromString(data)
        if state.HasField("iter") and state.learned_net:
            kind = (
                f"a .solverstate, the optimizer's memory at iteration {state.iter}; the weights "
                f"are in the file that it names: {state.learned_net!r}"
            )
    except DecodeError:
        # Field 1 (name), 2 (layers) or 100 (layer), each with a length: how a network begins.
        begins = data.startswith((b"\x0a", b"\x12", b"\xa2\x06"))
        if begins and kind.startswith("of unknown type") and not _is_text(data[:1024]):
            kind = "truncated or damaged: it begins like one, but cannot be read to its end"
    return UserError(
        f"{path}: wanted a .caffemodel with weights, but the file ({len(data)} bytes) is {kind}"
    )
