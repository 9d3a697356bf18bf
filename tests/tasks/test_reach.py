"""Is there a network? Servers of this machine stand for those of the world."""

import socket
import threading

import pytest

from fcn.errors import UserError
from fcn.spec import Source
from tasks import reach

PROXIES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")


@pytest.fixture(autouse=True)
def settings(monkeypatch):
    """No proxies of this machine, and no patience."""
    for name in (*PROXIES, *map(str.upper, PROXIES)):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(reach, "PAUSE", 0.01)


@pytest.fixture
def nobody():
    """An address at which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.fixture
def silent():
    """An address at which somebody listens and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def source(*urls):
    return Source(urls=urls, checksums=())


def test_all_files_and_their_places_and_the_remedy_stand_in_one_paragraph(nobody):
    wanted = [source(f"{nobody}/voc.tar"), source(f"{nobody}/b/vgg.npy", f"{nobody}/c/vgg.npy")]
    with pytest.raises(UserError) as found:
        reach.check("voc2011", wanted, seconds=0.05)
    assert str(found.value) == (
        "There is no network, and the profile voc2011 needs 2 files that cannot be had without: "
        f"voc.tar from {nobody}/voc.tar; vgg.npy from {nobody}/b/vgg.npy or {nobody}/c/vgg.npy. "
        "(the connection was refused.) Download them where there is a network, put them into one "
        "folder under these names, and type `fcn repro --set profile=voc2011 --from-local FOLDER`. "
        "A proxy is named by HTTP_PROXY and HTTPS_PROXY."
    )


def test_a_server_that_never_answers_holds_nobody_up(silent):
    with pytest.raises(UserError, match=r"needs 1 file that .*(does not answer|no answer)"):
        reach.check("voc2011", [source(f"{silent}/voc.tar")], seconds=0.2)


def test_one_answer_is_a_network_whatever_it_says(nobody, over_http, tmp_path):
    with over_http(tmp_path) as url:
        reach.check("x", [source(f"{nobody}/a.tar"), source(f"{url}/missing.tar")], seconds=5)


def test_what_lies_on_this_machine_needs_no_network(nobody):
    reach.check("x", [source("file:a.tar"), source(f"{nobody}/b.tar", "file:b.tar")], seconds=0.05)


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY"])
def test_a_proxy_is_asked_and_named_where_it_is_gone(
    name, nobody, over_http, tmp_path, monkeypatch
):
    monkeypatch.setenv(name, nobody)
    with pytest.raises(UserError, match="the proxy that HTTP_PROXY or HTTPS_PROXY names does not"):
        reach.check("x", [source("http://host.invalid/a.tar")], seconds=0.05)
    with over_http(tmp_path) as url:  # which a proxy is not: it answers 404, and so there is one
        monkeypatch.setenv(name, url)
        reach.check("x", [source("http://host.invalid/a.tar")], seconds=5)


@pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
def test_no_proxy_is_asked_for_what_is_spared(name, nobody, over_http, tmp_path, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", nobody)
    monkeypatch.setenv(name, "127.0.0.1")
    with over_http(tmp_path) as url:
        reach.check("x", [source(f"{url}/a.tar")], seconds=5)


def test_a_proxy_that_reaches_nobody_is_no_network(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as proxy:

        def answer():
            while True:
                try:
                    one, _ = proxy.accept()
                except OSError:
                    return
                with one:
                    one.recv(4096)
                    one.sendall(b"HTTP/1.1 504 Gateway Timeout\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.getsockname()[1]}")
        with pytest.raises(UserError, match=r"\(status 504\.\)"):
            reach.check("x", [source("http://host.invalid/a.tar")], seconds=0.3)
        proxy.shutdown(socket.SHUT_RDWR)
        thread.join()
