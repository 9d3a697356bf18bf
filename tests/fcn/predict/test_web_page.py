"""The functions behind the page: what is drawn, said and refused. The page itself is tested in
`tests/fcn/cli/test_web.py`.
"""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from fcn.net import surgery
from fcn.net.model import build
from fcn.pixels import labels
from fcn.predict import predictor, web_page

CLASSES = ("background", "<cat>", "dog")
IMAGE = np.full((2, 4, 3), 200, np.uint8)
LABELS = np.array([[0, 0, 1, 1], [0, 0, 2, 1]], np.uint8)


def pictures(html):
    return [
        Image.open(io.BytesIO(base64.b64decode(data)))
        for data in re.findall(r"base64,([A-Za-z0-9+/=]+)", html)
    ]


def test_the_view_is_the_picture_and_over_it_its_classes():
    html = web_page.view(IMAGE, LABELS, CLASSES)
    picture, mask = pictures(html)
    np.testing.assert_allclose(np.asarray(picture), IMAGE, atol=2)  # a JPEG
    assert 'style="--shape: 2.0000"' in html
    seen = np.asarray(mask.convert("RGBA"))
    assert seen[0, 0, 3] == 0  # the background is not painted
    assert seen[1, 2].tolist() == [0, 128, 0, 255]
    np.testing.assert_array_equal(np.asarray(mask), LABELS)


def test_a_class_0_that_is_no_background_is_painted():
    _, mask = pictures(web_page.view(IMAGE, LABELS, ("wall", "cat", "dog")))
    assert np.asarray(mask.convert("RGBA"))[..., 3].min() == 255


def test_a_large_picture_is_shown_smaller_and_its_class_map_kept():
    found = np.zeros((20, 3200), np.uint8)
    found[:, 1600:] = 1
    picture, mask = pictures(web_page.view(np.zeros((20, 3200, 3), np.uint8), found, CLASSES))
    assert picture.size == mask.size == (1600, 10)
    np.testing.assert_array_equal(np.unique(mask), [0, 1])  # labels are never mixed
    (full,) = pictures(web_page.legend(found, CLASSES, "a.png"))
    np.testing.assert_array_equal(full, found)


def test_the_legend():
    html = web_page.legend(LABELS, CLASSES, 'a"b.png')
    assert re.findall(r"<li.*?</li>", html) == [
        '<li data-rgb=""><i style="background: '
        'transparent"></i><b>background</b><span>50.0%</span></li>',
        '<li data-rgb="128 0 0"><i style="background: '
        '#800000"></i><b>&lt;cat&gt;</b><span>37.5%</span></li>',
        '<li data-rgb="0 128 0"><i style="background: '
        '#008000"></i><b>dog</b><span>12.5%</span></li>',
    ]
    assert 'download="a&quot;b.png"' in html


@pytest.fixture
def models(tmp_path, small):
    spec = small("fcn32s", padding="same", knows="Only <b>digits</b>.")
    folder = tmp_path / "models" / "fcn32s"
    folder.mkdir(parents=True)
    model, draw = build(spec), np.random.default_rng(3)
    for weight in model.weights:
        if weight.path.endswith("kernel"):
            weight.assign(draw.normal(0, 1.4 / np.sqrt(np.prod(weight.shape[:-1])), weight.shape))
    surgery.save(model, spec, folder)
    return {"fcn32s": folder}


def test_a_picture_through_a_real_net(models, tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (64, 80, 3), np.uint8)
    Image.fromarray(image).save(tmp_path / "noise.png")
    [(seen, key)] = web_page.segment(str(tmp_path / "noise.png"), "fcn32s", models)
    found = predictor.load(models["fcn32s"]).predict(image).labels
    assert len(np.unique(found)) > 1
    np.testing.assert_array_equal(pictures(seen)[1], found)
    np.testing.assert_array_equal(pictures(key)[0].convert("RGB"), labels.palette()[found])
    assert 'download="noise-fcn32s.png"' in key
    assert key.startswith('<p class="knows">Only &lt;b&gt;digits&lt;/b&gt;.</p><ul class="legend">')


def test_what_is_wrong_is_said(models, tmp_path):
    assert list(web_page.segment(None, "fcn32s", models)) == [(web_page.EMPTY, "")]
    (tmp_path / "<b>.png").write_text("a text")
    for path, model, words in (
        ("<b>.png", "fcn32s", "&lt;b&gt;.png: expected a picture"),
        ("<b>.png", "fcn7s", "model: expected one of fcn32s; got fcn7s"),
        ("gone.png", "fcn32s", "gone.png"),
    ):
        [(seen, key)] = web_page.segment(str(tmp_path / path), model, models)
        assert seen.startswith('<p class="wrong" role="alert">')
        assert words in seen
        assert key == ""


def test_a_picture_of_which_too_much_would_be_computed_is_refused_before_it_is_decoded(
    models, tmp_path, monkeypatch
):
    Image.new("1", (1, 20_000)).save(tmp_path / "thin.png")
    monkeypatch.setattr(web_page.serving.images, "_rgb", lambda *_: pytest.fail("it was decoded"))
    [(seen, _)] = web_page.segment(str(tmp_path / "thin.png"), "fcn32s", models)
    assert "thin.png: 1x20000 pixels; sides of at most 16,384 are allowed" in seen
    Image.new("1", (6000, 4000)).save(tmp_path / "large.png")
    monkeypatch.setattr(web_page.serving, "MAX_COMPUTED", 50_000_000)
    [(seen, _)] = web_page.segment(str(tmp_path / "large.png"), "fcn32s", models)
    assert (
        "large.png: for 6000x4000 pixels the net computes 78,753,792; 50,000,000 are allowed"
    ) in seen
