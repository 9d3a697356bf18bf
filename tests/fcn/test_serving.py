"""What goes in from anybody and what comes out, on values by hand."""

import base64
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from fcn import labels, serving
from fcn.errors import UserError

CLASSES = ("background", "cat", "dog")
IMAGE = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3) * 10
LABELS = np.array([[0, 2, 2], [0, 2, 1]], np.uint8)


def text(image, form="PNG", **options):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, form, **options)
    return base64.b64encode(buffer.getvalue()).decode()


def picture(encoded):
    return Image.open(io.BytesIO(base64.b64decode(encoded)))


def bomb(side):
    """A small PNG that says it is a large one."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    return base64.b64encode(data).decode()


def test_an_answer_by_hand():
    got = serving.answer(IMAGE, LABELS, CLASSES, opacity=0.5)
    assert (got["width"], got["height"]) == (3, 2)
    classes = picture(got["labels"])
    assert classes.mode == "P"
    np.testing.assert_array_equal(classes, LABELS)
    assert classes.convert("RGB").getpixel((1, 0)) == (0, 128, 0)
    overlay = np.asarray(picture(got["overlay"]))
    assert overlay[0, 0].tolist() == [0, 10, 20]  # background is left as it is
    assert overlay[0, 1].tolist() == [15, 84, 25]  # half of (30, 40, 50), half of (0, 128, 0)
    assert got["classes"] == [
        {"value": 2, "name": "dog", "share": 0.5, "colour": "#008000"},
        {"value": 0, "name": "background", "share": 0.333333, "colour": "#000000"},
        {"value": 1, "name": "cat", "share": 0.166667, "colour": "#800000"},
    ]


@pytest.mark.parametrize("change", [lambda t: t, lambda t: f"data:image/png;base64,{t}", lambda t: "\n".join(t) + "\n"])
def test_base64_as_people_write_it(change):
    np.testing.assert_array_equal(serving.decode(change(text(IMAGE)), "image 0"), IMAGE)


def test_exif_is_carried_out():
    exif = Image.Exif()
    exif[0x0112] = 6  # its top is on the right: a quarter turn clockwise puts it upright
    np.testing.assert_array_equal(serving.decode(text(IMAGE, exif=exif), "image 0"), np.rot90(IMAGE, -1))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, "image 0: expected the base64 of a JPEG or PNG file as text, got NoneType"),
        (5, "as text, got int"),
        ("", "got an empty text"),
        ("hello, world!", "this is no base64"),
        (text(IMAGE)[:-1], "this is no base64 (Incorrect padding)"),
        ("héllo", "this is no base64"),
        (base64.b64encode(b"hello, this is text").decode(), "image 0: expected a picture, but it cannot be read"),
        (text(IMAGE)[:60], "image 0: expected a picture, but it cannot be read: it is a PNG image"),
        (text(IMAGE, "GIF"), "image 0: expected a picture of the formats JPEG, MPO, PNG, WEBP; got GIF"),
        (text(IMAGE, "EPS"), "got EPS"),
        (bomb(6000), "image 0: 6000x6000 are 36,000,000 pixels; 25,000,000 are allowed"),
        (bomb(12_000), "144,000,000 pixels; 25,000,000 are allowed"),  # where Pillow warns
        (bomb(60_000), "it is a PNG image (Image size (3600000000 pixels) exceeds limit"),  # where Pillow refuses
    ],
)  # fmt: skip
def test_what_is_no_picture_is_refused_in_words(given, words):
    with pytest.raises(UserError) as error:
        serving.decode(given, "image 0")
    assert words in str(error.value)


def test_a_large_file_is_refused_before_it_is_looked_at(monkeypatch):
    monkeypatch.setattr(serving, "MAX_BYTES", 2_000_000)
    with pytest.raises(UserError, match="image 0: 3 MB; 2 MB are allowed"):
        serving.decode(base64.b64encode(bytes(3_000_000)).decode(), "image 0")


def predict(image):
    return np.full(image.shape[:2], 1, np.uint8)


def test_a_request_of_several_pictures():
    got = serving.answers([text(IMAGE), text(IMAGE[:1, :1])], predict, CLASSES, 0.6)
    assert [(each["width"], each["height"]) for each in got] == [(3, 2), (1, 1)]
    assert [each["classes"][0]["name"] for each in got] == ["cat", "cat"]


def test_one_bad_picture_refuses_the_request_before_the_net_runs():
    with pytest.raises(UserError, match=r"^image 1: "):
        serving.answers([text(IMAGE), "x"], lambda image: pytest.fail("the net ran"), CLASSES, 0.6)


def test_pictures_of_a_request_share_the_limit(monkeypatch):
    monkeypatch.setattr(serving, "MAX_PIXELS", 11)
    with pytest.raises(UserError, match="image 1: 3x2 are 6 pixels; 5 are allowed"):
        serving.answers([text(IMAGE), text(IMAGE)], predict, CLASSES, 0.6)


def test_nothing_asked_and_opacities_beyond_their_range():
    with pytest.raises(UserError, match="at least one picture"):
        serving.answers([], predict, CLASSES, 0.6)
    for opacity in (-0.1, 1.1, float("nan")):
        with pytest.raises(UserError, match="opacity: expected a number"):
            serving.answers([text(IMAGE)], predict, CLASSES, opacity)


def test_colours_are_vocs():
    table = labels.palette()
    for each in serving.shares(np.arange(3, dtype=np.uint8), CLASSES):
        assert bytes.fromhex(each["colour"][1:]) == bytes(table[each["value"]])
