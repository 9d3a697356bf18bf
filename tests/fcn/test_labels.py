import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from fcn import labels
from fcn.errors import UserError

VOC = Path(__file__).parents[3] / "shared" / "realdata" / "VOC2012-subset.tar"
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
        (0, (0, 0, 0)), (1, (128, 0, 0)), (2, (0, 128, 0)), (3, (128, 128, 0)), (4, (0, 0, 128)), (8, (64, 0, 0)),
        (15, (192, 128, 128)), (20, (0, 64, 128)), (37, (128, 0, 192)), (255, (224, 224, 192)),
    ],
)  # fmt: skip
def test_palette_is_vocs(index, colour):
    assert tuple(labels.palette()[index]) == colour


def test_palette_has_256_different_colours():
    assert labels.palette().shape == (256, 3)
    assert len({tuple(colour) for colour in labels.palette().tolist()}) == 256


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
    with pytest.raises(UserError, match=r"label\.png: label values \[21, 37\] in 3 pixels, expected 0\.\.20 and 255"):
        labels.read(stored(labels.to_image(values)), 21)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "1", "I;16"])
def test_an_image_without_indices_is_refused(stored, mode):
    with pytest.raises(UserError, match=rf"label\.png: expected a palette or 8-bit grey image .* got mode {mode}\."):
        labels.read(stored(Image.new(mode, (3, 2))), 21)


def test_another_size_than_the_images_is_refused(stored):
    with pytest.raises(UserError, match=r"label\.png: the label is 3x2 pixels, its image 2x3"):
        labels.read(stored(labels.to_image(VALUES)), 21, (2, 3))


def test_what_is_no_image_is_refused(tmp_path, stored):
    page = tmp_path / "page.png"
    page.write_text("<html>404</html>")
    with pytest.raises(UserError, match=r"page\.png: expected a PNG label, but it cannot be read"):
        labels.read(page, 21)
    whole = stored(labels.to_image(np.random.default_rng(0).integers(0, 21, (90, 90)).astype(np.uint8)))
    whole.write_bytes(whole.read_bytes()[:2000])
    with pytest.raises(UserError, match=r"label\.png: expected a PNG label, but it cannot be read"):
        labels.read(whole, 21)
    with pytest.raises(UserError, match=r"nowhere\.png: the label is missing"):
        labels.read(tmp_path / "nowhere.png", 21)


def test_encoded_labels_come_back_through_pillow_and_tensorflow():
    data = labels.encode(VALUES)
    with Image.open(io.BytesIO(data)) as image:
        np.testing.assert_array_equal(np.asarray(image), VALUES)
    decoded = tf.io.decode_png(data)
    assert decoded.shape == (2, 3, 1)
    np.testing.assert_array_equal(decoded[..., 0], VALUES)


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
        (tmp_path / "2007_000032.png").write_bytes(member.read())
    found = labels.read(tmp_path / "2007_000032.png", 21, (500, 281))
    assert np.unique(found).tolist() == [0, 1, 15, 255]  # two aeroplanes and two persons
    with Image.open(tmp_path / "2007_000032.png") as image:
        np.testing.assert_array_equal(found, np.asarray(image))
        # Their own palette, too, is ours: the colours of every pixel agree.
        np.testing.assert_array_equal(labels.palette()[found], np.asarray(image.convert("RGB")))
