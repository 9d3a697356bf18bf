"""Exported nets against the nets themselves, and what happens where they differ."""

import json
import sys

import cv2
import keras
import numpy as np
import onnx
import pytest
import tensorflow as tf
from PIL import Image

from fcn.errors import UserError
from fcn.hardware import cpu
from fcn.net import surgery
from fcn.net.model import build
from fcn.predict import onnx_graph, tflite_graph
from fcn.predict.export import FORMATS, Format, agreement, difference, write
from fcn.predict.graph import Wanted

SIZES = ((1, 64, 96), (2, 37, 51), (1, 1, 1), (1, 33, 130), (3, 101, 64))
"""(images, height, width): even and odd, below and above every stride."""


def random_net(spec):
    """A net without a zero in it, so that each of its layers has a say in the scores."""
    model, draw = build(spec), np.random.default_rng(7)
    for weight in model.weights:
        if "seed" not in weight.path:
            scale = 1.4 / np.sqrt(max(1, np.prod(weight.shape[:-1])))
            weight.assign(draw.normal(0, scale, weight.shape))
    return model


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Each net that is asked for, exported once: (model, folder)."""
    made = {}

    def export_once(spec, form, **options):
        if (key := (spec, form, *options.values())) not in made:
            model, out = random_net(spec), tmp_path_factory.mktemp("export") / "out"
            assert write(model, spec, out, form, Wanted(**options), SIZES) <= 1e-4
            made[key] = model, out
        return made[key]

    return export_once


@pytest.mark.parametrize(
    ("form", "changes"),
    [
        ("savedmodel", {"padding": "caffe"}),
        ("onnx", {"padding": "caffe", "upsampling": "learned"}),
        ("onnx", {"padding": "same"}),
        ("onnx", {"padding": "same", "variant": "fcn8s_atonce", "upsampling": "learned"}),
        ("onnx", None),
    ],
)
def test_scores_are_those_of_the_net(small, lenet, exported, form, changes):
    model, out = exported(
        lenet() if changes is None else small(**{"variant": "fcn8s", **changes}), form
    )
    image = np.random.default_rng(1).integers(0, 256, (2, 45, 70, 3)).astype(np.float32)
    wanted, got = np.asarray(model(image)), FORMATS[form].load(out)(image)
    assert np.abs(wanted).max() > 0.01
    np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-4 * np.abs(wanted).max())
    # classes differ, so that mixing them up would show
    assert np.abs(wanted - wanted[..., :1]).max() > 0.01
    assert json.loads((out / "model.json").read_text())["classes"] == ["background", "cat", "dog"]


def test_an_onnx_file_says_what_it_takes_and_gives(small, exported):
    _, out = exported(small("fcn8s", padding="same"), "onnx")
    proto = onnx.load(out / "model.onnx")
    onnx.checker.check_model(proto, full_check=True)
    ends = {
        end.name: [side.dim_param or side.dim_value for side in end.type.tensor_type.shape.dim]
        for end in (*proto.graph.input, *proto.graph.output)
    }
    assert ends == {"image": ["N", "H", "W", 3], "scores": ["N", "H", "W", 3]}
    assert next(each.version for each in proto.opset_import if not each.domain) == 18
    said = {each.key: each.value for each in proto.metadata_props}
    assert json.loads(said["classes"]) == ["background", "cat", "dog"]
    assert (said["input"], said["output"]) == ("RGB, 0..255", "before the softmax")


@pytest.mark.parametrize(("padding", "upsampling"), [("caffe", "fixed"), ("same", "learned")])
def test_opencv_reads_a_graph_of_a_fixed_size(small, exported, padding, upsampling):
    model, out = exported(
        small("fcn8s", padding=padding, upsampling=upsampling), "onnx", size=(45, 70)
    )
    image = np.random.default_rng(1).integers(0, 256, (1, 45, 70, 3)).astype(np.float32)
    net = cv2.dnn.readNetFromONNX(str(out / "model.onnx"))
    net.setInput(image)
    wanted = np.asarray(model(image))
    np.testing.assert_allclose(net.forward(), wanted, rtol=0, atol=1e-4 * np.abs(wanted).max())


def test_labels_come_out_of_the_graph(small, tmp_path):
    spec = small("fcn8s", padding="same")
    model, image = (
        random_net(spec),
        np.random.default_rng(1).integers(0, 256, (2, 45, 70, 3)).astype(np.float32),
    )
    # the classes' scores have the same mean, so that each wins somewhere
    score = model.get_layer("score_fr")
    score.bias.assign(score.bias - np.asarray(model(image)).mean((0, 1, 2)))
    assert write(model, spec, tmp_path / "out", "onnx", Wanted(labels=True), SIZES[:2]) <= 1e-4
    labels = FORMATS["onnx"].load(tmp_path / "out")(image)
    assert (labels.shape, labels.dtype) == ((2, 45, 70), np.uint8)
    # but where two score the same to 4 digits
    assert (labels == np.asarray(model(image)).argmax(-1)).mean() > 0.999
    assert len(np.unique(labels)) > 1


@pytest.mark.parametrize("size", [None, (45, 70)])
def test_a_graph_in_8_bits_computes_with_the_numbers_of_a_folder_in_8_bits(small, tmp_path, size):
    spec = small("fcn8s", padding="same", upsampling="learned")
    model, one = random_net(spec), (1, 45, 70)
    found = write(model, spec, tmp_path / "onnx", "onnx", Wanted(size, bits=8), SIZES[:1])
    assert 1e-4 < found < 0.05
    write(model, spec, tmp_path / "folder", "int8", sizes=SIZES[:1])
    packed, _ = surgery.load(tmp_path / "folder")
    image = np.random.default_rng(0).integers(0, 256, (*one, 3)).astype(np.float32)
    answer = FORMATS["onnx"].load(tmp_path / "onnx")(image)
    assert difference([np.asarray(packed(image))], [answer]) < 1e-4
    whole = 4 * model.count_params()
    stored = sum(path.stat().st_size for path in (tmp_path / "onnx").iterdir())
    assert stored < 0.25 * whole + 60_000


LITE = [
    ({"variant": "fcn8s", "padding": "caffe"}, (45, 70)),
    ({"variant": "fcn8s", "padding": "caffe", "upsampling": "learned"}, (1, 33)),
    ({"variant": "fcn8s_atonce", "padding": "same", "upsampling": "learned"}, (64, 64)),
    ({"variant": "fcn32s", "padding": "same"}, (37, 51)),
    (None, (45, 70)),
]


@pytest.mark.filterwarnings("ignore:[\\s\\S]*tf.lite.Interpreter is deprecated")
@pytest.mark.parametrize("inside", [0, tflite_graph.INSIDE])
@pytest.mark.parametrize(("changes", "size"), LITE)
def test_tensorflow_lite_scores_as_the_net_does(
    small, lenet, tmp_path, monkeypatch, changes, size, inside
):
    monkeypatch.setattr(tflite_graph, "INSIDE", inside)
    spec = lenet() if changes is None else small(**changes)
    model, out = random_net(spec), tmp_path / "out"
    assert write(model, spec, out, "tflite", Wanted(size)) <= 1e-5
    assert sorted(path.name for path in out.iterdir()) == ["model.json", "model.tflite"]
    image = np.random.default_rng(1).integers(0, 256, (1, *size, 3)).astype(np.float32)
    # also with what runtimes bring along
    runner = tf.lite.Interpreter(str(out / "model.tflite")).get_signature_runner()
    [(name, got)] = runner(image=image).items()
    wanted = np.asarray(model(image))
    assert name == "scores"
    np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-4 * np.abs(wanted).max())
    assert np.abs(wanted - wanted[..., :1]).max() > 0.01


def test_tensorflow_lite_in_8_bits_and_with_labels(small, tmp_path):
    spec, size = small("fcn8s", padding="caffe"), (45, 70)
    model, whole = random_net(spec), tmp_path / "whole"
    write(model, spec, whole, "tflite", Wanted(size, labels=True))
    found = write(model, spec, tmp_path / "8", "tflite", Wanted(size, labels=True, bits=8))
    assert found < 0.1
    image = np.random.default_rng(1).integers(0, 256, (1, *size, 3)).astype(np.float32)
    wanted = np.asarray(model(image)).argmax(-1)
    for folder, least in ((whole, 0.999), (tmp_path / "8", 0.9)):
        labels = FORMATS["tflite"].load(folder)(image)
        assert (labels.shape, labels.dtype) == ((1, *size), np.uint8)
        assert (labels == wanted).mean() >= least
    stored = [(folder / "model.tflite").stat().st_size for folder in (whole, tmp_path / "8")]
    assert stored[1] < 0.5 * stored[0]  # biases and tables stay
    with pytest.raises(UserError, match="tflite: a fixed size is needed"):
        write(model, spec, tmp_path / "none", "tflite")


def test_agreement_by_hand(tmp_path, monkeypatch):
    class Half:
        output_shape = (None, None, None, 2)

        def __call__(self, image, training):
            scores = np.zeros((*image.shape[:3], 2), np.float32)
            scores[:, :, : image.shape[2] // 2, 1] = 1
            return scores

    def ones(image):
        return np.ones(image.shape[:3], np.uint8)

    Image.new("RGB", (1000, 40)).save(tmp_path / "wide.png")
    monkeypatch.setitem(FORMATS, "ones", Format(Half, lambda folder: ones))
    # half the pixels are the same; IU 0 of the class that was lost, 1/2 of the other
    for size in (None, (12, 20)):
        found = agreement(Half(), "ones", tmp_path, [tmp_path / "wide.png"] * 2, size)
        assert found == (0.5, 0.25)


def test_many_weights_lie_beside_the_graph(small, exported, monkeypatch):
    monkeypatch.setattr(onnx_graph, "INSIDE", 1000)
    model, out = exported(small("fcn8s", padding="same", upsampling="learned"), "onnx")
    assert sorted(path.name for path in out.iterdir()) == [
        "model.json",
        "model.onnx",
        "model.onnx.data",
    ]
    assert (out / "model.onnx").stat().st_size < 20_000
    stored = (out / "model.onnx.data").stat().st_size
    assert 0 <= stored - 4 * model.count_params() < 50 * onnx_graph.PAGE


def test_a_saved_model_stores_every_weight_once(small, exported):
    model, out = exported(small("fcn8s", padding="caffe"), "savedmodel")
    stored = sum(path.stat().st_size for path in (out / "variables").glob("variables.data*"))
    assert 4 * model.count_params() <= stored < 4 * model.count_params() * 1.5


def test_no_convolution_is_in_blocks_in_what_may_run_elsewhere(small, tmp_path, monkeypatch):
    spec, found = small("fcn8s", padding="same"), []
    monkeypatch.setattr(cpu, "_has_onednn", lambda: True)
    for size in (cpu.BLOCK_BYTES, 1):
        monkeypatch.setattr(cpu, "BLOCK_BYTES", size)
        out = tmp_path / str(size)
        write(build(spec), spec, out, "savedmodel", sizes=SIZES[:1])
        found.append((out / "saved_model.pb").read_bytes().count(b"Conv2D"))
    assert found[0] == found[1] >= 13


def test_difference_by_hand():
    two = [np.full((n, 5, 4, 2), 2.0, np.float32) for n in (1, 3)]
    off_in_one = [scores.copy() for scores in two]
    off_in_one[1][0, -1, -1, 1] = 1.5
    assert difference(two, two) == 0
    assert difference(two, off_in_one) == 0.25
    second_wins = [scores * (1, 2) for scores in two]
    assert difference(second_wins, [np.zeros((n, 5, 4), np.uint8) for n in (1, 3)]) == 0.5
    assert difference(second_wins, [np.ones((n, 5, 4), np.uint8) for n in (1, 3)]) == 0
    assert np.isnan(difference(two, [scores * np.nan for scores in two]))
    with pytest.raises(UserError, match=r"gives scores \(1, 4, 4, 2\), expected \(1, 5, 4, 2\)"):
        difference(two, [scores[:, 1:] for scores in two])


@pytest.mark.parametrize("wrong", [lambda scores: scores + 1e-3, lambda scores: scores * np.nan])
def test_an_export_that_differs_is_not_left_behind(small, tmp_path, monkeypatch, wrong):
    def net(image, training=False):
        return np.full((*image.shape[:3], 3), 5.0, np.float32)

    monkeypatch.setitem(
        FORMATS,
        "onnx",
        Format(lambda _m, _s, folder, _w: folder.mkdir(), lambda _: lambda x: wrong(net(x))),
    )
    with pytest.raises(UserError, match="1e-04 is allowed; nothing was written"):
        write(net, small(), tmp_path / "out", "onnx")
    assert list(tmp_path.iterdir()) == []


def test_folders_with_files_in_them_are_left_alone(small, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(
        UserError,
        match=r"expected a place to write a folder to, but a (file|folder with files in it) "
        r"is there",
    ):
        write(None, small(), tmp_path, "onnx")
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_misuse(small, tmp_path, monkeypatch):
    with pytest.raises(
        UserError, match="format: expected one of savedmodel, onnx, tflite, int8; got 'caffe'"
    ):
        write(None, small(), tmp_path / "out", "caffe")
    with pytest.raises(
        UserError,
        match="a fixed size, 8 bits: expected one of the formats onnx, tflite; got savedmodel",
    ):
        write(None, small(), tmp_path / "out", "savedmodel", Wanted((3, 4), bits=8))
    with pytest.raises(UserError, match="labels instead of scores: expected one of"):
        write(None, small(), tmp_path / "out", "int8", Wanted(labels=True))
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(UserError, match="a SavedModel needs Keras on TensorFlow; this is jax"):
        write(None, small(), tmp_path / "out", "savedmodel")


def test_a_missing_library_is_named_with_the_command_that_brings_it(small, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(
        UserError, match=r"onnx is not installed, and ONNX needs it: `make env WITH=onnx`"
    ):
        write(None, small(), tmp_path / "out", "onnx")
    assert list(tmp_path.iterdir()) == []
