import os
import shutil
import stat
import warnings
import zipfile
from collections import namedtuple

import pytest

from fcn.errors import UserError
from fcn.io import archives
from fcn.io.archives import extract


def make(path, *members, method=zipfile.ZIP_DEFLATED, content=b"x" * 700):
    """A zip of `members`: names, or (name, mode) with the mode that Unix would store."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for member in members:
            name, mode = (member, 0) if isinstance(member, str) else member
            info = zipfile.ZipInfo(name)
            info.external_attr, info.compress_type = mode << 16, method
            archive.writestr(info, content)
    return path


def tree(folder):
    """The files below a folder, but for the mark of what was unpacked."""
    files = (
        path for path in folder.rglob("*") if not path.is_dir() and path.name != archives.MARK[0]
    )
    return sorted(str(path.relative_to(folder)) for path in files)


@pytest.fixture
def own(tmp_path):
    """A folder of the user's, with what file managers leave behind."""
    folder = tmp_path / "own"
    for name in (
        "images/a.jpg",
        "images/b/c.jpg",
        "images/Thumbs.db",
        "images/._a.jpg",
        "masks/a.png",
        ".DS_Store",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_wanted_files_of_a_zip_are_extracted_whatever_its_name_and_compression(tmp_path, method):
    names = [
        "ADE/",
        ("ADE/images/", stat.S_IFDIR | 0o755),
        "ADE/images/a.jpg",
        ("ADE/b.txt", stat.S_IFREG | 0o4777),
        "other/c",
    ]
    archive = make(tmp_path / "x.tar", *names, method=method)
    steps = []
    done = extract(
        archive, tmp_path / "out", lambda n: n.startswith("ADE"), lambda *step: steps.append(step)
    )
    assert done == 2
    assert tree(tmp_path / "out") == ["ADE/b.txt", "ADE/images/a.jpg"]
    assert (tmp_path / "out" / "ADE" / "b.txt").read_bytes() == b"x" * 700
    assert os.stat(tmp_path / "out" / "ADE" / "b.txt").st_mode & 0o7111 == 0
    assert [total for _, total in steps] == [archive.stat().st_size] * 5
    assert [position for position, _ in steps] == sorted(position for position, _ in steps)


def test_what_a_mac_adds_to_a_zip_stays_in_it(tmp_path):
    archive = make(
        tmp_path / "x.zip", "own/a.jpg", "own/.DS_Store", "__MACOSX/own/._a.jpg", "own/._a.jpg"
    )
    assert extract(archive, tmp_path / "out") == 1
    assert tree(tmp_path / "out") == ["own/a.jpg"]


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/evil", "a\\..\\evil", "..", "a/.."])
@pytest.mark.parametrize("wanted", [True, False])
def test_names_that_lead_outside_are_refused_wanted_or_not(tmp_path, name, wanted):
    archive = make(tmp_path / "x.zip", "good", name)
    with pytest.raises(UserError, match=r"x\.zip: member .* outside the target folder"):
        extract(archive, tmp_path / "deep" / "out", lambda n: wanted or n == "good")
    assert tree(tmp_path) == ["x.zip"]


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_in_a_zip_are_refused_if_wanted_and_passed_over_if_not(tmp_path, kind):
    archive = make(tmp_path / "x.zip", "a", ("link", kind | 0o777))
    with pytest.raises(UserError, match=r"x\.zip: 'link' is a link or a device"):
        extract(archive, tmp_path / "out")
    assert tree(tmp_path) == ["x.zip"]
    assert extract(archive, tmp_path / "out", lambda name: name != "link") == 1


@pytest.mark.parametrize("keep", [0.02, 0.5, 0.99])
def test_a_truncated_zip_is_refused_and_leaves_nothing(tmp_path, keep):
    archive = make(tmp_path / "x.zip", *(f"f{i}" for i in range(40)))
    archive.write_bytes(archive.read_bytes()[: int(archive.stat().st_size * keep)])
    with pytest.raises(
        UserError,
        match=r"x\.zip \(\d+ bytes, a zip archive .*wanted a complete .*: File is not a zip file",
    ):
        extract(archive, tmp_path / "out")
    assert tree(tmp_path) == ["x.zip"]


def test_a_flipped_bit_in_a_zip_is_found(tmp_path):
    archive = make(tmp_path / "x.zip", "a", method=zipfile.ZIP_STORED)
    data = bytearray(archive.read_bytes())
    data[data.index(b"x" * 700) + 100] ^= 1
    archive.write_bytes(data)
    with pytest.raises(UserError, match="Bad CRC-32 for file 'a'"):
        extract(archive, tmp_path / "out")
    assert tree(tmp_path) == ["x.zip"]


@pytest.mark.parametrize(
    ("offset", "value", "message"),
    [(6, 1, "encrypted"), (8, 97, "compression method is not supported")],
)
def test_an_encrypted_zip_and_an_unknown_compression_are_named(tmp_path, offset, value, message):
    archive = make(tmp_path / "x.zip", "a")
    data = bytearray(archive.read_bytes())
    # the central directory has one field more before
    for signature, shift in ((b"PK\x03\x04", 0), (b"PK\x01\x02", 2)):
        data[data.index(signature) + offset + shift] = value
    archive.write_bytes(data)
    with pytest.raises(UserError, match=message):
        extract(archive, tmp_path / "out")
    assert tree(tmp_path) == ["x.zip"]


def test_a_zip_that_unpacks_to_the_absurd_is_refused_before_it_does(tmp_path):
    archive = make(tmp_path / "x.zip", "a", method=zipfile.ZIP_STORED)
    data = bytearray(archive.read_bytes())
    start = data.index(b"PK\x01\x02") + 24
    # the size that the directory claims
    data[start : start + 4] = (2**30 + 1).to_bytes(4, "little")
    archive.write_bytes(data)
    with pytest.raises(
        UserError, match=rf"x\.zip: {len(data)} bytes that unpack to {2**30 + 1} or more"
    ):
        extract(archive, tmp_path / "out", lambda name: False)


def test_a_zip_that_the_disk_has_no_room_for_is_refused(tmp_path, monkeypatch):
    archive = make(tmp_path / "x.zip", "a", "b", "c")
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(2000, 600, 1400))
    assert extract(archive, tmp_path / "out", lambda name: name != "b") == 2
    with pytest.raises(UserError, match=r"unpacking .*x\.zip: needs 0 MB, but the disk of"):
        extract(archive, tmp_path / "all")
    assert tree(tmp_path) == ["out/a", "out/c", "x.zip"]


def test_of_two_members_of_one_name_the_last_counts_as_unzip_would_have_it(tmp_path):
    with (
        zipfile.ZipFile(tmp_path / "x.zip", "w") as archive,
        warnings.catch_warnings(action="ignore"),
    ):
        archive.writestr("a", "first")
        archive.writestr("a", "second")
    extract(tmp_path / "x.zip", tmp_path / "out")
    assert (tmp_path / "out" / "a").read_text() == "second"


def test_an_empty_zip_holds_nothing(tmp_path):
    with pytest.raises(
        UserError, match=r"holds none of the files that were wanted, but e\.g\. nothing at all"
    ):
        extract(make(tmp_path / "x.zip"), tmp_path / "out")


def test_the_files_of_a_folder_are_linked_and_junk_is_passed_over(tmp_path, own):
    steps = []
    done = extract(
        own, tmp_path / "out", lambda name: name != "masks/a.png", lambda *step: steps.append(step)
    )
    assert done == 2
    assert tree(tmp_path / "out") == ["images/a.jpg", "images/b/c.jpg"]
    assert all((tmp_path / "out" / name).samefile(own / name) for name in tree(tmp_path / "out"))
    # Names are as long as the files: .DS_Store 9, ._a.jpg 14, Thumbs.db 16, a.jpg 12, c.jpg 14,
    # a.png 11.
    assert steps == [(position, 76) for position in (0, 9, 23, 39, 51, 65)]


def test_a_folder_is_linked_anew_and_the_user_s_files_stay(tmp_path, own):
    extract(own, tmp_path / "out")
    (own / "images" / "a.jpg").unlink()
    (own / "images" / "new.jpg").touch()
    extract(own, tmp_path / "out")
    assert tree(tmp_path / "out") == ["images/b/c.jpg", "images/new.jpg", "masks/a.png"]
    shutil.rmtree(tmp_path / "out")
    assert (own / "images" / "b" / "c.jpg").read_text() == "images/b/c.jpg"


def test_links_of_a_folder_are_followed_once_and_those_that_lead_nowhere_are_refused(tmp_path, own):
    (tmp_path / "link").symlink_to(own)
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "d.jpg").write_text("d")
    (own / "images" / "linked").symlink_to(tmp_path / "disk")
    (own / "images" / "other.jpg").symlink_to(tmp_path / "disk" / "d.jpg")
    (own / "images" / "round").symlink_to(own)
    (own / "images" / "dangling.jpg").symlink_to("nothing")
    with pytest.raises(UserError, match=r"'images/dangling\.jpg' is a link or a device"):
        extract(tmp_path / "link", tmp_path / "out", lambda name: name == "images/dangling.jpg")
    assert not (tmp_path / "out").exists()
    assert (
        extract(
            tmp_path / "link", tmp_path / "out", lambda name: name.endswith(("d.jpg", "other.jpg"))
        )
        == 2
    )
    assert tree(tmp_path / "out") == ["images/linked/d.jpg", "images/other.jpg"]
    assert not (tmp_path / "out" / "images" / "other.jpg").is_symlink()
    assert extract(tmp_path / "link", tmp_path / "out", lambda name: name.startswith("masks/")) == 1
    assert (tmp_path / "out" / "masks" / "a.png").samefile(own / "masks" / "a.png")


def test_a_folder_may_hold_the_target_but_not_lie_in_it(own):
    target = own / "data" / "out"
    for _ in range(2):
        assert extract(own, target, lambda name: name.startswith("images/")) == 2
    assert tree(target) == ["images/a.jpg", "images/b/c.jpg"]
    with pytest.raises(UserError, match="lies inside"):
        extract(own / "images", own)
    with pytest.raises(UserError, match="lies inside"):
        extract(own, own)


def test_an_empty_folder_is_named(tmp_path):
    (tmp_path / "own").mkdir()
    with pytest.raises(UserError, match=r"own: holds none of the files that were wanted"):
        extract(tmp_path / "own", tmp_path / "out")
