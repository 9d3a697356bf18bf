"""What the gallery's data and pictures are, value by value. The page that shows them:
`test_report_in_browser.py`.
"""

import base64
import io

import numpy as np
import pytest
from PIL import Image
from reported import table

from fcn.errors import UserError
from fcn.evaluate import Evaluation
from tasks.report import gallery
from tasks.report.examples import Example

CLASSES = ("background", "cat", "dog")
TRUTH = np.array([[0, 1, 2, 255]], np.uint8)
PREDICTION = np.array([[0, 2, 2, 1]], np.uint8)


def one(tmp_path, example, names=("m", "n"), classes=CLASSES, inside=("a",)):
    for name in names:
        if not (path := tmp_path / f"plots/{name}/images.csv").is_file():
            table(path, ("image", "class", "both", "truth", "prediction"), [("z", "cat", 0, 0, 1)])
    found = {name: Evaluation(None, tmp_path / "plots" / name) for name in names}
    return gallery.build([example], found, classes, tmp_path, inside)


def example(truth=TRUTH, **predictions):
    return Example("a", np.full((*truth.shape, 3), 90, np.uint8), truth, predictions)


def strip(found):
    picture = Image.open(
        io.BytesIO(base64.b64decode(found["images"][0]["strip"].partition(",")[2]))
    )
    return np.asarray(picture.convert("RGBA")).tolist()


CLEAR, CAT, DOG, VOID, WRONG = (
    [0, 0, 0, 0],
    [128, 0, 0, 255],
    [0, 128, 0, 255],
    [224, 224, 192, 255],
    [255, 0, 200, 255],
)


def test_a_strip_has_truth_and_of_each_model_labels_and_errors(tmp_path):
    found = one(tmp_path, example(m=PREDICTION))
    assert strip(found) == [
        [CLEAR, CAT, DOG, VOID],
        [CLEAR, DOG, DOG, CAT],
        [CLEAR, WRONG, CLEAR, CLEAR],  # void is no error
        [CLEAR] * 4,  # n kept nothing
        [CLEAR] * 4,
    ]
    (image,) = found["images"]
    assert (image["size"], image["truth"], image["kept"]) == ([4, 1], [0, 1, 2], [True, False])
    assert image["errors"] == [[[1, 2, 0.25]], []]
    assert found["colours"] == ["#000000", "#800000", "#008000", "#e0e0c0"]


def test_a_class_0_that_is_no_background_is_painted(tmp_path):
    assert strip(one(tmp_path, example(m=PREDICTION), ("m",), ("wall", "cat", "dog")))[0][0] == [
        0,
        0,
        0,
        255,
    ]


def test_the_largest_errors_are_kept_and_specks_are_not(tmp_path):
    truth, label = np.zeros((2, 50, 50), np.uint8)
    label[:10], label[10, :2] = 2, 1  # 500 and 2 of 2500 pixels
    assert one(tmp_path, example(truth, m=label), ("m",))["images"][0]["errors"] == [[[0, 2, 0.2]]]


def test_large_pictures_are_reduced_and_lie_beside_the_page_where_it_is_full(tmp_path):
    truth = np.zeros((500, 300), np.uint8)
    truth[:, 150:] = 2
    (image,) = one(tmp_path, example(truth, m=truth), ("m",), inside=())["images"]
    assert (image["photo"], image["strip"]) == ("pictures/0.jpeg", "pictures/0.png")
    with (
        Image.open(tmp_path / image["photo"]) as photo,
        Image.open(tmp_path / image["strip"]) as picture,
    ):
        assert (photo.size, picture.size) == ((192, 320), (192, 3 * 320))
        assert {
            tuple(each) for each in np.asarray(picture.convert("RGBA")).reshape(-1, 4).tolist()
        } == {
            tuple(CLEAR),
            tuple(DOG),
        }


def test_the_iu_of_a_class_in_an_image(tmp_path):
    rows = [
        ("a", "cat", 10, 20, 30),
        ("b", "dog", 5, 5, 5),
        ("a", "dog", 0, 0, 7),
        ("a", "cow", 1, 1, 1),
    ]
    table(tmp_path / "plots/m/images.csv", ("image", "class", "both", "truth", "prediction"), rows)
    image = one(tmp_path, example(m=PREDICTION))["images"][0]
    assert (image["iu"], image["ius"]) == ([0.125, None], [[[1, 0.25], [2, 0.0]], []])


def test_a_prediction_of_another_size_is_named(tmp_path):
    with pytest.raises(
        UserError, match="m: expected labels of image a in its size, 4x1; got 2x1: evaluate"
    ):
        one(tmp_path, example(m=PREDICTION[:, :2]))
