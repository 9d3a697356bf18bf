"""Archives made to harm whoever unpacks them, beyond those of test_archives: nothing outside the
target, and an end to it.
"""

import bz2
import gzip
import io
import os
import signal
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest
from test_archives import header, make, member, tree

from fcn.errors import UserError
from fcn.io import archives, containers
from fcn.io.archives import extract

END = bytes(10240)


@pytest.fixture(autouse=True)
def _ends():
    """A reader that goes round in circles fails the test instead of stopping all of them."""

    def late(*_):
        raise AssertionError("no end after 20 s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def attributes(**records):
    """A pax header: attributes, dots for the underscores of their names, that overwrite those of
    the member after it.
    """
    data = b""
    for key, value in records.items():
        line = f" {key.replace('_', '.')}={value}\n".encode()
        length = next(n for n in range(len(line), len(line) + 9) if n == len(line) + len(str(n)))
        data += str(length).encode() + line
    info = member("attributes", tarfile.XHDTYPE)
    info.size = len(data)
    return info.tobuf(tarfile.GNU_FORMAT) + data + bytes(-len(data) % 512)


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress])
@pytest.mark.parametrize("size", [-512, -1024, -1536, -2048, -(2**40)])
def test_attributes_with_a_negative_size_do_not_send_the_reader_back_forever(tmp_path, size, pack):
    # tarfile before 3.11.14, 3.12.12 and 3.13.6 goes back by these bytes, and finds the same header
    # again: CVE-2025-8194.
    tar = header(member("a")) + attributes(size=size) + header(member("b")) + END
    (tmp_path / "x.tar").write_bytes(pack(tar))
    with pytest.raises(
        UserError, match=rf"a header says {size} bytes of 'b'|invalid offset|bad header"
    ):
        extract(tmp_path / "x.tar", tmp_path / "out")
    assert tree(tmp_path) == ["x.tar"]


@pytest.mark.parametrize("path", ["../../evil", "/evil", "a/../../evil"])
def test_names_out_of_attributes_are_checked_like_others(tmp_path, path):
    (tmp_path / "x.tar").write_bytes(
        header(member("a")) + attributes(path=path) + header(member("b")) + END
    )
    with pytest.raises(
        UserError, match=r"x\.tar: member .*evil' would lie outside the target folder"
    ):
        extract(tmp_path / "x.tar", tmp_path / "deep" / "out")
    assert tree(tmp_path) == ["x.tar"]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_sparse_file_of_holes_is_a_bomb(tmp_path, pack):
    # 512 bytes that stand for 8 GiB of zeros; the terabyte of test_archives is claimed by an
    # ordinary file.
    sparse = header(member("hole", tarfile.GNUTYPE_SPARSE), real=(483, b"%011o\0" % (2**33 - 1)))
    (tmp_path / "x.tar").write_bytes(pack(header(member("a")) + sparse + END))
    with pytest.raises(UserError, match=rf"bytes that unpack to {2**33 - 1} or more"):
        extract(tmp_path / "x.tar", tmp_path / "out")
    assert tree(tmp_path) == ["x.tar"]


def test_a_map_of_holes_without_an_end_is_refused(tmp_path):
    records = {
        "GNU_sparse_major": 1,
        "GNU_sparse_minor": 0,
        "GNU_sparse_realsize": 10,
        "GNU_sparse_name": "hole",
    }
    many = b"999999999999\n".ljust(512, b"\0")
    (tmp_path / "x.tar").write_bytes(attributes(**records) + header(member("b")) + many + END)
    with pytest.raises(UserError, match="wanted a complete tar archive"):
        extract(tmp_path / "x.tar", tmp_path / "out")


@pytest.mark.parametrize("mode", ["w", "w:gz", "zip"])
def test_more_members_than_any_data_set_has_are_refused(tmp_path, monkeypatch, mode):
    monkeypatch.setattr(archives, "_MOST", 50)
    path = tmp_path / "x"

    def build(count):
        if mode != "zip":
            return make(path, *(f"f{n}" for n in range(count)), mode=mode, content=b"")
        with zipfile.ZipFile(path, "w") as archive:
            for n in range(count):
                archive.writestr(f"f{n}", b"")
        return path

    assert extract(build(50), tmp_path / "out") == 50
    with pytest.raises(UserError, match="more than 50 members"):
        # wanted or not: each is looked at
        extract(build(51), tmp_path / "more", lambda name: name == "f0")
    assert not (tmp_path / "more").exists()


def test_the_limit_leaves_room_for_imagenet():
    assert archives._MOST > 1_281_167 + 100_000


def zipped(content, *claims):
    """A zip of one deflated member; `claims` are (signature, offset, size in bytes, value) to
    overwrite in its headers.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", content)
    data = bytearray(buffer.getvalue())
    for signature, offset, size, value in claims:
        start = data.index(signature) + offset
        data[start : start + size] = value.to_bytes(size, "little")
    return bytes(data)


def test_a_zip_that_says_less_than_it_unpacks_to_writes_no_more_than_it_says(tmp_path):
    # The sizes of both headers say 5 bytes; 1 MiB is inside.
    (tmp_path / "x.zip").write_bytes(
        zipped(bytes(2**20), (b"PK\1\2", 24, 4, 5), (b"PK\3\4", 22, 4, 5))
    )
    written = []
    save = containers._write

    def write(content, to):
        written.append(to)
        save(content, to)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(containers, "_write", write)
        with pytest.raises(UserError, match="Bad CRC-32 for file 'a'"):
            extract(tmp_path / "x.zip", tmp_path / "out")
    assert len(written) == 1
    assert tree(tmp_path) == ["x.zip"]


def test_many_names_for_the_same_bytes_of_a_zip_are_refused(tmp_path):
    # How 42 kB unpack to gigabytes (Fifield 2019): the directory names one and the same member
    # again and again.
    data = zipped(bytes(2**20))
    at, end = data.index(b"PK\1\2"), data.index(b"PK\5\6")
    directory = data[at:end] * 2000
    tail = bytearray(data[end:])
    tail[8:10] = tail[10:12] = (2000).to_bytes(2, "little")
    tail[12:16] = len(directory).to_bytes(4, "little")
    (tmp_path / "x.zip").write_bytes(data[:at] + directory + tail)
    with pytest.raises(
        UserError,
        match=rf"{len(data[:at] + directory + tail)} bytes that unpack to {2000 * 2**20} or more",
    ):
        extract(tmp_path / "x.zip", tmp_path / "out")


@pytest.mark.parametrize(
    "name",
    ["d/" * 64 + "f", "d/" * 2000 + "f", "f" * 256, "ä" * 128, "d" * 256 + "/f"],
    ids=lambda name: str(len(name)),
)
@pytest.mark.parametrize("mode", ["tar", "zip"])
def test_endless_names_are_refused(tmp_path, name, mode):
    if mode == "tar":
        make(tmp_path / "x", "good", name)
    else:
        with zipfile.ZipFile(tmp_path / "x", "w") as archive:
            archive.writestr("good", b"x")
            archive.writestr(name, b"x")
    with pytest.raises(
        UserError, match=r"characters long: wanted at most 64 parts of at most 255 bytes"
    ):
        extract(tmp_path / "x", tmp_path / "out")
    assert tree(tmp_path) == ["x"]


def test_the_longest_names_that_are_allowed_are_made_and_removed_again(tmp_path):
    names = ["d/" * 63 + "f", "f" * 255]
    make(tmp_path / "x", *names)
    for _ in range(2):
        assert extract(tmp_path / "x", tmp_path / "out") == 2
    assert tree(tmp_path / "out") == names


@pytest.mark.parametrize("second", ["A/B.jpg", "a/B.jpg", "a\N{COMBINING DIAERESIS}.png"])
def test_two_names_that_the_disk_does_not_tell_apart_are_refused(tmp_path, monkeypatch, second):
    """As on a Mac and on Windows, where the later file would take the place of the earlier one
    without a word.
    """
    # NFC and NFD; both cases
    first = "\N{LATIN SMALL LETTER A WITH DIAERESIS}.png" if second.endswith("png") else "a/b.jpg"
    archive = make(tmp_path / "x.tar", first, second)
    assert extract(archive, tmp_path / "told apart") == 2  # here they are two files
    real = Path.is_file
    monkeypatch.setattr(
        Path, "is_file", lambda path: path.name == os.path.basename(second) or real(path)
    )
    with pytest.raises(
        UserError, match="this disk does not tell its name from that of another file"
    ):
        extract(archive, tmp_path / "out")


@pytest.mark.parametrize("names", [("d", "d/f"), ("d/f", "d")])
def test_a_file_in_the_place_of_a_folder_is_refused(tmp_path, names):
    with pytest.raises(UserError, match=r"x\.tar .*wanted a complete tar archive"):
        extract(make(tmp_path / "x.tar", *names), tmp_path / "out")
    assert tree(tmp_path) == ["x.tar"]


@pytest.mark.parametrize(
    "name",
    [
        "\N{RIGHT-TO-LEFT OVERRIDE}gpj.exe",
        "\N{FULLWIDTH FULL STOP}" * 2 + "/evil",
        "..\N{FULLWIDTH SOLIDUS}evil",
        "a\nb",
        "\x1b[2J",
    ],
)
def test_a_name_of_odd_characters_is_only_a_name(tmp_path, name):
    extract(make(tmp_path / "x.tar", name), tmp_path / "deep" / "out")
    assert tree(tmp_path) == [f"deep/out/{name}", "x.tar"]


def test_a_chain_of_links_never_leads_out(tmp_path):
    # One link to the folder above, one through it: each alone would pass a check of its own target
    # only.
    chain = [
        member("a", tarfile.SYMTYPE, "."),
        member("a/b", tarfile.SYMTYPE, ".."),
        member("c", tarfile.LNKTYPE, "a/b/x.tar"),
    ]
    archive = make(tmp_path / "x.tar", *chain, "a/b/evil")
    with pytest.raises(UserError, match="'a' is a link or a device"):
        extract(archive, tmp_path / "out")
    assert extract(archive, tmp_path / "out", lambda name: name.endswith("evil")) == 1
    assert tree(tmp_path) == ["out/a/b/evil", "x.tar"]


# links are followed: test_archives_zip_and_folder.py
def test_what_is_no_file_in_a_folder_is_not_opened(tmp_path):
    (tmp_path / "own" / "images").mkdir(parents=True)
    (tmp_path / "own" / "images" / "a.jpg").write_text("a")
    os.mkfifo(tmp_path / "own" / "images" / "b")  # a FIFO would be waited for, for ever
    with pytest.raises(UserError, match="'images/b' is a link or a device"):
        extract(tmp_path / "own", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert stat.S_ISREG((tmp_path / "own" / "images" / "a.jpg").stat().st_mode)
