"""SBD's labels: read as scipy reads them, and refused without harm where they are damaged."""

import random
import struct
import zlib

import numpy as np
import pytest
import scipy.io
import scipy.sparse

from fcn.errors import UserError
from fcn.pixels import matfile

VALUES = np.zeros((6, 9), np.uint8)
VALUES[1:4, 2:8] = 15
VALUES[5, 0], VALUES[0, 8] = 20, 1


def save(path, values=VALUES, name="GTcls", compress=True, **fields):
    """A file with the structure of SBD's: boundaries by class, class values, and the classes that
    are there.
    """
    edges = np.empty((20, 1), object)
    for n in range(20):
        edges[n, 0] = scipy.sparse.csc_array((np.asarray(values) == n + 1).astype(np.uint8))
    content = {
        "Boundaries": edges,
        "Segmentation": values,
        "CategoriesPresent": np.array([[1], [15], [20]], np.uint8),
    }
    scipy.io.savemat(path, {name: content | fields}, do_compression=compress)
    return path


@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("kind", [np.uint8, np.float64, np.int16, np.uint32, np.int64])
def test_class_values_of_a_made_file(tmp_path, compress, kind):
    found = matfile.segmentation(save(tmp_path / "a.mat", VALUES.astype(kind), compress=compress))
    assert (found.dtype, found.flags.c_contiguous) == (np.uint8, True)
    np.testing.assert_array_equal(found, VALUES)


def test_a_matrix_so_small_that_it_stands_in_its_tag(tmp_path):
    small = np.array([[3, 7]], np.uint8)
    np.testing.assert_array_equal(
        matfile.segmentation(save(tmp_path / "a.mat", small, compress=False)), small
    )


def test_other_arrays_before_it_are_passed_over(tmp_path):
    path = tmp_path / "a.mat"
    scipy.io.savemat(
        path,
        {"first": np.arange(5.0), "text": "words", "GTcls": {"Segmentation": VALUES}},
        do_compression=True,
    )
    np.testing.assert_array_equal(matfile.segmentation(path), VALUES)


@pytest.mark.realdata
def test_real_files_read_as_scipy_reads_them(realdata):
    paths = sorted((realdata / "sbd" / "mindspore_testSBData" / "cls").glob("*.mat"))
    assert len(paths) == 6
    for path in paths:
        expected = scipy.io.loadmat(path)["GTcls"][0, 0]["Segmentation"]
        found = matfile.segmentation(path)
        assert found.shape in ((375, 500), (500, 375), (375, 375))
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("compress", [True, False])
def test_every_truncation_is_an_error_that_names_the_file(tmp_path, compress):
    whole = save(tmp_path / "a.mat", compress=compress).read_bytes()
    cut = tmp_path / "cut.mat"
    end = whole.index(b"CategoriesPresent") if not compress else len(whole)
    for size in range(0, end, 7):
        cut.write_bytes(whole[:size])
        with pytest.raises(UserError, match=r"cut\.mat: expected a label of SBD"):
            matfile.segmentation(cut)


def test_damage_is_an_error_or_a_matrix_and_never_the_end_of_the_process(tmp_path):
    """Of such files some end a process that reads them with scipy.io.loadmat."""
    whole, path, rng = (
        save(tmp_path / "a.mat", compress=False).read_bytes(),
        tmp_path / "b.mat",
        random.Random(1),
    )
    refused = 0
    for _ in range(600):
        data = bytearray(whole)
        for _ in range(rng.choice((1, 2, 4))):
            data[rng.randrange(128, len(data))] = rng.choice((0, 255, rng.randrange(256)))
        path.write_bytes(data)
        try:
            values = matfile.segmentation(path)
        except UserError:
            refused += 1
        else:
            assert (values.dtype, values.ndim) == (np.uint8, 2)
    assert 20 < refused < 580


def test_a_changed_byte_of_a_compressed_file_is_found(tmp_path):
    whole, path = save(tmp_path / "a.mat").read_bytes(), tmp_path / "b.mat"
    for at in range(136, len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        with pytest.raises(UserError, match=r"b\.mat: expected a label of SBD"):
            matfile.segmentation(path)


def test_a_compressed_bomb_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(matfile, "_LIMIT", 1000)
    content = zlib.compress(struct.pack("<II", 14, 10**6) + bytes(10**6))
    (tmp_path / "a.mat").write_bytes(
        bytes(124) + b"\x00\x01IM" + struct.pack("<II", 15, len(content)) + content
    )
    with pytest.raises(UserError, match="a compressed element does not end"):
        matfile.segmentation(tmp_path / "a.mat")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"GTinst": {"Segmentation": VALUES}}, r"no struct GTcls, only \['GTinst'\]"),
        (
            {"GTcls": {"Boundaries": VALUES}},
            r"GTcls has 1 arrays for the fields \['Boundaries'\], Segmentation expected among",
        ),
        ({"GTcls": VALUES}, r"no struct GTcls, only \['GTcls'\]"),
        ({"GTcls": {"Segmentation": "words"}}, "Segmentation is no matrix of numbers"),
        (
            {"GTcls": {"Segmentation": np.zeros((2, 3, 4))}},
            r"is no matrix of numbers, but of class 6, .* size \(2, 3, 4\)",
        ),
        (
            {"GTcls": {"Segmentation": np.zeros((0, 3))}},
            r"is no matrix of numbers, .* size \(0, 3\)",
        ),
        ({"GTcls": {"Segmentation": VALUES + 0.5}}, r"numbers that are no whole ones of 0\.\.255"),
        (
            {"GTcls": {"Segmentation": VALUES * np.int16(-1)}},
            r"numbers that are no whole ones of 0\.\.255",
        ),
        (
            {"GTcls": {"Segmentation": np.full((2, 2), np.nan)}},
            r"numbers that are no whole ones of 0\.\.255",
        ),
    ],
)
def test_another_content(tmp_path, content, words):
    scipy.io.savemat(tmp_path / "a.mat", content)
    with pytest.raises(
        UserError, match=rf"a\.mat: expected a label of SBD \(GTcls\.Segmentation .*{words}"
    ):
        matfile.segmentation(tmp_path / "a.mat")


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>404</html>", b"MATLAB 7.3 MAT-file" + b" " * 105 + b"\x00\x02IM" + bytes(400)],
)
def test_another_file(tmp_path, content):
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(
        UserError,
        match=rf"a\.mat: expected a label of SBD, a MATLAB 5 file, .* \({len(content)} bytes\)",
    ):
        matfile.segmentation(tmp_path / "a.mat")


def test_no_file(tmp_path):
    with pytest.raises(UserError, match=r"a\.mat: the label is missing"):
        matfile.segmentation(tmp_path / "a.mat")
