"""The restricted unpickler: it reads what numpy reads, and does nothing that a pickle asks for."""

import builtins
import io
import os
import pickle
import struct
import subprocess
import warnings

import numpy as np
import pytest
from weight_files import classifier, hwio, python2_npy, write_npy

from fcn.errors import UserError
from fcn.weights import npy

LAYERS = hwio(classifier())


def npy_file(pickled, descr="|O"):
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': (), }}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + pickled


def read(tmp_path, data):
    (tmp_path / "x.npy").write_bytes(data)
    return npy.read(tmp_path / "x.npy")


def zero_d(content):
    array = np.empty((), object)
    array[()] = content
    return array


@pytest.mark.parametrize("protocol", range(5))
def test_every_protocol_gives_what_numpy_gives(tmp_path, protocol):
    data = npy_file(
        pickle.dumps(zero_d({name: list(pair) for name, pair in LAYERS.items()}), protocol)
    )
    expected = np.load(io.BytesIO(data), allow_pickle=True, encoding="latin1").item()
    found = read(tmp_path, data)
    assert list(found) == list(expected)
    for name, (kernel, bias) in found.items():
        np.testing.assert_array_equal(kernel, expected[name][0], strict=True)
        np.testing.assert_array_equal(bias, expected[name][1], strict=True)


def test_what_python_2_wrote_is_read_as_numpy_reads_it(tmp_path):
    data = python2_npy(LAYERS)
    assert b"numpy.core.multiarray\n_reconstruct" in data
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of numpy.core, which is numpy._core by now
        expected = np.load(io.BytesIO(data), allow_pickle=True, encoding="latin1").item()
    for name, blobs in read(tmp_path, data).items():
        for blob, other in zip(blobs, expected[name], strict=True):
            np.testing.assert_array_equal(blob, other, strict=True)


def test_both_layouts_give_the_same(tmp_path):
    write_npy(tmp_path / "1", LAYERS, list)
    write_npy(tmp_path / "2", LAYERS, dict)
    first, second = npy.read(tmp_path / "1"), npy.read(tmp_path / "2")
    assert list(first) == list(second) == list(LAYERS)
    for name, (kernel, bias) in LAYERS.items():
        for found in (first, second):
            np.testing.assert_array_equal(found[name][0], kernel, strict=True)
            np.testing.assert_array_equal(found[name][1], bias, strict=True)


def test_numbers_of_other_types_and_orders(tmp_path):
    matrix = np.arange(6.0).reshape(2, 3)
    content = {
        "a": [np.asfortranarray(matrix), matrix.astype(">f4")],
        "b": (matrix.astype("i2"), np.array([True, False])),
    }
    found = read(tmp_path, npy_file(pickle.dumps(zero_d(content), 2)))
    np.testing.assert_array_equal(found["a"][0], matrix)
    np.testing.assert_array_equal(found["a"][1], matrix)
    np.testing.assert_array_equal(found["b"][0], [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(found["b"][1], [True, False])


class Calls:
    """Pickles as a call of `function` with `arguments`."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(5))
@pytest.mark.parametrize(
    "where", ["instead of the dict", "as a layer", "as a kernel", "as a name", "after the dict"]
)
@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda path: Calls(os.mkdir, path), r"(posix|nt)\.mkdir"),
        (lambda path: Calls(os.system, f"mkdir {path}"), r"(posix|nt)\.system"),
        (
            lambda path: Calls(builtins.eval, f"__import__('os').mkdir({path!r})"),
            r"(builtins|__builtin__)\.eval",
        ),
        (
            lambda path: Calls(builtins.exec, f"import os; os.mkdir({path!r})"),
            r"(builtins|__builtin__)\.exec",
        ),
        (lambda path: Calls(subprocess.Popen, ["mkdir", path]), r"subprocess\.Popen"),
        (lambda path: Calls(builtins.getattr, os, "mkdir"), "."),
        (lambda path: Calls(np.save, path, 1), r"numpy\.save|numpy.lib"),
    ],
    ids=["mkdir", "system", "eval", "exec", "Popen", "getattr", "numpy"],
)
def test_a_call_is_refused_by_name_and_not_made(tmp_path, protocol, where, call, name):
    made = str(tmp_path / "made")
    bad = call(made)
    try:
        content = {
            "instead of the dict": lambda: bad,
            "as a layer": lambda: zero_d({"conv1_1": bad}),
            "as a kernel": lambda: zero_d({"conv1_1": [bad, np.ones(2)]}),
            "as a name": lambda: zero_d({bad: [np.ones(2), np.ones(2)]}),
            "after the dict": lambda: (zero_d({"conv1_1": [np.ones(2), np.ones(2)]}), bad),
        }[where]()
        data = npy_file(pickle.dumps(content, protocol))
    except TypeError:  # a module cannot be pickled: its name stands for it
        data = npy_file(b"c__builtin__\ngetattr\n(cos\n__dict__\nS'mkdir'\ntR.")
    with pytest.raises(UserError, match=f"asks to call {name}|asks to call") as error:
        read(tmp_path, data)
    assert "do not trust this file" in str(error.value)
    assert not os.path.exists(made)
    assert not os.path.exists(made + ".npy")


# By hand, in ways that Python's own pickler never writes: the opcodes that call, look up, or change
# what is there.
@pytest.mark.parametrize(
    ("pickled", "message"),
    [
        (b"cos\nsystem\n(S'mkdir made'\ntR.", "asks to call os.system"),
        (b"(S'mkdir made'\nios\nsystem\n.", "asks to call os.system"),  # INST
        (b"(cos\nsystem\nS'mkdir made'\no.", "asks to call os.system"),  # OBJ
        # STACK_GLOBAL
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x0amkdir made\x85R.", "asks to call os.system"),
        (
            b"\x80\x04\x8c\x05numpy\x8c\x0edtype.__init__\x93.",
            "asks to call numpy.dtype.__init__",
        ),  # a path into what is allowed
        (
            b"\x80\x04\x8c\x05numpy\x8c\x16ndarray.__subclasses__\x93)R.",
            "asks to call numpy.ndarray.__subclasses__",
        ),
        (b"\x80\x02\x82\x01.", "truncated or damaged"),  # EXT1: an extension of copyreg
        (b"Pid\n.", "truncated or damaged"),  # PERSID
        # BUILD with a state that is a dict
        (b"cnumpy\ndtype\n(S'f4'\ntR(dS'__class__'\nI1\nsb.", "holds Dtype"),
        # BUILD on the class itself
        (b"cnumpy\ndtype\nN}S'__init__'\nI1\ns\x86b.", "truncated or damaged"),
        (b"cnumpy\ndtype\n(S'O'\nI1\nI2\ntR.", "holds Dtype"),
        (b"]q\x00h\x00a.", "holds list"),  # a list that holds itself
        (b"}q\x00S'a'\nh\x00s.", "a: wanted weights and biases, but it holds a"),
        (b"I1\n.", "holds int"),
        (b"", "truncated or damaged"),
        # more bytes than there can be
        (b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"x.", "truncated or damaged"),
        (b"}S'a'\n]s.", None),
    ],
)
def test_crafted_pickles_do_nothing(tmp_path, monkeypatch, pickled, message):
    monkeypatch.chdir(tmp_path)
    if message is None:
        assert read(tmp_path, npy_file(pickled)) == {"a": ()}
    else:
        with pytest.raises(UserError, match=message):
            read(tmp_path, npy_file(pickled))
    assert [path.name for path in tmp_path.iterdir()] == ["x.npy"]
    write_npy(tmp_path / "good.npy", LAYERS)  # and nothing is broken for the next file
    assert list(npy.read(tmp_path / "good.npy")) == list(LAYERS)


def array_of(shape, code, content):
    """The pickle of a dict with one layer, whose first array states what it likes."""
    good = pickle.dumps(np.ones(2, "f4"), 2)[2:-1]
    made = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
    kind = f"cnumpy\ndtype\n(S'{code}'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntb".encode()
    state = (
        b"(I1\n("
        + b"".join(f"I{n}\n".encode() for n in shape)
        + b"t"
        + kind
        + b"I00\n"
        + content
        + b"tb"
    )
    return npy_file(b"\x80\x02}S'a'\n](" + made + state + good + b"es.")


@pytest.mark.parametrize(
    ("shape", "code", "content", "message"),
    [
        ((2,), "f4", b"S'12345678'\n", None),
        ((3,), "f4", b"S'12345678'\n", r"a: holds an array of shape \(3,\) of f4, but 8 bytes"),
        ((-1, -2), "f4", b"S'12345678'\n", None),  # a product that fits: numpy has the last word
        ((1,), "V8", b"S'12345678'\n", "a: holds an array of type 'V8', which are no numbers"),
        # bytes for addresses of objects
        ((1,), "O", b"S'12345678'\n", "a: holds an array of type 'O'"),
        ((1,), "f4,O", b"S'123456781234'\n", "a: holds an array of type 'f4,O'"),
        ((1,), "M8[s]", b"S'12345678'\n", "which are no numbers"),
        ((1,), "c8", b"S'12345678'\n", "which are no numbers"),
        ((1,), "O", b"]I7\na", "a: wanted two arrays, but one is list"),
    ],
)
def test_an_array_that_is_none_is_refused(tmp_path, shape, code, content, message):
    if message is None and shape == (2,):
        found = read(tmp_path, array_of(shape, code, content))
        np.testing.assert_array_equal(found["a"][0], np.frombuffer(b"12345678", "<f4"))
        np.testing.assert_array_equal(found["a"][1], [1, 1])
    else:
        with pytest.raises(UserError, match=message or "truncated or damaged"):
            read(tmp_path, array_of(shape, code, content))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            np.ones((2, 3)),
            r"wanted a dict of layers, but the file holds one array of float64, shape \(2, 3\)",
        ),
        ([np.ones(2)], "wanted a dict of layers, but the file holds"),
        ({"conv1_1": 3}, "conv1_1: wanted a kernel and a bias, but it holds int"),
        (
            {"conv1_1": {"weights": np.ones(2)}},
            "conv1_1: wanted weights and biases, but it holds weights",
        ),
        (
            {"conv1_1": {"mean": np.ones(2), "scale": np.ones(2)}},
            "conv1_1: wanted weights and biases, but it holds mean, scale",
        ),
        ({"conv1_1": [np.ones(2), "x"]}, "conv1_1: wanted two arrays, but one is str"),
    ],
)
def test_other_contents_are_refused(tmp_path, content, message):
    with open(tmp_path / "x.npy", "wb") as file:
        np.save(
            file, content if isinstance(content, np.ndarray) else zero_d(content), allow_pickle=True
        )
    with pytest.raises(UserError, match=message):
        npy.read(tmp_path / "x.npy")
