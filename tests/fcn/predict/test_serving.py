"""What goes in from anybody and what comes out, on values by hand."""

import base64
import io
import struct
import threading
import time
import zlib
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from fcn.errors import UserError
from fcn.predict import segmentation, serving
from fcn.predict.segmentation import Segmentation
from fcn.spec.colours import palette

CLASSES = ("background", "cat", "dog")
IMAGE = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3) * 10
LABELS = np.array([[0, 2, 2], [0, 2, 1]], np.uint8)


def area(width, height):
    return width * height


def budget():
    return serving.Budget(area)


def text(image, form="PNG", **options):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, form, **options)
    return base64.b64encode(buffer.getvalue()).decode()


def picture(encoded):
    return Image.open(io.BytesIO(base64.b64decode(encoded)))


def bomb(side):
    """A small PNG that says it is a large one."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    data = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )
    return base64.b64encode(data).decode()


def test_an_answer_by_hand():
    got = serving.answer(Segmentation(LABELS, None, IMAGE, CLASSES), opacity=0.5)
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


@pytest.mark.parametrize(
    "change", [lambda t: t, lambda t: f"data:image/png;base64,{t}", lambda t: "\n".join(t) + "\n"]
)
def test_base64_as_people_write_it(change):
    np.testing.assert_array_equal(serving.decode(change(text(IMAGE)), "image 0", budget()), IMAGE)


def test_exif_is_carried_out():
    exif = Image.Exif()
    exif[0x0112] = 6  # its top is on the right: a quarter turn clockwise puts it upright
    np.testing.assert_array_equal(
        serving.decode(text(IMAGE, exif=exif), "image 0", budget()), np.rot90(IMAGE, -1)
    )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, "image 0: expected the base64 of a JPEG or PNG file as text, got NoneType"),
        (5, "as text, got int"),
        ("", "got an empty text"),
        ("hello, world!", "this is no base64"),
        (text(IMAGE)[:-1], "this is no base64 (Incorrect padding)"),
        ("héllo", "this is no base64"),
        (base64.b64encode(b"hello, this is text").decode(), "image 0: expected a picture, but it "
                                                            "cannot be read"),
        (text(IMAGE)[:60], "image 0: expected a picture, but it cannot be read: it is a PNG image"),
        (text(IMAGE, "GIF"), "it is of unknown type (starts with b'GIF87a"),
        (text(IMAGE, "EPS"), "(none of the formats JPEG, PNG, WEBP)"),
        (bomb(6000), "image 0: 6000x6000 are 36,000,000 pixels; 25,000,000 are allowed"),
        (bomb(12_000), "144,000,000 pixels; 25,000,000 are allowed"),  # where Pillow warns
        # where Pillow refuses
        (bomb(60_000), "a picture of 3,600.0 megapixels; at most 200 are allowed"),
    ],
)  # fmt: skip
def test_what_is_no_picture_is_refused_in_words(given, words):
    with pytest.raises(UserError) as error:
        serving.decode(given, "image 0", budget())
    assert words in str(error.value)


def test_a_large_file_is_refused_before_it_is_looked_at(monkeypatch):
    monkeypatch.setattr(serving, "MAX_BYTES", 2_000_000)
    with pytest.raises(UserError, match="image 0: 3 MB; 2 MB are allowed"):
        serving.decode(base64.b64encode(bytes(3_000_000)).decode(), "image 0", budget())


def predict(image):
    return Segmentation(np.full(image.shape[:2], 1, np.uint8), None, image, CLASSES)


def test_a_request_of_several_pictures():
    got = serving.answers([text(IMAGE), text(IMAGE[:1, :1])], predict, 0.6, area)
    assert [(each["width"], each["height"]) for each in got] == [(3, 2), (1, 1)]
    assert [each["classes"][0]["name"] for each in got] == ["cat", "cat"]


def test_one_bad_picture_refuses_the_request_before_the_net_runs():
    with pytest.raises(UserError, match=r"^image 1: "):
        serving.answers([text(IMAGE), "x"], lambda image: pytest.fail("the net ran"), 0.6, area)


def test_pictures_of_a_request_share_the_limit(monkeypatch):
    monkeypatch.setattr(serving, "MAX_PIXELS", 11)
    with pytest.raises(UserError, match="image 1: 3x2 are 6 pixels; 5 are allowed"):
        serving.answers([text(IMAGE), text(IMAGE)], predict, 0.6, area)


def test_nothing_asked_and_opacities_beyond_their_range():
    with pytest.raises(UserError, match="at least one picture"):
        serving.answers([], predict, 0.6, area)
    for opacity in (-0.1, 1.1, float("nan")):
        with pytest.raises(UserError, match="opacity: expected a number"):
            serving.answers([text(IMAGE)], predict, opacity, area)


def test_colours_are_vocs():
    table = palette()
    for each in segmentation.shares(np.arange(3, dtype=np.uint8), CLASSES):
        assert bytes.fromhex(each["colour"][1:]) == bytes(table[each["value"]])


def test_what_the_net_computes_is_bounded_before_anything_is_decoded():
    """A picture of 46 kB, 1 x 24 000 000 pixels, kept a server busy for five minutes."""
    costly = serving.Budget(lambda width, height: 1000 * width * height)
    assert costly.take(350, 400) == ""
    assert costly.take(350, 101) == (
        "for 350x101 pixels the net computes 35,350,000; 35,000,000 are allowed: make it smaller, "
        "or ask for fewer at once"
    )
    assert costly.take(350, 100) == ""
    thin = serving.Budget(area).take(1, 24_000_000)
    assert thin == (
        "1x24000000 pixels; sides of at most 16,384 are allowed: cut it into pieces or "
        "make it smaller"
    )


class Tiles:
    """A net whose tiles are columns of 10 pixels, each of which waits for `go`."""

    spec = SimpleNamespace(classes=CLASSES)

    def __init__(self):
        self.ran, self.go, self.running = [], threading.Semaphore(0), 0

    def cost(self, width, height):
        return width * height

    def steps(self, image):
        tiles = image.shape[1] // 10
        for number in range(1, tiles + 1):
            self.running += 1
            assert self.running == 1
            assert self.go.acquire(timeout=10)
            self.ran.append(tiles)
            self.running -= 1
            yield number, tiles
        return SimpleNamespace(labels=np.zeros(image.shape[:2], np.uint8))


def strip(tiles):
    return np.zeros((1, 10 * tiles, 3), np.uint8)


def test_a_small_picture_waits_for_one_tile_of_a_large_one():
    net, turns = Tiles(), serving.Turns()
    work = serving.within(net, turns, 60)
    large = threading.Thread(target=work, args=(strip(50),))
    large.start()
    until(lambda: net.running == 1)
    others = [threading.Thread(target=work, args=(strip(tiles),)) for tiles in (3, 1, 2)]
    for number, thread in enumerate(others, 1):
        thread.start()
        until(lambda number=number: len(turns._waiting) == number)
    for _ in range(56):
        net.go.release()
    for thread in (large, *others):
        thread.join(10)
    assert net.ran == [50, 1, 2, 2, 3, 3, 3, *[50] * 49]


def until(true):
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_the_work_ends_when_its_time_is_over():
    net = Tiles()
    for _ in range(5):
        net.go.release()
    with pytest.raises(
        UserError,
        match="image of 50x1 pixels: 0 s are over, and 1 of 5 tiles are done: make it smaller",
    ):
        serving.within(net, serving.Turns(), 0)(strip(5))
    assert net.ran == [5]
    done = serving.within(net, serving.Turns(), 0)(strip(1))
    assert done.labels.shape == (1, 10), "what is done is handed out all the same"


def test_a_turn_that_fails_lets_the_next_one_in():
    turns = serving.Turns()
    with pytest.raises(KeyboardInterrupt), turns.turn(1):
        raise KeyboardInterrupt
    with turns.turn(1):
        pass
    assert turns._waiting == []
