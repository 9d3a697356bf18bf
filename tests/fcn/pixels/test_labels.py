import tarfile
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import tensorflow as tf
from PIL import Image

from fcn.errors import UserError
from fcn.pixels import labels
from fcn.spec import colours

VOC = Path(__file__).parents[4] / "shared" / "realdata" / "VOC2012-subset.tar"
VALUES = np.array([[0, 1, 2], [20, 255, 15]], np.uint8)


@pytest.fixture
def stored(tmp_path):
    """Saves an image under the name of a label and returns its path."""

    def save(image, name="label.png"):
        image.save(tmp_path / name)
        return tmp_path / name

    return save


@pytest.mark.parametrize(
    ("index", "colour"),
    [
        (0, (0, 0, 0)), (1, (128, 0, 0)), (2, (0, 128, 0)), (3, (128, 128, 0)), (4, (0, 0, 128)),
        (8, (64, 0, 0)), (15, (192, 128, 128)), (20, (0, 64, 128)), (37, (128, 0, 192)),
        (255, (224, 224, 192)),
    ],
)  # fmt: skip
def test_palette_is_vocs(index, colour):
    assert tuple(colours.palette()[index]) == colour


def test_palette_has_256_different_colours():
    assert colours.palette().shape == (256, 3)
    assert len({tuple(colour) for colour in colours.palette().tolist()}) == 256


def test_a_palette_image_holds_indices_and_shows_vocs_colours(stored):
    path = stored(labels.to_image(VALUES))
    with Image.open(path) as image:
        assert image.mode == "P"
        np.testing.assert_array_equal(np.asarray(image), VALUES)
        assert image.convert("RGB").getpixel((0, 1)) == (0, 64, 128)
    np.testing.assert_array_equal(labels.read(path, 21), VALUES)


def test_a_grey_image_is_read_as_it_is(stored):
    found = labels.read(stored(Image.fromarray(VALUES)), 21, (3, 2))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, VALUES)


def test_a_value_beyond_the_classes_is_refused(stored):
    values = np.array([[0, 37, 37], [255, 20, 21]], np.uint8)
    with pytest.raises(
        UserError,
        match=r"label\.png: label values \[21, 37\] in 3 pixels, expected 0\.\.20 and 255",
    ):
        labels.read(stored(labels.to_image(values)), 21)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "I;16"])
def test_an_image_without_indices_is_refused(stored, mode):
    with pytest.raises(
        UserError, match=rf"label\.png: expected a palette or 8-bit grey image .* got mode {mode}\."
    ):
        labels.read(stored(Image.new(mode, (3, 2))), 21)


def test_another_size_than_the_images_is_refused(stored):
    with pytest.raises(UserError, match=r"label\.png: the label is 3x2 pixels, its image 2x3"):
        labels.read(stored(labels.to_image(VALUES)), 21, (2, 3))


def test_what_is_no_image_is_refused(tmp_path, stored):
    page = tmp_path / "page.png"
    page.write_text("<html>404</html>")
    with pytest.raises(UserError, match=r"page\.png: expected a label, but it cannot be read"):
        labels.read(page, 21)
    whole = stored(
        labels.to_image(np.random.default_rng(0).integers(0, 21, (90, 90)).astype(np.uint8))
    )
    whole.write_bytes(whole.read_bytes()[:2000])
    with pytest.raises(UserError, match=r"label\.png: expected a label, but it cannot be read"):
        labels.read(whole, 21)
    with pytest.raises(UserError, match=r"nowhere\.png: the label is missing"):
        labels.read(tmp_path / "nowhere.png", 21)


def test_why_labels_are_not_stored_as_palette_images(stored):
    """TensorFlow turns the indices into colours, without a word."""
    decoded = tf.io.decode_png(stored(labels.to_image(VALUES)).read_bytes())
    assert decoded.shape == (2, 3, 3)
    assert tuple(decoded[0, 1].numpy()) == (128, 0, 0)


@pytest.mark.realdata
@pytest.mark.skipif(not VOC.is_file(), reason="real VOC pairs are not here: ../shared/realdata")
def test_a_real_voc_label(tmp_path):
    with tarfile.open(VOC) as tar:
        member = tar.extractfile("VOCdevkit/VOC2012/SegmentationClass/2007_000032.png")
        assert member
        (tmp_path / "2007_000032.png").write_bytes(member.read())
    found = labels.read(tmp_path / "2007_000032.png", 21, (500, 281))
    assert np.unique(found).tolist() == [0, 1, 15, 255]  # two aeroplanes and two persons
    with Image.open(tmp_path / "2007_000032.png") as image:
        np.testing.assert_array_equal(found, np.asarray(image))
        # Their own palette, too, is ours: the colours of every pixel agree.
        np.testing.assert_array_equal(colours.palette()[found], np.asarray(image.convert("RGB")))


def test_ade20k_values_are_one_more_and_0_is_void(stored):
    values = np.array([[0, 1, 2], [150, 149, 0]], np.uint8)
    for image in (Image.fromarray(values), labels.to_image(values)):
        found = labels.read(stored(image), 150, (3, 2), "ade20k")
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, [[255, 0, 1], [149, 148, 255]])


def test_an_ade20k_value_beyond_the_classes_is_refused_as_it_stands_in_the_file(stored):
    values = np.array([[0, 1, 151], [151, 255, 0]], np.uint8)
    with pytest.raises(
        UserError,
        match=r"label values \[151, 255\] in 3 pixels, expected 1\.\.150 and 0 \(void\)\. Is this",
    ):
        labels.read(stored(Image.fromarray(values)), 150, encoding="ade20k")


def test_an_sbd_label_has_no_void(tmp_path):
    path = tmp_path / "a.mat"
    values = np.array([[0, 20, 0], [5, 15, 1]], np.uint8)
    scipy.io.savemat(path, {"GTcls": {"Segmentation": values}})
    np.testing.assert_array_equal(labels.read(path, 21, (3, 2), "sbd"), values)
    with pytest.raises(UserError, match=r"a\.mat: the label is 3x2 pixels, its image 2x3"):
        labels.read(path, 21, (2, 3), "sbd")
    scipy.io.savemat(path, {"GTcls": {"Segmentation": values * 51}})
    with pytest.raises(
        UserError,
        match=r"a\.mat: label values \[51, 252, 253, 255\] in 4 pixels, expected 0\.\.20\. Is this",
    ):
        labels.read(path, 21, encoding="sbd")


COLOURS = ((0, 0, 0), (255, 0, 0), (10, 200, 30))
MASK = np.array(
    [[[0, 0, 0], [255, 0, 0], [10, 200, 30]], [[224, 224, 192], [255, 0, 0], [0, 0, 0]]], np.uint8
)
MEANT = [[0, 1, 2], [255, 1, 0]]


def read_colours(path, colours=COLOURS):
    return labels.read(path, len(colours), encoding="colours", colours=colours)


def test_colours_are_classes_and_vocs_void_is_void(stored):
    found = read_colours(stored(Image.fromarray(MASK)))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, MEANT)


def test_colours_in_other_kinds_of_files(stored):
    palette = Image.fromarray(MASK).quantize(8)
    assert palette.mode == "P"
    np.testing.assert_array_equal(read_colours(stored(palette)), MEANT)
    opaque = Image.fromarray(np.dstack([MASK, np.full((2, 3), 255, np.uint8)]))
    np.testing.assert_array_equal(read_colours(stored(opaque)), MEANT)
    black_and_white = ((0, 0, 0), (255, 255, 255))
    pixels = np.array([[0, 255, 0]], np.uint8)
    np.testing.assert_array_equal(
        read_colours(stored(Image.fromarray(pixels)), black_and_white), [[0, 1, 0]]
    )
    np.testing.assert_array_equal(
        read_colours(stored(Image.fromarray(pixels).convert("1")), black_and_white), [[0, 1, 0]]
    )


def test_vocs_own_colours_give_vocs_indices(stored):
    known = tuple(tuple(colour) for colour in colours.palette()[:21].tolist())
    shown = stored(labels.to_image(VALUES).convert("RGB"))
    np.testing.assert_array_equal(read_colours(shown, known), VALUES)


def test_an_unknown_colour_is_named_with_its_nearest(stored):
    mask = MASK.copy()
    mask[0, 1], mask[1, 1], mask[0, 0] = (250, 1, 0), (250, 1, 0), (220, 220, 190)
    with pytest.raises(
        UserError, match=r"label\.png: 3 pixels have colours of no class: "
    ) as error:
        read_colours(stored(Image.fromarray(mask)))
    assert (
        "#fa0100 (2 pixels; nearest is #ff0000, class 1), #dcdcbe (1 pixels; nearest is "
        "#e0e0c0, void)."
    ) in str(error.value)
    assert str(error.value).endswith("Is a class missing, or its colour another one?")


def test_many_unknown_colours_come_from_smoothing(stored):
    mask = np.zeros((5, 5, 3), np.uint8)
    mask[..., 0] = np.arange(25).reshape(5, 5)
    with pytest.raises(
        UserError,
        match=r"24 pixels have .* and 21 more\. So many colours come from smoothed edges, "
        r"scaling or",
    ):
        read_colours(stored(Image.fromarray(mask)))


def test_transparent_masks_are_refused(stored):
    half = np.dstack([MASK, np.full((2, 3), 255, np.uint8)])
    half[0, :2, 3] = 128, 0
    with pytest.raises(UserError, match=r"label\.png: 2 pixels are transparent"):
        read_colours(stored(Image.fromarray(half)))
    image = Image.fromarray(np.array([[0, 1, 1]], np.uint8))
    image.putpalette([0, 0, 0, 255, 0, 0])
    image.info["transparency"] = bytes([255, 0])
    with pytest.raises(UserError, match=r"label\.png: 2 pixels are transparent"):
        read_colours(stored(image))


@pytest.mark.parametrize("mode", ["LA", "I;16"])
def test_what_has_no_colours_is_refused(stored, mode):
    with pytest.raises(
        UserError,
        match=rf"label\.png: expected an image of the colours of the classes, got mode {mode}",
    ):
        read_colours(stored(Image.new(mode, (3, 2))))


def test_an_unknown_encoding(stored):
    with pytest.raises(
        UserError, match=r"expected one of the encodings indices, ade20k, sbd, colours; got rgb"
    ):
        labels.read(stored(labels.to_image(VALUES)), 21, encoding="rgb")


@pytest.mark.realdata
def test_real_ade20k_annotations(realdata):
    paths = sorted((realdata / "ade20k" / "annotations").glob("*.png"))
    assert len(paths) == 17
    for path in paths:
        with (
            Image.open(path) as image,
            Image.open(realdata / "ade20k" / "images" / f"{path.stem}.jpg") as photo,
        ):
            values, size = np.asarray(image), photo.size
        found = labels.read(path, 150, size, "ade20k")
        np.testing.assert_array_equal(found == 255, values == 0)
        np.testing.assert_array_equal(found[values > 0], values[values > 0] - 1)


@pytest.mark.realdata
def test_real_sbd_labels_fit_their_images(realdata):
    folder = realdata / "sbd" / "mindspore_testSBData"
    for path in sorted((folder / "cls").glob("*.mat")):
        with Image.open(folder / "img" / f"{path.stem}.jpg") as photo:
            found = labels.read(path, 21, photo.size, "sbd")
        assert not found.any(), (
            "these files were made to show the structure; all their pixels are background"
        )
