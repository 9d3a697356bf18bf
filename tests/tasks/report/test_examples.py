import base64
import io

import numpy as np
import pytest
from PIL import Image

from fcn.pixels import visualize
from tasks.report import examples

CLASSES = ("background", "cat", "dog")


def decoded(url):
    kind, text = url.split(";base64,")
    return kind, Image.open(io.BytesIO(base64.b64decode(text)))


@pytest.mark.parametrize(
    ("count", "worst", "best"),
    [(1, "b", "d"), (2, "ba", "dc"), (3, "bac", "d"), (9, "bacd", ""), (0, "", "")],
)
def test_no_image_is_both_among_the_worst_and_the_best(count, worst, best):
    ious = {"d": 0.9, "a": 0.5, "c": 0.5, "b": 0.1}
    assert examples.extremes(ious, count) == (list(worst), list(best))


def test_images_are_spread_over_the_list():
    assert examples.spread("abcdefg", 3) == ["a", "d", "g"]
    assert examples.spread("ab", 6) == ["a", "b"]
    assert examples.spread("", 6) == []


def test_the_sheet_has_a_column_for_each_and_leaves_a_missing_one_white():
    image = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
    truth, predicted = np.zeros((2, 40, 60), np.uint8)
    predicted[10:, 10:] = 1
    sheet = np.asarray(
        examples.sheet(
            [examples.Example("a", image, truth, {"m": predicted})], ("m", "n"), CLASSES, side=120
        )
    )
    # Twice the size, below titles of 26 pixels, columns 6 pixels apart.
    columns = [sheet[26 : 26 + 80, start : start + 120] for start in (0, 126, 252, 378)]
    assert all((column[::2, ::2] == column[1::2, 1::2]).all() for column in columns)
    assert (columns[0][::2, ::2] == image).all()
    assert (columns[1][::2, ::2] == image).all(), "background is not painted"
    assert (columns[2][::2, ::2] == visualize.overlay(image, predicted, CLASSES)).all()
    assert (columns[3] == 255).all()


def test_heat_is_dark_where_much_is():
    _, picture = decoded(examples.heat_url(np.array([[1, 0], [0.25, 0]])))
    assert np.asarray(picture).tolist() == [[0, 255], [128, 255]]
