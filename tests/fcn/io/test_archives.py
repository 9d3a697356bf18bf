import gzip
import io
import os
import shutil
import tarfile
from collections import namedtuple
from pathlib import Path

import pytest

from fcn.errors import UserError
from fcn.io import archives, containers
from fcn.io.archives import extract

SUBSET = Path(__file__).parents[4] / "shared" / "realdata" / "VOC2012-subset.tar"


def member(name, kind=tarfile.REGTYPE, link="", mode=0o644):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, mode
    return info


def make(path, *members, mode="w", content=b"x" * 700):
    """A tar of `members`: names, or (TarInfo) headers; regular files get `content`."""
    with tarfile.open(path, mode) as tar:
        for info in members:
            info = member(info) if isinstance(info, str) else info
            info.size = len(content) if info.type in (tarfile.REGTYPE, tarfile.AREGTYPE) else 0
            tar.addfile(info, io.BytesIO(content) if info.size else None)
    return path


def tree(folder):
    """The files below a folder, but for the mark of what was unpacked."""
    files = (
        path for path in folder.rglob("*") if not path.is_dir() and path.name != archives.MARK[0]
    )
    return sorted(str(path.relative_to(folder)) for path in files)


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_wanted_files_are_extracted_from_any_compression(tmp_path, mode):
    archive = make(
        tmp_path / "x",
        member("VOC", tarfile.DIRTYPE),
        "VOC/a.jpg",
        "./VOC/b/c.png",
        "other/d",
        mode=mode,
    )
    assert extract(archive, tmp_path / "out", lambda name: "VOC/" in name) == 2
    assert tree(tmp_path / "out") == ["VOC/a.jpg", "VOC/b/c.png"]
    assert (tmp_path / "out" / "VOC" / "a.jpg").read_bytes() == b"x" * 700


def test_what_was_in_the_target_before_is_replaced(tmp_path):
    extract(make(tmp_path / "x.tar", "stale"), tmp_path / "out")
    extract(make(tmp_path / "x.tar", "a"), tmp_path / "out")
    assert tree(tmp_path / "out") == ["a"]
    (tmp_path / "out" / archives.MARK[0]).unlink()  # as a folder of the user's
    with pytest.raises(
        UserError, match=r"out: expected .* but a folder that this program did not make .* is there"
    ):
        extract(tmp_path / "x.tar", tmp_path / "out")
    assert tree(tmp_path / "out") == ["a"]


def test_rights_of_the_archive_are_not_taken_over(tmp_path):
    extract(make(tmp_path / "x.tar", member("a", mode=0o4777)), tmp_path / "out")
    assert os.stat(tmp_path / "out" / "a").st_mode & 0o7111 == 0


def test_progress_counts_the_bytes_on_the_disk(tmp_path):
    archive = make(tmp_path / "x.tar", "a", "b", "c")
    steps = []
    extract(archive, tmp_path / "out", progress=lambda done, total: steps.append((done, total)))
    # A header takes 512 bytes, 700 bytes of content two blocks.
    assert [done for done, _ in steps] == [512, 512 + 1536, 512 + 2 * 1536]
    assert {total for _, total in steps} == {archive.stat().st_size}


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/evil", "a\\..\\evil", "..", "a/.."])
@pytest.mark.parametrize("wanted", [True, False])
def test_names_that_lead_outside_are_refused_wanted_or_not(tmp_path, name, wanted):
    archive = make(tmp_path / "x.tar", "good", name)
    with pytest.raises(UserError, match=r"x\.tar: member .* outside the target folder"):
        extract(archive, tmp_path / "deep" / "out", lambda name: wanted or name == "good")
    assert tree(tmp_path) == ["x.tar"]
    assert not Path("/evil").exists()


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE]
)
def test_links_and_devices_are_refused_if_wanted_and_passed_over_if_not(tmp_path, kind):
    archive = make(tmp_path / "x.tar", "a", member("link", kind, "/etc"), "link/passwd")
    with pytest.raises(UserError, match=r"x\.tar: 'link' is a link or a device"):
        extract(archive, tmp_path / "out")
    assert tree(tmp_path) == ["x.tar"]
    assert extract(archive, tmp_path / "out", lambda name: name != "link") == 2
    assert tree(tmp_path / "out") == ["a", "link/passwd"]
    assert not (tmp_path / "out" / "link").is_symlink()


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
@pytest.mark.parametrize("keep", [0.02, 0.3, 0.6, 0.8])
def test_a_truncated_archive_is_refused_and_leaves_nothing(tmp_path, mode, keep):
    whole = make(
        tmp_path / "x", *(f"f{i}" for i in range(40)), mode=mode, content=os.urandom(600)
    ).read_bytes()
    (tmp_path / "x").write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(UserError, match="wanted a complete tar archive") as error:
        extract(tmp_path / "x", tmp_path / "out")
    assert str(tmp_path / "x") in str(error.value)
    assert tree(tmp_path) == ["x"]


def test_a_plain_tar_cut_between_two_members_is_refused(tmp_path):
    # Every file is whole and tarfile itself would end in silence; only the closing block of zeros
    # is missing.
    archive = make(tmp_path / "x.tar", "a", "b", "c")
    archive.write_bytes(archive.read_bytes()[: 2 * (512 + 1024)])
    with pytest.raises(UserError, match="bad header at byte 3072: empty header"):
        extract(archive, tmp_path / "out")


def test_a_garbled_header_is_refused(tmp_path):
    archive = make(tmp_path / "x.tar", "a", "b", "c")
    data = bytearray(archive.read_bytes())
    data[1536 + 10] ^= 1
    archive.write_bytes(data)
    with pytest.raises(UserError, match="bad header at byte 1536: bad checksum"):
        extract(archive, tmp_path / "out")


def test_a_flipped_bit_in_a_gzip_is_found(tmp_path):
    # stored: nothing but the checksum can tell
    with gzip.open(tmp_path / "x.tgz", "wb", compresslevel=0) as file:
        file.write(make(tmp_path / "x.tar", "a").read_bytes())
    data = bytearray((tmp_path / "x.tgz").read_bytes())
    data[data.index(b"x" * 700) + 100] ^= 1
    (tmp_path / "x.tgz").write_bytes(data)
    with pytest.raises(UserError, match="CRC check failed"):
        extract(tmp_path / "x.tgz", tmp_path / "out")
    assert tree(tmp_path) == ["x.tar", "x.tgz"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<html>Moved</html>", "an HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a git-lfs pointer"),
        (b"PK\x03\x04" + bytes(600), "a zip archive"),
        (b"", "empty"),
    ],
)
def test_other_files_are_refused_by_the_name_of_what_they_are(tmp_path, content, message):
    (tmp_path / "x.tar").write_bytes(content)
    with pytest.raises(UserError, match=message):
        extract(tmp_path / "x.tar", tmp_path / "out")
    assert tree(tmp_path) == ["x.tar"]


@pytest.fixture
def free(monkeypatch):
    """Sets how many bytes the disk has free."""
    usage = namedtuple("usage", "total used free")
    return lambda size: monkeypatch.setattr(
        shutil, "disk_usage", lambda _: usage(10**9, 10**9 - size, size)
    )


def test_a_tar_that_the_disk_has_no_room_for_is_refused_before_anything_is_written(
    tmp_path, free, monkeypatch
):
    archive = make(tmp_path / "x.tar", "a", "b", "c")
    free(1400)
    assert extract(archive, tmp_path / "out", lambda name: name != "b") == 2
    monkeypatch.setattr(containers, "_write", lambda *_: pytest.fail("something was written"))
    with pytest.raises(UserError, match=r"unpacking .*x\.tar: needs 0 MB, but the disk of"):
        extract(archive, tmp_path / "all")
    assert tree(tmp_path) == ["out/a", "out/c", "x.tar"]


def test_a_compressed_tar_is_refused_at_the_first_file_that_the_disk_has_no_room_for(
    tmp_path, free
):
    archive = make(tmp_path / "x.tgz", "a", mode="w:gz")
    free(700)
    assert extract(archive, tmp_path / "out") == 1
    free(699)
    with pytest.raises(UserError, match=r"unpacking 'a' of .*x\.tgz: needs"):
        extract(archive, tmp_path / "more")
    assert tree(tmp_path) == ["out/a", "x.tgz"]


def header(info, **fields):
    """A header with some of its fields (offset, bytes) overwritten, and its checksum made right."""
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    for start, value in fields.values():
        block[start : start + len(value)] = value
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def test_an_archive_that_unpacks_to_the_absurd_is_refused_before_it_does(tmp_path):
    # A terabyte of zeros is claimed; the disk could have room for it.
    info = member("zeros")
    info.size = 2**40
    with gzip.open(tmp_path / "x.tgz", "wb") as file:
        file.write(header(info) + bytes(2**20))
    with pytest.raises(UserError, match=rf"x\.tgz: \d+ bytes that unpack to {2**40} or more"):
        extract(tmp_path / "x.tgz", tmp_path / "out", lambda name: False)


def test_the_limit_is_a_thousand_times_the_archive_but_never_below_a_gigabyte():
    archives._refuse_bomb(Path("x"), 1, 2**30)
    archives._refuse_bomb(Path("x"), 2**21, 1000 * 2**21)
    for size, unpacked in ((1, 2**30 + 1), (2**21, 1000 * 2**21 + 1)):
        with pytest.raises(UserError, match="no archive of images does that"):
            archives._refuse_bomb(Path("x"), size, unpacked)


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_a_header_that_would_fill_the_memory_is_refused(tmp_path, kind):
    info = member("long", kind)
    info.size = 2**33
    with gzip.open(tmp_path / "x.tgz", "wb") as file:
        file.write(header(member("a")) + header(info) + bytes(2**20))
    with pytest.raises(UserError, match=f"a header says {2**33} bytes of 'long'"):
        extract(tmp_path / "x.tgz", tmp_path / "out")


def test_a_negative_size_does_not_send_the_reader_back_forever(tmp_path):
    negative = (-512).to_bytes(12, "big", signed=True)
    (tmp_path / "x.tar").write_bytes(
        header(member("a")) + header(member("b"), size=(124, negative)) + bytes(10240)
    )
    with pytest.raises(UserError, match=r"a header says -512 bytes of 'b'"):
        extract(tmp_path / "x.tar", tmp_path / "out")


def test_a_missing_archive_and_one_without_wanted_files_are_named(tmp_path):
    with pytest.raises(UserError, match=r"no\.tar: .* no such file"):
        extract(tmp_path / "no.tar", tmp_path / "out")
    with pytest.raises(UserError, match="holds none of the files that were wanted"):
        extract(make(tmp_path / "x.tar", "a"), tmp_path / "out", lambda name: False)
    assert tree(tmp_path) == ["x.tar"]


def test_an_archive_is_not_unpacked_over_itself(tmp_path):
    archive = make(tmp_path / "raw.tar", "a")
    with pytest.raises(UserError, match="lies inside"):
        extract(archive, tmp_path)
    assert archive.is_file()


@pytest.mark.realdata
@pytest.mark.skipif(
    not SUBSET.is_file(), reason="the subset of VOC2012 is not here: ../shared/realdata"
)
def test_the_real_subset_of_voc(tmp_path):
    labels = "VOCdevkit/VOC2012/SegmentationClass/"
    assert extract(SUBSET, tmp_path / "out", lambda name: name.startswith(labels)) == 193
    assert len(list((tmp_path / "out" / labels).glob("*.png"))) == 193
