"""Files that would have something done: a command run, another file opened, a picture put
elsewhere. Nothing of it is.
"""

import builtins
import contextlib
import io
import json
import os
import pickle
import zipfile

import h5py
import numpy as np
import pytest
import scipy.io

from fcn.datasets import folder, official, sbd, stems, voc
from fcn.errors import UserError
from fcn.io import files
from fcn.pixels import matfile
from fcn.weights import keras_h5, readers


class Runs:
    """Pickles as a command that makes the file `canary`."""

    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return builtins.eval, (f"open({str(self.canary)!r}, 'w').close()",)


LAMBDA = {
    "class_name": "Sequential",
    "config": {
        "layers": [
            {
                "class_name": "Lambda",
                "config": {"name": "block1_conv1", "function": ["CODE", None, None]},
            }
        ]
    },
}


def a_pickle(path, canary):
    path.write_bytes(pickle.dumps(Runs(canary)))


def an_npy(path, canary):
    np.save(path.with_suffix(".npy"), np.array({"conv1_1": Runs(canary)}, dtype=object))
    os.replace(path.with_suffix(".npy"), path)


def an_npz(path, canary):
    with open(path, "wb") as file:
        np.savez(file, **{"conv1_1/kernel": np.array([Runs(canary)], dtype=object)})


def a_keras_zip(path, canary):
    with zipfile.ZipFile(path, "w") as archive:  # a .keras file, whose Lambda load_model would run
        archive.writestr(
            "config.json", json.dumps(LAMBDA).replace("CODE", f"open({str(canary)!r}, 'w')")
        )
        archive.writestr("data.pkl", pickle.dumps(Runs(canary)))


def a_keras_h5(path, canary):
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(LAMBDA).replace(
            "CODE", f"open({str(canary)!r}, 'w')"
        )
        file.create_dataset("model_weights/other/kernel:0", data=np.zeros(3))
        file.attrs["pickled"] = np.void(pickle.dumps(Runs(canary)))


def a_mat(path, canary):
    code = {
        "layers": np.array([{"type": f"open({str(canary)!r}, 'w')"}], dtype=object),
        "f": pickle.dumps(Runs(canary)),
    }
    scipy.io.savemat(path, {"GTcls": code, "net": code})


def a_caffemodel(path, canary):
    name = pickle.dumps(Runs(canary), protocol=0)[:127]
    path.write_bytes(b"\x0a" + bytes([len(name)]) + name)


KINDS = (a_pickle, an_npy, an_npz, a_keras_zip, a_keras_h5, a_mat, a_caffemodel)


@pytest.mark.parametrize("make", KINDS)
def test_no_reader_executes_what_a_file_holds(tmp_path, make):
    canary = tmp_path / "canary"
    make(tmp_path / "file", canary)
    for read in (readers.read, matfile.segmentation):
        with pytest.raises(UserError, match=str(tmp_path / "file")):
            read(tmp_path / "file")
    with contextlib.suppress(UserError):  # of a zip without arrays it gives the bytes
        assert {type(value) for value in files.load_arrays(tmp_path / "file").values()} == {bytes}
    assert not canary.exists()


def test_the_canary_sings_where_it_is_let(tmp_path):
    """Else the test above could not fail."""
    for make, load in (
        (a_pickle, pickle.load),
        (an_npy, lambda file: np.load(file, allow_pickle=True)),
    ):
        make(tmp_path / "file", tmp_path / "canary")
        with open(tmp_path / "file", "rb") as file:
            load(io.BytesIO(file.read()))
        assert (tmp_path / "canary").exists()
        (tmp_path / "canary").unlink()


def external(file, other):
    file.create_dataset("block1_conv1/kernel:0", (10,), "u1", external=[(str(other), 0, 10)])


def virtual(file, other):
    layout = h5py.VirtualLayout((10,), "u1")
    layout[:] = h5py.VirtualSource(str(other), "secret", (10,))
    file.create_virtual_dataset("block1_conv1/kernel:0", layout)


@pytest.mark.parametrize("refer", [external, virtual])
def test_an_hdf5_file_whose_arrays_lie_in_another_file_is_refused(tmp_path, refer):
    """HDF5 opens any file that it names: a "weight" could be somebody's key, and go into a model
    that is given away.
    """
    other = tmp_path / "other"
    if refer is external:
        other.write_bytes(b"0123456789")
    else:
        with h5py.File(other, "w") as file:
            file["secret"] = np.arange(10, dtype="u1")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        refer(file, other)
    with h5py.File(tmp_path / "x.h5") as file:
        assert file["block1_conv1/kernel:0"][-1] in (9, ord("9"))  # h5py itself does read it
    with pytest.raises(
        UserError, match=r"x\.h5: block1_conv1/kernel:0: .* said to lie in another file"
    ):
        keras_h5.read(tmp_path / "x.h5")


def test_links_of_an_hdf5_file_to_others_are_not_followed(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["kernel:0"] = np.arange(10)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["block1_conv1"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/")
    with pytest.raises(UserError, match="wanted the layers block1_conv1"):
        keras_h5.read(tmp_path / "x.h5")


def test_an_hdf5_file_that_claims_an_absurd_array_is_refused(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        # none of it is stored
        file.create_dataset("block1_conv1/kernel:0", (2**31,), "f4", chunks=(2**16,))
    assert (tmp_path / "x.h5").stat().st_size < 10_000
    with pytest.raises(UserError, match=rf"kernel:0: {2**33} bytes, at most"):
        keras_h5.read(tmp_path / "x.h5")


IDS = [
    "../../etc/passwd",
    "/etc/passwd",
    "a/../../b",
    "..",
    "a\\..\\b",
    "a\x00b",
    "a\x1b[2Jb",
    "a\tb",
    "a\N{RIGHT-TO-LEFT OVERRIDE}b",
]


@pytest.mark.parametrize("wrong", IDS)
def test_an_id_that_is_no_name_is_refused_in_every_list(tmp_path, wrong):
    """Pictures are written under these names: `plots/fcn8s/predictions/<id>.png`."""
    text = f"2007_000027\n{wrong}\n"
    (tmp_path / "ImageSets" / "Segmentation").mkdir(parents=True)
    for path in ("ImageSets/Segmentation/val.txt", "val.txt"):
        (tmp_path / path).write_text(text)
    for read in (
        lambda: voc.ids(tmp_path, "val"),
        lambda: stems.read_list(tmp_path, "val"),
        lambda: sbd.ids(tmp_path, "val"),
        lambda: official.to_predict(tmp_path, tmp_path / "val.txt"),
    ):
        with pytest.raises(
            UserError, match=r"val\.txt: expected names of images, but these are none: '"
        ) as error:
            read()
        assert repr(wrong) in str(error.value)  # and no control character reaches the terminal
        assert str(error.value).isprintable()


def test_ids_in_folders_pass(tmp_path):
    (tmp_path / "val.txt").write_text("training/ADE_1\nstraße..2\n")
    assert stems.read_list(tmp_path, "val") == ["training/ADE_1", "straße..2"]


def test_names_of_classes_are_text_and_nothing_else(tmp_path):
    names = ["<script>alert(1)</script>", "../../etc/passwd", "$(touch x)", "{{ 7 * 7 }}"]
    (tmp_path / "classes.txt").write_text("\n".join(names))
    assert folder.read_classes(tmp_path / "classes.txt") == (tuple(names), ())
