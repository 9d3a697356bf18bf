"""The page in a real browser, and through Gradio's own client. Needs chromium, and is skipped where
there is none.
"""

import base64
import io
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import httpx
import numpy as np
import psutil
import pytest
from browser import PATH, open_browser
from PIL import Image

from fcn.cli.app import main

ROOT = Path(__file__).parents[3]
WIDE, PHONE = (1280, 900), (390, 800)
OVER = "document.querySelector('.seen .classes')"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The page with two nets: its address, the file that says which nets ran, and its process."""
    root = tmp_path_factory.mktemp("site")
    settings = {
        "PYTHONPATH": str(ROOT),
        "GRADIO_ANALYTICS_ENABLED": "False",
        "GRADIO_TEMP_DIR": str(root / "tmp"),
    }
    command = [sys.executable, Path(__file__).with_name("page_server.py"), root]
    with open(root / "errors", "w") as errors:
        process = subprocess.Popen(
            command, env=os.environ | settings, stdout=subprocess.PIPE, stderr=errors, text=True
        )
    try:
        address = process.stdout.readline().strip()
        assert address, (root / "errors").read_text()
        yield SimpleNamespace(address=address, ran=root / "ran", process=process)
    finally:
        process.kill()
        process.wait(20)
        process.stdout.close()


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


def sees(tab, left, right):
    """Waits until the middle of the picture's left half and that of its right half have these
    colours on the screen.
    """
    box, end = "document.querySelector('.seen').getBoundingClientRect()", time.monotonic() + 20
    while True:
        x, y, width, height = tab.run(f"(box => [box.x, box.y, box.width, box.height])({box})")
        screen = np.asarray(Image.open(io.BytesIO(tab.picture())).convert("RGB")).astype(int)
        found = [screen[int(y + height / 2), int(x + width * part)] for part in (0.25, 0.75)]
        if np.abs(np.subtract(found, [left, right])).max() <= 3:
            return
        assert time.monotonic() < end, found  # Gradio fades what is being replaced
        time.sleep(0.1)


def drop(tab, site, photo, size=WIDE):
    tab.look(*size)
    tab.call("Page.navigate", url=site.address)
    tab.wait("document.querySelector('input[type=file]') !== null")
    tab.give("input[type=file]", photo)
    tab.wait(f"{OVER}?.complete === true")


def test_drop_a_picture_move_the_slider_choose_another_model(site, browser, photo):
    site.ran.write_text("")
    drop(browser, site, photo)
    sees(browser, [157, 80, 80], [200, 200, 200])  # 0.6 of (128, 0, 0) over grey
    assert (
        browser.run("document.querySelector('.legend').innerText.split(/\\s+/).join(' ')")
        == "background 50.0% cat 50.0%"
    )
    assert site.ran.read_text().split() == ["fcn8s"]

    asked = len(browser.requests)
    browser.run("""(() => {
        const slider = document.querySelector('input[type=range]');
        slider.value = 100;
        slider.dispatchEvent(new Event('input', {bubbles: true}));
    })()""")
    browser.wait(f"getComputedStyle({OVER}).opacity === '1'")
    sees(browser, [128, 0, 0], [200, 200, 200])
    assert browser.requests[asked:] == []  # neither the net nor the server had to do with it
    assert site.ran.read_text().split() == ["fcn8s"]

    before = browser.run(f"{OVER}.src")
    browser.run("document.querySelector('input[type=radio][value=fcn16s]').click()")
    browser.wait(f"{OVER} !== null && {OVER}.complete && {OVER}.src !== {before!r}")
    sees(browser, [128, 0, 0], [0, 128, 0])  # the slider stays where it was
    assert site.ran.read_text().split() == ["fcn8s", "fcn16s"]
    assert [entry for entry in browser.logged if entry[0] in ("error", "exception")] == []


def test_the_class_under_the_pointer_the_overlay_as_a_file_and_a_pasted_picture(
    site, browser, photo
):
    drop(browser, site, photo)
    browser.wait(f"{OVER}.complete && document.querySelector('#overlay') !== null")

    def under(part):
        browser.run(f"""(() => {{
            const box = document.querySelector('.seen').getBoundingClientRect();
            const at = {{clientX: box.x + box.width * {part},
                        clientY: box.y + box.height / 2, bubbles: true}};
            document.querySelector('.seen img').dispatchEvent(new PointerEvent('pointermove', at));
        }})()""")
        return browser.run("document.querySelector('#under').innerText")

    assert (under(0.25), under(0.75)) == ("cat", "background")
    address = browser.run("""(() => {
        const link = document.querySelector('#overlay');
        link.addEventListener('click', event => event.preventDefault());
        link.click();
        return link.href;
    })()""")
    overlay = np.asarray(
        Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))).convert("RGB")
    ).astype(int)
    assert np.abs(overlay[40, [30, 90]] - [[157, 80, 80], [200, 200, 200]]).max() <= 3

    browser.run(
        "document.querySelector('#file button[aria-label*=lear], #file "
        "button[aria-label*=emove]')?.click()"
    )
    browser.wait(
        "document.querySelector('#file input[type=file]') !== null && "
        "document.querySelector('.seen') === null"
    )
    browser.run("""(async () => {
        const canvas = document.createElement('canvas');
        [canvas.width, canvas.height] = [60, 30];
        const blob = await new Promise(done => canvas.toBlob(done, 'image/png'));
        const clipboardData = new DataTransfer();
        clipboardData.items.add(new File([blob], 'pasted.png', {type: 'image/png'}));
        document.body.dispatchEvent(new ClipboardEvent('paste', {clipboardData, bubbles: true}));
    })()""")
    browser.wait("document.querySelector('.seen img')?.alt === 'The picture, 60 x 30 pixels'")


def test_the_internet_is_not_asked_for_anything(site, browser, photo):
    drop(browser, site, photo)
    elsewhere = [
        address
        for address in browser.requests
        if not address.startswith((site.address, "data:", "blob:"))
    ]
    assert elsewhere == []
    assert len(browser.requests) > 10


def test_a_file_that_is_no_picture_is_explained(site, browser, tmp_path):
    (tmp_path / "letter.png").write_text("Dear reader")
    browser.look(*WIDE)
    browser.call("Page.navigate", url=site.address)
    browser.wait("document.querySelector('input[type=file]') !== null")
    browser.give("input[type=file]", tmp_path / "letter.png")
    browser.wait("document.querySelector('.wrong') !== null")
    assert ("letter.png: expected a picture, but it cannot be read") in browser.run(
        "document.querySelector('.wrong').innerText"
    )


def test_on_a_phone_the_picture_is_whole_and_above_the_legend(site, browser, photo):
    drop(browser, site, photo, PHONE)
    assert browser.run("document.documentElement.scrollWidth") <= PHONE[0]
    places = browser.run(
        "['#file', '.seen', '.legend'].map(s => "
        "document.querySelector(s).getBoundingClientRect().top)"
    )
    assert places == sorted(places)


def test_gradios_client_gets_the_same(site, photo):
    from gradio_client import Client, handle_file

    client = Client(site.address, verbose=False)
    seen, key = client.predict(handle_file(photo), "fcn8s", api_name="/segment")
    assert 'class="classes"' in seen
    assert '<i style="background: #800000"></i><b>cat</b><span>50.0%</span>' in key
    client.close()


def test_it_listens_on_this_machine_alone(site):
    listening = [
        c.laddr.ip
        for c in psutil.Process(site.process.pid).net_connections("tcp")
        if c.status == "LISTEN"
    ]
    assert listening == ["127.0.0.1"]


def test_it_gives_no_file_of_this_machine(site, tmp_path):
    (tmp_path / "secret.png").write_bytes(b"secret")
    for path in (
        tmp_path / "secret.png",
        ROOT / "params.yaml",
        "params.yaml",
        "../params.yaml",
        "/etc/passwd",
    ):
        for route in ("gradio_api/file=", "file=", "gradio_api/file/"):
            answer = httpx.get(f"{site.address.rstrip('/')}/{route}{path}", trust_env=False)
            assert answer.status_code in (403, 404, 405), (route, path)
    # As a picture to look at: what was not uploaded is not opened, though it lies on this machine.
    data = [{"path": str(tmp_path / "secret.png"), "meta": {"_type": "gradio.FileData"}}, "fcn8s"]
    called = f"{site.address.rstrip('/')}/gradio_api/call/segment"
    event = httpx.post(called, json={"data": data}, trust_env=False)
    told = (
        event.text
        if event.is_error
        else httpx.get(f"{called}/{event.json()['event_id']}", trust_env=False).text
    )
    assert "error" in told.lower()
    assert "seen" not in told


def ask(site, path="config", **headers):
    return httpx.get(f"{site.address.rstrip('/')}/{path}", headers=headers, trust_env=False)


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
    port = site.address.rstrip("/").rpartition(":")[2]
    headers = {name: value.format(port=port) for name, value in headers.items()}
    for path in ("", "config", "gradio_api/info"):
        answer = ask(site, path, **headers)
        assert (answer.status_code, answer.text.partition(":")[0]) == (403, words)
    upload = {"files": ("a.png", b"x")}
    refused = httpx.post(
        f"{site.address}gradio_api/upload", files=upload, headers=headers, trust_env=False
    )
    assert refused.status_code == 403


def test_its_own_names_are_answered(site):
    port = site.address.rstrip("/").rpartition(":")[2]
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}"):
        assert ask(site, Host=host).status_code == 200
        assert ask(site, Host=host, Origin=f"http://{host}").status_code == 200


def test_a_small_picture_passes_a_large_one_whose_work_ends_when_its_client_goes(
    site, photo, tmp_path
):
    """The large one takes 20 s."""
    Image.new("RGB", (1200, 10)).save(tmp_path / "large.png")
    site.ran.write_text("")
    call = f"{site.address}gradio_api/queue"

    def join(path, session):
        with open(path, "rb") as file:
            [stored] = httpx.post(
                f"{site.address}gradio_api/upload", files={"files": file}, trust_env=False
            ).json()
        data = [{"path": stored, "meta": {"_type": "gradio.FileData"}}, "fcn8s"]
        [number] = [
            each["id"] for each in ask(site).json()["dependencies"] if each["api_name"] == "segment"
        ]
        body = {"data": data, "fn_index": number, "session_hash": session}
        assert httpx.post(f"{call}/join", json=body, trust_env=False).status_code == 200
        return httpx.stream(
            "GET", f"{call}/data", params={"session_hash": session}, timeout=20, trust_env=False
        )

    with join(tmp_path / "large.png", "large") as large:
        lines = large.iter_lines()
        assert any("of 200 tiles are done" in line for line in lines)
        with join(photo, "small") as small:
            assert any("process_completed" in line for line in small.iter_lines())
        ran = site.ran.read_text().split()
        assert "fcn8s" in ran
        assert ran.count("fcn8s-tile") < 100
    end = time.monotonic() + 20
    before = -1
    while (now := site.ran.read_text().count("tile")) != before:
        assert time.monotonic() < end
        before = now
        time.sleep(0.5)
    assert before < 190


def test_misuse_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["web", "--model", "fcn9s"]) == 2
    assert "got fcn9s" in capsys.readouterr().err
