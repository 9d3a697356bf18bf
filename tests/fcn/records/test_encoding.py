import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tiny import CLASSES, SIZES, scene

from fcn.datasets.pairs import Pair
from fcn.errors import UserError
from fcn.input import records
from fcn.records import encoding


@pytest.fixture
def pair(world):
    """Image and label `v`, 35 high and 50 wide, to be spoilt at will."""
    return Pair("v", world / "JPEGImages" / "v.jpg", world / "SegmentationClass" / "v.png")


def features(pair):
    return tf.train.Example.FromString(encoding.encode(pair, 3).data).features.feature


def decoded(pair):
    """What training and validation get of a pair."""
    return {
        key: value.numpy()
        for key, value in records.parse(tf.constant(encoding.encode(pair, 3).data)).items()
    }


def pil(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def test_an_example_holds_the_file_s_own_jpeg_the_exact_label_its_size_its_id_and_the_schema(pair):
    stored = features(pair)
    assert set(stored) == {"schema", "id", "image", "label", "height", "width"}
    assert (list(stored["schema"].int64_list.value), stored["id"].bytes_list.value[0]) == (
        [2],
        b"v",
    )
    assert (
        (stored["height"].int64_list.value[0], stored["width"].int64_list.value[0])
        == SIZES["v"]
        == (35, 50)
    )
    assert stored["image"].bytes_list.value[0] == pair.image.read_bytes()
    png = Image.open(io.BytesIO(stored["label"].bytes_list.value[0]))
    assert (png.format, png.mode) == ("PNG", "L")
    assert np.array_equal(np.asarray(png), scene("v")[1])


def test_what_the_index_says_of_an_example_is_its_size_and_its_label_counts(pair):
    example = encoding.encode(pair, 3)
    label = scene("v")[1]
    assert (example.pair, example.size) == (pair, (35, 50))
    assert (example.pixels.dtype, example.pixels.shape) == (np.int64, (256,))
    assert example.pixels.tolist() == [int((label == value).sum()) for value in range(256)]


# ---- images


UPRIGHT = Image.Exif()
UPRIGHT[0x0112] = 1
JPEGS = {
    "plain": ("RGB", {}),
    "without chroma subsampling": ("RGB", {"subsampling": 0}),
    "4:2:0": ("RGB", {"subsampling": 2}),
    "progressive": ("RGB", {"progressive": True}),
    "not in YCbCr": ("RGB", {"keep_rgb": True}),
    "with an EXIF mark that says upright": ("RGB", {"exif": UPRIGHT}),
    "grey": ("L", {}),
    "progressive grey": ("L", {"progressive": True}),
}


@pytest.mark.parametrize("kind", JPEGS)
def test_an_upright_jpeg_is_kept_and_decodes_as_in_pillow(pair, kind):
    mode, options = JPEGS[kind]
    Image.fromarray(scene("v")[0]).convert(mode).save(pair.image, "JPEG", **options)
    before = pair.image.read_bytes()
    assert features(pair)["image"].bytes_list.value[0] == before
    image = decoded(pair)["image"]
    assert (image.dtype, image.shape) == (np.uint8, (35, 50, 3))
    assert np.array_equal(image, pil(before))


def test_of_a_camera_s_jpeg_with_two_pictures_the_first_is_read(pair):
    first, second = (Image.fromarray(scene(name)[0]) for name in ("v", "w"))
    first.save(pair.image, "MPO", save_all=True, append_images=[second])
    assert Image.open(io.BytesIO(pair.image.read_bytes())).format == "MPO"
    assert features(pair)["image"].bytes_list.value[0] == pair.image.read_bytes()
    assert np.array_equal(decoded(pair)["image"], pil(pair.image.read_bytes()))


def grey16(image):
    return Image.fromarray(image[..., 0].astype(np.uint16) * 256 + 77)


def see_through(image):
    return Image.fromarray(np.dstack([image, np.full(image.shape[:2], 255, np.uint8)]))


OTHERS = {
    "PNG": (Image.fromarray, "PNG", lambda image: image),
    "grey PNG": (
        lambda image: Image.fromarray(image[..., 1]),
        "PNG",
        lambda image: image[..., [1, 1, 1]],
    ),
    "16-bit PNG": (grey16, "PNG", lambda image: image[..., [0, 0, 0]]),
    "PNG with transparency": (see_through, "PNG", lambda image: image),
    "TIFF": (Image.fromarray, "TIFF", lambda image: image),
    "BMP": (Image.fromarray, "BMP", lambda image: image),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_another_readable_image_becomes_a_png_of_just_its_pixels(pair, kind):
    make, file_format, wanted = OTHERS[kind]
    image = scene("v")[0]
    make(image).save(pair.image, file_format)  # still called v.jpg: names say nothing
    stored = features(pair)["image"].bytes_list.value[0]
    assert Image.open(io.BytesIO(stored)).format == "PNG"
    assert np.array_equal(decoded(pair)["image"], wanted(image))


def test_a_cmyk_jpeg_becomes_a_png_of_the_colours_that_pillow_sees(pair):
    Image.fromarray(scene("v")[0]).convert("CMYK").save(pair.image, "JPEG", quality=95)
    image = decoded(pair)["image"]
    assert np.array_equal(image, pil(pair.image.read_bytes()))
    # not inverted: noise of 40 values, within JPEG's loss
    assert np.abs(image.astype(int) - scene("v")[0]).mean() < 12


def save_turned(path, image, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(image).save(path, "JPEG", exif=exif, quality=95)


@pytest.mark.parametrize(("orientation", "upright"), [
    (2, lambda image: image[:, ::-1]),
    (3, lambda image: image[::-1, ::-1]),
    (4, lambda image: image[::-1]),
    (5, lambda image: image.transpose(1, 0, 2)),
    (6, lambda image: image.transpose(1, 0, 2)[:, ::-1]),
    (7, lambda image: image.transpose(1, 0, 2)[::-1, ::-1]),
    (8, lambda image: image.transpose(1, 0, 2)[::-1]),
])  # fmt: skip
def test_an_image_that_exif_turns_is_stored_upright(pair, orientation, upright):
    image, label = scene("v")
    save_turned(pair.image, image, orientation)
    turned = upright(label[..., None])[..., 0]
    Image.fromarray(turned).save(pair.label)
    found = decoded(pair)
    assert np.array_equal(found["image"], upright(pil(pair.image.read_bytes())))
    assert np.array_equal(found["label"], turned)


def test_the_label_of_a_turned_image_must_be_turned_too(pair):
    save_turned(pair.image, scene("v")[0], 6)
    with pytest.raises(UserError) as error:
        encoding.encode(pair, 3)
    assert f"{pair.label}: the label is 50x35 pixels, its image 35x50" in str(error.value)
    assert (
        "EXIF data turn this image (orientation 6); its label must fit the upright picture"
    ) in str(error.value)


# ---- labels


LABELS = {
    "one pixel": np.full((1, 1), 2, np.uint8),
    "one row": np.array([[0, 0, 1, 1, 1, 255]], np.uint8),
    "one column": np.array([[0], [2], [2], [255]], np.uint8),
    "all the same": np.zeros((30, 20), np.uint8),
    "noise": np.random.default_rng(1).choice(np.array([0, 255], np.uint8), (61, 47)),
    "wide": np.arange(3 * 2000).reshape(3, 2000).astype(np.uint8) % 3,
}


@pytest.mark.parametrize("kind", LABELS)
def test_labels_of_any_shape_come_back_and_are_counted(tmp_path, kind):
    label = LABELS[kind]
    pair = Pair("x", tmp_path / "x.jpg", tmp_path / "x_label.png")
    Image.new("RGB", label.shape[::-1]).save(pair.image)
    Image.fromarray(label).save(pair.label)
    assert np.array_equal(decoded(pair)["label"], label)
    assert np.array_equal(
        encoding.encode(pair, 3).pixels, np.bincount(label.reshape(-1), minlength=256)
    )
    png = Image.open(io.BytesIO(features(pair)["label"].bytes_list.value[0]))
    png.load()
    assert np.array_equal(np.asarray(png), label)


def test_labels_are_read_as_their_encoding_says(tmp_path):
    """ADE20K: 0 is void, 1 is class 0; a mask in colours: by the table."""
    ade = Pair("x", tmp_path / "x.jpg", tmp_path / "x.png", "ade20k")
    coloured = Pair("y", tmp_path / "x.jpg", tmp_path / "y.png", "colours")
    Image.new("RGB", (3, 2)).save(ade.image)
    Image.fromarray(np.array([[0, 1, 1], [2, 3, 0]], np.uint8)).save(ade.label)
    table = ((0, 0, 0), (255, 0, 0), (0, 9, 0))
    Image.fromarray(
        np.array([[table[2], table[0], table[0]], [table[1], table[1], table[0]]], np.uint8)
    ).save(coloured.label)
    assert decoded(ade)["label"].tolist() == [[255, 0, 0], [1, 2, 255]]
    example = encoding.encode(coloured, len(CLASSES), table)
    assert records.parse(tf.constant(example.data))["label"].numpy().tolist() == [
        [2, 0, 0],
        [1, 1, 0],
    ]
    assert example.pixels[:3].tolist() == [3, 2, 1]


# ---- equal images


def test_equal_pixels_have_equal_samples_in_whatever_file(pair, tmp_path):
    copy = Pair("other", tmp_path / "copy.png", pair.label)
    Image.fromarray(pil(pair.image.read_bytes())).save(copy.image)
    assert encoding.encode(pair, 3).sample == encoding.encode(copy, 3).sample
    assert encoding.same_picture(pair, copy)
    grey = Pair("grey", tmp_path / "grey.jpg", pair.label)
    Image.open(pair.image).convert("L").save(grey.image)
    rgb = Pair("rgb", tmp_path / "rgb.png", pair.label)
    Image.fromarray(pil(grey.image.read_bytes())).save(rgb.image)
    assert (
        encoding.encode(grey, 3).sample
        == encoding.encode(rgb, 3).sample
        != encoding.encode(pair, 3).sample
    )


@pytest.mark.parametrize(("name", "change"), [("a pixel", np.s_[3, 4, 1]), ("a row", np.s_[:1])])
def test_images_that_differ_are_not_the_same(pair, tmp_path, name, change):
    pixels = pil(pair.image.read_bytes()).copy()
    pixels[change] ^= 1
    other = Pair("other", tmp_path / "other.png", pair.label)
    Image.fromarray(pixels).save(other.image)
    assert not encoding.same_picture(pair, other)


def test_images_of_other_sizes_differ_even_if_all_black(tmp_path):
    pairs = []
    for name, size in (("a", (8, 4)), ("b", (4, 8))):
        pairs.append(Pair(name, tmp_path / f"{name}.jpg", tmp_path / f"{name}.png"))
        Image.new("RGB", size).save(pairs[-1].image)
        Image.new("L", size).save(pairs[-1].label)
    assert encoding.encode(pairs[0], 3).sample != encoding.encode(pairs[1], 3).sample
    assert not encoding.same_picture(*pairs)
