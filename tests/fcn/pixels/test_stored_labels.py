"""Labels come out as they were written, whatever a decoder makes of them; or they are refused in
words.
"""

import struct
import zlib

import numpy as np
import pytest
from label_folders import HEIGHT, WIDTH, grey, photograph, truth
from PIL import Image

from fcn import doctor
from fcn.datasets.pairs import Pair
from fcn.errors import UserError
from fcn.pixels import labels

GREY, PALETTE = 0, 3
PASSES = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
"""Adam7: the first column and row of each pass, and the steps from there."""


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def packed(values, depth):
    """The rows of a PNG without filters."""
    rows = b""
    for row in values if values.size else ():
        bits = np.unpackbits(row.astype(np.uint8)[:, None], axis=1)[:, 8 - depth :]
        rows += b"\0" + np.packbits(bits.reshape(-1)).tobytes()
    return rows


def png(values, depth, kind=GREY, interlaced=False, chunks=()):
    """A PNG of samples as they are, which Pillow does not write."""
    height, width = values.shape
    head = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, int(interlaced))
    passes = (
        [values[top::down, left::right] for left, top, right, down in PASSES]
        if interlaced
        else [values]
    )
    data = zlib.compress(b"".join(packed(each, depth) for each in passes))
    table = [chunk(b"PLTE", bytes(range(3 * 2**depth)))] if kind == PALETTE else []
    parts = [chunk(b"IHDR", head), *table, *chunks, chunk(b"IDAT", data), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def samples(depth, height=13, width=21):
    return (
        np.random.default_rng(depth)
        .integers(0, min(2**depth, 200), (height, width))
        .astype(np.uint8)
    )


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize(
    ("depth", "kind"),
    [(1, GREY), (2, GREY), (4, GREY), (8, GREY), (1, PALETTE), (2, PALETTE), (4, PALETTE)],
)
def test_samples_of_every_depth_come_back(tmp_path, depth, kind, interlaced):
    values, path = samples(depth), tmp_path / "a.png"
    path.write_bytes(png(values, depth, kind, interlaced))
    np.testing.assert_array_equal(labels.read(path, 200), values)
    found = doctor.examine(path, classes=200)
    assert {int(row.raw): row.pixels for row in found.rows if row.pixels} == {
        int(value): int(count)
        for value, count in zip(*np.unique(values, return_counts=True), strict=True)
    }


def test_four_bits_of_two_classes_are_no_class_17(tmp_path):
    """It was: the samples 0 and 1 came as 0 and 17, and nobody said a word."""
    (tmp_path / "a.png").write_bytes(png(truth(0, void=False) == 1, 4))
    assert np.unique(labels.read(tmp_path / "a.png", 21)).tolist() == [0, 1]


def test_two_bits_have_a_class_3_and_no_void(tmp_path):
    (tmp_path / "a.png").write_bytes(png(truth(0, void=False), 2))
    np.testing.assert_array_equal(labels.read(tmp_path / "a.png", 4), truth(0, void=False))


EXTRAS = {
    "transparent samples": [chunk(b"tRNS", struct.pack(">H", 1))],
    "gamma": [chunk(b"gAMA", struct.pack(">I", 100000))],
    "bits that count": [chunk(b"sBIT", b"\1")],
    "a background": [chunk(b"bKGD", struct.pack(">H", 1))],
}


@pytest.mark.parametrize("extra", EXTRAS.values(), ids=EXTRAS)
def test_what_a_png_says_of_its_looks_changes_no_index(tmp_path, extra):
    for depth in (2, 8):
        values = samples(depth)
        (tmp_path / "a.png").write_bytes(png(values, depth, chunks=extra))
        np.testing.assert_array_equal(labels.read(tmp_path / "a.png", 200), values)


def test_indices_under_a_transparent_palette(tmp_path):
    alpha = chunk(b"tRNS", bytes([0, 128]))
    (tmp_path / "a.png").write_bytes(png(samples(2), 2, PALETTE, chunks=[alpha]))
    np.testing.assert_array_equal(labels.read(tmp_path / "a.png", 4), samples(2))


def test_grey_of_few_bits_as_colours_is_what_a_viewer_shows(tmp_path):
    colours = ((0, 0, 0), (255, 255, 255), (85, 85, 85))
    (tmp_path / "a.png").write_bytes(png(np.array([[0, 1, 3]]), 2))
    assert labels.read(tmp_path / "a.png", 3, encoding="colours", colours=colours).tolist() == [
        [0, 2, 1]
    ]
    (tmp_path / "b.png").write_bytes(png(np.array([[0, 1, 1]]), 1))
    assert labels.read(tmp_path / "b.png", 3, encoding="colours", colours=colours).tolist() == [
        [0, 1, 1]
    ]


def animated(path):
    grey(truth(0)).save(path, "PNG", save_all=True, append_images=[grey(truth(1))])


def turned(path):
    exif = Image.Exif()
    exif[0x0112] = 6
    grey(truth(0)).save(path, "PNG", exif=exif)


def deep(path):
    size = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 16, 2, 0, 0, 0)
    rows = (b"\0" + bytes(6 * WIDTH)) * HEIGHT
    parts = chunk(b"IHDR", size), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (animated, "expected a label of one frame, got 2: save the right one alone"),
        (turned, "expected a label without an EXIF mark, got orientation 6: viewers turn it"),
        (deep, "expected a label of 8 bits per colour, got 16"),
        (lambda path: grey(truth(0)).save(path, "TIFF"), "expected a PNG label, got TIFF"),
        (lambda path: grey(truth(0)).save(path, "JPEG"), "expected a PNG label, got JPEG"),
    ],
)
def test_what_a_decoder_would_decide_is_refused_by_both(tmp_path, write, words):
    image, label = tmp_path / "a.jpg", tmp_path / "a.png"
    photograph(0).save(image)
    write(label)
    with pytest.raises(UserError) as error:
        labels.read(label, 4)
    assert str(error.value).startswith(f"{label}: {words}")
    assert any(finding.stops for finding in doctor.check(Pair("a", image, label), 4))


@pytest.mark.parametrize(("bits", "white"), [(2, 0), (2, 1), (4, 0), (4, 1), (8, 0)])
def test_the_doctor_reads_a_tiffs_samples(tmp_path, bits, white):
    """262 says which sample is white; Pillow writes none of these."""
    values = np.array([[0, 1, 3, 2] * 2] * 4, np.uint8)
    data = b"".join(packed(row[None], bits)[1:] for row in values)
    tags = [
        (256, 8),
        (257, 4),
        (258, bits),
        (259, 1),
        (262, white),
        (273, 8),
        (277, 1),
        (278, 4),
        (279, len(data)),
    ]
    head = b"II*\0" + struct.pack("<I", 8 + len(data))
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    path = tmp_path / "a.tif"
    path.write_bytes(head + data + struct.pack("<H", len(tags)) + entries + bytes(4))
    np.testing.assert_array_equal(labels.stored(path).pixels, values)
