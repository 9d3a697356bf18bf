"""The toy: its digits, its scenes, its LeNet."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from fcn.spec.colours import palette
from fcn.weights import caffe, conversion
from sample import toy, world

SPLITS = {"train": 60, "val": 30}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("toy") / "digits.tar.gz"
    toy.write_scenes(target, SPLITS)
    return target


@pytest.fixture(scope="module")
def content(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as opened:
        return {member.name: opened.extractfile(member).read() for member in opened}  # type: ignore[union-attr]


def names(content: dict[str, bytes], split: str) -> list[str]:
    return content[f"{toy.ROOT}/ImageSets/Segmentation/{split}.txt"].decode().split()


def pair(content: dict[str, bytes], name: str) -> tuple[Image.Image, Image.Image]:
    image, label = f"{toy.ROOT}/JPEGImages/{name}.jpg", f"{toy.ROOT}/SegmentationClass/{name}.png"
    return Image.open(io.BytesIO(content[image])), Image.open(io.BytesIO(content[label]))


def test_the_digits_of_the_two_splits_are_all_of_them_each_once() -> None:
    found, known = toy.digits(), load_digits()
    assert [len(found[split][1]) for split in ("train", "val")] == [1797 - 360, 360]
    both = [
        (*np.round(image * (255 / 16)).astype(np.uint8).reshape(-1), target)
        for image, target in zip(known.images, known.target, strict=True)
    ]
    ours = [
        (*image.reshape(-1), target)
        for images, targets in found.values()
        for image, target in zip(images, targets, strict=True)
    ]
    assert sorted(ours) == sorted(both)
    train, val = ({image.tobytes() for image in images} for images, _ in found.values())
    assert not train & val
    for images, targets in found.values():
        assert (images.dtype, images.shape[1:], images.max()) == (np.uint8, (8, 8), 255)
        assert set(targets) == set(range(10))


def test_two_runs_give_the_same_bytes(archive: Path, tmp_path: Path) -> None:
    toy.write_scenes(tmp_path / "other name", SPLITS)
    assert (tmp_path / "other name").read_bytes() == archive.read_bytes()


def test_it_is_laid_out_like_voc_and_says_nothing_about_who_made_it(
    archive: Path, content: dict[str, bytes]
) -> None:
    train, val = names(content, "train"), names(content, "val")
    assert (len(train), len(val), len({*train, *val})) == (60, 30, 90)
    for folder in ("JPEGImages", "SegmentationClass"):
        assert sorted(Path(name).stem for name in content if f"/{folder}/" in name) == sorted(
            train + val
        )
    with tarfile.open(archive) as opened:
        members = opened.getmembers()
    assert [member.name for member in members] == sorted(content)
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in members} == {
        (0, 0, 0, "", "", 0o644)
    }


def test_labels_are_the_ink_and_void_lies_around_it(content: dict[str, bytes]) -> None:
    for split in SPLITS:
        counts = np.zeros(256, np.int64)
        for name in names(content, split):
            image, label = pair(content, name)
            assert (image.mode, label.mode, label.getpalette()) == (
                "RGB",
                "P",
                palette().reshape(-1).tolist(),
            )
            assert image.size == label.size
            assert 64 <= min(image.size) <= max(image.size) <= 96
            grey, classes = (
                np.asarray(image.convert("L")).astype(int),
                np.asarray(label).astype(int),
            )
            counts += np.bincount(classes.ravel(), minlength=256)
            # Ink from 110 on, give or take the noise and what JPEG does to it.
            digit = (classes > 0) & (classes < 255)
            assert np.mean(grey[digit] >= 100) > 0.97
            assert np.mean(grey[classes == 0] < 100) > 0.999
            for a, b in ((classes[1:], classes[:-1]), (classes[:, 1:], classes[:, :-1])):
                assert not ((a != b) & (a != 255) & (b != 255)).any(), (
                    "two classes touch without void between them"
                )
        assert set(np.flatnonzero(counts)) == {*range(len(toy.CLASSES)), 255}
        assert 0.8 < counts[0] / counts[:255].sum() < 0.97


def test_a_scene_is_made_of_the_digits_that_it_is_given() -> None:
    images, targets = toy.digits()["train"]
    only = targets == 7
    shown = set()
    for number in range(12):
        _, label = toy.scene(images[only], targets[only], world.generator(3, number))
        shown |= set(np.unique(np.asarray(label)))
    assert shown == {0, 8, 255}  # seven is class 8: background comes first
    assert toy.CLASSES[8] == "seven"


def test_lenet_sees_a_digit_as_mnist_has_it() -> None:
    images, _ = toy.digits()["train"]
    found = toy.views(images[:50], 20, world.generator(4))
    assert (found.shape, found.dtype, found.min()) == ((50, 28, 28, 1), np.float32, 0)
    assert 0.95 < found.max() <= 255 / 256
    rows = (found[..., 0].max(2) > 0.2).sum(1)
    assert 17 <= np.median(rows) <= 22


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(toy, "STEPS", 60)
    return toy.train


def test_lenet_learns_to_read_and_repeats_its_bytes(trained, tmp_path: Path) -> None:
    models = [trained(), trained()]
    for number, model in enumerate(models):
        toy.write_caffemodel(model, tmp_path / str(number))
    assert (tmp_path / "0").read_bytes() == (tmp_path / "1").read_bytes()
    assert toy.accuracy(models[0]) > 0.7 > 0.3 > toy.accuracy(toy.classifier())
    blobs = caffe.read(tmp_path / "0")
    assert {name: tuple(blob.shape for blob in pair) for name, pair in blobs.items()} == {
        "conv1": ((20, 1, 5, 5), (20,)), "conv2": ((50, 20, 5, 5), (50,)),
        "ip1": ((500, 800), (500,)), "ip2": ((10, 500), (10,)),
    }  # fmt: skip
    weights, _ = conversion.convert(blobs, "lenet")
    for name in ("conv1", "conv2", "ip1"):
        np.testing.assert_array_equal(weights[f"{name}/kernel"], models[0].get_layer(name).kernel)
