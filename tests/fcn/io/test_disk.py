import errno
import os
import shutil
from collections import namedtuple

import pytest

from fcn.errors import UserError
from fcn.io import disk


@pytest.fixture
def origin(tmp_path):
    path = tmp_path / "mine" / "voc.tar"
    path.parent.mkdir()
    path.write_bytes(b"content")
    return path


@pytest.fixture
def other_disk(monkeypatch):
    def link(*_, **__):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", link)


@pytest.fixture
def full_disk(monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 4, 6))


def test_a_file_is_linked_in_place_of_what_was_there(tmp_path, origin):
    target = tmp_path / "raw" / "voc.tar"
    target.parent.mkdir()
    target.write_bytes(b"other")
    assert disk.link_or_copy(origin, target) is True
    assert target.samefile(origin)
    assert [path.name for path in target.parent.iterdir()] == ["voc.tar"]


def test_linking_once_more_changes_nothing(tmp_path, origin):
    target = tmp_path / "raw" / "voc.tar"
    for _ in range(2):
        assert disk.link_or_copy(origin, target) is True
    assert disk.link_or_copy(origin, origin) is True
    assert [path.name for path in target.parent.iterdir()] == ["voc.tar"]
    assert os.stat(origin).st_nlink == 2


def test_a_symbolic_link_is_followed(tmp_path, origin):
    (tmp_path / "link").symlink_to(origin)
    disk.link_or_copy(tmp_path / "link", tmp_path / "target")
    assert not (tmp_path / "target").is_symlink()
    assert (tmp_path / "target").samefile(origin)


def test_on_another_disk_it_is_a_copy(tmp_path, origin, other_disk):
    assert disk.link_or_copy(origin, tmp_path / "target") is False
    assert (tmp_path / "target").read_bytes() == b"content"
    assert not (tmp_path / "target").samefile(origin)


def test_a_link_needs_no_room_and_a_copy_does(tmp_path, origin, full_disk, request):
    assert disk.link_or_copy(origin, tmp_path / "target") is True
    (tmp_path / "target").unlink()
    request.getfixturevalue("other_disk")
    with pytest.raises(
        UserError, match=r"mine/voc\.tar: needs 0 MB, but the disk of .* has 0 MB free"
    ):
        disk.link_or_copy(origin, tmp_path / "target")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine"]


def test_room_for_exactly_as_much_is_enough(tmp_path, full_disk):
    disk.check_space(tmp_path, 6, "six bytes")
    with pytest.raises(UserError, match="seven bytes: needs"):
        disk.check_space(tmp_path, 7, "seven bytes")
