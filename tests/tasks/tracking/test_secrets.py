"""Passwords and tokens: by the environment alone, and in no log, message, tag, page or file of
DVC's.
"""

import base64
import http.server
import logging
import threading
import traceback

import pytest
import requests
from requests import exceptions

from fcn.errors import UserError
from fcn.io import download
from fcn.io.download import Interrupted
from fcn.spec.checking import parse
from fcn.spec.source import Source
from flows.runner import logs, output, recorded
from tasks.fetch import fetch
from tasks.settings.params import Profile
from tasks.tracking import redaction, store, training

SECRET = "Geheim"


class Server(http.server.ThreadingHTTPServer):
    def __init__(self):
        super().__init__(("127.0.0.1", 0), Guarded)
        self.asked: list[tuple[str, str | None]] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class Guarded(http.server.BaseHTTPRequestHandler):
    """Gives `data` to the user `me`, sends others to an address that is signed, and notes what it
    was asked.
    """

    server: Server

    def do_GET(self):
        self.server.asked.append((self.path, self.headers.get("Authorization")))
        if self.path == "/moved.tar":
            self.send_response(302)
            self.send_header("Location", f"/signed.tar?signature={SECRET}")
        elif self.path == "/odd.tar":
            self.send_response(404, "gone\x1b[31m" + "x" * 500)
        elif (
            self.headers.get("Authorization")
            == "Basic " + base64.b64encode(f"me:{SECRET}".encode()).decode()
        ):
            self.send_response(200)
            self.send_header("Content-Length", "4")
        else:
            self.send_response(401)
        self.end_headers()
        if self.headers.get("Authorization"):
            self.wfile.write(b"data")

    def log_message(self, *_):
        pass


@pytest.fixture
def guarded():
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def test_a_password_comes_from_the_file_that_the_environment_names(
    guarded, tmp_path, monkeypatch, caplog
):
    caplog.set_level(logging.DEBUG)
    (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login me password {SECRET}\n")
    source = Source((f"{guarded.url}/a.tar",), ())
    with pytest.raises(UserError, match="the server answered 401"):
        fetch(source, tmp_path / "raw")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert fetch(source, tmp_path / "raw").read_bytes() == b"data"
    assert [authorization is not None for _, authorization in guarded.asked] == [False, True]
    assert SECRET not in caplog.text


def test_an_address_that_a_server_sends_us_to_is_not_repeated(guarded, tmp_path, caplog):
    with pytest.raises(UserError, match=r"/moved\.tar: the server answered 401"):
        fetch(Source((f"{guarded.url}/moved.tar",) * 2, ()), tmp_path / "raw")
    assert guarded.asked[-1][0] == f"/signed.tar?signature={SECRET}"
    assert SECRET not in caplog.text


def test_a_server_s_own_words_do_not_reach_the_terminal_raw(guarded, tmp_path):
    with pytest.raises(
        UserError, match=r"/odd\.tar: the server answered 404 gone\\x1b\[31mx+\.\.\.x+$"
    ) as caught:
        list(download.pieces(f"{guarded.url}/odd.tar", tmp_path / "part"))
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "url",
    [f"http://me:{SECRET}@127.0.0.1:{{port}}/a.tar", f"http://127.0.0.1:{{port}}/a.tar?x={SECRET}"],
)
@pytest.mark.parametrize(
    "error",
    [
        exceptions.ConnectionError,
        exceptions.TooManyRedirects,
        exceptions.ReadTimeout,
        exceptions.InvalidURL,
    ],
)
def test_neither_message_nor_traceback_of_a_download_repeats_its_address(
    guarded, tmp_path, monkeypatch, url, error
):
    """Prefect logs the tracebacks of failed tasks, with the errors that were behind them."""
    url = url.format(port=guarded.server_address[1])

    def fail(address, **_):
        raise error(f"Max retries exceeded with url: /a.tar?x={SECRET} (Caused by {address})")

    monkeypatch.setattr(requests, "get", fail)
    with pytest.raises((UserError, Interrupted), match="127") as caught:
        list(download.pieces(url, tmp_path / "part"))
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_every_message_about_an_address_leaves_its_query_out(guarded, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    url = f"{guarded.url}/a.tar?id={SECRET}"
    with pytest.raises(UserError, match=r"a\.tar\?\.\.\.: the server answered 401"):
        fetch(Source((url, url), ()), tmp_path / "raw")
    with pytest.raises(UserError, match="wanted an http:, https: or file: URL") as caught:
        list(download.pieces(f"ftp://host/a?x={SECRET}", tmp_path / "part"))
    assert SECRET not in caplog.text + str(caught.value)
    assert "trying the next URL" in caplog.text


@pytest.mark.parametrize(
    "urls",
    ["https://me:Geheim@host/a", ["https://me:Geheim@host/a"], {"https://me:Geheim@host/a": 1}, 1],
)
def test_no_error_about_the_parameters_repeats_it(urls):
    with pytest.raises(UserError, match=r"p\.urls") as caught:
        parse(Source, {"urls": urls, "checksums": []}, "p")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "uri",
    [
        f"http://me:{SECRET}@127.0.0.1:9/mlflow",
        f"http://me:{SECRET}@x@127.0.0.1:9",
        f"http://127.0.0.1:9/?token={SECRET}",
    ],
)
def test_a_tracking_server_that_is_down_is_named_without_its_password(
    uri, monkeypatch, tmp_path, caplog, capfd
):
    monkeypatch.chdir(tmp_path)
    for name, value in {
        **store.ENVIRONMENT,
        "MLFLOW_TRACKING_URI": uri,
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    }.items():
        monkeypatch.setenv(name, value)
    with training("fcn-sample", "fcn32s", "k1", params={}, tags={}) as run:
        assert run.url is None
    assert "MLflow at http://127.0.0.1:9" in caplog.text
    assert SECRET not in caplog.text + "".join(capfd.readouterr())


def test_a_prefect_api_that_is_down_is_named_without_its_password():
    with pytest.raises(
        recorded.Unavailable, match=r"the Prefect API http://127\.0\.0\.1:9/api "
    ) as caught:
        recorded._check_reachable(f"http://me:{SECRET}@127.0.0.1:9/api")
    assert SECRET not in str(caught.value)


def test_the_last_words_of_a_stage_are_shown_without_secrets(capsys):
    output.tell("error", f"Odd: https://me:{SECRET}@host/x?token={SECRET} is gone")
    assert capsys.readouterr().err == "error: Odd: https://host/x?... is gone\n"


@pytest.mark.parametrize("odd", ["{}", "x{}y", "https://h/{}/x", "user me, {}\n"])
def test_the_secrets_of_the_environment_and_of_netrc_are_cut_out_wherever_they_stand(
    odd, tmp_path, monkeypatch, capsys
):
    given = {
        "MLFLOW_TRACKING_TOKEN": "Geheim-1",
        "PREFECT_API_AUTH_STRING": "me:Geheim-2",
        "MLFLOW_TRACKING_URI": "http://u:Geheim-3@h",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "netrc").write_text("machine h login me password Geheim-4\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    logger = logging.getLogger("fcn.test_secrets")
    monkeypatch.setattr(logging, "_logRecordFactory", logs._record)
    for number in (1, 2, 3, 4):
        text = odd.format(f"Geheim-{number}")
        said = redaction.hidden(text)
        assert "Geheim" not in said
        assert "..." in said
        output.tell("error", UserError(text))
        assert "Geheim" not in store.reason(RuntimeError(text))
        record = logger.makeRecord(
            "x", logging.INFO, "", 0, "%s and %s", (text, tmp_path / text), None
        )
        assert "Geheim" not in record.getMessage()
        assert len(record.getMessage().splitlines()) == 1
    assert "Geheim" not in capsys.readouterr().err


def test_no_profile_can_carry_a_secret_into_dvc_or_mlflow():
    """What DVC writes into dvc.lock and MLflow into its parameters is a profile's; addresses are in
    its sources alone.
    """
    kinds = {
        Profile: ["download"],
        Profile.__annotations__["download"]: ["archives", "weights", "cross_check"],
    }
    for kind, expected in kinds.items():
        fields = {
            name
            for name, hint in kind.__annotations__.items()
            if "Source" in str(hint) or "Download" in str(hint)
        }
        assert fields == set(expected)
