"""Every container gives the same network; what is none of them is refused by the name of what it
is.
"""

import warnings
import zipfile

import h5py
import keras
import numpy as np
import pytest
import scipy.io
from weight_files import (
    KERAS_LAYOUTS,
    classifier,
    hwio,
    python2_npy,
    write_caffemodel,
    write_h5,
    write_mat,
    write_npy,
)

from fcn.errors import UserError
from fcn.io import files
from fcn.spec import BACKBONES
from fcn.weights import readers
from fcn.weights.conversion import convert


def write_npz(path, layers):
    files.save_arrays(path, convert(layers, "vgg16" if len(layers) == 16 else "vgg19")[0])


def read_and_convert(path):
    found = readers.read(path)
    return convert(found.layers, "vgg16", str(path), found.axes, found.channels)


CONTAINERS = {
    "caffemodel": (write_caffemodel, "Caffe .caffemodel", "bgr"),
    "npy": (lambda path, layers: write_npy(path, hwio(layers)), "caffe-tensorflow .npy", "bgr"),
    "npy of dicts": (
        lambda path, layers: write_npy(path, hwio(layers), dict),
        "caffe-tensorflow .npy",
        "bgr",
    ),
    "npy of Python 2": (
        lambda path, layers: path.write_bytes(python2_npy(hwio(layers))),
        "caffe-tensorflow .npy",
        "bgr",
    ),
    "mat": (lambda path, layers: write_mat(path, hwio(layers)), "MatConvNet .mat", "rgb"),
    "older mat": (
        lambda path, layers: write_mat(path, hwio(layers), older=True),
        "MatConvNet .mat",
        "rgb",
    ),
    "compressed mat": (
        lambda path, layers: write_mat(path, hwio(layers), compressed=True),
        "MatConvNet .mat",
        "rgb",
    ),
    "mat without a mean": (
        lambda path, layers: write_mat(path, hwio(layers), mean=None),
        "MatConvNet .mat",
        "rgb",
    ),
    **{
        f"h5 {layout}": (
            lambda path, layers, layout=layout: write_h5(path, hwio(layers), layout),
            "Keras .h5",
            "bgr",
        )
        for layout in KERAS_LAYOUTS
    },
    "npz": (write_npz, "the project's .npz", "bgr"),
}


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("backbone", ["vgg16", "vgg19"])
def test_the_same_network_comes_out_of_every_container(tmp_path, container, backbone):
    layers = classifier(backbone, width=3, hidden=7)
    write, name, order = CONTAINERS[container]
    write(tmp_path / "weights.misnamed", layers)
    found = readers.read(tmp_path / "weights.misnamed")
    assert (found.container, found.channels) == (name, order)
    weights, report = convert(found.layers, backbone, "it", found.axes, found.channels)
    expected, _ = convert(layers, backbone)
    assert list(weights) == list(expected)
    for key, array in weights.items():
        np.testing.assert_array_equal(array, expected[key], strict=True, err_msg=key)
    assert report[0]["input_order"] == order
    assert report[0]["input_order_by"] == "container"


def test_a_network_of_matconvnet_made_for_bgr_is_told_by_its_mean_image(tmp_path):
    write_mat(tmp_path / "x", hwio(classifier()), mean=(103.939, 116.779, 123.68))
    assert readers.read(tmp_path / "x").channels == "bgr"
    image = np.ones((4, 4, 3)) * [123.68, 116.779, 103.939]
    content = scipy.io.loadmat(tmp_path / "x")
    content["meta"][0, 0]["normalization"][0, 0]["averageImage"] = image
    scipy.io.savemat(tmp_path / "y.mat", {key: content[key] for key in ("layers", "meta")})
    assert readers.read(tmp_path / "y.mat").channels == "rgb"


REFUSED = {
    "a page": (b"\n<!DOCTYPE html><html>Not found</html>", "an HTML page"),
    "a pointer": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00",
        "a git-lfs pointer",
    ),
    "nothing": (b"", "empty"),
    "a gzip": (b"\x1f\x8b\x08" + bytes(20), "a gzip archive"),
    "a solverstate": (
        b"\x08\x90N\x12\x0cx.caffemodel\x1a\x00",
        "a .solverstate.* iteration 10000.*'x.caffemodel'",
    ),
    "a bare pickle": (b"\x80\x02}q\x00.", "of unknown type"),
    "a prototxt": (b'\nname: "VGG"\nlayer { name: "data" }\n', "of unknown type"),
    "an HDF5 mark": (b"\x89HDF\r\n\x1a\n" + bytes(50), "truncated or damaged"),
    "a MATLAB mark": (
        b"MATLAB 5.0 MAT-file" + bytes(20),
        "truncated, damaged or another kind of MATLAB",
    ),
    "a numpy mark": (b"\x93NUMPY\x01\x00", "truncated or damaged"),
    "a zip mark": (b"PK\x03\x04" + bytes(50), "truncated, damaged or pickled"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_holds_no_weights_is_refused_by_the_name_of_what_it_is(tmp_path, what):
    content, message = REFUSED[what]
    (tmp_path / "vgg.npy").write_bytes(content)
    with pytest.raises(UserError, match=message) as error:
        readers.read(tmp_path / "vgg.npy")
    assert str(error.value).startswith(f"{tmp_path / 'vgg.npy'}: wanted ")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"no\.h5: wanted a classifier's weights .* no such file"):
        readers.read(tmp_path / "no.h5")


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("keep", [0.01, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_refused_whatever_it_is(tmp_path, container, keep):
    write, *_ = CONTAINERS[container]
    write(tmp_path / "whole", classifier())
    data = (tmp_path / "whole").read_bytes()
    (tmp_path / "part").write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(UserError, match=r"truncated|damaged|lacks"):
        read_and_convert(tmp_path / "part")


@pytest.mark.parametrize("container", ["npy", "npy of Python 2", "h5 2016"])
def test_garbled_files_end_in_no_other_error(tmp_path, container):
    """Whatever a flipped byte does, it is either refused in words or harmless."""
    write, *_ = CONTAINERS[container]
    write(tmp_path / "whole", classifier(width=1, hidden=2))
    data = (tmp_path / "whole").read_bytes()
    rng, refusals = np.random.default_rng(0), []
    for at in (*range(0, 400, 7), *rng.integers(0, len(data), 60)):
        garbled = bytearray(data)
        garbled[at] ^= int(rng.integers(1, 256))
        (tmp_path / "garbled").write_bytes(garbled)
        try:
            read_and_convert(tmp_path / "garbled")
        except UserError as error:
            refusals.append(str(error))
    assert refusals, "some of these bytes matter"
    assert all("garbled" in text for text in refusals), "every message names the file"


def test_other_networks_are_refused_by_what_they_hold(tmp_path):
    with h5py.File(tmp_path / "resnet", "w") as file:
        file["conv1/conv1_W:0"] = np.ones(3)
    with pytest.raises(UserError, match="this HDF5 file holds conv1: it is another network"):
        readers.read(tmp_path / "resnet")
    scipy.io.savemat(tmp_path / "y.mat", {"images": np.ones(3)})
    with pytest.raises(
        UserError, match="wanted a network of MatConvNet with `layers`, but the file holds images"
    ):
        readers.read(tmp_path / "y.mat")
    np.savez(tmp_path / "z.npz", conv1_1_W=np.ones(3))
    with pytest.raises(
        UserError, match="<layer>/kernel and <layer>/bias, but this archive holds conv1_1_W"
    ):
        readers.read(tmp_path / "z.npz")


def test_a_file_of_keras_without_its_top_is_named(tmp_path):
    layers = {name: pair for name, pair in hwio(classifier()).items() if not name.startswith("fc")}
    write_h5(tmp_path / "notop", layers)
    found = readers.read(tmp_path / "notop")
    weights, _ = convert(found.layers, "vgg16", "x", found.axes)
    assert {name.split("/")[0] for name in weights} == set(layers)
    with pytest.raises(UserError, match="its layers are those of vgg16: set the backbone to vgg16"):
        convert(found.layers, "vgg19", "x", found.axes)


@pytest.fixture(scope="module")
def keras_vgg():
    """A VGG-16 as Keras applications build it, of few channels, its weights random; with and
    without its top.
    """
    image = keras.Input((32, 32, 3))
    x, layers = image, classifier()
    for block in range(1, 6):
        for name in (name for name in layers if name.startswith(f"conv{block}")):
            filters = len(layers[name][1])
            x = keras.layers.Conv2D(
                filters, 3, padding="same", name=f"block{block}_conv{name[-1]}"
            )(x)
        x = keras.layers.MaxPooling2D(padding="same", name=f"block{block}_pool")(x)
    notop = keras.Model(image, x)
    x = keras.layers.Flatten(name="flatten")(x)
    for name in ("fc1", "fc2", "predictions"):
        x = keras.layers.Dense(5, name=name)(x)
    top = keras.Model(image, x)
    random = np.random.default_rng(4)
    for weight in top.weights:
        weight.assign(random.normal(size=weight.shape))
    return {"top": top, "notop": notop}


def save(model, path):
    """As Keras does, which warns of HDF5 and of NumPy's newer ways."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (model.save_weights if path.name.endswith(".weights.h5") else model.save)(path)


@pytest.mark.parametrize("name", ["vgg.keras", "vgg.weights.h5", "vgg.h5"])
@pytest.mark.parametrize("kind", ["top", "notop"])
def test_what_keras_3_writes_is_read_by_the_papers_names(keras_vgg, tmp_path, kind, name):
    model = keras_vgg[kind]
    save(model, tmp_path / name)
    found = readers.read(tmp_path / name)
    assert (found.axes, found.channels) == ("HWIO", "bgr")
    paper = (
        [*BACKBONES["vgg16"].layers(), "fc8"]
        if kind == "top"
        else BACKBONES["vgg16"].convolutions()
    )
    layers = [layer for layer in model.layers if layer.weights]
    assert len(layers) == len(paper) == len(found.layers)
    for name, layer in zip(paper, layers, strict=True):
        for array, weight in zip(found.layers[name], layer.weights, strict=True):
            np.testing.assert_array_equal(array, weight)


@keras.saving.register_keras_serializable("somebody")
class Evil(keras.layers.Layer):
    """A layer of somebody's own, which notes that it was made."""

    made = 0

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        Evil.made += 1

    def call(self, x):
        return x


def test_a_keras_archive_with_a_layer_of_its_own_is_refused_and_not_built(keras_vgg, tmp_path):
    notop = keras_vgg["notop"]
    save(keras.Model(notop.input, Evil()(notop.output)), tmp_path / "evil.keras")
    Evil.made = 0
    with pytest.raises(
        UserError,
        match=r"evil\.keras: .* a layer .*Evil, which these do not have. Nothing .* was run",
    ):
        readers.read(tmp_path / "evil.keras")
    assert Evil.made == 0


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_cut_keras_archive_is_refused_by_its_name(keras_vgg, tmp_path, share):
    save(keras_vgg["notop"], tmp_path / "vgg.keras")
    data = (tmp_path / "vgg.keras").read_bytes()
    (tmp_path / "cut.keras").write_bytes(data[: int(share * len(data))])
    with pytest.raises(UserError, match=r"cut\.keras: wanted .*(truncated|damaged)"):
        readers.read(tmp_path / "cut.keras")


def torch_zip(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("vgg16/data.pkl", b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00trueR.")


OTHERS = {
    "vgg16-397923af.pth": torch_zip,
    "old.pth": lambda path: path.write_bytes(
        b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19." + bytes(100)
    ),
    "vgg16.safetensors": lambda path: path.write_bytes(
        (98).to_bytes(8, "little") + b'{"__metadata__":{}}' + bytes(79)
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_training_of_vgg_is_refused_with_what_would_do(tmp_path, name):
    OTHERS[name](tmp_path / name)
    words = (
        r": this is a file of (PyTorch|safetensors)\. .*another training, for RGB "
        r".*\.caffemodel, .*Nothing in the file was run"
    )
    with pytest.raises(UserError, match=name + words):
        readers.read(tmp_path / name)


def test_kernels_in_another_order_are_refused(tmp_path):
    """Theano's file has O x I x H x W under the same names."""
    write_h5(tmp_path / "theano", classifier())
    found = readers.read(tmp_path / "theano")
    with pytest.raises(
        UserError, match=r"conv1_1: wanted a kernel of 3 x 3 x 3 x O .* but it is 2 x 3 x 3 x 3"
    ):
        convert(found.layers, "vgg16", "x", found.axes)


def test_a_zip_that_no_zipfile_reads_is_refused_by_name(tmp_path):
    """Found by the fuzz test: `zipfile` raises NotImplementedError for a version of the format that
    it does not know.
    """
    files.save_arrays(tmp_path / "vgg.npz", {"conv1_1/bias": np.zeros(2, np.float32)})
    data = bytearray((tmp_path / "vgg.npz").read_bytes())
    data[data.index(b"PK\x01\x02") + 6] = 127
    (tmp_path / "vgg.npz").write_bytes(data)
    with pytest.raises(
        UserError, match=rf"^{tmp_path}/vgg\.npz: wanted an \.npz file .*zip file version 12\.7"
    ):
        readers.read(tmp_path / "vgg.npz")
