import numpy as np
import pytest
from PIL import Image

from fcn.pixels import visualize

IMAGE = np.array([[[10, 20, 30], [100, 100, 100]], [[200, 0, 50], [7, 8, 9]]], np.uint8)
LABELS = np.array([[0, 1], [255, 2]], np.uint8)


def test_colours_are_vocs():
    np.testing.assert_array_equal(
        visualize.colours(LABELS), [[[0, 0, 0], [128, 0, 0]], [[224, 224, 192], [0, 128, 0]]]
    )  # fmt: skip


def test_overlay_leaves_background_and_blends_the_rest():
    found = visualize.overlay(IMAGE, LABELS, ["Background", "disc"], 0.75)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found[0, 0], [10, 20, 30])
    np.testing.assert_array_equal(found[0, 1], [25 + 96, 25, 25])
    # 156.5 is rounded to even
    np.testing.assert_array_equal(found[1, 0], [50 + 168, 168, 12.5 + 144 - 0.5])
    np.testing.assert_array_equal(found[1, 1], [2, 2 + 96, 2])


def test_a_class_0_that_is_no_background_is_painted_like_any_other():
    found = visualize.overlay(IMAGE, LABELS, ["wall", "building"], 0.5)
    np.testing.assert_array_equal(found[0, 0], [5, 10, 15])  # black at one half
    assert visualize.painted([LABELS], ["wall", "building", "sky"]) == [0, 1, 2, 255]
    assert visualize.painted([LABELS, LABELS[:1]], ["background", "disc", "ring"]) == [1, 2, 255]


@pytest.mark.parametrize(("opacity", "expected"), [(0, IMAGE[0, 1]), (1, [128, 0, 0])])
def test_overlay_at_either_end_of_opacity(opacity, expected):
    np.testing.assert_array_equal(
        visualize.overlay(IMAGE, LABELS, ["background"], opacity)[0, 1], expected
    )


def test_legend_shows_each_colour_in_its_turn():
    picture = visualize.legend(["background", "cat", "dog"], [2, 255], 400)
    assert picture.size == (400, 20)
    assert picture.getpixel((7, 9)) == (0, 128, 0)
    assert picture.getpixel((0, 9)) == (0, 0, 0)  # its frame
    assert picture.getpixel((399, 19)) == (255, 255, 255)
    row = [picture.getpixel((x, 9)) for x in range(15, 400)]
    assert (224, 224, 192) in row  # void, further right
    assert (128, 0, 0) not in row


def test_legend_breaks_its_lines_at_the_width():
    names = [f"class{n:02d}" for n in range(21)]
    wide, narrow = (visualize.legend(names, range(21), width) for width in (4000, 120))
    assert (wide.height, narrow.height) == (20, 21 * 20)
    assert [narrow.getpixel((7, 20 * n + 9)) for n in (1, 15)] == [(128, 0, 0), (192, 128, 128)]
    rightmost = [narrow.getpixel((119, y)) for y in range(narrow.height)]
    assert set(rightmost) == {(255, 255, 255)}  # no text was cut off


def test_overlay_of_many_rows_is_that_of_each():
    rng = np.random.default_rng(0)
    image, labels = (
        rng.integers(0, 256, (600, 2, 3), np.uint8),
        rng.integers(0, 3, (600, 2), np.uint8),
    )
    whole = visualize.overlay(image, labels, ["background", "cat", "dog"])
    for row in (0, 255, 256, 511, 512, 599):
        each = visualize.overlay(
            image[row : row + 1], labels[row : row + 1], ["background", "cat", "dog"]
        )
        np.testing.assert_array_equal(whole[row : row + 1], each)


def test_an_overlay_above_the_classes_that_it_shows():
    labels = np.zeros((100, 200), np.uint8)
    labels[:, 150:] = 2
    image = np.full((100, 200, 3), 50, np.uint8)
    sheet = visualize.explained(image, labels, ["background", "cat", "dog"], opacity=0.5)
    assert sheet.size == (200, 100 + 6 + 20)
    np.testing.assert_array_equal(
        np.asarray(sheet)[:100], visualize.overlay(image, labels, ["background", "cat", "dog"], 0.5)
    )
    assert sheet.getpixel((0, 103)) == (255, 255, 255)
    assert sheet.getpixel((7, 106 + 9)) == (0, 128, 0)  # dog alone
    assert (128, 0, 0) not in {sheet.getpixel((x, 115)) for x in range(200)}


def test_the_legend_of_an_overlay_is_not_cut_off_and_grows_with_it():
    names, dot = ["background", "a rather long name"], np.ones((1, 1), np.uint8)
    small = visualize.explained(np.zeros((1, 1, 3), np.uint8), dot, names)
    assert small.width > 100
    assert {small.getpixel((small.width - 1, y)) for y in range(1, small.height)} == {
        (255, 255, 255)
    }
    large = visualize.explained(
        np.zeros((1600, 800, 3), np.uint8), np.ones((1600, 800), np.uint8), names
    )
    assert large.size == (800, 1600 + 6 + 20 + 20 * 6 // 14)
    assert large.getpixel((10, 1606 + 10)) == (128, 0, 0)


def test_an_overlay_with_nothing_on_it_says_so():
    sheet = visualize.explained(
        np.full((30, 300, 3), 9, np.uint8), np.zeros((30, 300), np.uint8), ["Background", "cat"]
    )
    assert sheet.size == (300, 30 + 6 + 20)
    text = np.asarray(sheet)[36:]
    assert text.min() == 0  # in black, and no colour anywhere
    assert (text == text[..., :1]).all()


def test_panels_stand_in_a_table_above_the_legend():
    small, large = np.full((4, 5, 3), 10, np.uint8), np.full((6, 8, 3), 200, np.uint8)
    small[0, 0] = [1, 2, 3]
    sheet = visualize.panels(
        [[small, large], [large, small]], ["image", "truth"], ["background", "cat"], [1], scale=10
    )
    # Columns 8 * 10 + 6 wide; rows 66 high; the titles' line 26, the legend's 20.
    assert sheet.size == (172, 26 + 66 + 66 + 20)
    assert isinstance(sheet, Image.Image)
    at = sheet.getpixel
    assert [at((0, 26)), at((9, 35)), at((10, 26)), at((49, 65))] == [
        (1, 2, 3),
        (1, 2, 3),
        (10,) * 3,
        (10,) * 3,
    ]  # not smoothed
    assert [at((50, 26)), at((49, 66))] == [(255,) * 3] * 2  # beyond the smaller one
    assert [at((86, 26)), at((165, 85)), at((166, 85))] == [(200,) * 3, (200,) * 3, (255,) * 3]
    assert [at((0, 92)), at((86, 92))] == [(200,) * 3, (1, 2, 3)]
    assert at((7, 158 + 9)) == (128, 0, 0)
    title = np.asarray(sheet)[:26]
    assert title[:, :86].min() == 0
    assert title[:, 86:].min() == 0
