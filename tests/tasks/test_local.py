import errno
import hashlib
import logging
import os
from pathlib import Path

import pytest

from fcn.errors import UserError
from fcn.spec.source import Source
from tasks.fetch import fetch
from tasks.local import match

DATA = b"an archive" * 1000
MD5 = "md5:" + hashlib.md5(DATA).hexdigest()
WRONG = "md5:" + "0" * 32
NOWHERE = "http://127.0.0.1:9/"  # nothing listens there: asking would be an error


def source(*names, checksums=(MD5,)):
    return Source(
        urls=tuple(NOWHERE + name for name in names or ["voc.tar"]), checksums=tuple(checksums)
    )


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine" / "voc.tar"
    path.parent.mkdir()
    path.write_bytes(DATA)
    return path


@pytest.fixture
def raw(tmp_path):
    return tmp_path / "raw"


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_in_a_folder_files_are_found_by_the_names_at_any_url(mine):
    voc, sbd, weights = source("v1.tar", "voc.tar"), source("sbd.tgz"), source("vgg%2016.npy")
    (mine.parent / "vgg 16.npy").touch()
    (mine.parent / "sbd.tgz").mkdir()
    assert match(mine.parent, [voc, sbd, weights]) == {
        voc: mine,
        weights: mine.parent / "vgg 16.npy",
    }
    (mine.parent / "v1.tar").touch()
    assert match(mine.parent, [voc]) == {voc: mine.parent / "v1.tar"}, "the first name counts first"


def test_a_file_is_found_by_its_name_or_else_by_its_checksum(mine):
    named, same, other = (
        source("voc.tar", checksums=[WRONG]),
        source("x.tar", checksums=[WRONG, MD5]),
        source("y", checksums=[]),
    )
    assert match(mine, [same, named, other]) == {named: mine}
    assert match(mine, [same, other]) == {same: mine}


@pytest.mark.parametrize("name", ["", "voc.tar"])
def test_what_belongs_to_nothing_is_refused(mine, name):
    with pytest.raises(
        UserError,
        match=r"expected one of the profile's files \(a\.tar, b\.tar\), by name or by checksum",
    ):
        match(
            mine.parent / name, [source("a.tar", checksums=[WRONG]), source("b.tar", checksums=[])]
        )
    with pytest.raises(UserError, match="no such file or folder"):
        match(mine.parent / "no", [source()])
    assert match(None, [source()]) == {}


def test_a_right_file_is_linked_and_no_url_is_asked(mine, raw, caplog):
    caplog.set_level(logging.INFO)
    raw.mkdir()
    (raw / "voc.tar.part").write_bytes(b"what a download left")
    assert fetch(source(), raw, mine).samefile(mine)
    assert names(raw) == ["voc.tar"]
    assert f"a hard link of {mine}, 0.0 MB" in caplog.text


def test_on_another_disk_it_is_copied(mine, raw, monkeypatch):
    def link(*_, **__):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", link)
    path = fetch(source(), raw, mine)
    assert path.read_bytes() == DATA
    assert not path.samefile(mine)


def test_it_takes_the_name_that_the_profile_gives_it(mine, raw):
    assert fetch(source("VOCtrainval.tar"), raw, mine) == raw / "VOCtrainval.tar"


@pytest.mark.parametrize("there", [None, b"a wrong one"])
def test_a_wrong_file_is_refused_and_nothing_is_changed(mine, raw, there):
    mine.write_bytes(b"<html>404</html>")
    raw.mkdir()
    if there:
        (raw / "voc.tar").write_bytes(there)
    with pytest.raises(
        UserError, match=rf"{mine}: not the file .* wanted {MD5}, but got md5:.*an HTML page"
    ):
        fetch(source(), raw, mine)
    assert [path.read_bytes() for path in raw.iterdir()] == [there] * bool(there)
    assert mine.read_bytes() == b"<html>404</html>"


def test_a_right_one_that_is_there_already_is_kept(mine, raw):
    raw.mkdir()
    (raw / "voc.tar").write_bytes(DATA)
    assert not fetch(source(), raw, mine).samefile(mine)


def test_without_a_checksum_the_user_s_word_counts_and_the_checksum_is_told(mine, raw, caplog):
    raw.mkdir()
    (raw / "voc.tar").write_bytes(b"of unknown origin")
    assert fetch(source(checksums=[]), raw, mine).samefile(mine)
    assert f"sha256:{hashlib.sha256(DATA).hexdigest()}" in caplog.text
    mine.write_bytes(b"<html>")
    with pytest.raises(UserError, match="an HTML page"):
        fetch(source(checksums=[]), raw, mine)


def test_a_folder_is_used_where_it_is(tmp_path, raw, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own").mkdir()
    for n, url in enumerate(("file:own", "file:own/", f"file://{tmp_path}/own")):
        path = fetch(Source((url,), ()), raw / str(n))
        assert path.samefile(tmp_path / "own")
        assert names(raw / str(n)) == []
    with pytest.raises(UserError, match=r"file:own: a folder, which has no checksum"):
        fetch(Source(("file:own",), (MD5,)), raw)


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/proc/self/mem", "cannot be read: Input/output error"),
        ("/dev/zero", "expected a file or a folder, got a device or a pipe"),
    ],
)
def test_what_is_no_file_is_said(path, why):
    if not Path(path).exists():
        pytest.skip(f"no {path} on this system")
    with pytest.raises(UserError, match=f"^{path}: {why}$"):
        match(Path(path), [source("voc.tar")])
