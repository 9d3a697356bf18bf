import itertools

import numpy as np
import pytest
from PIL import Image

from fcn.errors import UserError
from fcn.predict import predictions
from fcn.predict.segmentation import Segmentation
from fcn.spec.colours import palette

CLASSES = ("background", "cat", "dog")


@pytest.fixture
def photos(tmp_path):
    """Files with an image's suffix and others, in folders."""
    for name in (
        "b.jpg",
        "a.PNG",
        "notes.txt",
        ".hidden.png",
        "deep/a.jpg",
        "deep/c.tiff",
        ".git/x.png",
        "out/labels/b.png",
    ):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "photos"


def test_files_folders_and_patterns(photos, tmp_path):
    def found(*given):
        images, complaints = predictions.find(
            [str(photos / name) for name in given], photos / "out"
        )
        assert complaints == []
        return [image.relative_to(photos).as_posix() for image in images]

    assert found("") == ["a.PNG", "b.jpg", "deep/a.jpg", "deep/c.tiff"]
    assert found("b.jpg", "notes.txt") == ["b.jpg", "notes.txt"]  # as named, whatever it is
    assert found("*.jpg") == ["b.jpg"]
    assert found("**/*.jpg") == ["b.jpg", "deep/a.jpg"]
    assert found("d*") == ["deep/a.jpg", "deep/c.tiff"]  # a pattern of a folder
    # each once
    assert found("deep/c.tiff", "deep", "deep/../deep/a.jpg") == ["deep/c.tiff", "deep/a.jpg"]
    (photos / "x[1].jpg").touch()
    assert found("x[1].jpg") == ["x[1].jpg"]


def test_what_is_not_found_is_told_and_the_rest_taken(photos, tmp_path):
    (tmp_path / "empty").mkdir()
    given = [
        str(tmp_path / "nowhere.jpg"),
        str(photos / "b.jpg"),
        str(tmp_path / "empty"),
        str(photos / "*.gif"),
    ]
    images, complaints = predictions.find(given, tmp_path / "out")
    assert images == [photos / "b.jpg"]
    assert [complaint.partition(": ")[2].partition(",")[0].partition(";")[0]
            for complaint in complaints] == [
        "no such file or folder", "no image in it", "no such file or folder",
    ]  # fmt: skip
    assert "nowhere.jpg" in complaints[0]


def test_names_are_stems_and_differ(tmp_path):
    given = ["x/one.jpg", "x/y/cat.jpg", "x/z/cat.png", "x/z/dog.jpg", "x/z/dog.png", "bird.b.jpg"]
    expected = ["one", "y/cat", "z/cat", "dog.jpg", "dog.png", "bird.b"]
    images = [tmp_path / name for name in given]
    for order in itertools.permutations(range(len(given))):
        assert predictions.names([images[n] for n in order]) == [expected[n] for n in order]


def test_names_of_images_alike_in_other_and_in_one_folder(tmp_path):
    images = [tmp_path / name for name in ("a/x.jpg", "a/x.png", "b/x.jpg")]
    assert predictions.names(images) == ["a/x.jpg", "a/x.png", "b/x"]


def test_names_that_cannot_be_told_apart_are_refused(tmp_path):
    with pytest.raises(
        UserError, match=r"its predictions would be called x\.jpg, as another image's: rename it"
    ):
        predictions.names([tmp_path / name for name in ("x.jpg", "x.png", "x.jpg.jpg")])


def test_the_key_is_written_beside(tmp_path):
    predictions.prepare(tmp_path / "out", CLASSES)
    assert (tmp_path / "out" / "classes.txt").read_text() == "background\ncat\ndog\n"
    with Image.open(tmp_path / "out" / "legend.png") as legend:
        row = np.asarray(legend)[9].tolist()
    assert [row.index(colour) for colour in ([128, 0, 0], [0, 128, 0])] == sorted(
        row.index(colour) for colour in ([128, 0, 0], [0, 128, 0])
    )
    predictions.prepare(tmp_path / "out", CLASSES)  # again, by the same model


def test_nothing_of_the_users_is_overwritten(tmp_path):
    photos = tmp_path / "labels"
    photos.mkdir()
    (photos / "cat.png").touch()
    (tmp_path / "file").touch()

    def refuse(out, image):
        images = [tmp_path / image]
        predictions.refuse(tmp_path / out, [str(photos)], images, predictions.names(images))

    with pytest.raises(UserError, match=r"--out: .*labels is the folder of the images"):
        refuse("labels/../labels", "labels/cat.png")
    with pytest.raises(UserError, match=r"--out: .*cat\.png would be overwritten by a prediction"):
        refuse(".", "labels/cat.png")
    with pytest.raises(UserError, match=r"--out: .*legend\.png would be overwritten"):
        refuse(".", "legend.png")
    with pytest.raises(UserError, match=r"--out: expected a folder, but .*file is a file"):
        refuse("file", "labels/cat.png")
    refuse("out", "labels/cat.png")
    (tmp_path / "classes.txt").write_text("sky\nsea\n")
    with pytest.raises(
        UserError, match=r"--out: .*classes\.txt names other classes than this model has"
    ):
        predictions.prepare(tmp_path, CLASSES)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["classes.txt", "file", "labels"]


def test_what_is_written_of_an_image(tmp_path):
    image = np.full((20, 30, 3), 100, np.uint8)
    predicted = np.zeros((20, 30), np.uint8)
    predicted[5:, 10:] = 2
    soft = np.random.default_rng(0).random((20, 30, 3)).astype(np.float32)
    predictions.write(tmp_path, "a/cat", Segmentation(predicted, soft, image, CLASSES))
    with Image.open(tmp_path / "labels/a/cat.png") as written:
        assert (written.format, written.mode) == ("PNG", "P")
        assert written.getpalette() == palette().ravel().tolist()
        np.testing.assert_array_equal(np.asarray(written), predicted)
    with Image.open(tmp_path / "overlays/a/cat.jpg") as written:
        assert written.format == "JPEG"
        seen = np.asarray(written).astype(int)
    assert np.abs(seen[2, 2] - 100).max() <= 8  # 8: a JPEG
    assert np.abs(seen[15, 20] - [40, 40 + 77, 40]).max() <= 8
    assert seen.shape[0] > 20 + 15  # the legend
    with np.load(tmp_path / "probabilities/a/cat.npz") as written:
        assert written["probabilities"].dtype == np.float16
        np.testing.assert_array_equal(written["probabilities"], soft.astype(np.float16))
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 3
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    predictions.write(tmp_path, "a/cat", Segmentation(predicted, soft, image, CLASSES))
    assert {path: path.read_bytes() for path in before} == before
    predictions.write(tmp_path, "dog", Segmentation(predicted, None, image, CLASSES))
    assert not (tmp_path / "probabilities/dog.npz").exists()


def test_an_overlay_that_no_jpeg_can_hold_is_a_png(tmp_path):
    image = np.zeros((1, 65501, 3), np.uint8)
    found = Segmentation(np.zeros((1, 65501), np.uint8), None, image, CLASSES)
    predictions.write(tmp_path, "long", found)
    with Image.open(tmp_path / "overlays/long.png") as written:
        assert written.width == 65501
    assert not (tmp_path / "overlays/long.jpg").exists()


def test_shares_of_the_classes():
    predicted = np.repeat(np.array([2, 0, 1], np.uint8), [66, 133, 1]).reshape(10, 20)
    assert predictions.shares(predicted, CLASSES) == "background 66 %, dog 33 %, cat <1 %"
    assert predictions.shares(np.full((1, 1), 1, np.uint8), CLASSES) == "cat 100 %"
