"""The page in a real browser, and what its server says to others. The browser's tests need
chromium, and are skipped where there is none.
"""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import tarfile
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import html5lib
import httpx
import numpy as np
import psutil
import pytest
from accessible import violations
from browser import PATH, open_browser
from PIL import Image

from fcn.cli.app import main
from fcn.predict import web_page

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "fcn" / "predict" / "page"
WIDE, PHONE = (1280, 1000), (390, 800)
CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The page with two nets: its address, the file that says which nets ran, and its process.

    Proxies that are not there stand in its environment.
    """
    root = tmp_path_factory.mktemp("site")
    nowhere = "http://127.0.0.1:9"
    settings = {"PYTHONPATH": str(ROOT), "HTTP_PROXY": nowhere, "http_proxy": nowhere}
    command = [sys.executable, Path(__file__).with_name("page_server.py"), root]
    with open(root / "errors", "w") as errors:
        process = subprocess.Popen(
            command, env=os.environ | settings, stdout=subprocess.PIPE, stderr=errors, text=True
        )
    assert process.stdout
    try:
        line = process.stdout.readline()
        assert line, (root / "errors").read_text()
        address = line.split()[4]
        yield SimpleNamespace(address=address, ran=root / "ran", process=process)
    finally:
        process.kill()
        process.wait(20)
        process.stdout.close()


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    if PATH is None:
        pytest.skip("there is no chromium")
    folder = tmp_path_factory.mktemp("browser")
    with open_browser(folder / "profile", *CAMERA) as tab:
        tab.downloads = folder / "downloads"
        tab.downloads.mkdir()
        tab.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tab.downloads))
        yield tab


@pytest.fixture
def tab(chromium, site):
    """The page, just opened."""
    chromium.requests.clear()
    chromium.logged.clear()
    chromium.look(*WIDE)
    chromium.call("Page.navigate", url=site.address)
    chromium.wait("document.querySelectorAll('#nets input').length === 3")
    yield chromium
    assert [each for each in chromium.logged if each[0] in ("error", "exception")] == []


@pytest.fixture
def photo(tmp_path):
    Image.new("RGB", (120, 80), (200, 200, 200)).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def give(tab, *files):
    """Puts files into the page's input, and waits until each is answered."""
    before = tab.run("document.querySelectorAll('#gallery .done, #gallery .failed').length")
    tab.give("#files", *files)
    answered(tab, before + len(files))


def answered(tab, count):
    done = "#gallery .done, #gallery .failed"
    tab.wait(f"document.querySelectorAll('{done}').length === {count}")


def seen(tab, *settings):
    """Waits until a map of width, height, net and class alone is on the screen."""
    wanted = ",".join(map(str, settings))
    tab.wait(f"document.querySelector('#seen').dataset.drawn === {wanted!r}")


def text(tab, selector):
    return tab.run(f"document.querySelector({selector!r}).innerText.trim()")


def click(tab, selector):
    tab.run(f"document.querySelector({selector!r}).click()")


def place(tab, selector):
    """x, y, width, height of an element, once it is on the screen."""
    tab.run(f"document.querySelector({selector!r}).scrollIntoView({{block: 'center'}})")
    box = f"document.querySelector({selector!r}).getBoundingClientRect()"
    return tab.run(f"(box => [box.x, box.y, box.width, box.height])({box})")


def colours(tab):
    """Those in the middle of the picture's left half and of its right half on the screen."""
    x, y, width, height = place(tab, "#seen")
    tab.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    screen = np.asarray(Image.open(io.BytesIO(tab.picture())).convert("RGB")).astype(int)
    return [screen[int(y + height / 2), int(x + width * part)].tolist() for part in (0.25, 0.75)]


def move(tab, part):
    """The pointer, over the picture."""
    x, y, width, height = place(tab, "#seen")
    at = {"x": x + part * width, "y": y + height / 2}
    tab.call("Input.dispatchMouseEvent", type="mouseMoved", **at)
    return text(tab, "#under")


def press(tab, key, **options):
    code = {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "Tab": 9, " ": 32}[key]
    options |= {"key": key, "windowsVirtualKeyCode": code}
    tab.call("Input.dispatchKeyEvent", type="keyDown", text=" " if key == " " else "", **options)
    tab.call("Input.dispatchKeyEvent", type="keyUp", **options)


def taken(tab, kind, name):
    """The bytes of a file that a button makes."""
    target = tab.downloads / name
    target.unlink(missing_ok=True)
    click(tab, f"[data-make={kind}]")
    end = time.monotonic() + 30
    while not target.exists():
        assert time.monotonic() < end, text(tab, "#wrong")
        time.sleep(0.05)
    return target.read_bytes()


def legend(tab):
    rows = "[...document.querySelectorAll('#legend tbody tr')]"
    return tab.run(f"{rows}.map(row => [...row.cells].map(cell => cell.innerText.trim()))")


def test_a_picture_its_opacity_and_another_net(tab, site, photo):
    site.ran.write_text("")
    give(tab, photo)
    seen(tab, 120, 80, "fcn8s", "")
    np.testing.assert_allclose(colours(tab), [[157, 80, 80], [200, 200, 200]], atol=3)
    assert legend(tab) == [["background", "50.0 %", "90 %"], ["cat", "50.0 %", "90 %"]]
    assert text(tab, "#told").startswith("photo.png: 120 x 80 pixels, by fcn8s in ")
    assert site.ran.read_text().split() == ["fcn8s"]

    asked = len(tab.requests)
    tab.run("document.querySelector('#opacity').focus()")
    for _ in range(8):
        press(tab, "ArrowRight")  # by 5 % each
    np.testing.assert_allclose(colours(tab), [[128, 0, 0], [200, 200, 200]], atol=3)
    assert tab.requests[asked:] == []  # neither the net nor the server had to do with it

    click(tab, "#nets [value=fcn16s]")
    seen(tab, 120, 80, "fcn16s", "")
    np.testing.assert_allclose(colours(tab), [[128, 0, 0], [0, 128, 0]], atol=3)  # as opaque
    assert site.ran.read_text().split() == ["fcn8s", "fcn16s"]


def test_the_class_under_the_pointer_and_by_keyboard_and_one_class_alone(tab, photo):
    give(tab, photo)
    seen(tab, 120, 80, "fcn8s", "")
    assert text(tab, "#under") == "Point at the picture, or touch it."
    assert move(tab, 0.25) == "cat, 90 %"
    assert move(tab, 0.75) == "background, 90 %"
    assert tab.run("document.querySelector('#cross').hidden")

    tab.run("document.querySelector('#seen').focus()")
    for _ in range(4):
        press(tab, "ArrowLeft", modifiers=8)  # shift: a tenth of the picture
    assert text(tab, "#under") == "cat, 90 %"
    assert not tab.run("document.querySelector('#cross').hidden")
    for _ in range(5):
        press(tab, "ArrowRight", modifiers=8)
    assert text(tab, "#under") == "background, 90 %"

    tab.run("document.querySelector('#legend [data-value=\"0\"]').focus()")
    press(tab, " ")
    seen(tab, 120, 80, "fcn8s", 0)
    white = [0.6 * 255 + 0.4 * 200] * 3  # where the background is
    np.testing.assert_allclose(colours(tab), [[200, 200, 200], white], atol=3)
    assert text(tab, "#legend [aria-pressed=true]") == "background"
    press(tab, " ")
    seen(tab, 120, 80, "fcn8s", "")


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_pictures_are_dropped_and_pasted(tab, way):
    tab.run(f"""(async () => {{
        const canvas = document.createElement('canvas');
        [canvas.width, canvas.height] = [60, 30];
        const blob = await new Promise(done => canvas.toBlob(done, 'image/png'));
        const transfer = new DataTransfer();
        for (const name of ['one.png', 'two.png']) transfer.items.add(new File([blob], name));
        const over = {{dataTransfer: transfer, bubbles: true}};
        const events = {{
            drop: new DragEvent('drop', {{...over, cancelable: true}}),
            paste: new ClipboardEvent('paste', {{clipboardData: transfer, bubbles: true}}),
        }};
        if ('{way}' === 'drop') document.body.dispatchEvent(new DragEvent('dragenter', over));
        window.told = document.querySelector('#drop').hidden;
        document.body.dispatchEvent(events.{way});
    }})()""")
    answered(tab, 2)
    assert tab.run("window.told") is (way == "paste")
    assert tab.run("document.querySelector('#drop').hidden")
    assert text(tab, "#told").startswith("one.png: 60 x 30 pixels")


def test_examples_and_the_camera(tab):
    buttons = "[...document.querySelectorAll('#examples button')]"
    for name, size in (("cat.jpg", "451 x 300"), ("astronaut.jpg", "512 x 512")):
        tab.run(f"{buttons}.find(each => each.dataset.file === '{name}').click()")
        tab.wait(f"document.querySelector('#told').innerText.startsWith('{name}: {size} pixels')")
    click(tab, "#camera")
    tab.wait("document.querySelector('#taking').open && document.querySelector('video').videoWidth")
    assert violations(tab) == []
    click(tab, "#take")
    tab.wait("document.querySelector('#told').innerText.startsWith('camera-')")
    assert not tab.run("document.querySelector('#taking').open")
    answered(tab, 3)


def test_the_examples_are_those_that_they_say_they_are():
    shown = {each.get("data-file") for each in document().iter("button")} - {None}
    assert {path.name for path in (PAGE / "examples").glob("*.jpg")} == shown
    assert sum(path.stat().st_size for path in PAGE.rglob("*")) < 200_000
    chelsea = ROOT / "docs" / "images" / "chelsea.jpg"
    assert (PAGE / "examples" / "cat.jpg").read_bytes() == chelsea.read_bytes()
    with tarfile.open(ROOT / "sample" / "world.tar.gz") as world:
        member = world.extractfile("VOCdevkit/World/JPEGImages/val_0001.jpg")
        assert member
        drawn = member.read()
    assert (PAGE / "examples" / "shapes.jpg").read_bytes() == drawn


def test_labels_overlay_and_probabilities_to_take_along(tab, photo):
    give(tab, photo)
    seen(tab, 120, 80, "fcn8s", "")
    labels = Image.open(io.BytesIO(taken(tab, "labels", "photo-labels.png")))
    assert labels.mode == "P"
    wanted = np.zeros((80, 120))
    wanted[:, :60] = 1
    np.testing.assert_array_equal(labels, wanted)
    colours = labels.getpalette()
    assert colours
    assert colours[3:6] == [128, 0, 0]
    overlay = Image.open(io.BytesIO(taken(tab, "overlay", "photo-overlay.png"))).convert("RGB")
    np.testing.assert_allclose(
        np.asarray(overlay)[40, [30, 90]].astype(int), [[157, 80, 80], [200] * 3], atol=3
    )
    found = np.load(io.BytesIO(taken(tab, "probabilities", "photo-probabilities.npz")))
    assert found["classes"].tolist() == ["background", "cat", "dog"]
    assert found["probabilities"].dtype == np.float16
    np.testing.assert_allclose(found["probabilities"][0, 0], [0.05, 0.9, 0.05], atol=1e-3)
    assert found["probabilities"].shape == (80, 120, 3)
    assert not tab.run("document.querySelector('[data-make=all]').offsetParent")  # it is one


def test_several_pictures_one_of_them_none_and_all_of_them_as_a_zip(tab, tmp_path):
    Image.new("RGB", (120, 80)).save(tmp_path / "same.png")
    Image.new("RGB", (20, 10), "white").save(tmp_path / "same.jpg")
    Image.new("RGB", (600, 300)).save(tmp_path / "wide.webp")
    (tmp_path / "letter.png").write_text("Dear reader")
    names = ["same.png", "letter.png", "same.jpg", "wide.webp"]
    give(tab, *(tmp_path / name for name in names))
    states = tab.run("[...document.querySelectorAll('#gallery button')].map(b => b.innerText)")
    assert [" ".join(each.split()) for each in states] == [
        "same.png done", "letter.png failed", "same.jpg done", "wide.webp done",
    ]  # fmt: skip
    assert text(tab, "#told").startswith("same.png")
    click(tab, "#gallery li:nth-child(4) button")
    seen(tab, 600, 300, "fcn8s", "")
    assert "600 x 300 pixels, computed at 500 x 250, by fcn8s" in text(tab, "#told")
    click(tab, "#gallery li:nth-child(2) button")
    assert text(tab, "#wrong") == (
        "letter.png: expected a picture, but it cannot be read: it is of unknown type "
        "(starts with b'Dear reader') (none of the formats JPEG, PNG, WEBP, HEIF). Take another "
        "one."
    )
    assert tab.run("document.querySelector('#found').hidden")
    click(tab, "#gallery li:nth-child(3) button")
    assert text(tab, "#wrong") == ""
    with zipfile.ZipFile(io.BytesIO(taken(tab, "all", "segmented.zip"))) as found:
        assert found.testzip() is None
        assert sorted(found.namelist()) == [
            "classes.csv", "same-2-labels.png", "same-2-overlay.png", "same-labels.png",
            "same-overlay.png", "wide-labels.png", "wide-overlay.png",
        ]  # fmt: skip
        assert found.read("classes.csv").decode().splitlines()[:3] == [
            "picture,class,name,share,probability", "same,0,background,0.5,0.9",
            "same,1,cat,0.5,0.9",
        ]  # fmt: skip
        sizes = [Image.open(found.open(f"{name}-labels.png")).size for name in ("same-2", "wide")]
        assert sizes == [(20, 10), (600, 300)]


def test_a_large_picture_says_how_far_it_is_and_can_be_stopped(tab, site, tmp_path):
    Image.new("RGB", (1200, 10)).save(tmp_path / "large.png")
    click(tab, "#size [value=full]")
    tab.give("#files", tmp_path / "large.png")
    tab.wait("document.querySelector('#part').value > 0.01")
    tab.wait("/ of 200 tiles are done, about .* s are left/.test(says.innerText)")
    assert violations(tab) == []
    click(tab, "#stop")
    tab.wait("document.querySelector('#wrong').innerText === 'large.png: stopped'")
    assert tab.run("document.querySelector('#work').hidden")
    stops(site.ran)
    click(tab, "#size [value=reduced]")  # asks again
    seen(tab, 1200, 10, "fcn8s", "")
    assert "computed at 500 x 4" in text(tab, "#told")


def stops(ran):
    """Waits until no more tiles are computed."""
    end, before = time.monotonic() + 20, -1
    while (now := ran.read_text().count("tile")) != before:
        assert time.monotonic() < end
        before = now
        time.sleep(0.5)
    return before


def test_a_photograph_of_a_telephone(tab, tmp_path):
    """HEIC, which Chromium does not show by itself."""
    Image.new("RGB", (64, 32), (200, 200, 200)).save(tmp_path / "photo.heic", quality=95)
    give(tab, tmp_path / "photo.heic")
    seen(tab, 64, 32, "fcn8s", "")
    assert text(tab, "#told").startswith("photo.heic: 64 x 32 pixels")
    np.testing.assert_allclose(colours(tab), [[157, 80, 80], [200, 200, 200]], atol=4)


def test_which_net_speaks_and_what_it_knows(tab):
    assert text(tab, "#card p") == "fcn8s: fcn8s on vgg16. Only cats <b>and</b> dogs."
    click(tab, "#card summary")
    assert text(tab, "#card .classes").split() == ["background", "cat", "dog"]
    assert "<script>alert(1)</script>" in tab.run("document.querySelector('.card').textContent")
    assert tab.run("document.querySelector('.card script')") is None
    links = tab.run("[...document.querySelectorAll('.card a')].map(each => each.href)")
    assert links == ["https://example.org/"]
    assert tab.run("document.querySelector('#nets [value=broken]').disabled")
    assert "model.json" in text(tab, "#nets label:nth-of-type(3)")
    click(tab, "#nets [value=fcn16s]")
    assert text(tab, "#card p").startswith("fcn16s: fcn16s on vgg16.")


def test_the_internet_is_not_asked_for_anything(tab, site, photo):
    give(tab, photo)
    elsewhere = [
        address
        for address in tab.requests
        if not address.startswith((f"{site.address}/", "data:", "blob:"))
    ]
    assert elsewhere == []
    assert len(tab.requests) > 8


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("size", [WIDE, PHONE])
def test_nobody_stumbles_over_it(tab, photo, tmp_path, size, dark):
    tab.look(*size, dark=dark)
    assert violations(tab) == []
    (tmp_path / "letter.png").write_text("Dear reader")
    give(tab, photo, tmp_path / "letter.png")
    seen(tab, 120, 80, "fcn8s", "")
    click(tab, "#legend button")
    seen(tab, 120, 80, "fcn8s", 0)
    tab.run("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    assert violations(tab) == []
    click(tab, "#gallery li:nth-child(2) button")
    assert violations(tab) == []


def test_all_of_it_is_reached_by_keyboard(tab, photo):
    give(tab, photo)
    seen(tab, 120, 80, "fcn8s", "")
    reached = []
    for _ in range(25):
        press(tab, "Tab")
        reached.append(tab.run("document.activeElement.id || document.activeElement.outerHTML"))
    wanted = ("files", "camera", "data-file", "seen", "opacity", "data-value", "data-make", "name=")
    assert [each for each in wanted if not any(each in found for found in reached)] == []


def test_on_a_phone_nothing_is_cut_off_and_the_picture_comes_before_what_is_said(tab, tmp_path):
    tab.look(*PHONE)
    Image.new("RGB", (1200, 800)).save(tmp_path / f"{'long' * 20}.png")
    give(tab, tmp_path / f"{'long' * 20}.png")
    seen(tab, 1200, 800, "fcn8s", "")
    assert tab.run("document.documentElement.scrollWidth") <= PHONE[0]
    order = json.dumps(["#files", "#examples", "#seen", "#opacity", "#legend", "#nets"])
    tops = tab.run(f"{order}.map(s => document.querySelector(s).getBoundingClientRect().top)")
    assert tops == sorted(tops)
    x, _, width, height = place(tab, "#seen")
    assert x + width <= PHONE[0]
    assert width / height == pytest.approx(1.5, rel=0.01)
    small = tab.run(
        "[...document.querySelectorAll('button, .button')].filter(each => each.offsetParent"
        " && each.getBoundingClientRect().height < 44).map(each => each.innerText)"
    )
    assert small == []  # a finger meets each
    tab.call("Emulation.setTouchEmulationEnabled", enabled=True)
    x, y, width, height = place(tab, "#seen")
    point = {"x": x + width / 4, "y": y + height / 2}
    tab.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[point])
    tab.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
    assert text(tab, "#under") == "cat, 90 %"
    tab.call("Emulation.setTouchEmulationEnabled", enabled=False)


def test_a_server_that_has_gone_is_told(tab, photo):
    tab.call("Network.emulateNetworkConditions", offline=True, latency=0,
             downloadThroughput=-1, uploadThroughput=-1)  # fmt: skip
    give(tab, photo)
    assert text(tab, "#wrong") == "The server does not answer: is `fcn web` still running?"
    tab.call("Network.emulateNetworkConditions", offline=False, latency=0,
             downloadThroughput=-1, uploadThroughput=-1)  # fmt: skip
    tab.logged.clear()  # Chromium says that it is offline


def document():
    """The page, as HTML without a mistake."""
    parser = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False)
    return parser.parse((PAGE / "index.html").read_text(encoding="utf-8"))


def test_the_page_is_html_and_every_picture_and_field_has_a_name():
    page = document()
    assert [each.get("src") for each in page.iter("img") if each.get("alt") is None] == []
    named = {label.get("for") for label in page.iter("label")}
    within = [field for label in page.iter("label") for field in label.iter("input")]
    fields = [each for each in page.iter("input") if each not in within]
    assert len(fields) + len(within) == 4
    assert {each.get("id") for each in fields} <= named


def test_it_listens_on_this_machine_alone(site):
    connections = psutil.Process(site.process.pid).net_connections("tcp")
    listening = [c.laddr.ip for c in connections if c.status == "LISTEN"]
    assert listening == ["127.0.0.1"]


def test_it_gives_no_file_of_this_machine(site, tmp_path):
    (tmp_path / "secret.png").write_bytes(b"secret")
    port = int(site.address.rpartition(":")[2])
    for path in (str(tmp_path / "secret.png"), "../web_page.py", "examples/../../web_page.py",
                 "%2e%2e/web_page.py", "..%2fweb_page.py", "//etc/passwd"):  # fmt: skip
        with socket.create_connection(("127.0.0.1", port)) as raw:  # a client would tidy it up
            request = f"GET /{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
            raw.sendall(request.encode())
            answer = b"".join(iter(lambda: raw.recv(65536), b""))
        assert answer.split()[1] in (b"400", b"404"), path
        assert b"secret" not in answer


def ask(site, path="nets", **headers):
    return httpx.get(f"{site.address}/{path}", headers=headers, trust_env=False)


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({"Host": "evil.example"}, "The Host is not this server's"),
        ({"Host": "evil.example:{port}"}, "The Host is not this server's"),
        ({"Host": "127.0.0.1.evil.example"}, "The Host is not this server's"),
        ({"Origin": "http://evil.example"}, "The Origin is not this server's"),
        ({"Origin": "http://localhost:1"}, "The Origin is not this server's"),
        ({"Origin": "null"}, "The Origin is not this server's"),
    ],
)
def test_pages_of_others_get_nothing(site, headers, words):
    port = site.address.rpartition(":")[2]
    headers = {name: value.format(port=port) for name, value in headers.items()}
    for path in ("", "nets", "page.js", "examples/cat.jpg"):
        answer = ask(site, path, **headers)
        assert (answer.status_code, answer.text.partition(":")[0]) == (403, words)
    for path in ("segment", "probabilities"):
        address = f"{site.address}/{path}"
        refused = httpx.post(address, content=b"x", headers=headers, trust_env=False)
        assert refused.status_code == 403


def test_its_own_names_are_answered(site):
    port = site.address.rpartition(":")[2]
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}"):
        assert ask(site, Host=host).status_code == 200
        assert ask(site, Host=host, Origin=f"http://{host}").status_code == 200


def test_a_small_picture_passes_a_large_one_whose_work_ends_when_its_client_goes(
    site, photo, tmp_path
):
    """The large one takes 20 s."""
    Image.new("RGB", (1200, 10)).save(tmp_path / "large.png")
    site.ran.write_text("")
    large = (tmp_path / "large.png").read_bytes()
    address, options = f"{site.address}/segment?size=full", {"timeout": 20, "trust_env": False}
    with httpx.stream("POST", address, content=large, **options) as answer:
        assert any("of 200 tiles are done" in line for line in answer.iter_lines())
        small = httpx.post(address, content=photo.read_bytes(), **options)
        assert "found" in json.loads(small.text.splitlines()[-1])
        ran = site.ran.read_text().split()
        assert "fcn8s" in ran
        assert ran.count("fcn8s-tile") < 100
    assert stops(site.ran) < 190


def test_more_pictures_at_once_than_are_held_are_all_answered(site):
    def answer(side):
        buffer = io.BytesIO()
        Image.new("RGB", (side, 10)).save(buffer, "PNG")
        options = {"content": buffer.getvalue(), "timeout": 60, "trust_env": False}
        said = httpx.post(f"{site.address}/segment", **options).text
        return json.loads(said.splitlines()[-1])["found"]["width"]

    sides = list(range(20, 20 + 3 * web_page.AT_ONCE))
    with ThreadPoolExecutor(len(sides)) as pool:
        assert list(pool.map(answer, sides)) == sides


def test_ctrl_c_ends_it_while_a_browser_waits(tmp_path):
    """Within the seconds that `local.GRACE` gives requests, and a tile; without a traceback."""
    with open(tmp_path / "errors", "w") as errors:
        process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("page_server.py"), tmp_path],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    assert process.stdout
    try:
        address = process.stdout.readline().split()[4]
        buffer = io.BytesIO()
        Image.new("RGB", (1200, 10)).save(buffer, "PNG")
        options = {"content": buffer.getvalue(), "timeout": 60, "trust_env": False}
        with httpx.stream("POST", f"{address}/segment?size=full", **options) as answer:
            assert any("of 200 tiles are done" in line for line in answer.iter_lines())
            process.send_signal(signal.SIGINT)
            process.wait(60)
        assert (tmp_path / "ran").read_text().count("tile") < 190
        assert (tmp_path / "errors").read_text() == ""
    finally:
        process.kill()
        process.wait(20)
        process.stdout.close()


def test_misuse_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["web", "--model", "fcn9s"]) == 2
    assert "got fcn9s" in capsys.readouterr().err
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert main(["web", "--port", str(port)]) == 2
    assert capsys.readouterr().err == (
        f"--port {port}: another program listens there; choose another one, or 0 for one that is "
        "free\n"
    )
