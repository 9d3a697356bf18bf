import gzip
import io
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from fcn.errors import UserError
from fcn.pixels import labels
from fcn.predict import submission
from fcn.spec.colours import palette

SIZES = {"2008_000001": (50, 37), "2008_000002": (40, 60), "2008_000003": (1, 1)}
"""(width, height) by id."""
WHERE = "results/VOC2012/Segmentation/comp6_test_cls"


@pytest.fixture
def listed(tmp_path):
    """Ids and files of three images."""
    for name, size in SIZES.items():
        Image.new("RGB", size).save(tmp_path / f"{name}.jpg")
    return [(name, tmp_path / f"{name}.jpg") for name in SIZES]


def truth(name):
    width, height = SIZES[name]
    return np.random.default_rng(int(name[-1])).integers(0, 21, (height, width), np.uint8)


def png(image, kind="PNG"):
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def content():
    """Name and bytes of what a right archive holds."""
    return {f"{WHERE}/{name}.png": png(labels.to_image(truth(name))) for name in SIZES}


def packed(path, entries, mode="w:gz"):
    """Writes a tar of names and bytes, or ready made headers, independently of what is tested."""
    with tarfile.open(path, mode) as archive:
        for name, data in entries:
            if isinstance(data, tarfile.TarInfo):
                archive.addfile(data)
            else:
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return path


def test_an_archive_by_pack_holds_the_labels_and_nothing_else(listed, tmp_path):
    out = tmp_path / "submission.tgz"
    submission.pack(out, ((name, truth(name)) for name in SIZES), listed)
    with tarfile.open(out, "r:gz") as archive:
        members = archive.getmembers()
        assert [member.name for member in members] == [f"{WHERE}/{name}.png" for name in SIZES]
        assert {(member.mtime, member.uid, member.uname, member.mode) for member in members} == {
            (0, 0, "", 0o644)
        }
        for member, name in zip(members, SIZES, strict=True):
            with Image.open(archive.extractfile(member)) as image:
                assert image.mode == "P"
                colours = image.getpalette()
                assert colours
                assert colours[:6] == [0, 0, 0, 128, 0, 0]
                np.testing.assert_array_equal(np.asarray(image), truth(name))
    submission.check(out, listed)


def test_the_same_labels_are_the_same_bytes(listed, tmp_path):
    for name in ("one.tgz", "two.tgz"):
        submission.pack(tmp_path / name, ((each, truth(each)) for each in SIZES), listed)
    data = (tmp_path / "one.tgz").read_bytes()
    assert data == (tmp_path / "two.tgz").read_bytes()
    assert data[4:8] == b"\0\0\0\0"  # gzip's time
    assert not data[3] & 8  # nor its file's name


def test_the_place_in_the_archive(listed, tmp_path):
    where = submission.place("VOC2011", "comp5")
    assert where == "results/VOC2011/Segmentation/comp5_test_cls"
    submission.pack(tmp_path / "s.tgz", ((name, truth(name)) for name in SIZES), listed, where)
    submission.check(tmp_path / "s.tgz", listed, where)
    with pytest.raises(
        UserError,
        match=r"comp5_test_cls/2008_000001\.png: not one of the images, .* called results/VOC2012",
    ):
        submission.check(tmp_path / "s.tgz", listed)


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_an_archive_made_by_others_with_folders_in_it_is_right(listed, tmp_path, mode):
    folder = tarfile.TarInfo("./results")
    folder.type = tarfile.DIRTYPE
    entries = [("", folder), *((f"./{name}", data) for name, data in content().items())]
    submission.check(packed(tmp_path / "s.tar", entries, mode), listed)


def replaced(name, data):
    return [(each, data if name in each else own) for each, own in content().items()]


def one(values, mode="P"):
    width, height = SIZES["2008_000002"]
    array = np.full((height, width), values, np.uint8)
    if mode == "P":
        return png(labels.to_image(array))
    return png(Image.fromarray(array).convert(mode))


def linked(kind, name=f"{WHERE}/2008_000002.png"):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "/etc/passwd"
    return info


def turned_palette():
    image = labels.to_image(np.full((60, 40), 3, np.uint8))
    image.putpalette(palette()[::-1].ravel().tolist())
    return png(image)


BAD = "2008_000002"
TAMPERED = {
    "an id is missing": (list(content().items())[:2], "1 of 3 images are missing: "
                                                      ".*2008_000003.png"),
    "a file too many": (
        [*content().items(), ("results/notes.txt", b"hello")], "results/notes.txt: not one of the "
                                                               "images, which",
    ),
    "a file of macOS": ([*content().items(), (f"{WHERE}/._{BAD}.png", b"")],
                        r"\._2008_000002.png: not one of the images"),
    "an id twice": ([*content().items(), *list(content().items())[1:2]], "2008_000002.png: there "
                                                                         "more than once"),
    "another size": (
        replaced(BAD, png(labels.to_image(np.zeros((40, 60), np.uint8)))), "2008_000002.png: 60x40 "
                                                                           "pixels, its image has "
                                                                           "40x60",
    ),
    "colours": (replaced(BAD, one(7, "RGB")),
                r"2008_000002.png: expected a palette PNG \(mode P\), got PNG of mode RGB"),
    "grey": (replaced(BAD, one(7, "L")), "got PNG of mode L"),
    "a GIF": (replaced(BAD, png(labels.to_image(truth(BAD)), "GIF")), "got GIF of mode P"),
    "label 21": (replaced(BAD, one(21)), r"2008_000002.png: value 21, expected 0\.\.20"),
    "void": (replaced(BAD, one(255)), "2008_000002.png: value 255, expected 0..20: a submission "
                                      "has no void"),
    "another palette": (replaced(BAD, turned_palette()), "2008_000002.png: value 3 has not VOC's "
                                                         "colour"),
    "no picture": (replaced(BAD, b"hello"), "2008_000002.png: no picture that can be read"),
    "half a picture": (replaced(BAD, one(7)[:60]), "2008_000002.png: no picture that can be read"),
    "a symbolic link": (replaced(BAD, linked(tarfile.SYMTYPE)), "2008_000002.png: a link or a "
                                                                "device, not a file"),
    "a hard link": (replaced(BAD, linked(tarfile.LNKTYPE)), "2008_000002.png: a link or a device, "
                                                            "not a file"),
    "an absolute name": ([*content().items(), ("/etc/evil.png", b"")], "/etc/evil.png: a name that "
                                                                       "leads outside"),
    "a name that climbs": ([*content().items(), (f"{WHERE}/../../../../evil.png", b"")],
                           "evil.png: a name that leads outside"),
    "a giant": ([*content().items(), ("zeros", bytes(10**6))], "zeros: 1000000 bytes, more than a "
                                                               "label of any of the images"),
}  # fmt: skip


@pytest.mark.parametrize("case", TAMPERED)
def test_a_tampered_archive_is_refused_and_the_entry_named(case, listed, tmp_path):
    entries, words = TAMPERED[case]
    path = packed(tmp_path / "s.tgz", entries)
    with pytest.raises(UserError, match=f"(?s)s.tgz: .*{words}"):
        submission.check(path, listed)


def test_all_that_is_wrong_is_told_at_once_but_no_more_than_ten(listed, tmp_path):
    path = packed(tmp_path / "s.tgz", [(f"extra{n}", b"") for n in range(12)])
    with pytest.raises(UserError) as caught:
        submission.check(path, listed)
    lines = str(caught.value).splitlines()
    assert lines[0] == f"{path}: the server would not take it:"
    assert [line.partition(":")[0] for line in lines[1:-1]] == [f"extra{n}" for n in range(10)]
    assert lines[-1] == "and 3 more"


def test_a_damaged_archive_is_refused(listed, tmp_path):
    good = packed(tmp_path / "good.tgz", content().items()).read_bytes()
    path = tmp_path / "s.tgz"
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 0xFF
    for data in (good[: len(good) // 2], good[:-5], bytes(flipped), gzip.compress(b"no tar")):
        path.write_bytes(data)
        with pytest.raises(UserError, match=r"s\.tgz: (damaged|the server would not)"):
            submission.check(path, listed)


def test_what_is_no_tar_is_refused(listed, tmp_path):
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
        for name, data in content().items():
            archive.writestr(name, data)
    with pytest.raises(
        UserError, match=r"s\.zip: expected a tar or a tgz, but it is a zip archive"
    ):
        submission.check(tmp_path / "s.zip", listed)
    with pytest.raises(UserError, match="no such file"):
        submission.check(tmp_path, listed)


def test_labels_that_the_server_does_not_take_are_not_packed(listed, tmp_path):
    out = tmp_path / "s.tgz"
    out.write_bytes(b"from before")
    void = [(name, np.where(truth(name) == 5, 255, truth(name))) for name in SIZES]
    with pytest.raises(
        UserError, match=r"(?s)/s\.tgz: .*2008_000001\.png: value 255, .* a submission has no void"
    ):
        submission.pack(out, void, listed)
    with pytest.raises(UserError, match="1 of 3 images are missing"):
        submission.pack(out, [(name, truth(name)) for name in list(SIZES)[1:]], listed)
    assert out.read_bytes() == b"from before"
    assert not list(tmp_path.glob(".part*"))


def test_predictions_are_read_from_a_folder(listed, tmp_path):
    folder = tmp_path / "labels"
    folder.mkdir()
    for name in SIZES:
        labels.to_image(truth(name)).save(folder / f"{name}.png")
    Image.fromarray(truth(BAD)).save(folder / f"{BAD}.png")  # grey does as well
    (folder / "another.png").touch()
    found = list(submission.from_folder(folder, listed))
    assert [name for name, _ in found] == list(SIZES)
    for name, values in found:
        np.testing.assert_array_equal(values, truth(name))
    Image.new("L", (3, 3)).save(folder / f"{BAD}.png")
    with pytest.raises(
        UserError, match=r"2008_000002\.png: the label is 3x3 pixels, its image 40x60"
    ):
        list(submission.from_folder(folder, listed))
    (folder / f"{BAD}.png").unlink()
    with pytest.raises(UserError, match="1 of 3 predictions are not there: 2008_000002"):
        list(submission.from_folder(folder, listed))
