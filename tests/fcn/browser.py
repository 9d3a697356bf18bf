"""Chromium without a window, driven through its DevTools protocol: just what a test of a page
needs.
"""

import base64
import contextlib
import itertools
import json
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path

from websockets.sync.client import connect

PATH = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))),
    None,
)
# No name but this machine's resolves, and the browser itself asks nobody for anything.
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--remote-debugging-port=0",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
)  # fmt: skip


class Browser:
    """One tab. `requests` has every address that it asked for, `logged` what its console said."""

    def __init__(self, socket):
        self.socket, self.numbers, self.requests, self.logged = socket, itertools.count(1), [], []
        for domain in ("Page", "Network", "Runtime", "DOM", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method, **params):
        number = next(self.numbers)
        self.socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message = json.loads(self.socket.recv(timeout=60))
            self.note(message)
            if message.get("id") == number:
                assert "error" not in message, (method, message["error"])
                return message["result"]

    def note(self, message):
        params = message.get("params", {})
        match message.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])
            case "Runtime.consoleAPICalled":
                self.logged.append(
                    (params["type"], " ".join(str(each.get("value")) for each in params["args"]))
                )
            case "Runtime.exceptionThrown":
                self.logged.append(("exception", params["exceptionDetails"]["text"]))
            case "Log.entryAdded":
                self.logged.append((params["entry"]["level"], params["entry"]["text"]))

    def run(self, script):
        """The value of a JavaScript expression; promises are waited for."""
        result = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in result, (script, result)
        return result["result"].get("value")

    def wait(self, script, seconds=60):
        """Waits until a JavaScript expression is true, and returns it."""
        end = time.monotonic() + seconds
        while not (value := self.run(script)):
            assert time.monotonic() < end, (
                f"after {seconds} s still not true: {script}\n{self.run('document.body.innerText')}"
            )
            time.sleep(0.1)
        return value

    def give(self, selector, *files):
        """Puts files into a file input, as dropping them there does."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(file) for file in files])

    def look(self, width, height, dark=False):
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def picture(self):
        return base64.b64decode(
            self.call("Page.captureScreenshot", format="png", captureBeyondViewport=False)["data"]
        )


@contextlib.contextmanager
def open_browser(profile, *flags):
    assert PATH
    process = subprocess.Popen(
        [PATH, *FLAGS, *flags, f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        file, end = Path(profile) / "DevToolsActivePort", time.monotonic() + 60
        while not file.is_file() or len(file.read_text().split()) < 2:
            assert process.poll() is None, "chromium did not start"
            assert time.monotonic() < end, "chromium did not say its port"
            time.sleep(0.1)
        port = file.read_text().split()[0]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list") as answer:
            target = next(each for each in json.load(answer) if each["type"] == "page")
        with connect(target["webSocketDebuggerUrl"], max_size=None) as socket:
            yield Browser(socket)
    finally:
        process.terminate()
        process.wait(20)
