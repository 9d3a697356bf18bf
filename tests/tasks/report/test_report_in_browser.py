"""The report in a real browser, clicked through once: what is seen after each step. Skipped where
there is no chromium.
"""

import io
import json
import shutil
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
from accessible import violations
from browser import PATH, open_browser
from PIL import Image
from reported import NASTY, build, strict, table, write_project

from fcn.errors import UserError
from fcn.pixels import labels
from flows import compare
from tasks.report import charts
from tasks.report import page as pages

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


LINKS = "[...document.querySelectorAll('nav [target]')].map(each => each.innerText)"


@pytest.mark.parametrize("both", [False, True])
def test_mlflow_and_prefect_are_linked_while_they_answer(page, tab, both):
    live = page.parents[1] / ".cache/pages.js"
    live.parent.mkdir(exist_ok=True)
    tab.requests.clear()
    with HTTPServer(("127.0.0.1", 0), Alive) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        here = f"http://127.0.0.1:{server.server_port}/"
        prefect = f"{here}runs" if both else "http://127.0.0.1:9/runs"  # where nobody answers
        live.write_text(
            f"window.fcnPages = {{'fcn-sample': '{here}#/experiments/1/runs', "
            f"Prefect: '{prefect}', 'fcn-voc': '{here}'}};"
        )
        tab.call("Page.navigate", url=page.as_uri())
        tab.wait(f"{LINKS}.length > {int(both)}")
        server.shutdown()
        thread.join()
    assert set(tab.run(LINKS)) == {"MLflow", *(["Prefect"] if both else [])}
    # what the page itself has not
    tab.wait("document.querySelector('#times').innerText.includes('evaluate@fcn16s')")
    links = tab.run(
        "Object.fromEntries([...document.querySelectorAll('[data-run=fcn16s] a')]"
        ".map(each => [each.ariaLabel, each.href]))"
    )
    wanted = {
        "MLflow: runs of fcn16s": f"{here}#/experiments/1/runs"
        "?searchFilter=tags.variant%20%3D%20'fcn16s'"
    }
    if both:
        wanted["Prefect: runs of fcn16s"] = f"{prefect}?flow-run-search=fcn16s"
    assert links == wanted
    assert violations(tab) == []
    elsewhere = [
        address
        for address in tab.requests
        if not address.startswith(("file:", "data:", here, prefect))
    ]
    assert elsewhere == []


def test_a_matrix_that_is_a_picture_shows_examples_too(page, tab, monkeypatch):
    monkeypatch.chdir(page.parents[1])
    monkeypatch.setattr(pages, "CELLS", 2)
    monkeypatch.setattr(charts, "svg", lambda *_: "<svg></svg>")
    shutil.copytree("report", "kept")
    build(page.parents[1])
    tab.look(1280, 900)
    tab.call("Page.navigate", url=page.as_uri())
    tab.wait("document.querySelectorAll('#cards li').length === 3")
    tab.run("document.querySelector('.heat[data-model=\"1\"]').scrollIntoView({block: 'center'})")
    box = tab.run(
        "(b => [b.x, b.y, b.width, b.height])"
        "(document.querySelector('.heat[data-model=\"1\"]').getBoundingClientRect())"
    )
    place = {"x": box[0] + box[2] / 6, "y": box[1] + box[3] / 2, "button": "left", "clickCount": 1}
    for kind in ("mouseMoved", "mousePressed", "mouseReleased"):  # second row, first column
        tab.call("Input.dispatchMouseEvent", type=kind, **place)
    tab.wait(f"{COUNT} === {json.dumps(f'1 of 3 images, {NASTY} taken for background by fcn16s.')}")
    assert tab.run("document.querySelector('.heat[data-model=\"1\"]').title").startswith(NASTY)
    tab.run(
        "(form => { form.elements.truth.value = 0; form.elements.prediction.value = 2; "
        "form.requestSubmit(); })(document.querySelector('.pair[data-model=\"0\"]'))"
    )
    tab.wait(f"{COUNT} === '0 of 3 images, background taken for green by fcn32s.'")
    assert violations(tab) == []
    shutil.rmtree("report")
    Path("kept").rename("report")


def test_what_the_net_does_with_an_image(page, tab):
    tab.look(1280, 900)
    tab.call("Page.navigate", url=page.as_uri())
    tab.wait("document.querySelectorAll('#cards li').length === 3")
    click(tab, "a[href='explained-fcn16s.html']")
    tab.wait("document.querySelector('h1')?.innerText === 'w, seen by fcn16s'")
    sections = "[...document.querySelectorAll('h2')].map(each => each.innerText)"
    assert tab.run(sections) == [
        "The classifier as a net", "What each skip adds", "The bilinear kernel",
        "Where the crop takes its window from",
    ]  # fmt: skip
    click(tab, "nav a[href='#skips']")
    assert tab.run("location.hash") == "#skips"
    pictures = "[...document.querySelectorAll('img')]"
    assert tab.run(f"{pictures}.every(each => each.complete && each.naturalWidth && each.alt)")
    parts = "[...document.querySelectorAll('h3')].map(each => each.innerText)"
    assert tab.run(parts) == ["Stride 32", "Stride 16: pool4 is added"]
    # A cell of score_fr for every 32 of 41 rows and 43 columns.
    cells = "document.querySelector('img.cells')"
    assert tab.run(f"[{cells}.naturalWidth, {cells}.naturalHeight]") == [2, 2]
    for dark in (False, True):
        tab.look(390, 800, dark)
        assert tab.run("document.documentElement.scrollWidth") <= 390
        assert violations(tab) == []
    click(tab, "nav a")
    tab.wait("document.querySelectorAll('#cards li').length === 3")
    assert [entry for entry in tab.logged if entry[0] == "exception"] == []


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
    monkeypatch.setattr(compare, "_keep", lambda *_: None)
    compare.compare("fcn32s", "fcn16s", page=tmp_path / "c.html")
    strict(tmp_path / "c.html")
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
    # x: 1 of A; (9 / 14 + 0) / 2 of B.
    gaps = "[...document.querySelectorAll('.gap')].map(each => each.innerText.trim())"
    assert tab.run(gaps) == ["B +0.000", "B +0.000", "B \N{MINUS SIGN}0.679"]
    said = "document.querySelector('#images + p').innerText"
    assert "B is better on 0 images, on 0 of them clearly, by 0.1 or more" in tab.run(said)
    assert "A is better on 1, on 1 clearly; 2 are the same." in tab.run(said)
    for winner, cards in (("-1", ["x"]), ("1", []), ("0", ["v", "w"])):
        choose(tab, "winner", winner)
        assert sorted(tab.run(CARDS)) == cards
    choose(tab, "winner", "")
    choose(tab, "order", "loss 0")
    assert tab.run(CARDS)[0] == "x"
    for dark in (False, True):
        tab.look(390, 800, dark)
        assert tab.run("document.documentElement.scrollWidth") <= 390
        assert violations(tab) == []
    assert [entry for entry in tab.logged if entry[0] == "exception"] == []
    with pytest.raises(UserError, match="--page"):
        compare.compare("fcn32s", "fcn16s", page=tmp_path)  # a folder
    Path("data/records/index.json").unlink()
    compare.compare("fcn32s", "fcn16s", page=tmp_path / "c.html")
    assert ("There are no records in data/records. So no pictures are shown.") in (
        tmp_path / "c.html"
    ).read_text()
