"""The report in a real browser, clicked through once: what is seen after each step. Skipped where
there is no chromium.
"""

import io
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
from accessible import violations
from browser import PATH, open_browser
from PIL import Image
from reported import NASTY, build, table, write_project

from fcn.errors import UserError
from fcn.pixels import labels
from flows import compare

pytestmark = pytest.mark.skipif(PATH is None, reason="there is no chromium")
CARDS = "[...document.querySelectorAll('#cards b')].map(each => each.textContent)"
COUNT = "document.querySelector('#count').innerText"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A page where 16s takes all of x for background."""
    folder = write_project(tmp_path_factory.mktemp("project"))
    with Image.open(folder / "plots/fcn16s/predictions/x.png") as image:
        nothing = np.zeros(image.size[::-1], np.uint8)
    labels.to_image(nothing).save(folder / "plots/fcn16s/predictions/x.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        build(folder)
    return folder / "report/index.html"


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    with open_browser(tmp_path_factory.mktemp("browser")) as tab:
        yield tab


class Alive(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


def choose(tab, name, value):
    tab.run(f"""(() => {{ const field = document.querySelector('[name={name}]');
        field.value = {value!r};
        field.dispatchEvent(new Event('input', {{bubbles: true}})); }})()""")


def press(tab, key):
    tab.run(
        f"document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {{key: {key!r}, "
        f"bubbles: true}}))"
    )


def click(tab, selector):
    tab.run(f"document.querySelector({selector!r}).click()")


def seen(tab, selector):
    """What is on the screen in the first such element."""
    tab.run(f"document.querySelector({selector!r}).scrollIntoView({{block: 'center'}})")
    tab.wait(f"document.querySelector({selector!r}).querySelector('img').complete")
    tab.run(
        "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))"
    )
    box = tab.run(
        "(b => [b.x, b.y, b.width, "
        f"b.height])(document.querySelector({selector!r}).getBoundingClientRect())"
    )
    screen = np.asarray(Image.open(io.BytesIO(tab.picture())).convert("RGB"))
    return screen[int(box[1]) : int(box[1] + box[3]), int(box[0]) : int(box[0] + box[2])].astype(
        int
    )


def test_everything_on_the_page_does_what_it_says(page, tab):
    tab.look(1280, 900)
    tab.call("Page.navigate", url=page.as_uri())
    tab.wait("document.querySelectorAll('#cards li').length === 3")
    # Order, filters, and what was counted.
    assert tab.run(COUNT) == "3 of 3 images."
    first = tab.run(
        "JSON.parse(document.querySelector('#looked').textContent).images.map(each => each.id)"
    )
    assert tab.run(CARDS) == [*sorted("vw", key=first.index), "x"]  # both 0.5, then 0.525
    choose(tab, "order", "best")
    assert tab.run(CARDS)[0] == "x"
    choose(tab, "order", "gain 0")
    assert tab.run(CARDS)[-1] == "x"  # 0.525 - 0.25; the others' 0.5 over nothing
    choose(tab, "low", "0.51")
    assert tab.run(CARDS) == ["x"]
    choose(tab, "class", "2")
    assert (tab.run(CARDS), tab.run(COUNT)) == ([], "0 of 3 images.")  # green: 0.25
    click(tab, "#filters [type=reset]")
    tab.wait("document.querySelectorAll('#cards li').length === 3")
    # What is painted: the truth has colours where the prediction of x has none.
    choose(tab, "order", "best")
    choose(tab, "opacity", "1")
    prediction = seen(tab, "#cards .picture")
    choose(tab, "layer", "truth")
    truth = seen(tab, "#cards .picture")
    assert np.abs(truth - prediction).max() > 60
    choose(tab, "layer", "wrong")
    wrong = seen(tab, "#cards .picture")
    assert (np.abs(wrong - [255, 0, 200]).max(-1) < 12).any()
    assert not (np.abs(prediction - [255, 0, 200]).max(-1) < 12).any()
    assert f"{NASTY} taken for background" in tab.run("document.querySelector('#cards img').alt")


def test_a_picture_on_its_own_by_keyboard(page, tab):
    click(tab, "#filters [type=reset]")
    choose(tab, "order", "best")
    click(tab, "#cards button")
    assert tab.run("document.querySelector('#viewed').innerText") == "x: fcn16s"
    assert f"{NASTY} taken for background" in tab.run(
        "document.querySelector('.facts ul').innerText"
    )
    press(tab, "t")
    assert tab.run("document.querySelector('#viewed').innerText") == "x: truth, fcn16s"
    press(tab, "e")
    assert tab.run("document.querySelector('#viewed').innerText") == "x: errors of fcn16s"
    press(tab, "m")
    assert tab.run("document.querySelector('#viewed').innerText") == "x: errors of fcn32s"
    press(tab, "e")
    width = tab.run("document.querySelector('.stage .picture').clientWidth")
    press(tab, "+")
    assert tab.run("document.querySelector('.stage .picture').clientWidth") == pytest.approx(
        1.5 * width, abs=2
    )
    press(tab, "-")
    press(tab, "f")
    assert tab.run("document.querySelector('[data-do=flicker]').ariaPressed") == "true"
    tab.wait("document.querySelector('#viewed').innerText === 'x: truth, fcn32s'", 5)
    tab.wait("document.querySelector('#viewed').innerText === 'x: fcn32s'", 5)
    press(tab, "f")
    press(tab, "ArrowRight")
    assert tab.run("document.querySelector('#viewed').innerText").startswith(("v", "w"))
    assert violations(tab) == []
    click(tab, "[data-do=close]")
    assert tab.run("document.querySelector('#viewer').open") is False


def test_a_cell_of_the_confusion_shows_its_images(page, tab):
    # a viewer that was closed gives its focus back
    tab.run("new Promise(done => setTimeout(done, 500))")
    tab.run("document.querySelector('[data-model=\"1\"] td button').focus()")
    for key in ("ArrowDown", "ArrowLeft"):  # the second does not lead out of the matrix
        press(tab, key)
    assert tab.run("document.activeElement.getAttribute('aria-label')") == (
        f"{NASTY} as background: 30 percent, show examples"
    )
    tab.run("document.activeElement.click()")
    tab.wait("document.activeElement.dataset.image === '0'")
    assert tab.run(COUNT) == f"1 of 3 images, {NASTY} taken for background by fcn16s."
    assert tab.run(CARDS) == ["x"]
    tab.run("document.querySelector('[data-confused]').click()")
    tab.wait(f"{COUNT}.endsWith('by fcn32s.')")
    rows = "[...document.querySelectorAll('.bars th')].map(each => each.innerText)"
    assert tab.run(rows) == ["background", NASTY, "green"]  # by IU
    tab.run(
        "(s => { s.value = 'name'; s.dispatchEvent(new Event('input', {bubbles: true})); "
        "})(document.querySelector('#sorting'))"
    )
    assert tab.run(rows) == [NASTY, "background", "green"]


def test_mlflow_and_prefect_are_linked_while_they_answer(page, tab):
    live = page.parents[1] / ".cache/pages.js"
    live.parent.mkdir(exist_ok=True)
    with HTTPServer(("127.0.0.1", 0), Alive) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        here, gone = f"http://127.0.0.1:{server.server_port}/", "http://127.0.0.1:9/runs"
        live.write_text(
            f"window.fcnPages = {{'fcn-sample': '{here}#/experiments/1/runs', Prefect: '{gone}', "
            f"'fcn-voc': '{here}'}};"
        )
        tab.call("Page.navigate", url=page.as_uri())
        tab.wait("document.querySelectorAll('nav [target]').length > 0")
        server.shutdown()
        thread.join()
    assert tab.run(
        "[...document.querySelectorAll('nav [target]')].map(each => each.innerText)"
    ) == ["MLflow"]
    # what the page itself has not
    tab.wait("document.querySelector('#times').innerText.includes('evaluate@fcn16s')")
    assert tab.run("document.querySelector('[data-run=fcn16s] a').href").endswith(
        "?searchFilter=tags.variant%20%3D%20'fcn16s'"
    )
    elsewhere = [
        address
        for address in tab.requests
        if not address.startswith(("file:", "data:", here, gone))
    ]
    assert elsewhere == []


def test_axe_finds_what_is_wrong(page, tab):
    """Else that it finds nothing would say nothing."""
    tab.call("Page.navigate", url=page.as_uri())
    tab.wait("document.querySelectorAll('#cards li').length === 3")
    tab.run("document.body.append(document.createElement('img'))")
    assert [rule for rule, *_ in violations(tab)] == ["image-alt"]
    tab.run("document.body.lastChild.remove()")
    assert violations(tab) == []


def test_it_is_whole_on_a_phone_in_the_dark_and_on_paper(page, tab):
    for dark in (False, True):
        tab.look(390, 800, dark)
        assert tab.run("document.documentElement.scrollWidth") <= 390
        assert violations(tab) == []
    before = tab.run("getComputedStyle(document.body).backgroundColor")
    click(tab, "#scheme")
    assert tab.run("getComputedStyle(document.body).backgroundColor") != before
    tab.call("Emulation.setEmulatedMedia", media="print")
    assert tab.run("document.querySelector('#filters').offsetParent") is None
    assert [entry for entry in tab.logged if entry[0] in ("exception", "warning")] == []


def test_the_page_of_a_comparison(page, tab, tmp_path, monkeypatch):
    """A finds x, B does not; both find the others."""
    monkeypatch.chdir(page.parents[1])
    header = ("image", "class", "both", "truth", "prediction")
    rows = [(image, name, 20, 20, 20) for image in "vw" for name in ("background", "green")]
    table(
        Path("plots/fcn32s/images.csv"),
        header,
        [*rows, ("x", "background", 9, 9, 9), ("x", NASTY, 5, 5, 5)],
    )
    table(
        Path("plots/fcn16s/images.csv"),
        header,
        [*rows, ("x", "background", 9, 9, 14), ("x", NASTY, 0, 5, 0)],
    )
    for path in Path("metrics").iterdir():  # of other numbers
        path.rename(tmp_path / path.name)
    compare.compare("fcn32s", "fcn16s", page=tmp_path / "c.html")
    tab.look(1280, 900)
    tab.call("Page.navigate", url=(tmp_path / "c.html").as_uri())
    tab.wait("document.querySelectorAll('#cards li').length === 3")
    cells = (
        "[...document.querySelectorAll('.differences tr')].map(row => [...row.cells].map(cell "
        "=> cell.innerText))"
    )
    found = {name: rest for name, *rest in tab.run(cells)[1:]}
    assert list(found) == ["mean IU", "pixel accuracy", "green", "background", NASTY]
    assert found[NASTY] == ["1", "1.0000", "0.0000", "-1.0000", "-1.0000 to -1.0000", "", "A"]
    assert found["green"] == ["2", "1.0000", "1.0000", "+0.0000", "+0.0000 to +0.0000", "", ""]
    assert tab.run(CARDS)[-1] == "x"
    choose(tab, "order", "loss 0")
    assert tab.run(CARDS)[0] == "x"
    assert violations(tab) == []
    assert [entry for entry in tab.logged if entry[0] == "exception"] == []
    with pytest.raises(UserError, match="--page"):
        compare.compare("fcn32s", "fcn16s", page=tmp_path)  # a folder
    Path("data/records/index.json").unlink()
    compare.compare("fcn32s", "fcn16s", page=tmp_path / "c.html")
    assert ("There are no records in data/records. So no pictures are shown.") in (
        tmp_path / "c.html"
    ).read_text()
