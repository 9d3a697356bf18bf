"""What an evaluation says when it is read back, by hand."""

import pytest

from fcn.evaluate import Evaluation

IMAGES = """image,class,both,truth,prediction
b,sky,30,40,50
b,cat,0,0,7
a,sky,9,9,9
"""
CONFUSION = """truth,prediction,pixels,share
sky,sky,39,0.795918
sky,cat,7,0.142857
sky,dog,3,0.061224
cat,sky,0,0.0
cat,cat,0,0.0
cat,dog,0,0.0
dog,sky,0,0.0
dog,cat,0,0.0
dog,dog,1,1.0
"""


@pytest.fixture
def found(tmp_path):
    (tmp_path / "images.csv").write_text(IMAGES)
    (tmp_path / "confusion.csv").write_text(CONFUSION)
    return Evaluation(None, tmp_path)


def test_the_iu_of_an_image_is_the_mean_over_the_classes_in_it(found):
    assert found.image_ius == {"b": {"sky": 0.5, "cat": 0.0}, "a": {"sky": 1.0}}
    assert found.mean_ius == {"b": 0.25, "a": 1.0}


def test_scores_by_class_follow_from_the_pixels(found):
    assert found.class_iu == {"sky": 0.795918, "cat": 0.0, "dog": 0.25}
    assert found.class_accuracy == {"sky": 0.795918, "dog": 1.0}, "the truth has no cat"
    assert found.shares[1].tolist() == [0, 0, 0]


def test_without_a_metrics_file_there_are_no_scores(found):
    assert (found.content, found.scores, found.provenance) == ({}, {}, {})
