import struct
from pathlib import Path

import numpy as np
import pytest

from fcn.errors import UserError
from fcn.weights import caffe

MODELS = Path(__file__).parents[4] / "shared" / "realdata" / "caffemodel"
realdata = [
    pytest.mark.realdata,
    pytest.mark.skipif(
        not MODELS.is_dir(), reason="real caffemodels are not here: ../shared/realdata"
    ),
]


def varint(number):
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def field(number, content):
    """A protobuf field by hand: an integer as a varint, bytes with their length."""
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def parse(data):
    """A message by hand: (field number, content) pairs. Independent of the reader under test."""
    at = 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte, at = data[at], at + 1
            value, shift = value | (byte & 127) << shift, shift + 7
            if byte < 128:
                return value

    while at < len(data):
        tag = number()
        if tag & 7 == 0:
            yield tag >> 3, number()
        else:
            size = {1: 8, 5: 4}.get(tag & 7) or number()
            yield tag >> 3, data[at : at + size]
            at += size


FLOATS = struct.pack("<6f", 0, 0.5, -1, 1.5, 2, -2.5)
MATRIX = np.array([[0, 0.5, -1], [1.5, 2, -2.5]], np.float32)


def v1(blobs, kind=14):
    return field(2, field(4, b"ip") + field(5, kind) + b"".join(field(6, blob) for blob in blobs))


def v2(blobs, kind=b"InnerProduct"):
    return field(100, field(1, b"ip") + field(2, kind) + b"".join(field(7, blob) for blob in blobs))


def dims(*sizes):
    return b"".join(field(number, size) for number, size in enumerate(sizes, 1))


def shape(*sizes):
    return field(7, field(1, b"".join(map(varint, sizes))))


def read(tmp_path, data):
    (tmp_path / "x.caffemodel").write_bytes(data)
    return caffe.read(tmp_path / "x.caffemodel")


@pytest.mark.parametrize(
    "blob",
    [
        dims(1, 1, 2, 3) + field(5, FLOATS),
        shape(2, 3) + field(5, FLOATS),
        field(7, field(1, 2) + field(1, 3)) + field(5, FLOATS),  # the shape's numbers not packed
        # protobuf allows packed fields in pieces
        shape(2, 3) + field(5, FLOATS[:8]) + field(5, FLOATS[8:]),
        # floats not packed
        shape(2, 3) + b"".join(b"\x2d" + FLOATS[at : at + 4] for at in range(0, 24, 4)),
        shape(2, 3) + field(8, MATRIX.astype("<f8").tobytes()),
        shape(2, 3) + field(5, FLOATS) + field(6, FLOATS),  # with the gradients
    ],
)
@pytest.mark.parametrize("layer", [v1, v2])
def test_every_form_of_a_blob_gives_the_same_matrix(tmp_path, layer, blob):
    data = field(1, b"net") + field(3, b"data") + layer([blob, shape(2) + field(5, FLOATS[:8])])
    (matrix, bias) = read(tmp_path, data)["ip"]
    np.testing.assert_array_equal(matrix, MATRIX, strict=True)
    np.testing.assert_array_equal(bias, np.array([0, 0.5], np.float32), strict=True)


def test_legacy_dimensions_are_read_by_what_the_layer_is(tmp_path):
    bias = dims(1, 1, 1, 2) + field(5, FLOATS[:8])
    convolution = read(tmp_path, v1([dims(1, 1, 2, 3) + field(5, FLOATS), bias], kind=4))["ip"]
    assert [blob.shape for blob in convolution] == [(1, 1, 2, 3), (2,)]
    upgraded = read(tmp_path, v2([dims(1, 1, 2, 3) + field(5, FLOATS), bias]))["ip"]
    assert [blob.shape for blob in upgraded] == [(2, 3), (2,)]
    other = read(tmp_path, v1([dims(1, 1, 1, 6) + field(5, FLOATS)], kind=99))["ip"]
    assert [blob.shape for blob in other] == [(1, 1, 1, 6)]


def test_layers_keep_their_order_and_those_without_weights_are_left_out(tmp_path):
    blob = shape(6) + field(5, FLOATS)
    data = b"".join(field(100, field(1, name) + field(7, blob)) for name in (b"z", b"a")) + field(
        100, field(1, b"relu")
    )
    assert list(read(tmp_path, data)) == ["z", "a"]


def test_what_is_written_is_read_again_and_has_the_wire_format_of_caffe(tmp_path):
    kernel, bias = np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2), np.array([1, 2], np.float32)
    layers = {
        "conv1_1": ("Convolution", [kernel, bias]),
        "fc6": ("InnerProduct", [MATRIX[:, ::-1]]),
    }
    caffe.write(tmp_path / "1", "small", layers)
    caffe.write(tmp_path / "2", "small", layers)
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()
    back = caffe.read(tmp_path / "1")
    np.testing.assert_array_equal(back["conv1_1"][0], kernel, strict=True)
    np.testing.assert_array_equal(back["conv1_1"][1], bias, strict=True)
    np.testing.assert_array_equal(back["fc6"][0], [[-1, 0.5, 0], [-2.5, 2, 1.5]])

    net = list(parse((tmp_path / "1").read_bytes()))
    assert net[0] == (1, b"small")
    assert [number for number, _ in net] == [1, 100, 100]
    layer = list(parse(net[1][1]))
    assert layer[:2] == [(1, b"conv1_1"), (2, b"Convolution")]
    blob = dict(parse(layer[2][1]))
    assert blob[5] == kernel.tobytes()
    assert blob[7] == field(1, bytes([2, 3, 2, 2]))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html>Not found</html>", "an HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "a git-lfs pointer"),
        (b"\x89HDF\r\n\x1a\n" + bytes(50), "an HDF5 file"),
        (field(1, b"net") + v2([shape(2, 3) + field(5, FLOATS)])[:-3], "truncated or damaged"),
        # a net, but no weights
        (field(1, b"net") + field(100, field(1, b"relu")), "of unknown type"),
        (b'name: "LeNet"\nlayer {\n  name: "data"\n}\n', "of unknown type .starts with b'name: "),
        (
            field(1, 7) + field(2, b"x.caffemodel") + field(3, dims(1, 1, 1, 1)),
            "a .solverstate.* iteration 7.*x.caffemodel",
        ),
        (
            v2([shape(2, 4) + field(5, FLOATS)]),
            "layer 'ip', blob 0: the shape says 2 x 4, but it holds 6 numbers",
        ),
        (v1([field(5, FLOATS)]), "the shape says 0 x 0 x 0 x 0"),
        (v2([shape(2, 3) + field(5, FLOATS)]) * 2, "two layers with weights are named 'ip'"),
        # a name that is no text
        (field(100, field(1, b"\xff\xfe") + field(7, b"")), "the shape says 0 x 0 x 0 x 0"),
    ],
)
def test_other_files_are_refused_by_the_name_of_what_they_are(tmp_path, data, message):
    with pytest.raises(UserError, match=message) as error:
        read(tmp_path, data)
    assert str(tmp_path / "x.caffemodel") in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"no\.caffemodel: .* no such file"):
        caffe.read(tmp_path / "no.caffemodel")


LENET = {
    "conv1": [(20, 1, 5, 5), (20,)],
    "conv2": [(50, 20, 5, 5), (50,)],
    "ip1": [(500, 800), (500,)],
}
LENET["ip2"] = [(10, 500), (10,)]


class TestRealFiles:
    pytestmark = realdata

    @pytest.mark.parametrize(
        ("name", "shapes"),
        [
            ("v1_layers/lenet_iter_10000.caffemodel", LENET),
            ("v2_layer/lenet_iter_10000.caffemodel", LENET),
            (
                "v1_layers/cifar10_quick_iter_5000.caffemodel",
                {
                    "conv1": [(32, 3, 5, 5), (32,)],
                    "conv2": [(32, 32, 5, 5), (32,)],
                    "conv3": [(64, 32, 5, 5), (64,)],
                    "ip1": [(64, 1024), (64,)],
                    "ip2": [(10, 64), (10,)],
                },
            ),
            (
                "v2_layer/det1.caffemodel",
                {
                    "conv1": [(10, 3, 3, 3), (10,)],
                    "PReLU1": [(10,)],
                    "conv2": [(16, 10, 3, 3), (16,)],
                    "PReLU2": [(16,)],
                    "conv3": [(32, 16, 3, 3), (32,)],
                    "PReLU3": [(32,)],
                    "conv4-1": [(2, 32, 1, 1), (2,)],
                    "conv4-2": [(4, 32, 1, 1), (4,)],
                },
            ),
        ],
    )
    def test_shapes_are_the_networks_and_values_those_of_a_parser_by_hand(self, name, shapes):
        layers = caffe.read(MODELS / name)
        assert {name: [blob.shape for blob in blobs] for name, blobs in layers.items()} == shapes
        at_name, at_blobs = (4, 6) if name.startswith("v1") else (1, 7)
        for number, layer in parse((MODELS / name).read_bytes()):
            if number in (2, 100):
                fields = list(parse(layer))
                blobs = [
                    dict(parse(content))[5] for number, content in fields if number == at_blobs
                ]
                if blobs:
                    read = layers[dict(fields)[at_name].decode()]
                    assert [blob.tobytes() for blob in read] == blobs

    def test_a_solverstate_is_refused_and_points_to_the_weights(self):
        with pytest.raises(
            UserError,
            match=r"a \.solverstate.*iteration 10000.*examples/mnist/lenet_iter_10000.caffemodel",
        ):
            caffe.read(MODELS / "v1_layers" / "lenet_iter_10000.solverstate")

    @pytest.mark.parametrize("keep", [0.01, 0.5, 0.999])
    def test_a_truncated_file_is_refused(self, tmp_path, keep):
        data = (MODELS / "v2_layer" / "lenet_iter_10000.caffemodel").read_bytes()
        with pytest.raises(UserError, match="truncated or damaged"):
            read(tmp_path, data[: int(len(data) * keep)])
