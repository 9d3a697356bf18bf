"""Archives of the data sets' forms, from a server to the files that are needed of them."""

import hashlib
import io
import logging
import tarfile
import zipfile

import pytest

from fcn.errors import UserError
from fcn.io import archives
from fcn.spec.source import Source
from tasks.fetch import fetch, unpack


def tar(names, mode):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = len(name)
            archive.addfile(info, io.BytesIO(name.encode()))
    return buffer.getvalue()


def zipped(names):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, name)
    return buffer.getvalue()


VOC = "VOCdevkit/VOC2012"
SBD = "benchmark_RELEASE/dataset"
ADE = "ADEChallengeData2016"
FORMS = {
    "VOCtrainval_11-May-2012.tar": (
        tar([f"{VOC}/{name}" for name in (
            "Annotations/2007_1.xml", "ImageSets/Main/train.txt",
            "ImageSets/Segmentation/train.txt", "JPEGImages/2007_1.jpg",
            "SegmentationClass/2007_1.png", "SegmentationObject/2007_1.png",
        )], "w"),
        [f"{VOC}/{name}" for name in ("ImageSets/Segmentation", "JPEGImages", "SegmentationClass")],
        [f"{VOC}/{name}" for name in (
            "ImageSets/Segmentation/train.txt", "JPEGImages/2007_1.jpg",
            "SegmentationClass/2007_1.png",
        )],
    ),
    "benchmark.tgz": (
        tar([f"benchmark_RELEASE/{name}" for name in (
            "README", "benchmark_code/a.m", "dataset/cls/2008_1.mat", "dataset/img/2008_1.jpg",
            "dataset/inst/2008_1.mat",
            "dataset/train.txt", "dataset/val.txt",
        )], "w:gz"),
        [f"{SBD}/{name}" for name in ("cls", "img", "train.txt", "val.txt")],
        [f"{SBD}/{name}" for name in ("cls/2008_1.mat", "img/2008_1.jpg", "train.txt", "val.txt")],
    ),
    "ADEChallengeData2016.zip": (
        zipped([f"{ADE}/{name}" for name in (
            "", "annotations/", "annotations/training/ADE_train_1.png",
            "annotations/validation/ADE_val_1.png",
            "images/training/ADE_train_1.jpg", "images/validation/ADE_val_1.jpg",
            "objectInfo150.txt", "sceneCategories.txt",
        )]),
        [f"{ADE}/{name}" for name in ("annotations", "images", "objectInfo150.txt")],
        [f"{ADE}/{name}" for name in (
            "annotations/training/ADE_train_1.png", "annotations/validation/ADE_val_1.png",
            "images/training/ADE_train_1.jpg", "images/validation/ADE_val_1.jpg",
            "objectInfo150.txt",
        )],
    ),
}  # fmt: skip


def tree(folder):
    """The files below a folder, but for the mark of what was unpacked."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != archives.MARK[0])
    return sorted(path.relative_to(folder).as_posix() for path in files)


@pytest.mark.parametrize("name", FORMS)
def test_from_a_server_to_the_files_that_are_needed(file_server, tmp_path, name):
    file_server.content, folders, expected = FORMS[name]
    checksum = f"md5:{hashlib.md5(file_server.content).hexdigest()}"
    archive = fetch(Source((file_server.url + name,), (checksum,)), tmp_path / "archives")
    assert archive == tmp_path / "archives" / name
    target = tmp_path / "images"
    unpack(archive, target, folders)
    found = tree(target)
    assert found == expected
    assert [(target / file).read_text() for file in found] == found, (
        "each file has its own name for its content"
    )


def test_a_folder_of_the_user_becomes_a_folder_of_links(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.INFO)
    for name in (
        "own/images/a.jpg",
        "own/masks/a.png",
        "own/classes.txt",
        "own/notes/b.txt",
        "own/images/.DS_Store",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    unpack(
        fetch(Source(("file:own",), ()), "raw"),
        "raw/images/folder",
        ["./images", "./masks", "./classes.txt"],
    )
    target = tmp_path / "raw" / "images" / "folder"
    found = tree(target)
    assert found == ["classes.txt", "images/a.jpg", "masks/a.png"]
    assert all((target / file).samefile(tmp_path / "own" / file) for file in found)
    assert "own: taking ./images, ./masks, ./classes.txt" in caplog.text
    assert "own: 3 files unpacked into raw/images/folder" in caplog.text
    (tmp_path / "own" / "more").symlink_to(tmp_path / "raw" / "images")
    unpack("own", "all", ["."], (".jpg", ".txt"))
    assert tree(tmp_path / "all")[:2] == ["classes.txt", "images/a.jpg"]
    (tmp_path / "own" / "film.mp4").touch()
    unpack("own", "all", ["."], (".jpg", ".txt"))
    assert "pictures nor annotations: film.mp4, " in caplog.text
    assert "left out" in caplog.messages[-1]
    assert "own: 1 links are followed, the first one to " in caplog.text


def test_names_match_whole_parts_with_or_without_slashes(tmp_path):
    (tmp_path / "x.tar").write_bytes(
        tar(
            ["VOC/lists/train/a", "./VOC/lists/main/b", "./VOC/images/c", "VOCx/images/d", "e"], "w"
        )
    )
    unpack(tmp_path / "x.tar", tmp_path / "out", ["VOC/lists/train/", "./VOC/images"])
    assert tree(tmp_path / "out") == ["VOC/images/c", "VOC/lists/train/a"]
    with pytest.raises(
        UserError, match=r"x\.tar: holds none of the files that were wanted, but e\.g\. 'e'"
    ):
        unpack(tmp_path / "x.tar", tmp_path / "out", ["VOC/list", "VOC/images/c/d"])


@pytest.mark.parametrize("name", ["/etc", "../up", "a/../b"])
def test_names_outside_of_the_archive_are_refused(tmp_path, name):
    with pytest.raises(UserError, match="wanted the name of a file or folder inside of an archive"):
        unpack(tmp_path / "x.tar", tmp_path / "out", [name])
