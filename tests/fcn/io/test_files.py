import io
import json
import os
import subprocess
import sys
import time
import warnings
import zipfile

import numpy as np
import pytest

from fcn.errors import UserError
from fcn.io import files

ARRAYS = {
    "b/kernel": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a/bias": np.array(2.5),
    "i": np.array([1, -1]),
}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_digest_is_that_of_the_published_test_vectors(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    assert files.digest(tmp_path / "abc", "md5") == "900150983cd24fb0d6963f7d28e17f72"  # RFC 1321
    # FIPS 180
    assert files.digest(tmp_path / "abc", "sha1") == "a9993e364706816aba3e25717850c26c9cd0d89d"
    assert (
        files.digest(tmp_path / "abc")
        == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "empty"),
        (b"\n<!DOCTYPE html><p>", "an HTML page"),
        (b"\xef\xbb\xbf<HTML>", "an HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "a git-lfs pointer"),
        (b"\x1f\x8b\x08", "a gzip archive"),
        (b"PK\x03\x04", "a zip archive"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
        (b"\0" * 257 + b"ustar", "a tar archive"),
        (b"abc", "of unknown type (starts with b'abc')"),
    ],
)
def test_sniff_goes_by_the_first_bytes(tmp_path, content, kind):
    (tmp_path / "x.caffemodel").write_bytes(content)
    assert files.sniff(tmp_path / "x.caffemodel").startswith(kind)


MARK = ("index.json", '"schema"')


def write(path, content="new", mark=None):
    """As the writers of files and folders do it."""
    if mark is None:
        with files.replacing_file(path) as temporary:
            temporary.write_text(content)
    else:
        with files.replacing_folder(path, mark) as temporary:
            temporary.mkdir()
            (temporary / mark[0]).write_text(f'{{"schema": "{content}"}}')


def test_a_file_is_moved_into_place_at_the_end(tmp_path):
    target = tmp_path / "new" / "x.weights.h5"
    with files.replacing_file(target) as temporary:
        assert temporary.parent == target.parent
        assert temporary.name.endswith(".weights.h5")  # Keras goes by the suffix
        temporary.write_text("content")
        assert not target.exists()
    assert target.read_text() == "content"
    assert names(target.parent) == ["x.weights.h5"]


def test_a_folder_of_ours_is_swapped_as_a_whole(tmp_path):
    target = tmp_path / "model"
    (target / "old").mkdir(parents=True)
    (target / "index.json").write_text('{"schema": 1}')
    with files.replacing_folder(target, MARK) as temporary:
        temporary.mkdir()
        (temporary / "new").write_text("1")
        assert names(target) == ["index.json", "old"]
    assert names(target) == ["new"]
    assert names(tmp_path) == ["model"]


@pytest.mark.parametrize(
    ("mark", "wanted"), [(None, "a file"), (MARK, "a folder")], ids=["for a file", "for a folder"]
)
@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda path: (path / "sub").mkdir(parents=True), "a folder"),
        (lambda path: (path.mkdir(), (path / "index.json").write_text("{}")), "a folder"),
        (lambda path: (path.mkdir(), (path / "index.json").mkdir()), "a folder"),
        (lambda path: path.symlink_to(path.name), "a loop of symbolic links is there"),
        (os.mkfifo, "a pipe is there"),
        (lambda path: path.symlink_to("/dev/null"), "a device is there"),
        (lambda path: path.symlink_to("/dev/null/x"), "Not a directory"),
        (lambda path: path.symlink_to("x" * 300), "File name too long"),
    ],
)
def test_what_is_not_ours_is_never_replaced(tmp_path, mark, wanted, make, why):
    target = tmp_path / "x"
    make(target)

    def tree():
        return [
            (path, path.lstat().st_ino, path.lstat().st_mtime_ns)
            for path in (tmp_path, *tmp_path.rglob("*"))
        ]

    before = tree()
    check = (
        files.check_file
        if mark is None
        else lambda path, option: files.check_folder(path, mark, option)
    )
    with pytest.raises(UserError, match=why) as checked:
        check(target, "--out")
    assert str(checked.value).startswith(
        f"--out: {target}: expected a place to write {wanted} to, but "
    )
    assert len(str(checked.value).splitlines()) == 1
    assert tree() == before
    with pytest.raises(UserError, match=why):
        write(target, mark=mark)
    assert tree() == before


def test_a_folder_does_not_take_the_place_of_a_file_nor_of_the_current_folder(
    tmp_path, monkeypatch
):
    (tmp_path / "x").write_text("mine")
    with pytest.raises(UserError, match="but a file is there"):
        write(tmp_path / "x", mark=MARK)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    for path in (".", "", "..", "../../", "/", tmp_path / "empty"):
        with pytest.raises(
            UserError, match="but it is the current folder, or one that the current one is in"
        ):
            write(path, mark=MARK)
        with pytest.raises(UserError, match="but a folder is there"):
            write(path)
    assert names(tmp_path) == ["empty", "x"]
    assert (tmp_path / "x").read_text() == "mine"


def test_the_standard_output_is_not_replaced(tmp_path):
    """`--json x > x`, and `--json /dev/stdout`, wherever that leads: what has been printed would be
    lost.
    """
    code = "from fcn.io import files\nprint('printed', flush=True)\nfiles.check_file({!r})"
    for place in (str(tmp_path / "x"), "/dev/stdout"):
        with open(tmp_path / "x", "wb") as file:
            done = subprocess.run(
                [sys.executable, "-c", code.format(place)], stdout=file, stderr=-1, text=True
            )
        assert "but this program's own output goes there" in done.stderr
    assert (tmp_path / "x").read_text() == "printed\n"
    done = subprocess.run(
        [sys.executable, "-c", code.format("/dev/stdout")], capture_output=True, text=True
    )
    assert "but it is no place on a disk" in done.stderr


@pytest.mark.parametrize("mark", [None, MARK], ids=["file", "folder"])
def test_what_a_link_leads_to_is_written_and_the_link_stays(tmp_path, mark):
    (tmp_path / "disk").mkdir()
    (tmp_path / "x").symlink_to("disk/real")  # which is not there yet
    for content in ("first", "second"):
        write(tmp_path / "x", content, mark)
        assert os.readlink(tmp_path / "x") == "disk/real"
        assert content in (tmp_path / "disk/real" / (mark[0] if mark else "")).read_text()
    assert (names(tmp_path), names(tmp_path / "disk")) == (["disk", "x"], ["real"])


def test_a_link_to_what_is_write_protected_is_refused(tmp_path):
    """With links to its cache, DVC's outputs are such."""
    (tmp_path / "cached").write_text("1")
    (tmp_path / "cached").chmod(0o444)
    (tmp_path / "x").symlink_to("cached")
    with pytest.raises(UserError, match=r"it is a link to .*cached, which is write-protected"):
        write(tmp_path / "x")
    with files.replacing_file(tmp_path / "x", follow=False) as temporary:
        temporary.write_text("2")
    assert ((tmp_path / "cached").read_text(), (tmp_path / "x").read_text()) == ("1", "2")


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("mark", [None, MARK], ids=["file", "folder"])
def test_everything_is_as_it_was_after_an_exception(tmp_path, error, mark):
    target = tmp_path / "x"
    write(target, "before", mark)

    def fail():
        with (
            files.replacing_folder(target, mark)
            if mark
            else files.replacing_file(target) as temporary
        ):
            temporary.mkdir() if mark else temporary.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert "before" in (target / (mark[0] if mark else "")).read_text()
    assert names(tmp_path) == ["x"]


def test_what_comes_while_the_work_is_done_is_not_replaced_either(tmp_path):
    def meanwhile(replacing, write):
        with replacing as temporary:
            write(temporary)
            (tmp_path / "x").mkdir()
            (tmp_path / "x" / "mine").write_text("1")

    for replacing, write in (
        (files.replacing_file(tmp_path / "x"), lambda path: path.write_text("")),
        (files.replacing_folder(tmp_path / "x", MARK), lambda path: path.mkdir()),
    ):
        with pytest.raises(UserError, match="but a folder"):
            meanwhile(replacing, write)
        assert (names(tmp_path), names(tmp_path / "x")) == (["x"], ["mine"])
        (tmp_path / "x" / "mine").unlink()
        (tmp_path / "x").rmdir()


@pytest.mark.parametrize("mark", [None, MARK], ids=["file", "folder"])
def test_what_a_killed_process_left_is_cleared_and_what_the_user_has_is_not(tmp_path, mark):
    for name in (".part-x", ".former-x", "x.part"):
        (tmp_path / name).write_text("mine")
    left = tmp_path / f"{files.PART}x"
    if mark:
        left.mkdir()
        (left / "half").write_text("half")
    else:
        left.write_text("half")
    write(tmp_path / "x", "2", mark)
    assert "2" in (tmp_path / "x" / (mark[0] if mark else "")).read_text()
    assert names(tmp_path) == [".former-x", ".part-x", "x", "x.part"]


def test_a_folder_is_brought_back_whose_replacement_was_killed_between_two_renames(tmp_path):
    former = tmp_path / f"{files.FORMER}model"
    former.mkdir()
    (former / "index.json").write_text('{"schema": 1}')

    def fail():
        with files.replacing_folder(tmp_path / "model", MARK):
            raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        fail()
    assert names(tmp_path / "model") == ["index.json"]
    assert names(tmp_path) == ["model"]


def test_a_folder_stays_when_nothing_was_written(tmp_path):
    (tmp_path / "model").mkdir()

    def nothing():
        with files.replacing_folder(tmp_path / "model"):
            pass

    with pytest.raises(FileNotFoundError):
        nothing()
    assert names(tmp_path) == ["model"]


def test_a_check_asks_whether_anything_can_be_made_there_and_leaves_nothing(tmp_path):
    files.check_file(tmp_path / "a/b/c.json")
    files.check_folder(tmp_path / "a/b", MARK)
    assert names(tmp_path) == []
    for path, why in (
        ("/proc/x", "no place on a disk"),
        ("/sys/x/y", "nothing can be made in /sys: "),
        (tmp_path / ("x" * 250), "name too long"),
    ):
        with pytest.raises(UserError, match=why):
            files.check_file(path)
        with pytest.raises(UserError, match=why):
            files.check_folder(path)


def test_json_keeps_its_order_and_refuses_nan(tmp_path):
    files.write_json(tmp_path / "x.json", {"b": [1.5, None], "a": "é"})
    assert (tmp_path / "x.json").read_bytes() == (
        '{\n  "b": [\n    1.5,\n    null\n  ],\n  "a": "é"\n}\n'
    ).encode()
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(tmp_path / "x.json", {"iu": float("nan")})
    assert json.loads((tmp_path / "x.json").read_text())["a"] == "é"


def test_arrays_come_back_as_they_were_in_their_order(tmp_path):
    files.save_arrays(tmp_path / "x.npz", ARRAYS)
    back = files.load_arrays(tmp_path / "x.npz")
    assert list(back) == ["b/kernel", "a/bias", "i"]
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(back[name], array, strict=True)


def test_the_same_arrays_give_the_same_bytes_at_any_time_and_in_any_memory_order(
    tmp_path, monkeypatch
):
    files.save_arrays(tmp_path / "1.npz", ARRAYS)
    monkeypatch.setattr(time, "localtime", lambda *_: time.gmtime(2e9))
    files.save_arrays(
        tmp_path / "3.npz", {name: np.array(array, order="F") for name, array in ARRAYS.items()}
    )
    assert (tmp_path / "1.npz").read_bytes() == (tmp_path / "3.npz").read_bytes()


def test_objects_are_not_saved(tmp_path):
    with pytest.raises(TypeError, match="'names' holds Python objects"):
        files.save_arrays(tmp_path / "x.npz", {"names": np.array([{}, []], dtype=object)})
    assert names(tmp_path) == []


def save_pickled(path):
    np.savez(path, x=np.array([{}], dtype=object))


def save_truncated(path):
    files.save_arrays(path, ARRAYS)
    path.write_bytes(path.read_bytes()[:-100])


def save_flipped(path):
    files.save_arrays(path, {"x": np.zeros(100)})
    data = bytearray(path.read_bytes())
    data[400] ^= 1
    path.write_bytes(data)


def claimed(**changes):
    """Makes a file whose array has eight bytes, and a header that claims something else."""

    def save(path):
        header = {"descr": "<f8", "fortran_order": False, "shape": (1,), **changes}
        content = io.BytesIO()
        np.lib.format.write_array_header_1_0(content, header)
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x.npy", content.getvalue() + bytes(8))

    return save


def save_twice(path):
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
        warnings.simplefilter("ignore")
        for _ in range(2):
            archive.writestr("x.npy", b"")


def save_bomb(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", b"")
    data = path.read_bytes()
    central = data.index(b"PK\x01\x02")  # 24 bytes after it the size that the member claims
    path.write_bytes(data[: central + 24] + (2**31).to_bytes(4, "little") + data[central + 28 :])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            claimed(shape=(10**12,)),
            r"x\.npy claims \(1000000000000,\), 8000000000000 bytes, and has 8",
        ),
        (claimed(shape=(10**30,)), r"x\.npy claims \(10+,\), 80+ bytes, and has 8"),
        (claimed(shape=(-1, -1)), r"x\.npy claims \(-1, -1\), 8 bytes, and has 8"),
        (claimed(descr="<c8"), r"x\.npy holds complex64, and no real numbers"),
        (
            claimed(descr="|O"),
            r"x\.npy holds object, which would have to be pickled, and no real numbers",
        ),
        (save_twice, "an array stands there twice"),
        (save_bomb, r"x\.npy claims 2147483648 bytes, packed into 0"),
        (
            lambda path: files.save_arrays(path, {"x": np.array([1, np.nan])}),
            "x holds NaN or infinity",
        ),
        (
            lambda path: files.save_arrays(path, {"x": np.array([1, -np.inf])}),
            "x holds NaN or infinity",
        ),
        (lambda path: None, "no such file"),
        (lambda path: path.write_bytes(b"<html>404</html>"), "an HTML page"),
        (
            lambda path: path.write_bytes(b"version https://git-lfs.github.com/spec/v1"),
            "a git-lfs pointer",
        ),
        (lambda path: path.write_bytes(b""), "empty"),
        (lambda path: path.write_bytes(b"\x80\x04}."), "of unknown type"),  # a pickle
        (save_pickled, "pickled"),
        (save_truncated, "truncated"),
        (save_flipped, "Bad CRC-32"),
    ],
)
def test_what_is_no_npz_is_refused_by_the_name_of_what_it_is(tmp_path, make, message):
    path = tmp_path / "vgg.npz"
    make(path)
    with pytest.raises(UserError, match=message) as error:
        files.load_arrays(path)
    assert str(path) in str(error.value)
