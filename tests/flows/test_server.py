import http.server
import json
import os
import shutil
import subprocess
import sys
import threading

import httpx
import psutil
import pytest
from prefect.settings import get_current_settings, temporary_settings

from flows import processes, server


def test_two_processes_share_one_server_which_ends_after_them(tmp_path, keeper):
    (tmp_path / "pyproject.toml").write_text('[tool.prefect]\nhome = "deep/home"\n')
    home = tmp_path / "deep" / "home"
    with keeper(tmp_path) as one, keeper(tmp_path) as two:
        url, said = one.says()
        assert two.says() == [url, said] == [url, str(home)]
        entry = json.loads((home / "server.json").read_text())
        assert sorted(int(user.split("-")[0]) for user in entry["users"]) == sorted([one.pid, two.pid])
        serving = psutil.Process(int(entry["server"].split("-")[0]))
        listening = {c.laddr.ip for c in serving.net_connections("inet") if c.status == psutil.CONN_LISTEN}
        assert listening == {"127.0.0.1"}
        assert os.getsid(serving.pid) == serving.pid  # Ctrl-C in the terminal of its users does not reach it
        two.end()
        # The UI of a server on another port than the default must ask that port.
        assert httpx.get(url.removesuffix("/api") + "/ui-settings").json()["api_url"] == url
        one.end()
    serving.wait(timeout=100)
    assert sorted(path.name for path in home.glob("server.*")) == ["server.lock", "server.log"]
    assert (home / "prefect.db").exists()


@pytest.fixture
def web():
    """A web server on this machine that is not Prefect's, with the body of all its answers."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(self.server.body)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        yield web
        web.shutdown()


@pytest.fixture
def closed_port(web):
    port = web.server_port
    web.shutdown()
    web.server_close()
    return port


def test_a_server_on_the_default_port_is_used(web, tmp_path):
    web.body = b"true"  # what Prefect's /health says
    before = get_current_settings().api.url
    settings = {"api.url": None, "server.api.port": web.server_port, "home": tmp_path / "home"}
    with temporary_settings(settings), server.connected(psutil.Process()) as url:
        assert server.is_there()
        assert url == f"http://127.0.0.1:{web.server_port}/api" == get_current_settings().api.url
        assert os.environ["PREFECT_API_URL"] == url
        assert os.environ["PREFECT_SERVER_EPHEMERAL_ENABLED"] == "false"
    assert not (tmp_path / "home").exists()
    assert get_current_settings().api.url == before
    assert "PREFECT_SERVER_EPHEMERAL_ENABLED" not in os.environ


def test_a_configured_api_comes_first(web):
    web.body = b"no Prefect, and no question: what is configured is meant"
    with temporary_settings({"api.url": f"http://127.0.0.1:{web.server_port}/api"}), server.connected() as url:
        assert url == f"http://127.0.0.1:{web.server_port}/api"


def test_a_configured_api_that_is_not_there(closed_port):
    url = f"http://127.0.0.1:{closed_port}/api"
    with (
        temporary_settings({"api.url": url}),
        pytest.raises(server.Unavailable, match=rf"{url} \(PREFECT_API_URL or Prefect profile\) is not there"),
        server.connected(),
    ):
        pass


def test_another_server_on_the_default_port_and_a_home_that_cannot_be(web, tmp_path):
    web.body = b"<html>hello</html>"
    (tmp_path / "file").touch()
    with temporary_settings({"api.url": None, "server.api.port": web.server_port, "home": tmp_path}):
        assert not server.is_there()
    with (
        temporary_settings({"api.url": None, "server.api.port": web.server_port, "home": tmp_path / "file"}),
        pytest.raises(server.Unavailable, match=f"no Prefect server can be started in {tmp_path / 'file'}: .*File exists"),
        server.connected(psutil.Process()),
    ):
        pass


def test_a_server_that_does_not_start(closed_port, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    with (
        temporary_settings({"api.url": None, "server.api.port": closed_port, "home": tmp_path}),
        pytest.raises(server.Unavailable, match=r"it ended with code 1; it said nothing \(all of it in .*server.log\)"),
        server.connected(psutil.Process()),
    ):
        pass
    assert not (tmp_path / "server.json").exists()


@pytest.mark.parametrize("below", ["", ".dvc/tmp/exps/tmp1a2b", ".dvc/tmp/exps/standalone/tmp1a2b"])
def test_home_of_a_project_and_of_its_experiments(tmp_path, monkeypatch, below):
    (tmp_path / below).mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(tmp_path / below)
    with temporary_settings({"home": ".prefect"}):
        assert server.home() == tmp_path / ".prefect"
    with temporary_settings({"home": "/elsewhere"}):
        assert str(server.home()) == "/elsewhere"


def test_a_process_is_known_by_pid_and_create_time():
    mine = processes.identity(psutil.Process())
    pid, created = mine.split("-")
    assert processes.is_alive(mine)
    assert not processes.is_alive(f"{pid}-{int(created) - 1000}")  # another process had this pid ten seconds before
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
        "code = 'from flows import processes; print(processes.dvc_command(processes.dvc_above()))'\n"
        "subprocess.run(['sh', '-c', f'{sys.executable} -c \"{code}\" --out models/dvc; true'], check=True)\n"
    )
    environment = os.environ | {"PYTHONPATH": os.getcwd()}
    command = [sys.executable, str(tmp_path / "my tools" / "dvc"), "repro", "--force", "train@fcn8s"]
    assert subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout == (
        "dvc repro --force train@fcn8s\n"
    )
