from contextlib import contextmanager
from types import SimpleNamespace

import httpx
import pytest

from tasks import bar
from tasks.tracking import progress


@pytest.fixture
def api(monkeypatch):
    """Prefect's API as far as a bar uses it: `asked` has what it got, `error` is what it raises."""
    api = SimpleNamespace(asked=[], error=None, id="id7")

    class Client:
        def request(self, method, path, json, path_params):
            if api.error:
                raise api.error
            api.asked.append((method, path.format(**path_params), json))

    @contextmanager
    def get_client(sync_client, httpx_settings):
        assert httpx_settings == {"timeout": 2.0}
        yield Client()

    def create(percent, key, description):
        api.asked.append((key, percent, description))
        return api.id

    monkeypatch.setattr(bar, "get_client", get_client)
    monkeypatch.setattr(bar, "create_progress_artifact", create)
    return api


def test_it_is_made_once_and_then_updated(api):
    show = bar.Bar()
    show(25.0, "1/4 images")
    show(50.0, "2/4 images")
    assert api.asked == [
        ("progress", 25.0, "1/4 images"),
        ("PATCH", "/artifacts/id7", {"data": 50.0, "description": "2/4 images"}),
    ]


def test_it_goes_on_when_a_server_that_refused_is_back(api):
    show = bar.Bar()
    show(25.0, "a")
    api.error = httpx.ConnectError("refused")
    show(50.0, "b")
    api.error = None
    show(75.0, "c")
    assert [each[-1] for each in api.asked] == ["a", {"data": 75.0, "description": "c"}]


def test_a_server_that_does_not_answer_is_asked_once(api):
    show = bar.Bar()
    show(25.0, "a")
    api.error = httpx.ReadTimeout("hangs")
    show(50.0, "b")
    api.error = None
    show(75.0, "c")
    assert [each[-1] for each in api.asked] == ["a"]


def test_without_prefect_there_is_none(api):
    api.id = None  # what flows.runner.stage returns in place of an artifact
    show = bar.Bar()
    show(25.0, "a")
    show(50.0, "b")
    assert len(api.asked) == 1


def test_progress_moves_it_with_the_words_of_the_log():
    lines, shown = [], []
    tell = progress.Progress(lines.append, "fcn8s", "iterations", every=0, show=lambda *args: shown.append(args))
    tell(1, 4, "loss 0.5")
    tell(2, None)  # of an unknown whole there is no share
    tell(4, 4)
    assert [percent for percent, _ in shown] == [25.0, 100.0]
    assert [f"fcn8s: {text}" for _, text in shown] == [lines[0], lines[2]]
    assert shown[0][1].endswith(", loss 0.5")
