import errno
import hashlib
import logging
import re
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from fcn.errors import UserError
from fcn.io import download
from fcn.io.download import Interrupted
from fcn.spec.source import Source
from tasks import fetch as tasks_fetch
from tasks.fetch import RETRIES, fetch
from tasks.tracking import Progress, steps

DATA = bytes(range(256)) * 16384  # 4 MiB, no two 1 KiB neighbours alike
MD5 = "md5:" + hashlib.md5(DATA).hexdigest()
SHA1 = "sha1:" + hashlib.sha1(DATA).hexdigest()
SHA256 = "sha256:" + hashlib.sha256(DATA).hexdigest()
WRONG = "md5:" + "0" * 32


@pytest.fixture
def server(file_server):
    file_server.content, file_server.url = DATA, f"{file_server.url}voc.tar"
    return file_server


@pytest.fixture
def raw(tmp_path):
    return tmp_path / "raw"


def source(*urls, checksums=(MD5,)):
    return Source(urls=urls, checksums=tuple(checksums))


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    "checksums", [(MD5,), (SHA1,), (SHA256.upper().replace("SHA", "sha"),), (WRONG, SHA1)]
)
def test_a_download_is_checked_by_any_of_the_checksums(server, raw, checksums):
    path = fetch(source(server.url, checksums=checksums), raw)
    assert path == raw / "voc.tar"
    assert path.read_bytes() == DATA
    assert names(raw) == ["voc.tar"]


def test_a_right_file_is_kept_without_asking_the_server(server, raw):
    raw.mkdir()
    (raw / "voc.tar").write_bytes(DATA)
    fetch(source(server.url), raw)
    assert server.asked == []


def test_a_wrong_file_is_fetched_again(server, raw, caplog):
    raw.mkdir()
    (raw / "voc.tar").write_bytes(b"half")
    fetch(source(server.url), raw)
    assert (raw / "voc.tar").read_bytes() == DATA
    assert "is not the right file (wanted md5:" in caplog.text


def test_a_wrong_file_stays_until_the_right_one_is_there(server, raw):
    raw.mkdir()
    (raw / "voc.tar").write_bytes(b"half")
    server.plan = ["404"]
    with pytest.raises(UserError, match="404"):
        fetch(source(server.url), raw)
    assert names(raw) == ["voc.tar"]


def test_after_a_break_the_next_attempts_go_on_where_it_was(server, raw):
    quarter = len(DATA) // 4
    server.plan = ["breaks", "503", "breaks", "all"]
    for done in (quarter, quarter, 2 * quarter):
        with pytest.raises(Interrupted):
            fetch(source(server.url), raw)
        assert names(raw) == ["voc.tar.part"]
        assert (raw / "voc.tar.part").stat().st_size == done
    assert fetch(source(server.url), raw).read_bytes() == DATA
    assert server.asked == [None, *(f"bytes={n}-" for n in (quarter, quarter, 2 * quarter))]
    assert names(raw) == ["voc.tar"]


def test_a_server_that_knows_no_ranges_is_asked_for_everything(server, raw):
    server.plan = ["breaks", "no ranges"]
    with pytest.raises(Interrupted, match=r"IncompleteRead|broke off"):
        fetch(source(server.url), raw)
    assert fetch(source(server.url), raw).read_bytes() == DATA


def test_another_range_than_asked_for_starts_over(server, raw):
    server.plan = ["breaks", "other range", "all"]
    for message in ("IncompleteRead|broke off", "cannot go on at byte"):
        with pytest.raises(Interrupted, match=message):
            fetch(source(server.url), raw)
    assert names(raw) == []
    assert fetch(source(server.url), raw).read_bytes() == DATA


def test_a_part_that_is_complete_already_is_taken(server, raw):
    raw.mkdir()
    (raw / "voc.tar.part").write_bytes(DATA)
    assert fetch(source(server.url), raw).read_bytes() == DATA
    assert server.asked == [f"bytes={len(DATA)}-"]


@pytest.mark.parametrize("left", [b"?" * 100, b"?" * (len(DATA) + 1)])
def test_pieces_of_different_files_are_thrown_away_and_fetched_again(server, raw, left):
    raw.mkdir()
    (raw / "voc.tar.part").write_bytes(left)
    with pytest.raises(Interrupted, match="starting over"):
        fetch(source(server.url), raw)
    assert names(raw) == []
    assert fetch(source(server.url), raw).read_bytes() == DATA


@pytest.mark.parametrize(
    ("word", "kind"),
    [("html", "an HTML page"), ("all", r"of unknown type \(starts with b'\\x00\\x01")],
)
def test_a_wrong_checksum_names_file_url_both_checksums_and_what_came(server, raw, word, kind):
    server.plan = [word]
    with pytest.raises(UserError, match=kind) as error:
        fetch(source(server.url, checksums=[WRONG]), raw)
    for part in (str(raw / "voc.tar"), server.url, WRONG, "but got md5:"):
        assert part in str(error.value)
    assert names(raw) == []


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"<!DOCTYPE html><html>Sign in</html>", "an HTML page"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "an XML document"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:", "a git-lfs pointer"),
        (b"", "empty"),
    ],
)
def test_what_is_no_data_is_refused_even_where_no_checksum_is_stated(server, raw, content, kind):
    server.content = content
    with pytest.raises(UserError, match=rf"gave another file: wanted a data file. It is {kind}"):
        fetch(source(server.url, checksums=[]), raw)
    assert names(raw) == []


def test_without_a_checksum_the_one_found_is_told_and_nothing_is_continued(server, raw, caplog):
    raw.mkdir()
    (raw / "voc.tar.part").write_bytes(b"half")
    assert fetch(source(server.url, checksums=[]), raw).read_bytes() == DATA
    assert SHA256 in caplog.text
    assert server.asked == [None]
    fetch(source(server.url, checksums=[]), raw)
    assert "kept unchecked" in caplog.text
    assert server.asked == [None]


def test_mirrors_are_tried_in_order(server, raw):
    server.plan = ["404", "503", "html", "all"]
    assert fetch(source(*[server.url] * 4), raw).read_bytes() == DATA


def test_if_one_mirror_may_recover_it_is_worth_another_attempt(server, raw):
    server.plan = ["404", "503", "404"]
    with pytest.raises(Interrupted, match="503"):
        fetch(source(*[server.url] * 3), raw)


def test_if_no_mirror_can_recover_all_reasons_are_listed(server, raw):
    server.plan = ["404", "410"]
    with pytest.raises(UserError, match=r"none of its 2 URLs gave the file:\n.*404.*\n.*410"):
        fetch(source(*[server.url] * 2), raw)


@pytest.mark.parametrize(
    ("word", "error"),
    [("404", UserError), ("403", UserError), ("429", Interrupted), ("500", Interrupted)],
)
def test_which_answers_are_final(server, raw, word, error):
    server.plan = [word]
    with pytest.raises(error, match=word):
        fetch(source(server.url), raw)


@pytest.mark.parametrize(("word", "kept"), [("hangs", 0), ("stalls", len(DATA) // 4)])
def test_a_server_that_falls_silent_is_left_and_asked_again_from_where_it_was(
    server, raw, monkeypatch, word, kept
):
    monkeypatch.setattr(download, "TIMEOUT", (5.0, 0.3))
    server.plan = [word, "all"]
    with pytest.raises(Interrupted, match=r"the server does not answer"):
        fetch(source(server.url), raw)
    assert [path.stat().st_size for path in raw.iterdir()] == [kept] * bool(kept)
    assert fetch(source(server.url), raw).read_bytes() == DATA
    assert server.asked == [None, f"bytes={kept}-" if kept else None]


def test_the_next_mirror_goes_on_where_the_one_before_broke_off(server, raw):
    server.plan = ["stalls", "all"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(download, "TIMEOUT", (5.0, 0.3))
        assert fetch(source(server.url, f"{server.url}?version=2"), raw).read_bytes() == DATA
    assert server.asked == [None, f"bytes={len(DATA) // 4}-"]


def test_a_file_of_untold_length_is_taken_if_it_is_right(server, raw):
    server.plan = ["no length"]
    assert fetch(source(server.url), raw).read_bytes() == DATA


def test_a_wrong_file_of_untold_length_may_have_broken_off_and_is_worth_another_attempt(
    server, raw
):
    server.plan = ["no length, breaks", "all"]
    said = rf"the server did not say its length \(wanted {MD5}, but got md5:"
    with pytest.raises(Interrupted, match=said):
        fetch(source(server.url), raw)
    assert names(raw) == []
    assert fetch(source(server.url), raw).read_bytes() == DATA


def test_an_html_page_of_untold_length_is_final(server, raw):
    server.plan = ["no length, html"]
    with pytest.raises(UserError, match="an HTML page"):
        fetch(source(server.url), raw)


def test_no_connection_may_pass(server, raw):
    url = server.url
    server.server_close()
    with pytest.raises(Interrupted):
        fetch(source(url), raw)


def test_a_disk_that_fills_up_is_no_matter_of_trying_again(server, raw, monkeypatch):
    def stream(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("urllib3.response.HTTPResponse.stream", stream)
    server.plan = ["no length"]
    with pytest.raises(UserError, match=rf"the disk of {raw} is full"):
        fetch(source(server.url), raw)


def test_a_full_disk_is_noticed_before_the_download(server, raw, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, 3_000_000))
    with pytest.raises(UserError, match=r"needs 4 MB, but the disk of .* has 3 MB free"):
        fetch(source(server.url), raw)
    assert names(raw) == []


@pytest.fixture
def eager(monkeypatch, caplog):
    """Progress after every piece instead of every few seconds; the text of the log."""

    class Eager(Progress):
        def __init__(self, say, name, unit, start=0):
            super().__init__(say, name, unit, every=0, start=start)

    monkeypatch.setattr(tasks_fetch, "Progress", Eager)
    caplog.set_level(logging.INFO)
    return caplog


def test_progress_says_how_much_of_how_much_how_fast_and_how_long(server, raw, eager):
    server.plan = ["breaks", "all"]
    with pytest.raises(Interrupted):
        fetch(source(server.url), raw)
    fetch(source(server.url), raw)
    assert f"voc.tar: 4.2 MB from {server.url}, going on at 1.0 MB" in eager.text
    assert re.search(r"voc\.tar: 3/5 MB, [\d.e+]+/s, 0 s left", eager.text)
    assert "complete, 4.2 MB" in eager.text


def test_progress_of_untold_length_says_how_much_and_how_fast(server, raw, eager):
    server.plan = ["no length"]
    fetch(source(server.url), raw)
    assert f"voc.tar: an unknown number of bytes from {server.url}" in eager.text
    assert re.search(r"voc\.tar: 3 MB, [\d.e+]+/s\n", eager.text)


def test_file_urls_are_relative_to_the_current_folder_or_absolute(tmp_path, raw, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sample").mkdir()
    (tmp_path / "sample" / "my voc.tar").write_bytes(DATA)
    for url in (
        "file:sample/my%20voc.tar",
        f"file://{tmp_path}/sample/my%20voc.tar",
        f"file:{tmp_path}/sample/my voc.tar",
    ):
        path = fetch(source(url), raw)
        assert path.read_bytes() == DATA
        path.unlink()
    with pytest.raises(UserError, match=r"file:sample/no\.tar: there is no such file"):
        fetch(source("file:sample/no.tar"), raw)


@pytest.mark.parametrize("name", ["x?1.tar", "x#1.tar", "w%411.tar", "a?b%20c#d ü/x.tar"])
@pytest.mark.parametrize("before", ["file:", "file:{}/", "file://{}/", "file://localhost{}/"])
def test_a_file_url_may_name_any_file_as_it_is(tmp_path, raw, monkeypatch, name, before):
    monkeypatch.chdir(tmp_path)
    Path(name).parent.mkdir(exist_ok=True)
    for other in ("x", "wA1.tar", "a"):
        Path(other).touch()
    Path(name).write_bytes(DATA)
    path = fetch(source(before.format(tmp_path) + name), raw)
    assert (path, path.read_bytes()) == (raw / Path(name).name, DATA)


def test_a_file_without_checksum_is_copied_anew_each_time(tmp_path, raw):
    origin = tmp_path / "voc.tar"
    for content in (b"first", b"second"):
        origin.write_bytes(content)
        assert fetch(source(f"file:{origin}", checksums=[]), raw).read_bytes() == content


def test_a_copy_with_the_wrong_checksum_leaves_nothing(tmp_path, raw):
    (tmp_path / "voc.tar").write_bytes(b"<html>")
    with pytest.raises(UserError, match=r"wanted md5:.* but got md5:.*an HTML page"):
        fetch(source(f"file:{tmp_path}/voc.tar"), raw)
    assert names(raw) == []
    assert (tmp_path / "voc.tar").exists()


@pytest.mark.parametrize(
    "checksum", ["md5:123", "crc32:00000000", MD5.replace("md5", "sha256"), "md5:" + "g" * 32, ""]
)
def test_malformed_checksums_are_refused(raw, checksum):
    with pytest.raises(
        UserError, match=r"checksum of voc.tar: wanted one of md5:<32 hex digits>, .* but got"
    ):
        fetch(source("http://127.0.0.1/voc.tar", checksums=[checksum]), raw)


@pytest.mark.parametrize("url", ["ftp://host/voc.tar", "voc.tar", "http://"])
def test_unusable_urls_are_refused(tmp_path, url):
    with pytest.raises(UserError, match=url):
        list(download.pieces(url, tmp_path / "part"))


@pytest.mark.parametrize(
    ("error", "again"), [(UserError("x"), False), (Interrupted("x"), True), (OSError(), True)]
)
def test_prefect_retries_what_may_pass(error, again):
    state = namedtuple("State", "result")(lambda raise_on_failure: error)
    assert steps.may_pass(None, None, state) is again
    assert RETRIES == 5


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY"])
def test_a_proxy_is_asked_for_what_is_elsewhere(name, raw, over_http, tmp_path, monkeypatch):
    """A server that takes the whole address for a path stands for a proxy."""
    for other in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(other, raising=False)
    (tmp_path / "proxy/http:/host.invalid").mkdir(parents=True)
    (tmp_path / "proxy/http:/host.invalid/voc.tar").write_bytes(DATA)
    with over_http(tmp_path / "proxy") as url:
        monkeypatch.setenv(name, url)
        assert fetch(source("http://host.invalid/voc.tar"), raw).read_bytes() == DATA
