"""Every kind of file that is read back, changed in hundreds of ways: what comes is a value, or one
sentence that names it.

Without harm to anything else: the folder is as it was. A longer run: `python -m
tests.benchmarks.fuzz`.
"""

import contextlib
import json
import os
import random
import shutil
import struct
import tempfile
import time
from pathlib import Path

import keras
import mutations
import numpy as np
import pytest
import tensorflow as tf
import test_matfile
import weight_files
from PIL import Image
from reported import write_project

from fcn import reading
from fcn.cli.app import main
from fcn.datasets import ade20k, folder, pairs
from fcn.errors import UserError
from fcn.evaluate import Evaluation, explain
from fcn.explain import page
from fcn.hardware import distribution
from fcn.input import records
from fcn.io import files
from fcn.net import surgery
from fcn.net.model import build
from fcn.pixels import labels, matfile
from fcn.spec import MEAN_BGR, ModelSpec
from fcn.train import checkpoint
from fcn.weights import readers
from flows.runner import remote
from tasks.report import charts
from tasks.tracking import provenance

SPEC = ModelSpec(
    "fcn32s", "vgg16", ("background", "cat", "dog"), 1 / 32, 8, "caffe", "fixed", 0.5, MEAN_BGR
)
SHARD = "val-00000-of-00002.tfrecord"
STATE = {"weights/x": np.ones(2, np.float32)}
PROGRESS = {"told": 10, "history": [{"step": 10, "loss": 0.5}]}
SLOW = 10  # seconds in which any of them has to be read or refused, on a machine that is busy
FIELDS, TABLE, ARRAYS, BYTES = (
    mutations.of_json,
    mutations.of_table,
    mutations.of_arrays,
    mutations.of_bytes,
)


def load_checkpoint(path):
    return checkpoint.load(
        path, {"weights/x": keras.Variable(np.zeros(2, np.float32))}, distribution.ONE
    )


def uncached(path):
    with contextlib.chdir(path.parent):
        return list(remote._uncached())


def read_shard(path):
    """A shard whose digest is in the index: it was damaged before, or somebody has changed both."""
    index = path.parent / "index.json"
    content = json.loads(index.read_text())
    if path.is_file():
        content["splits"]["val"]["files"][SHARD]["sha256"] = files.digest(path)
    index.write_text(json.dumps(content))
    return list(records.read(path.parent, "val"))


def of_shard(data, rng):
    """One record changed; its checksums are right."""
    (length,) = struct.unpack_from("<Q", data)
    with tempfile.NamedTemporaryFile() as file:
        with tf.io.TFRecordWriter(file.name) as writer:
            writer.write(mutations.of_bytes(data[12 : 12 + length], rng))
        return Path(file.name).read_bytes() + data[16 + length :]


def table(kind):
    return lambda path: reading.read_csv(path, kind, "make it again")


def evaluated(part):
    return lambda path: getattr(Evaluation(None, path.parent), part)


def explained(path):
    return page.page(explain.load(path, SPEC), SPEC, "2007_000032")


KINDS = {
    "models/fcn32s/model.json": (FIELDS, lambda path: surgery.read_spec(path.parent), 300),
    "models/fcn32s/weights.npz": (ARRAYS, surgery.read_weights, 150),
    "models/fcn32s/history.csv": (TABLE, table(charts.Loss), 100),
    "models/fcn32s/validation.csv": (TABLE, table(charts.Validation), 100),
    "plots/fcn32s/confusion.csv": (TABLE, evaluated("confusion"), 100),
    "plots/fcn32s/boundary.csv": (TABLE, evaluated("bands"), 100),
    "plots/fcn16s/images.csv": (TABLE, evaluated("counts"), 200),
    "plots/fcn32s/explained.npz": (ARRAYS, explained, 150),
    "metrics/fcn32s.json": (FIELDS, lambda path: Evaluation(path).content, 300),
    "data/records/index.json": (FIELDS, lambda path: records.split_info(path.parent, "val"), 400),
    f"data/records/{SHARD}": (of_shard, read_shard, 20),
    "checkpoint.npz": (mutations.of_progress, load_checkpoint, 100),
    "dvc.lock": (BYTES, provenance.outputs, 300),
    "dvc.yaml": (BYTES, uncached, 100),
    "train.txt": (BYTES, pairs.read_ids, 200),
    "classes.txt": (BYTES, folder.read_classes, 200),
    "ade/objectInfo150.txt": (BYTES, lambda path: ade20k.names(path.parent), 100),
    "vgg.npy": (BYTES, readers.read, 150),
    "vgg.caffemodel": (BYTES, readers.read, 150),
    "vgg.npz": (ARRAYS, readers.read, 100),
    "label.mat": (BYTES, matfile.segmentation, 150),
}
"""By path in the project below: how it is changed, what reads it, how often here."""


def make(root):
    """A project with a file of every kind."""
    write_project(root)
    net = build(SPEC)
    surgery.save(net, SPEC, root / "models/fcn32s")
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    explain.save(root / "plots/fcn32s/explained.npz", explain.explain(net, SPEC, image))
    progress = np.frombuffer(json.dumps(PROGRESS).encode(), np.uint8)
    files.save_arrays(root / "checkpoint.npz", {**STATE, "progress": progress})
    (root / "dvc.yaml").write_text(
        "stages:\n  a:\n    foreach: [x]\n    do: {cmd: b, outs: [c, d: {cache: false}]}\n"
    )
    (root / "train.txt").write_text("2007_000032\n2007_000039\nstraße 1\n")
    (root / "classes.txt").write_text("background #000000\ncat #ff0000\ndog #00ff00\n")
    (root / "ade").mkdir()
    (root / "ade/objectInfo150.txt").write_text(
        "Idx\tName\n" + "".join(f"{n + 1}\tc{n}, d\n" for n in range(150))
    )
    layers = weight_files.classifier(width=1, hidden=2)
    weight_files.write_caffemodel(root / "vgg.caffemodel", layers)
    weight_files.write_npy(root / "vgg.npy", weight_files.hwio(layers))
    arrays = {
        f"{name}/{kind}": array
        for name, pair in weight_files.hwio(layers).items()
        for kind, array in zip(("kernel", "bias"), pair, strict=True)
    }
    files.save_arrays(root / "vgg.npz", arrays)
    test_matfile.save(root / "label.mat")
    return root


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return make(tmp_path_factory.mktemp("fuzz"))


def attack(project, kind, cases, seed):
    """Reads a file in so many changed forms; returns how many were refused, and leaves the project
    as it was.
    """
    change, read, _ = KINDS[kind]
    path = project / kind
    whole, index, refused = path.read_bytes(), (project / "data/records/index.json").read_bytes(), 0
    read(path)
    try:
        for number in range(cases):
            path.write_bytes(change(whole, random.Random(f"{kind} {seed} {number}")))
            refused += refuses(read, path, project, f"{kind}, seed {seed}, case {number}")
    finally:
        path.write_bytes(whole)
        (project / "data/records/index.json").write_bytes(index)
    return refused


def refuses(read, path, project, case):
    """Whether it is refused, and that with one sentence; anything else than this, or a value,
    fails.
    """
    begin = time.monotonic()
    said = ""
    try:
        read(path)
    except UserError as error:
        said = str(error)
    except Exception as error:
        raise AssertionError(f"{case}: {type(error).__name__} {str(error)[:300]}") from error
    assert time.monotonic() - begin < SLOW, case
    if said:
        assert path.name in said or str(path.parent) in said or "weights.npz" in said, (
            f"{case} names no file: {said}"
        )
        assert len(said) < 3000, f"{case} says too much: {said[:300]}"
        assert not mutations.CONTROL.search(said), f"{case} is no one sentence: {said!r}"
    return bool(said)


@pytest.mark.parametrize("kind", KINDS)
def test_a_changed_file_is_read_or_refused_with_one_sentence(project, kind):
    *_, cases = KINDS[kind]
    assert attack(project, kind, cases, 0) > cases / 20


def test_what_is_no_file_is_refused_with_one_sentence(project):
    for kind, (_, read, _) in KINDS.items():
        path = project / kind
        aside = path.rename(project / "aside")
        for make_it, undo in (
            (lambda path: None, lambda path: None),
            (Path.mkdir, Path.rmdir),
            (lambda path: path.symlink_to(path.name), Path.unlink),
            (lambda path: path.write_bytes(b""), Path.unlink),
        ):
            make_it(path)
            refuses(read, path, project, kind)
            undo(path)
        aside.rename(path)


# ---- the arguments of commands

WORDS = (
    "", ".", "--", "-x", "fcn32s", "fcn16s", "plots/fcn32s", "x" * 300, "x" * 5000, "loop", "fifo",
    "train.txt",
    "models", "*", "[", "**/**", "0", "-1", "1e9", "\udce9", "classes.txt", "data",
    "metrics/fcn32s.json",
)  # fmt: skip
OUTS = ("", ".", "..", "loop", "fifo", "data", "plots/fcn32s", "x" * 300, "train.txt/x", "new/out")
"""Where something is to be written; only the last of them is a place for it."""
COMMANDS = {
    "compare": ("compare ? ? --images ? --json !", 60),
    "compare, with a result": ("compare tables tables --json !", 20),
    "submit": ("submit --images ? --ids ? --check ?", 80),
    "submit, with a result": (
        "submit --images JPEGImages --ids test.txt --predictions labels --out !",
        20,
    ),
    "doctor": ("doctor ? --classes ? --json !", 80),
    "doctor, with a result": ("doctor labels --classes 21 --json !", 20),
    "predict": ("predict --model ? --out ! --tile ? ?", 60),
}
"""By name, the words of the command, ? being any of the words and ! any of the places, and how
often.
"""


@pytest.fixture(scope="module")
def odd(project):
    """The project, with a link to itself and a file that nothing comes out of."""
    (project / "loop").symlink_to("loop")
    os.mkfifo(project / "fifo")
    for name in ("JPEGImages", "labels", "tables"):
        (project / name).mkdir()
    shutil.copy(project / "plots/fcn16s/images.csv", project / "tables")
    Image.new("RGB", (20, 10)).save(project / "JPEGImages/a.jpg")
    labels.to_image(np.zeros((10, 20), np.uint8)).save(project / "labels/a.png")
    (project / "test.txt").write_text("a\n")
    return project


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_with_any_arguments_does_its_work_or_says_one_sentence(
    odd, name, monkeypatch, capfd
):
    form, cases = COMMANDS[name]
    monkeypatch.chdir(odd)
    whole = mutations.tree(odd)
    codes = set()
    for number in range(cases):
        rng = random.Random(f"{name} {number}")
        chosen = {"?": WORDS, "!": OUTS}
        name_of, *words = form.split()
        arguments = [name_of, *(rng.choice(chosen.get(word, (word,))) for word in words)]
        codes.add(code := called(arguments, capfd))
        assert os.path.exists("new") == (code == 0 and "new/out" in arguments), arguments
        shutil.rmtree("new", ignore_errors=True)
        shutil.rmtree("predicted", ignore_errors=True)  # where predict writes if it is not told
        assert mutations.tree(odd) == whole, arguments
    assert codes - {0}
    assert (0 in codes) == ("with a result" in name)


def called(arguments, capfd):
    """The exit code of a command that keeps its word."""
    capfd.readouterr()
    begin = time.monotonic()
    try:
        code: str | int | None = main(arguments)
    except SystemExit as stop:  # of argparse, after a line or two on how it is used
        code = stop.code
    except Exception as error:
        raise AssertionError(f"{arguments}: {type(error).__name__} {str(error)[:300]}") from error
    assert time.monotonic() - begin < SLOW, arguments
    said = capfd.readouterr()
    assert "Traceback" not in said.out + said.err, arguments
    assert not code or said.err or said.out, arguments
    assert len(said.err) < 8000, arguments
    assert not mutations.CONTROL.search(said.err.replace("\n", "")), f"{arguments}: {said.err!r}"
    return code
