import io
import json
import time
import warnings
import zipfile

import numpy as np
import pytest

from fcn import files
from fcn.errors import UserError

ARRAYS = {"b/kernel": np.arange(6, dtype=np.float32).reshape(2, 3), "a/bias": np.array(2.5), "i": np.array([1, -1])}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_digest_is_that_of_the_published_test_vectors(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    assert files.digest(tmp_path / "abc", "md5") == "900150983cd24fb0d6963f7d28e17f72"  # RFC 1321
    assert files.digest(tmp_path / "abc", "sha1") == "a9993e364706816aba3e25717850c26c9cd0d89d"  # FIPS 180
    assert files.digest(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "empty"),
        (b"\n<!DOCTYPE html><p>", "an HTML page"),
        (b"\xef\xbb\xbf<HTML>", "an HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "a git-lfs pointer"),
        (b"\x1f\x8b\x08", "a gzip archive"),
        (b"PK\x03\x04", "a zip archive"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
        (b"\0" * 257 + b"ustar", "a tar archive"),
        (b"abc", "of unknown type (starts with b'abc')"),
    ],
)
def test_sniff_goes_by_the_first_bytes(tmp_path, content, kind):
    (tmp_path / "x.caffemodel").write_bytes(content)
    assert files.sniff(tmp_path / "x.caffemodel").startswith(kind)


def test_replacing_moves_a_file_into_place_at_the_end(tmp_path):
    target = tmp_path / "new" / "x.weights.h5"
    with files.replacing(target) as temporary:
        assert temporary.parent == target.parent
        assert temporary.name.endswith(".weights.h5")  # Keras goes by the suffix
        temporary.write_text("content")
        assert not target.exists()
    assert target.read_text() == "content"
    assert names(target.parent) == ["x.weights.h5"]


def test_replacing_swaps_a_whole_directory(tmp_path):
    target = tmp_path / "model"
    (target / "old").mkdir(parents=True)
    with files.replacing(target) as temporary:
        temporary.mkdir()
        (temporary / "new").write_text("1")
        assert names(target) == ["old"]
    assert names(target) == ["new"]
    assert names(tmp_path) == ["model"]


def test_replacing_replaces_a_link_and_not_what_it_points_to(tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "model").symlink_to("cache")
    with files.replacing(tmp_path / "model") as temporary:
        temporary.mkdir()
    assert not (tmp_path / "model").is_symlink()
    assert names(tmp_path) == ["cache", "model"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("directory", [False, True])
def test_replacing_leaves_everything_as_it_was_on_an_exception(tmp_path, error, directory):
    target = tmp_path / "x"
    target.write_text("before")

    def fail():
        with files.replacing(target) as temporary:
            temporary.mkdir() if directory else temporary.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert target.read_text() == "before"
    assert names(tmp_path) == ["x"]


def test_replacing_clears_what_a_killed_process_left(tmp_path):
    with files.replacing(tmp_path / "x") as temporary:
        temporary.write_text("1")
        left = temporary
    left.mkdir()
    (left / "half").write_text("half")
    with files.replacing(tmp_path / "x") as temporary:
        assert not temporary.exists()
        temporary.write_text("2")
    assert (tmp_path / "x").read_text() == "2"
    assert names(tmp_path) == ["x"]


def test_replacing_brings_back_a_directory_whose_replacement_was_killed_between_two_renames(tmp_path):
    (tmp_path / ".former-model").mkdir()
    (tmp_path / ".former-model" / "weights").write_text("1")

    def fail():
        with files.replacing(tmp_path / "model"):
            raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        fail()
    assert (tmp_path / "model" / "weights").read_text() == "1"
    assert names(tmp_path) == ["model"]


def test_replacing_keeps_the_directory_when_nothing_was_written(tmp_path):
    (tmp_path / "model").mkdir()

    def nothing():
        with files.replacing(tmp_path / "model"):
            pass

    with pytest.raises(FileNotFoundError):
        nothing()
    assert names(tmp_path) == ["model"]


def test_json_keeps_its_order_and_refuses_nan(tmp_path):
    files.write_json(tmp_path / "x.json", {"b": [1.5, None], "a": "é"})
    assert (tmp_path / "x.json").read_bytes() == '{\n  "b": [\n    1.5,\n    null\n  ],\n  "a": "é"\n}\n'.encode()
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(tmp_path / "x.json", {"iu": float("nan")})
    assert json.loads((tmp_path / "x.json").read_text())["a"] == "é"


def test_arrays_come_back_as_they_were_in_their_order(tmp_path):
    files.save_arrays(tmp_path / "x.npz", ARRAYS)
    back = files.load_arrays(tmp_path / "x.npz")
    assert list(back) == ["b/kernel", "a/bias", "i"]
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(back[name], array, strict=True)


def test_the_same_arrays_give_the_same_bytes_at_any_time_and_in_any_memory_order(tmp_path, monkeypatch):
    files.save_arrays(tmp_path / "1.npz", ARRAYS)
    monkeypatch.setattr(time, "localtime", lambda *_: time.gmtime(2e9))
    files.save_arrays(tmp_path / "3.npz", {name: np.array(array, order="F") for name, array in ARRAYS.items()})
    assert (tmp_path / "1.npz").read_bytes() == (tmp_path / "3.npz").read_bytes()


def test_objects_are_not_saved(tmp_path):
    with pytest.raises(TypeError, match="'names' holds Python objects"):
        files.save_arrays(tmp_path / "x.npz", {"names": np.array([{}, []], dtype=object)})
    assert names(tmp_path) == []


def save_pickled(path):
    np.savez(path, x=np.array([{}], dtype=object))


def save_truncated(path):
    files.save_arrays(path, ARRAYS)
    path.write_bytes(path.read_bytes()[:-100])


def save_flipped(path):
    files.save_arrays(path, {"x": np.zeros(100)})
    data = bytearray(path.read_bytes())
    data[400] ^= 1
    path.write_bytes(data)


def claimed(**changes):
    """Makes a file whose array has eight bytes, and a header that claims something else."""

    def save(path):
        header = {"descr": "<f8", "fortran_order": False, "shape": (1,), **changes}
        content = io.BytesIO()
        np.lib.format.write_array_header_1_0(content, header)
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x.npy", content.getvalue() + bytes(8))

    return save


def save_twice(path):
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
        warnings.simplefilter("ignore")
        for _ in range(2):
            archive.writestr("x.npy", b"")


def save_bomb(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", b"")
    data = path.read_bytes()
    central = data.index(b"PK\x01\x02")  # 24 bytes after it the size that the member claims
    path.write_bytes(data[: central + 24] + (2**31).to_bytes(4, "little") + data[central + 28 :])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (claimed(shape=(10**12,)), r"x\.npy claims \(1000000000000,\), 8000000000000 bytes, and has 8"),
        (claimed(shape=(10**30,)), r"x\.npy claims \(10+,\), 80+ bytes, and has 8"),
        (claimed(shape=(-1, -1)), r"x\.npy claims \(-1, -1\), 8 bytes, and has 8"),
        (claimed(descr="<c8"), r"x\.npy holds complex64, and no real numbers"),
        (claimed(descr="|O"), r"x\.npy holds object, which would have to be pickled, and no real numbers"),
        (save_twice, "an array stands there twice"),
        (save_bomb, r"x\.npy claims 2147483648 bytes, packed into 0"),
        (lambda path: files.save_arrays(path, {"x": np.array([1, np.nan])}), "x holds NaN or infinity"),
        (lambda path: files.save_arrays(path, {"x": np.array([1, -np.inf])}), "x holds NaN or infinity"),
        (lambda path: None, "no such file"),
        (lambda path: path.write_bytes(b"<html>404</html>"), "an HTML page"),
        (lambda path: path.write_bytes(b"version https://git-lfs.github.com/spec/v1"), "a git-lfs pointer"),
        (lambda path: path.write_bytes(b""), "empty"),
        (lambda path: path.write_bytes(b"\x80\x04}."), "of unknown type"),  # a pickle
        (save_pickled, "pickled"),
        (save_truncated, "truncated"),
        (save_flipped, "Bad CRC-32"),
    ],
)
def test_what_is_no_npz_is_refused_by_the_name_of_what_it_is(tmp_path, make, message):
    path = tmp_path / "vgg.npz"
    make(path)
    with pytest.raises(UserError, match=message) as error:
        files.load_arrays(path)
    assert str(path) in str(error.value)
