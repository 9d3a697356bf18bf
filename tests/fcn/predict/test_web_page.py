"""What the page's server says and refuses. The page itself: `tests/fcn/cli/test_web.py`."""

import base64
import io
import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from fcn.net import surgery
from fcn.net.model import build
from fcn.pixels import images
from fcn.predict import predictor, serving, web_page
from fcn.predict.scaled import Segmented
from fcn.spec.colours import palette

CLASSES = ("background", "<cat>", "dog")
IMAGE = np.full((2, 4, 3), 200, np.uint8)
LABELS = np.array([[0, 0, 1, 1], [0, 0, 2, 1]], np.uint8)
SURE = np.array([[90, 80, 40, 50], [100, 90, 99, 60]], np.uint8)


def picture(text):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))


def png(image):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def test_an_answer_by_hand():
    found = web_page.answer(IMAGE, Segmented(LABELS, SURE, (4, 2)), CLASSES)
    assert (found["width"], found["height"], found["computed"]) == (4, 2, (4, 2))
    np.testing.assert_array_equal(picture(found["labels"]), LABELS)
    np.testing.assert_allclose(picture(found["picture"]), IMAGE, atol=2)  # a JPEG
    np.testing.assert_array_equal(
        picture(found["map"]), np.dstack([LABELS, SURE, np.zeros_like(SURE)])
    )
    assert [(each["name"], each["share"], each["sure"]) for each in found["classes"]] == [
        ("background", 0.5, 90), ("<cat>", 0.375, 50), ("dog", 0.125, 99),
    ]  # fmt: skip


def test_a_large_picture_is_shown_smaller_and_its_class_map_kept():
    wide = np.zeros((20, 3200), np.uint8)
    wide[:, 1600:] = 1
    image = np.zeros((20, 3200, 3), np.uint8)
    found = web_page.answer(image, Segmented(wide, wide, (500, 3)), CLASSES)
    assert picture(found["picture"]).shape == picture(found["map"]).shape == (10, 1600, 3)
    np.testing.assert_array_equal(np.unique(picture(found["map"])[..., 0]), [0, 1])  # never mixed
    np.testing.assert_array_equal(picture(found["labels"]), wide)


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
    return {"fcn32s": folder, "none": tmp_path / "none"}


@pytest.fixture
def nets(models):
    return web_page.Nets(models, "fcn32s")


@pytest.fixture
def client(nets):
    return TestClient(web_page.application(nets), "http://127.0.0.1:7860")


def told(client, data, **query):
    answer = client.post("/segment", content=data, params=query)
    assert answer.headers["content-type"].partition(";")[0] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


def test_a_picture_through_a_real_net(client, models):
    image = np.random.default_rng(0).integers(0, 256, (64, 80, 3), np.uint8)
    *before, last = told(client, png(image))
    assert [each["part"] for each in before] == [0, 0, 0, 1]
    real = predictor.load(models["fcn32s"]).predict(image, probabilities=True)
    assert real.probabilities is not None
    assert len(np.unique(real.labels)) > 1
    np.testing.assert_array_equal(picture(last["found"]["labels"]), real.labels)
    np.testing.assert_array_equal(
        picture(last["found"]["map"])[..., 1], np.rint(100 * real.probabilities.max(-1))
    )
    answer = client.post("/probabilities", content=png(image), params={"net": "fcn32s"})
    found = np.load(io.BytesIO(answer.content))
    np.testing.assert_array_equal(found["probabilities"], real.probabilities.astype(np.float16))
    assert found["classes"].tolist() == json.loads(
        (models["fcn32s"] / "model.json").read_text()
    )["classes"]  # fmt: skip


def test_a_large_picture_is_computed_at_the_size_that_is_asked_for(client):
    image = np.zeros((300, 600, 3), np.uint8)
    assert told(client, png(image))[-1]["found"]["computed"] == [500, 250]
    assert told(client, png(image), size="full")[-1]["found"]["computed"] == [600, 300]
    for size, shape in (("reduced", (250, 500)), ("full", (300, 600))):
        answer = client.post("/probabilities", content=png(image), params={"size": size})
        assert np.load(io.BytesIO(answer.content))["probabilities"].shape[:2] == shape


def test_what_the_nets_are(client, models):
    found = client.get("/nets").json()
    assert (found["first"], found["side"]) == ("fcn32s", 500)
    good, bad = found["nets"]
    assert (good["variant"], good["knows"], good["card"]) == (
        "fcn32s", "Only <b>digits</b>.", "",
    )  # fmt: skip
    assert good["classes"][1]["colour"] == palette()[1].tolist()
    assert good["clear"]  # the background is not painted
    assert bad["name"] == "none"
    assert "no such file; it describes no model" in bad["wrong"]
    (models["fcn32s"] / "README.md").write_text("# *A* <i>net</i>\n[x](javascript:alert(1))")
    card = client.get("/nets").json()["nets"][0]["card"]
    assert card.startswith("<h1><em>A</em> &lt;i&gt;net&lt;/i&gt;</h1>")
    assert "href" not in card


def test_the_nets_are_named_before_keras_is_there():
    code = (
        "import sys\nfrom fcn import pretrained\nfrom fcn.predict import web_page\n"
        "nets = web_page.Nets(pretrained.folders(), pretrained.DEFAULT).described()\n"
        "print(nets[0]['name'], {'keras', 'tensorflow'} & set(sys.modules))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "voc20 set()\n"


def test_what_is_wrong_is_said(client, tmp_path):
    for data, query, words in (
        (b"a text", {"file": "<b>.png"}, "<b>.png: expected a picture"),
        (png(IMAGE), {"net": "fcn7s"}, "net: expected one of fcn32s, none; got fcn7s"),
        (png(IMAGE), {"net": "none"}, "found no"),
        (b"", {}, "the picture: expected a picture"),
        (b"GIF89a", {"file": "a\n.gif"}, "a\\x0a.gif: expected a picture"),
    ):
        assert words in told(client, data, **query)[-1]["wrong"]
        answer = client.post("/probabilities", content=data, params=query)
        assert answer.status_code == 400
        assert words in answer.json()["wrong"]


def test_a_file_of_too_many_bytes_is_not_read_to_its_end(client, monkeypatch):
    monkeypatch.setattr(serving, "MAX_BYTES", 1000)
    answer = client.post("/segment", content=bytes(2000), params={"file": "a.png"})
    assert (answer.status_code, answer.json()["wrong"]) == (
        413, "a.png: more than 0 MB: make it smaller",
    )  # fmt: skip


def test_too_many_probabilities_are_refused_before_the_net_runs(client, nets, monkeypatch):
    monkeypatch.setattr(web_page, "MAX_PROBABILITIES", 500_000)
    net = nets.get("fcn32s")
    monkeypatch.setattr(type(net), "_net", lambda *_: pytest.fail("it ran"))
    answer = client.post(
        "/probabilities", content=png(np.zeros((300, 600, 3), np.uint8)), params={"size": "full"}
    )
    assert answer.status_code == 400
    assert "the probabilities of 600 x 300 pixels have 1 MB; 0 MB are allowed" in answer.text


def test_a_picture_of_which_too_much_would_be_computed_is_refused_before_it_is_decoded(
    client, monkeypatch
):
    def sized(width, height):
        buffer = io.BytesIO()
        Image.new("1", (width, height)).save(buffer, "PNG")
        return buffer.getvalue()

    monkeypatch.setattr(images, "_rgb", lambda *_: pytest.fail("it was decoded"))
    for size, query, words in (
        ((1, 20_000), {}, "thin.png: 1x20000 pixels; sides of at most 16,384 are allowed"),
        ((8000, 7000), {}, "8000x7000 are 56,000,000 pixels; 50,000,000 are allowed"),
        (
            (6000, 4000), {"size": "full"},
            "for 6000x4000 pixels the net computes 78,753,792; 50,000,000 are allowed",
        ),
    ):  # fmt: skip
        monkeypatch.setattr(serving, "MAX_COMPUTED", 50_000_000)
        assert words in told(client, sized(*size), file="thin.png", **query)[-1]["wrong"]


def test_a_browser_asks_each_time_whether_the_page_has_changed(client):
    for path in ("/", "/page.js", "/page.css", "/examples/cat.jpg"):
        assert client.get(path).headers["cache-control"] == "no-cache"
