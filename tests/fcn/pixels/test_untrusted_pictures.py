"""What a file holds that calls itself a picture: nothing but pictures is decoded, and each failure
is one sentence.
"""

import os
import struct
import zlib
from pathlib import Path

import pytest
from label_folders import NAMES, grey, photograph, write_folder
from PIL import Image

from fcn import doctor
from fcn.datasets import DatasetSpec, folder
from fcn.datasets.pairs import Pair
from fcn.errors import UserError
from fcn.pixels import images, labels
from fcn.predict import predictions
from fcn.records.encoding import encode

ROOT = Path(__file__).parents[3]


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_with(*chunks):
    head = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    parts = [
        chunk(b"IHDR", head),
        *chunks,
        chunk(b"IDAT", zlib.compress(b"\0\0")),
        chunk(b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


BOMB = zlib.compress(bytes(80_000_000), 9)
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 50 40\n%%EndComments\nshowpage\n%%EOF\n"
HOSTILE = {
    "EPS": EPS,
    "WMF": b"\xd7\xcd\xc6\x9a" + bytes(100),
    "FTEX": b"FTEX" + bytes(50),
    "FITS": b"SIMPLE  =                    T".ljust(2880),
    "PSD": b"8BPS\0\1" + bytes(30),
    "a profile of 80 MB": png_with(chunk(b"iCCP", b"x\0\0" + BOMB)),
    "a text of 80 MB": png_with(chunk(b"zTXt", b"x\0\0" + BOMB)),
    "an international text of 80 MB": png_with(chunk(b"iTXt", b"x\0\1\0\0\0" + BOMB)),
    "a TIFF of nonsense": b"II*\0\x08\0\0\0\xff\xff" + bytes(range(200)),
    "a text": b"Dear reader",
}


@pytest.fixture
def ghostscript(tmp_path, monkeypatch):
    """A `gs`, first in PATH, that leaves a file when it is started."""
    place = tmp_path / "bin"
    place.mkdir()
    (place / "gs").write_text(f"#!/bin/sh\ntouch {tmp_path}/started\nexit 1\n")
    (place / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}:{os.environ['PATH']}")
    return tmp_path / "started"


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_each_is_one_sentence_for_every_reader(tmp_path, ghostscript, data):
    root = write_folder(tmp_path / "own", grey, count=2, classes=NAMES)
    picture, mask = root / "images" / "p00.jpg", root / "masks" / "p00.png"
    picture.write_bytes(data)
    mask.write_bytes(data)
    for path, noun, read in (
        (picture, "picture", images.read),
        (mask, "label", lambda path: labels.read(path, 4)),
    ):
        with pytest.raises(UserError) as error:
            read(path)
        assert str(error.value).startswith(
            f"{path}: expected a {noun}, but it cannot be read: it is "
        )
        assert str(error.value).endswith("Replace it or take it off the list.")
    found = {
        (finding.kind, finding.file) for finding in doctor.examine(root).findings if finding.stops
    }
    assert ("label_unreadable", str(mask)) in found
    pairs = folder.load(DatasetSpec({"folder": root}, (), "50%", "50%", 0)).splits
    bad = next(pair for split in pairs.values() for pair in split if pair.id == "p00")
    with pytest.raises(
        UserError, match=r"p00\.(jpg|png): expected a (picture|label), but it cannot be read"
    ):
        encode(bad, 4)
    assert not ghostscript.exists()


def fifo(path):
    os.mkfifo(path)


def loop(path):
    path.symlink_to(path.name)


def device(path):
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (fifo, "it is not a file (no regular file)"), (device, "it is not a file (no regular "
                                                               "file)"),
        (loop, "the picture is missing"), (Path.mkdir, "it is not a file (a folder)"),
    ],
)  # fmt: skip
def test_what_is_no_regular_file_is_not_waited_for(tmp_path, make, words):
    make(tmp_path / "a.png")
    photograph(0).save(tmp_path / "b.png")
    given = [str(tmp_path / "a.png")] if make is not Path.mkdir else [str(tmp_path)]
    found, _ = predictions.find([*given, str(tmp_path)], tmp_path / "out")
    assert tmp_path / "b.png" in found
    with pytest.raises(UserError) as error:
        images.read(tmp_path / "a.png")
    assert words in str(error.value)
    with pytest.raises(UserError, match="label"):
        labels.read(tmp_path / "a.png", 4)
    os.rename(tmp_path / "a.png", tmp_path / "a.mat")
    if make is not loop:
        with pytest.raises(UserError, match="not a regular file"):
            labels.read(tmp_path / "a.mat", 4, encoding="sbd")


def test_a_fifo_among_the_pairs_stops_none_of_the_others(tmp_path):
    root = write_folder(tmp_path / "own", grey, classes=NAMES)
    (root / "images" / "p01.jpg").unlink()
    (root / "masks" / "p02.png").unlink()
    os.mkfifo(root / "images" / "p01.jpg")
    os.mkfifo(root / "masks" / "p02.png")
    found = [
        (finding.kind, Path(finding.file).name)
        for finding in doctor.examine(root).findings
        if finding.stops
    ]
    assert found == [("image_unreadable", "p01.jpg"), ("label_unreadable", "p02.png")]


def test_whatever_a_decoder_raises_names_the_file(tmp_path, monkeypatch):
    photograph(0).save(tmp_path / "a.png")
    for error in (
        AssertionError(),
        KeyError(7),
        MemoryError(),
        RecursionError("deep"),
        zlib.error("x"),
    ):

        def fail(*_, error=error, **__):
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(Image.Image, "convert", fail)
            with pytest.raises(
                UserError,
                match=r"a\.png: expected a picture, but it cannot be read: it is a PNG image "
                r"\(.+\)",
            ):
                images.read(tmp_path / "a.png")


def test_pictures_are_opened_in_one_place_alone():
    """Which says the formats."""
    opening = {
        path.relative_to(ROOT).as_posix()
        for part in ("fcn", "tasks", "flows")
        for path in (ROOT / part).rglob("*.py")
        if "Image.open(" in path.read_text(encoding="utf-8")
    }
    assert opening == {"fcn/pixels/images.py"}
    assert {"EPS", "WMF", "FITS", "PSD", "FTEX", "GRIB", "HDF5"} & {
        *images.PHOTOGRAPHS,
        *images.MASKS,
    } == set()
    Image.init()
    assert {*images.PHOTOGRAPHS, *images.MASKS} <= set(Image.OPEN)


def test_a_side_beyond_the_bound_is_refused_before_it_is_decoded(tmp_path):
    root = write_folder(tmp_path / "own", grey, count=2, classes=NAMES)
    path = root / "images" / "p00.png"
    (root / "images" / "p00.jpg").unlink()
    Image.new("1", (1, 20_000)).save(path)
    words = (
        "1x20000 pixels; sides of at most 16,384 are allowed: cut it into pieces or make it smaller"
    )
    with pytest.raises(UserError) as error:
        encode(Pair("p00", path, root / "masks" / "p00.png"), 4)
    assert str(error.value) == f"{path}: {words}"
    [finding] = [finding for finding in doctor.examine(root).findings if finding.stops]
    assert (finding.kind, finding.what) == ("image_unreadable", words)
    assert images.longest(16_384, 12_240) == ""  # a photograph of 200 megapixels
    # for `predict` the bound is what the net computes
    assert images.read(path).shape == (20_000, 1, 3)
