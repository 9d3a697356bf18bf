import subprocess
import sys
from contextlib import contextmanager
from types import SimpleNamespace

import httpx
import pytest

from fcn.errors import UserError
from tasks.tracking import progress, steps


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

    def show(key, text, progress):
        api.asked.append((key, progress, text))
        return api.id

    monkeypatch.setattr("prefect.client.orchestration.get_client", get_client)
    monkeypatch.setattr(steps, "show", show)
    return api


def test_it_is_made_once_and_then_updated(api):
    show = steps.Bar()
    show(25.0, "1/4 images")
    show(50.0, "2/4 images")
    assert api.asked == [
        ("progress", 25.0, "1/4 images"),
        ("PATCH", "/artifacts/id7", {"data": 50.0, "description": "2/4 images"}),
    ]


def test_it_goes_on_when_a_server_that_refused_is_back(api):
    show = steps.Bar()
    show(25.0, "a")
    api.error = httpx.ConnectError("refused")
    show(50.0, "b")
    api.error = None
    show(75.0, "c")
    assert [each[-1] for each in api.asked] == ["a", {"data": 75.0, "description": "c"}]


def test_a_server_that_does_not_answer_is_asked_once(api):
    show = steps.Bar()
    show(25.0, "a")
    api.error = httpx.ReadTimeout("hangs")
    show(50.0, "b")
    api.error = None
    show(75.0, "c")
    assert [each[-1] for each in api.asked] == ["a"]


def test_without_prefect_there_is_none(api):
    api.id = None  # what `show` returns in place of an artifact
    show = steps.Bar()
    show(25.0, "a")
    show(50.0, "b")
    assert len(api.asked) == 1


def test_progress_moves_it_with_the_words_of_the_log():
    lines: list[str] = []
    shown = []
    tell = progress.Progress(
        lines.append, "fcn8s", "iterations", every=0, show=lambda *args: shown.append(args)
    )
    tell(1, 4, "loss 0.5")
    tell(2, None)  # of an unknown whole there is no share
    tell(4, 4)
    assert [percent for percent, _ in shown] == [25.0, 100.0]
    assert [f"fcn8s: {text}" for _, text in shown] == [lines[0], lines[2]]
    assert shown[0][1].endswith(", loss 0.5")


@steps.step("half of {number}", retries=2)
def half(number):
    """Halves."""
    steps.show("half", "a table", table=[{"half": number / 2}])
    if number % 2:
        raise UserError("odd")
    return number / 2


def test_retries_wait_longer_each_time_and_only_for_what_may_pass(monkeypatch):
    import prefect

    from tasks import fetch

    given = []

    def task(**options):
        given.append(options)
        return lambda function: function

    monkeypatch.setattr(prefect, "task", task)
    monkeypatch.setattr(steps, "recorded", lambda: True)
    assert steps.step("length", retries=2)(len)("four") == 4
    (options,) = given
    assert (options["retries"], options["retry_delay_seconds"](2)) == (2, [2, 4])
    assert options["retry_delay_seconds"](fetch.RETRIES) == [2, 4, 8, 16, 32], "a minute in all"
    for error, again in ((UserError("404"), False), (OSError("reset"), True)):
        state = SimpleNamespace(result=lambda raise_on_failure, error=error: error)
        assert options["retry_condition_fn"](None, None, state) is again
    steps.step("once")(len)("")
    assert "retry_delay_seconds" not in given[1]


def test_without_a_recorded_run_a_step_is_its_function_and_nothing_is_shown(caplog):
    assert (half(3 + 1), half.__doc__, steps.recorded()) == (2.0, "Halves.", False)
    with pytest.raises(UserError, match="odd"):
        half(3)
    assert steps.show("x", "a text", markdown="x") is None
    assert steps.run_id() == steps.pipeline_id() != ""
    with caplog.at_level("INFO"):
        steps.logger().info("told")
    assert caplog.messages == ["told"]


def test_a_step_imports_no_prefect():
    code = (
        "import sys; from tasks.tracking import steps; steps.step('x')(print)(1); "
        "print('prefect' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "1\nFalse\n"


def test_remarks_are_those_of_one_run():
    with steps.remarks() as said:
        steps.remark("resumed at step 800")
        assert said == ["resumed at step 800"]
    with steps.remarks() as said:
        assert said == []
