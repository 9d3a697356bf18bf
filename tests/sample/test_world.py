"""The sample: its generator, and the two files that were made with it and are committed."""

import gzip
import hashlib
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fcn.spec.colours import palette
from fcn.weights import caffe, conversion
from sample import world

SAMPLE = Path(world.__file__).parent
TAR = SAMPLE / "world.tar.gz"
VGG = SAMPLE / "vgg16_small.caffemodel"
ROOT = "VOCdevkit/World"


@pytest.fixture(scope="module")
def remade(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("sample") / "world.tar.gz"
    world.write_tar(target)
    return target


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    with tarfile.open(TAR) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]


def names(files: dict[str, bytes], split: str) -> list[str]:
    return files[f"{ROOT}/ImageSets/Segmentation/{split}.txt"].decode().split()


def test_generator_makes_the_committed_tar(remade: Path) -> None:
    # The tar inside is compared: what gzip makes of it depends on the zlib that Python was built
    # with.
    digests = [
        hashlib.sha256(gzip.decompress(path.read_bytes())).hexdigest() for path in (remade, TAR)
    ]
    assert digests[0] == digests[1]


def test_two_runs_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        world.write_tar(tmp_path / name, splits={"train": 3, "val": 2})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    world.write_tar(tmp_path / "c", seed=world.SEED + 1, splits={"train": 3, "val": 2})
    assert (tmp_path / "c").read_bytes() != (tmp_path / "a").read_bytes()


def test_an_image_does_not_depend_on_how_many_there_are() -> None:
    first, second = (world.scene(world.generator(1, 0, 5)) for _ in range(2))
    assert np.array_equal(np.asarray(first[0]), np.asarray(second[0]))
    assert np.array_equal(np.asarray(first[1]), np.asarray(second[1]))


def test_archive_says_nothing_about_who_made_it() -> None:
    with tarfile.open(TAR) as archive:
        members = archive.getmembers()
    assert [member.name for member in members] == sorted(member.name for member in members)
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in members} == {
        (0, 0, 0, "", "", 0o644)
    }
    assert TAR.read_bytes()[4:8] == bytes(4)  # gzip's own time


def test_lists_are_disjoint_and_complete(files: dict[str, bytes]) -> None:
    train, val = names(files, "train"), names(files, "val")
    assert (len(train), len(val)) == tuple(world.SPLITS.values())
    assert not set(train) & set(val)
    assert names(files, "trainval") == train + val
    for folder, suffix in (("JPEGImages", "jpg"), ("SegmentationClass", "png")):
        found = {Path(name).stem for name in files if name.startswith(f"{ROOT}/{folder}/")}
        assert found == set(train + val), suffix


def test_labels(files: dict[str, bytes]) -> None:
    colours = palette().reshape(-1).tolist()
    sizes = set()
    counts = {split: np.zeros(256, np.int64) for split in world.SPLITS}
    for split, count in counts.items():
        for name in names(files, split):
            label = Image.open(io.BytesIO(files[f"{ROOT}/SegmentationClass/{name}.png"]))
            image = Image.open(io.BytesIO(files[f"{ROOT}/JPEGImages/{name}.jpg"]))
            assert (label.mode, label.getpalette(), image.mode) == ("P", colours, "RGB")
            assert label.size == image.size
            sizes.add(image.size)
            count += np.bincount(np.asarray(label).ravel(), minlength=256)
    for count in counts.values():
        assert set(np.flatnonzero(count)) == {*range(len(world.CLASSES)), 255}
        assert 0.04 < count[255] / count.sum() < 0.12
        assert 0.7 < count[0] / count[:255].sum() < 0.9
    assert len(sizes) > 100
    assert {width > height for width, height in sizes} == {True, False}
    assert min(map(min, sizes)) >= 104
    assert max(map(max, sizes)) <= 160


def test_void_lies_on_every_border(files: dict[str, bytes]) -> None:
    for name in names(files, "val"):
        label = np.asarray(
            Image.open(io.BytesIO(files[f"{ROOT}/SegmentationClass/{name}.png"]))
        ).astype(int)
        for a, b in ((label[1:], label[:-1]), (label[:, 1:], label[:, :-1])):
            assert not ((a != b) & (a != 255) & (b != 255)).any(), (
                "two classes touch without void between them"
            )


def test_outlines_cover_what_they_should() -> None:
    # Areas in units of the radius squared, worked out from the ranges in `outline`.
    bounds = {
        "ring": (0.82 * np.pi * (1 - 0.6**2), np.pi * (1 - 0.48**2)),
        "cross": (4 * 2 * 0.2 - 4 * 0.2**2, 4 * 2 * 0.27 - 4 * 0.27**2),
    }
    for name, (low, high) in bounds.items():
        mask = world.stamp(name, (120, 120), (60, 60), 80, world.generator(3, 1))
        area = np.asarray(mask).sum() / 255 / 40**2
        assert 0.88 * low * 0.98 < area < high * 1.02, name  # 0.88: the squeeze
    with pytest.raises(ValueError, match="no outline for class 'spoon'"):
        world.outline("spoon", world.generator(1))


def test_caffemodel_is_a_whole_small_vgg() -> None:
    layers = caffe.read(VGG)
    shapes = {name: tuple(blob.shape for blob in blobs) for name, blobs in layers.items()}
    width, units = [8, 16, 32, 64, 64], 128
    expected: dict[str, tuple[tuple[int, ...], ...]] = {}
    before = 3
    for block, (count, filters) in enumerate(zip((2, 2, 3, 3, 3), width, strict=True), 1):
        for i in range(1, count + 1):
            expected[f"conv{block}_{i}"] = ((filters, before, 3, 3), (filters,))
            before = filters
    expected |= {
        "fc6": ((units, 64 * 7 * 7), (units,)),
        "fc7": ((units, units), (units,)),
        "fc8": ((7, units), (7,)),
    }
    assert shapes == expected
    net = caffe.MESSAGES["NetParameter"].FromString(VGG.read_bytes())
    assert [layer.type for layer in net.layer] == ["Convolution"] * 13 + ["InnerProduct"] * 3
    weights, report = conversion.convert(layers, "vgg16")
    assert weights["fc6/kernel"].shape == (7, 7, 64, 128)
    assert [row["action"] for row in report if row["layer"] == "fc8"] == ["dropped", "dropped"]


def test_sample_is_small() -> None:
    assert sum(path.stat().st_size for path in SAMPLE.iterdir() if path.is_file()) <= 4_000_000
