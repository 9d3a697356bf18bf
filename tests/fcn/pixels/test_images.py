import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from fcn.errors import UserError
from fcn.pixels import images
from fcn.pixels.images import Header

COLOURS = np.array(
    [[[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[10, 20, 30], [40, 50, 60], [70, 80, 90]]], np.uint8
)
GREY = np.array([[0, 100, 255], [1, 2, 3]], np.uint8)


@pytest.fixture
def stored(tmp_path):
    """Saves a picture, given as a Pillow image or as an array, and returns its path."""

    def save(picture, name="picture.png", **options):
        picture = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
        picture.save(tmp_path / name, **options)
        return tmp_path / name

    return save


def turned(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def test_rgb_comes_as_it_is(stored):
    found = images.read(stored(COLOURS))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, COLOURS)


def test_grey_becomes_three_equal_channels(stored):
    np.testing.assert_array_equal(images.read(stored(GREY)), np.stack([GREY] * 3, axis=-1))


def test_one_bit_is_black_and_white(stored):
    picture = Image.fromarray(np.array([[True, False]]))
    assert picture.mode == "1"
    assert images.read(stored(picture)).tolist() == [[[255, 255, 255], [0, 0, 0]]]


def test_a_palette_is_looked_up(stored):
    picture = Image.fromarray(np.array([[0, 2, 1]], np.uint8))
    picture.putpalette([1, 2, 3, 4, 5, 6, 7, 8, 9])
    assert picture.mode == "P"
    assert images.read(stored(picture)).tolist() == [[[1, 2, 3], [7, 8, 9], [4, 5, 6]]]


def test_transparency_is_laid_on_white(stored):
    """By hand: 255 + (0 - 255) * 51 / 255 = 204."""
    rgba = np.array([[[0, 0, 0, 255], [0, 0, 0, 0], [0, 0, 0, 51], [200, 100, 0, 255]]], np.uint8)
    assert images.read(stored(rgba)).tolist() == [[[0] * 3, [255] * 3, [204] * 3, [200, 100, 0]]]
    grey = Image.fromarray(rgba).convert("LA")
    assert grey.mode == "LA"
    assert images.read(stored(grey)).tolist()[0][:3] == [[0] * 3, [255] * 3, [204] * 3]


def test_a_transparent_colour_is_white_too(stored):
    assert images.read(stored(COLOURS, transparency=(0, 255, 0)))[0].tolist() == [
        [255, 0, 0],
        [255] * 3,
        [0, 0, 255],
    ]
    picture = Image.fromarray(np.array([[0, 1]], np.uint8))
    picture.putpalette([1, 2, 3, 4, 5, 6])
    assert images.read(stored(picture, transparency=0)).tolist() == [[[255] * 3, [4, 5, 6]]]


def test_of_sixteen_bits_the_upper_eight_are_kept(stored):
    deep = np.array([[0, 255, 256, 511, 65535]], np.uint16)
    for name in ("deep.png", "deep.tif"):
        assert images.read(stored(deep, name))[..., 1].tolist() == [[0, 0, 1, 1, 255]]


def test_of_sixteen_bits_in_colour_too(tmp_path):
    cv2 = pytest.importorskip("cv2")
    deep = np.array([[[255, 256, 65535]]], np.uint16)  # blue, green, red
    cv2.imwrite(str(tmp_path / "deep.png"), deep)
    assert images.read(tmp_path / "deep.png").tolist() == [[[255, 1, 0]]]


def test_inks_become_colours(stored):
    inks = np.zeros((8, 24, 4), np.uint8)
    inks[:, 8:16, 0] = 255  # cyan takes red away
    inks[:, 16:, 3] = 255  # black takes all
    path = stored(Image.fromarray(inks, "CMYK"), "inks.jpg", quality=100, subsampling=0)
    assert images.header(path).mode == "CMYK"
    assert images.read(path)[4, [4, 12, 20]].tolist() == [[255, 255, 255], [0, 255, 255], [0, 0, 0]]


# What to do with the stored pixels to see them upright, from the EXIF standard's table.
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[:, ::-1],
    7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
    8: lambda a: a.swapaxes(0, 1)[::-1],
}


@pytest.mark.parametrize("suffix", ["png", "webp", "tif"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_the_orientation_is_carried_out(stored, orientation, suffix):
    path = stored(
        COLOURS,
        f"turned.{suffix}",
        exif=turned(orientation),
        **({"lossless": True} if suffix == "webp" else {}),
    )
    expected = UPRIGHT[orientation](COLOURS)
    np.testing.assert_array_equal(images.read(path), expected)
    found = images.header(path)
    assert found.size == (expected.shape[1], expected.shape[0])
    assert (found.stored, found.orientation) == ((3, 2), orientation)


def test_a_turned_jpeg_is_not_plain(stored):
    path = stored(np.zeros((8, 16, 3), np.uint8), "a.jpg", exif=turned(6))
    assert images.header(path) == Header("JPEG", "RGB", (8, 16), 6, (16, 8))
    assert images.read(path).shape == (16, 8, 3)
    assert not images.header(path).plain_jpeg


def test_an_orientation_that_does_not_exist_is_upright(stored):
    path = stored(COLOURS, exif=turned(9))
    assert images.header(path).orientation == 1
    np.testing.assert_array_equal(images.read(path), COLOURS)


@pytest.mark.parametrize(
    ("mode", "name", "plain"),
    [
        ("RGB", "a.jpg", True),
        ("L", "a.jpg", True),
        ("CMYK", "a.jpg", False),
        ("RGB", "a.png", False),
        ("RGB", "a.mpo", True),
    ],
)
def test_which_jpegs_any_decoder_reads_alike(stored, mode, name, plain):
    options = (
        {"save_all": True, "append_images": [Image.new("RGB", (4, 4))]} if name == "a.mpo" else {}
    )
    path = stored(Image.new(mode, (16, 8)), name, **options)
    assert images.header(path).plain_jpeg is plain
    assert images.header(path).size == (16, 8)


def test_of_several_frames_the_first_is_read(stored):
    first, second = Image.fromarray(GREY), Image.fromarray(GREY[::-1])
    path = stored(first, "two.tif", save_all=True, append_images=[second])
    np.testing.assert_array_equal(images.read(path)[..., 0], GREY)


@pytest.mark.parametrize(("dtype", "mode"), [(np.float32, "F"), (np.int32, "I")])
def test_numbers_without_a_scale_are_refused(stored, dtype, mode):
    path = stored(GREY.astype(dtype), "numbers.tif")
    with pytest.raises(
        UserError,
        match=rf"numbers\.tif: expected a picture of 8 or 16 bits, got TIFF of mode {mode} ",
    ):
        images.read(path)


def test_a_picture_in_memory_is_read_like_a_file(stored):
    for path in (
        stored(COLOURS, "a.png", exif=turned(6)),
        stored(np.zeros((8, 16, 3), np.uint8), "b.jpg", exif=turned(8)),
    ):
        np.testing.assert_array_equal(images.decode(path.read_bytes()), images.read(path))
    with pytest.raises(
        UserError, match=r"^upload 7: expected a picture, but .* it is an HTML page \("
    ):
        images.decode(b"<html>404</html>", "upload 7")
    with pytest.raises(UserError, match=r"^the data: expected a picture, but .* it is empty "):
        images.decode(b"")
    floats = stored(np.zeros((2, 2), np.float32), "numbers.tif")
    with pytest.raises(
        UserError, match=r"^the data: expected a picture of 8 or 16 bits, got TIFF of mode F "
    ):
        images.decode(floats.read_bytes())


def test_what_is_no_picture_is_named(tmp_path, stored):
    page, empty = tmp_path / "page.jpg", tmp_path / "empty.jpg"
    page.write_text("<html>404</html>")
    empty.touch()
    for path, words in ((page, "an HTML page"), (empty, "empty"), (tmp_path, "not a file")):
        with pytest.raises(
            UserError,
            match=f"{path.name}: expected a picture, but it cannot be read: it is {words} ",
        ):
            images.read(path)
    with pytest.raises(UserError, match=r"nowhere\.jpg: the picture is missing"):
        images.header(tmp_path / "nowhere.jpg")


@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
def test_a_truncated_file_is_refused_though_its_header_is_whole(stored, name):
    path = stored(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8), name)
    path.write_bytes(path.read_bytes()[:2000])
    if name == "a.jpg":  # a PNG's marks may stand behind its pixels
        assert images.header(path).size == (64, 64)
    with pytest.raises(
        UserError,
        match=rf"{name}: expected a picture, but it cannot be read: it is a (JPEG|PNG) image",
    ):
        images.read(path)


def test_a_damaged_png_is_refused(stored):
    path = stored(COLOURS)
    data = bytearray(path.read_bytes())
    data[data.index(b"IDAT") + 8] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"picture\.png: expected a picture, but it cannot be read"):
        images.read(path)


def test_a_picture_too_large_to_be_one_is_refused(tmp_path):
    buffer = io.BytesIO()
    Image.new("1", (1, 1)).save(buffer, "PNG")
    data = bytearray(buffer.getvalue())
    data[16:24] = struct.pack(">II", 50_000, 50_000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    (tmp_path / "huge.png").write_bytes(data)
    with pytest.raises(UserError) as error:
        images.read(tmp_path / "huge.png")
    assert str(error.value).startswith(
        f"{tmp_path / 'huge.png'}: a picture of 2,500.0 megapixels; at most 200 are allowed: cut it"
    )


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_telephone_s_largest_picture_is_read_and_the_bound_can_be_chosen(stored):
    path = stored(Image.new("1", (16_320, 12_240)))
    assert images.header(path).size == (16_320, 12_240)
    wider = stored(Image.new("1", (16_400, 12_240)), "wider.png")
    with pytest.raises(UserError, match=r"of 200\.7 megapixels; at most 200 are allowed: .*allow"):
        images.header(wider)
    images.allow(201)
    try:
        assert images.header(wider).size == (16_400, 12_240)
    finally:
        images.allow(images.MEGAPIXELS)
