"""The page in a real browser, and through Gradio's own client. Needs chromium, and is skipped where there is none."""

import io
import logging
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from browser import PATH, open_browser
from PIL import Image

from flows import web
from tasks import page

CLASSES = ("background", "cat", "dog")
WIDE, PHONE = (1280, 900), (390, 800)
PRESS = """(spot => {
    spot.focus();
    spot.dispatchEvent(new MouseEvent('mousedown', {bubbles: true}));
})(document.querySelector('%s'))"""
OVER = "document.querySelector('.seen .classes')"


class Net:
    """Says cat of the left half of a picture; of the right half background or, the second net, dog."""

    def __init__(self, right):
        self.right, self.spec = right, SimpleNamespace(classes=CLASSES)

    def __call__(self, image):
        found = np.full(image.shape[:2], self.right, np.uint8)
        found[:, : found.shape[1] // 2] = 1
        return SimpleNamespace(labels=found)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The page with two nets: its address, a list of the nets that ran, and itself."""
    root, ran = tmp_path_factory.mktemp("models"), []
    models = {name: root / name for name in ("fcn16s", "fcn8s")}
    for folder in models.values():
        folder.mkdir()
        (folder / "weights.npz").touch()
    nets = {"fcn8s": Net(0), "fcn16s": Net(2)}

    def net(folder, _written):
        ran.append(folder.name)
        return nets[folder.name]

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
        patch.setenv("GRADIO_TEMP_DIR", str(root / "dropped"))
        patch.setattr(page, "_net", net)
        blocks = page.build(models, "fcn8s")
        address = page.serve(blocks, 0, wait=False)
        yield SimpleNamespace(address=address, ran=ran, blocks=blocks)
        blocks.close()


@pytest.fixture
def photo(tmp_path):
    Image.new("RGB", (120, 80), (200, 200, 200)).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.fixture
def browser(tmp_path):
    if PATH is None:
        pytest.skip("there is no chromium")
    with open_browser(tmp_path / "profile") as tab:
        yield tab


def colours(tab):
    """The colours in the middle of the left and of the right half of the picture, as they are on the screen."""
    tab.run("document.querySelector('.seen').scrollIntoView()")
    x, y, width, height = tab.run(
        "(b => [b.x, b.y, b.width, b.height])(document.querySelector('.seen').getBoundingClientRect())"
    )
    screen = Image.open(io.BytesIO(tab.picture())).convert("RGB")
    return [np.array(screen.getpixel((int(x + width * part), int(y + height / 2)))) for part in (0.25, 0.75)]


def drop(tab, site, photo, size=WIDE):
    tab.look(*size)
    tab.call("Page.navigate", url=site.address)
    tab.wait("document.querySelector('input[type=file]') !== null")
    tab.give("input[type=file]", photo)
    tab.wait(f"{OVER}?.complete === true")


def test_drop_a_picture_move_the_slider_choose_another_model(site, browser, photo):
    site.ran.clear()
    drop(browser, site, photo)
    np.testing.assert_allclose(colours(browser), [[157, 80, 80], [200, 200, 200]], atol=3)  # 0.6 of (128, 0, 0) over grey
    assert browser.run("document.querySelector('.legend').innerText.split(/\\s+/).join(' ')") == "background 50.0% cat 50.0%"
    assert site.ran == ["fcn8s"]

    asked = len(browser.requests)
    browser.run("""(() => {
        const slider = document.querySelector('input[type=range]');
        slider.value = 100;
        slider.dispatchEvent(new Event('input', {bubbles: true}));
    })()""")
    browser.wait(f"getComputedStyle({OVER}).opacity === '1'")
    np.testing.assert_allclose(colours(browser), [[128, 0, 0], [200, 200, 200]], atol=3)
    assert browser.requests[asked:] == []  # neither the net nor the server had to do with it
    assert site.ran == ["fcn8s"]

    before = browser.run(f"{OVER}.src")
    browser.run(PRESS % "input[aria-label=Model]")
    browser.wait("document.querySelector('[role=option][aria-label=fcn16s]') !== null")
    browser.run(PRESS % "[role=option][aria-label=fcn16s]")
    browser.wait(f"{OVER} !== null && {OVER}.complete && {OVER}.src !== {before!r}")
    np.testing.assert_allclose(colours(browser), [[128, 0, 0], [0, 128, 0]], atol=3)  # the slider stays where it was
    assert site.ran == ["fcn8s", "fcn16s"]
    assert [entry for entry in browser.logged if entry[0] in ("error", "exception")] == []


def test_the_internet_is_not_asked_for_anything(site, browser, photo):
    drop(browser, site, photo)
    elsewhere = [address for address in browser.requests if not address.startswith((site.address, "data:", "blob:"))]
    assert elsewhere == []
    assert len(browser.requests) > 10


def test_a_file_that_is_no_picture_is_explained(site, browser, tmp_path):
    (tmp_path / "letter.png").write_text("Dear reader")
    browser.look(*WIDE)
    browser.call("Page.navigate", url=site.address)
    browser.wait("document.querySelector('input[type=file]') !== null")
    browser.give("input[type=file]", tmp_path / "letter.png")
    browser.wait("document.querySelector('.wrong') !== null")
    assert "letter.png: expected a picture, but it cannot be read" in browser.run("document.querySelector('.wrong').innerText")


def test_on_a_phone_the_picture_is_whole_and_above_the_legend(site, browser, photo):
    drop(browser, site, photo, PHONE)
    assert browser.run("document.documentElement.scrollWidth") <= PHONE[0]
    places = browser.run("['#file', '.seen', '.legend'].map(s => document.querySelector(s).getBoundingClientRect().top)")
    assert places == sorted(places)


def test_gradios_client_gets_the_same(site, photo):
    from gradio_client import Client, handle_file

    client = Client(site.address, verbose=False)
    seen, key = client.predict(handle_file(photo), "fcn8s", api_name="/segment")
    assert 'class="classes"' in seen
    assert '<i style="background: #800000"></i>cat<span>50.0%</span>' in key
    client.close()


def test_it_listens_on_this_machine_alone(site):
    port = int(site.address.rstrip("/").rsplit(":", 1)[1])
    listening = [c.laddr.ip for c in psutil.Process().net_connections("tcp") if c.status == "LISTEN" and c.laddr.port == port]
    assert listening == ["127.0.0.1"]
    assert site.blocks.share is False
    assert site.blocks.analytics_enabled is False


def test_misuse_is_said(tmp_path, monkeypatch, capsys, caplog):
    caplog.set_level(logging.ERROR)
    monkeypatch.chdir(tmp_path)
    assert web.main(["--model", "fcn9s"]) == 2
    assert "got fcn9s" in capsys.readouterr().err
