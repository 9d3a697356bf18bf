import contextlib
import http.server
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import httpx
import psutil
import pytest
import websockets.exceptions
from prefect.settings import get_current_settings, temporary_settings
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

from flows.runner import processes, recorded, server, stage
from tasks.tracking import checkout
from tasks.tracking import database as databases
from tests.flows import conftest
from tests.reliability import small_stages


def test_two_processes_share_one_server_which_ends_after_them(tmp_path, keeper):
    home = tmp_path / "deep" / "home"
    environment = conftest._isolated(tmp_path) | {"PREFECT_HOME": "deep/home"}
    with keeper(tmp_path, environment) as one, keeper(tmp_path, environment) as two:
        url, said = one.says()
        assert two.says() == [url, said] == [url, str(home)]
        entry = json.loads((home / "server.json").read_text())
        assert sorted(int(user.split("-")[0]) for user in entry["users"]) == sorted(
            [one.pid, two.pid]
        )
        serving = psutil.Process(int(entry["server"].split("-")[0]))
        listening = {
            c.laddr.ip for c in serving.net_connections("inet") if c.status == psutil.CONN_LISTEN
        }
        assert listening == {"127.0.0.1"}
        # Ctrl-C in the terminal of its users does not reach it
        assert os.getsid(serving.pid) == serving.pid
        two.end()
        # The UI of a server on another port than the default must ask that port.
        assert httpx.get(url.removesuffix("/api") + "/ui-settings").json()["api_url"] == url
        check_doors(url)
        check_report(url.removesuffix("/api"), tmp_path)
        one.end()
    serving.wait(timeout=100)
    assert sorted(path.name for path in home.glob("server.*")) == ["server.lock", "server.log"]
    assert (home / "prefect.db").exists()


def check_report(url, folder):
    """The server also shows the workspace's report, as soon as there is one, and nothing else."""
    assert httpx.get(f"{url}/report/").status_code == 404
    (folder / "report/pictures").mkdir(parents=True)
    (folder / "report/index.html").write_text("<title>The models</title>")
    (folder / "report/pictures/a.jpg").write_bytes(b"jpeg")
    (folder / "params.yaml").write_text("secret: 1")
    assert httpx.get(f"{url}/report/").text == "<title>The models</title>"
    assert httpx.get(f"{url}/report/pictures/a.jpg").content == b"jpeg"
    for path in ("/report/../params.yaml", "/report/%2e%2e/params.yaml", "/report/none.html"):
        assert httpx.get(url + path).status_code == 404


def check_doors(url):
    """No page but its own may read the API, or make it do something; a program may."""
    ask, port = f"{url}/flow_runs/filter", url.split(":")[2].removesuffix("/api")
    own = [f"http://{host}:{port}" for host in ("127.0.0.1", "localhost", "[::1]")]
    for origin in own:
        answer = httpx.post(
            ask,
            json={"limit": 1},
            headers={"Host": origin.removeprefix("http://"), "Origin": origin},
        )
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, origin)
    for headers, status in (
        ({"Host": "evil.example"}, 403),
        ({"Host": f"evil.example:{port}", "Origin": own[0]}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
    ):
        answer = httpx.post(ask, json={"limit": 1}, headers=headers)
        assert (answer.status_code, "access-control-allow-origin" in answer.headers) == (
            status,
            False,
        )
    preflight = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    assert httpx.options(ask, headers=preflight).status_code == 403
    with (
        pytest.raises(websockets.exceptions.InvalidStatus, match="403"),
        connect(
            url.replace("http", "ws") + "/events/out",
            origin=Origin("http://evil.example"),
            subprotocols=[Subprotocol("prefect")],
        ),
    ):
        pass


@pytest.fixture
def web():
    """A web server on this machine that is not Prefect's, with the body of all its answers; None:
    it never answers.
    """

    class Web(http.server.ThreadingHTTPServer):
        body: bytes | None
        endless = False
        over = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        server: Web

        def do_GET(self):
            if self.server.body is None:
                self.server.over.wait()
                return
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                while self.wfile.write(self.server.body) and self.server.endless:
                    pass

        do_POST = do_GET

        def log_message(self, *_):
            pass

    with Web(("127.0.0.1", 0), Handler) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        yield web
        web.over.set()
        web.shutdown()


@pytest.fixture
def closed_port(web):
    port = web.server_port
    web.shutdown()
    web.server_close()
    return port


def test_an_api_that_a_process_above_found_is_our_own_and_its_settings_end_with_the_context(
    monkeypatch, tmp_path
):
    url = "http://127.0.0.1:4321/api"
    monkeypatch.setattr(server, "join", lambda folder, users: url)
    before = get_current_settings().api.url
    monkeypatch.setenv(recorded.FOUND, "http://127.0.0.1:1/api")
    with (
        temporary_settings({"api.url": "http://127.0.0.1:1/api"}),
        recorded.connected(psutil.Process()) as found,
    ):
        assert (
            found
            == url
            == get_current_settings().api.url
            == os.environ["PREFECT_API_URL"]
            == os.environ[recorded.FOUND]
        )
        assert os.environ["PREFECT_SERVER_EPHEMERAL_ENABLED"] == "false"
    assert get_current_settings().api.url == before
    assert "PREFECT_SERVER_EPHEMERAL_ENABLED" not in os.environ


def test_a_configured_api_is_believed_and_that_is_said(web, capsys):
    web.body = b"no Prefect, and no question: what is configured is meant"
    with (
        temporary_settings({"api.url": f"http://127.0.0.1:{web.server_port}/api"}),
        recorded.connected() as url,
    ):
        assert url == f"http://127.0.0.1:{web.server_port}/api"
    assert capsys.readouterr().out == (
        f"Prefect's API is {url}, which PREFECT_API_URL or a Prefect profile names\n"
    )


STRANGERS = {
    "null": b"null", "a list": b"[]", "true": b"true", "html": b"<html>hello</html>",
    "another": b'"2.20.1"', "silent": None,
    "a number": b"3",
}  # fmt: skip


@pytest.mark.parametrize(
    "body", [*STRANGERS.values(), pytest.param(b" " * 9, id="endless"), "the proof of a copy"]
)
def test_what_answers_on_the_port_is_not_believed_before_it_proves_to_be_ours(
    web, body, monkeypatch, tmp_path
):
    monkeypatch.setattr(server, "ANSWER_SECONDS", 0.3)
    for folder in ("home", "copy"):
        (tmp_path / folder).mkdir()
    me, url = processes.identity(psutil.Process()), f"http://127.0.0.1:{web.server_port}/api"
    entry = server.Entry(server=me, url=url, token="t")
    if body == "the proof of a copy":
        body = server.proof("t", tmp_path / "home").encode()
        for folder, believed in (("home", url), ("copy", "")):
            web.body = body
            server._write(tmp_path / folder / "server.json", entry)
            assert server.join(tmp_path / folder, [], None) == believed
        assert (tmp_path / "home/server.json").stat().st_mode & 0o777 == 0o600
        return
    web.body, web.endless = body, body == b" " * 9
    server._write(tmp_path / "home/server.json", entry)
    begun = time.monotonic()
    assert server.join(tmp_path / "home", [], None) == ""
    assert time.monotonic() - begun < 3


@pytest.mark.parametrize("body", STRANGERS.values(), ids=STRANGERS.keys())
def test_a_stage_does_its_work_where_a_stranger_is_configured(
    web, body, monkeypatch, tmp_path, capsys
):
    monkeypatch.setattr(server, "ANSWER_SECONDS", 0.3)
    monkeypatch.setenv("PREFECT_CLIENT_MAX_RETRIES", "0")
    handlers = {
        number: signal.getsignal(number)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    web.body = body
    with temporary_settings({"api.url": f"http://127.0.0.1:{web.server_port}/api"}):
        code = stage.execute(
            small_stages.tiny, {"text": "done", "out": tmp_path / "out"}, name="tiny"
        )
    for number, handler in handlers.items():
        signal.signal(number, handler)
    said = capsys.readouterr().err
    assert (code, (tmp_path / "out").read_text()) == (0, "done"), said
    assert said.count("warning: running without Prefect, which does not record this run: ") == 1
    assert "Traceback" not in said


@pytest.mark.parametrize(
    "text",
    ['{"server": "x"}', '{"server": "1-1"}', '{"url": 3}', '{"server": 7}', '{"server": "1-', "[]",
    "", "\xff",
     '{"server": "ME", "url": "http://evil.example/api", "token": "t"}', '{"server": "ME", "url": '
                                                                         '"http://127.0.0.1:1/api"}',
     '{"server": "x", "url": "http://127.0.0.1:1/api", "token": "t", "users": ["x", "1"]}'],
)  # fmt: skip
def test_a_torn_or_foreign_file_of_the_server_is_none(tmp_path, text):
    text = text.replace("ME", processes.identity(psutil.Process()))
    (tmp_path / "server.json").write_text(text, encoding="latin-1")
    assert server.join(tmp_path, [], None) == ""


def test_a_configured_api_that_is_not_there(closed_port):
    url = f"http://127.0.0.1:{closed_port}/api"
    with (
        temporary_settings({"api.url": url}),
        pytest.raises(
            recorded.Unavailable,
            match=rf"{url} \(PREFECT_API_URL or Prefect profile\) is not there",
        ),
        recorded.connected(),
    ):
        pass


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    """A workspace, and Prefect without an API."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PREFECT_HOME", raising=False)
    with temporary_settings({"api.url": None}):
        yield tmp_path


def test_a_home_that_cannot_be(nowhere):
    (nowhere / ".prefect").touch()
    with (
        pytest.raises(
            recorded.Unavailable,
            match=f"no Prefect server can be started in {nowhere / '.prefect'}: .*File exists",
        ),
        recorded.connected(psutil.Process()),
    ):
        pass


def test_a_server_that_does_not_start(nowhere, monkeypatch):
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    with (
        pytest.raises(
            recorded.Unavailable,
            match=r"it ended with code 1; it said nothing \(all of it in .*server.log\)",
        ),
        recorded.connected(psutil.Process()),
    ):
        pass
    assert not (nowhere / ".prefect/server.json").exists()


@pytest.mark.parametrize("below", ["", ".dvc/tmp/exps/tmp1a2b", ".dvc/tmp/exps/standalone/tmp1a2b"])
def test_home_of_a_project_and_of_its_experiments(nowhere, monkeypatch, below):
    (nowhere / below).mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(nowhere / below)
    assert server.home() == nowhere / ".prefect"
    monkeypatch.setenv("PREFECT_HOME", "/elsewhere")
    assert str(server.home()) == "/elsewhere"


def test_a_port_is_the_one_of_last_time_until_somebody_else_has_it(nowhere):
    with checkout.listen("prefect") as first:
        port = first.getsockname()[1]
        with checkout.listen("mlflow") as other:
            assert (
                checkout.port("mlflow")
                == other.getsockname()[1]
                != port
                == checkout.port("prefect")
            )
        with checkout.listen("prefect") as second:  # of a copy of the workspace
            assert second.getsockname()[1] == checkout.port("prefect") != port
        with pytest.raises(OSError, match="in use"):
            checkout.listen("prefect", port)
    taken = checkout.port("prefect")
    with checkout.listen("prefect") as third:
        assert third.getsockname()[1] == taken
    for text in ("", "[]", '{"prefect": "x"}', '{"prefect": 99999}', "\0"):
        checkout.PORTS.write_text(text)
        assert checkout.port("prefect") == 0


@pytest.mark.parametrize("damage", ["no database", "cut off", "overwritten", "whole", "locked"])
def test_a_damaged_database_is_set_aside(tmp_path, damage):
    database = tmp_path / "prefect.db"
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("CREATE TABLE run (text)")
        connection.executemany("INSERT INTO run VALUES (?)", [("x" * 900,)] * 50)
        connection.commit()
        if damage == "locked":
            connection.execute("BEGIN EXCLUSIVE")
            assert databases.set_aside(database, "quick_check", seconds=0.1) is None
    data = database.read_bytes()
    if damage == "no database":
        database.write_bytes(b"<html>" * 99)
    elif damage == "cut off":
        database.write_bytes(data[: len(data) // 2])
    elif damage == "overwritten":
        database.write_bytes(data[:4096] + b"\xff" * (len(data) - 4096))
    before = database.read_bytes()
    found = databases.set_aside(database, "quick_check")
    if damage in ("whole", "locked"):
        assert (found, [*tmp_path.iterdir()], database.read_bytes()) == (None, [database], data)
    else:
        assert found
        assert found[0] == tmp_path / "prefect.db.damaged-1"
        assert found[0].read_bytes() == before
        assert not database.exists()
        database.write_bytes(before)
        again = databases.set_aside(database)
        assert again
        assert again[0].name == "prefect.db.damaged-2"


def test_a_process_is_known_by_pid_and_create_time():
    mine = processes.identity(psutil.Process())
    pid, created = mine.split("-")
    assert processes.is_alive(mine)
    # another process had this pid ten seconds before
    assert not processes.is_alive(f"{pid}-{int(created) - 1000}")
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        name = processes.identity(psutil.Process(child.pid))
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE
        assert not processes.is_alive(name)
    assert not processes.is_alive(name)


def test_dvc_is_found_above_a_shell_and_named_by_its_command(tmp_path):
    (tmp_path / "my tools").mkdir()
    (tmp_path / "my tools" / "dvc").write_text(
        "import subprocess, sys\n"
        "code = 'from flows.runner import processes; "
        "print(processes.dvc_command(processes.dvc_above()))'\n"
        "subprocess.run(['sh', '-c', f'{sys.executable} -c \"{code}\" --out models/dvc; true'], "
        "check=True)\n"
    )
    environment = os.environ | {"PYTHONPATH": os.getcwd()}
    command = [
        sys.executable,
        str(tmp_path / "my tools" / "dvc"),
        "repro",
        "--force",
        "train@fcn8s",
    ]
    assert subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True
    ).stdout == ("dvc repro --force train@fcn8s\n")
