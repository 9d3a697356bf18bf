"""Processes that are killed, interrupted, repeated; workspaces that are damaged, read-only, without
git, oddly named.
"""

import gc
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest
from prefect.client.orchestration import SyncPrefectClient

from flows.runner import processes, stage
from tests.living import living
from tests.reliability import small_stages

ROOT = Path(__file__).parents[2]
DVC = """
stages:
  first:
    cmd: python -m tests.reliability.small_stages --text ${first} --out first.txt
    params: [first]
    outs: [first.txt]
  second:
    cmd: python -m tests.reliability.small_stages --text ${second} --out second.txt
    deps: [first.txt]
    params: [second]
    outs: [second.txt]
"""
SERVER = """
import sys, uvicorn
from prefect.server.api.server import create_app
uvicorn.run(create_app(final=True), port=int(sys.argv[1]), log_level="error")
"""


class Project:
    """A folder without git, also in PATH, and nobody to ask for Prefect."""

    def __init__(self, folder):
        self.folder = folder
        foreign = ("PREFECT_", "DVC_", "GIT_", "FCN_", "MLFLOW_")
        commands = folder.parent / "commands"
        commands.mkdir()
        for name in ("sh", "env", "cat"):
            (commands / name).symlink_to(shutil.which(name))
        self.environment = {name: value for name,
        value in os.environ.items() if not name.startswith(foreign)} | {
            "PATH": f"{Path(sys.executable).parent}:{commands}", "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "PREFECT_API_URL": "http://127.0.0.1:9/api", "PREFECT_HOME": str(folder / ".prefect"),
            "DO_NOT_TRACK": "1", "DVC_NO_ANALYTICS": "1",
            "DVC_GLOBAL_CONFIG_DIR": str(folder / "config"),
            "DVC_SITE_CACHE_DIR": str(folder.parent / "site"),
        }  # fmt: skip
        assert shutil.which("git", path=self.environment["PATH"]) is None
        (folder / "dvc.yaml").write_text(DVC)

    def params(self, first="hello", second="world"):
        (self.folder / "params.yaml").write_text(f"first: {first}\nsecond: {second}\n")

    def start(self, *command, **environment):
        return subprocess.Popen(
            [sys.executable, *command], cwd=self.folder, env=self.environment | environment,
            text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def run(self, *command, **environment):
        with self.start(*command, **environment) as process:
            return process.communicate()[0], process.returncode

    def repro(self, *words):
        return self.run("-m", "dvc", "repro", *words, FCN_PARENT_RUN="")

    def waiting(self, *command, **environment):
        """Starts a command and waits until its stage waits; the process and all below it."""
        process = self.start(*command, **environment)
        output = ""
        while not output.endswith("waiting\n"):
            line = process.stdout.readline()
            assert line, output
            output += line
        return process, psutil.Process(process.pid).children(recursive=True)

    def read(self, name):
        return (self.folder / name).read_text()


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("werk") / "ein Prüfstand für alle"
    folder.mkdir()
    project = Project(folder)
    assert project.run("-m", "dvc", "init", "--no-scm", "-q")[1] == 0
    project.params()
    return project


@pytest.fixture(scope="module")
def made(project):
    output, code = project.repro()
    assert code == 0, output
    return output


def ran(output):
    return [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")]


def test_without_git_in_a_folder_with_spaces_and_umlauts(project, made):
    assert ran(made) == ["first", "second"]
    assert (project.read("first.txt"), project.read("second.txt")) == ("hello", "world")
    assert "Prüfstand" not in project.read("dvc.lock")


def test_an_output_changed_by_hand_is_restored_without_running(project, made):
    before = project.read("dvc.lock")
    (project.folder / "first.txt").unlink()
    (project.folder / "first.txt").write_text("changed by hand")
    output, code = project.repro()
    assert (code, ran(output)) == (0, []), output
    assert "Stage 'first' is cached - skipping run, checking out outputs" in output
    assert project.read("first.txt") == "hello"
    assert project.read("dvc.lock") == before


@pytest.mark.parametrize("damage", ["lost", "changed"])
def test_a_damaged_cache_costs_a_run_of_the_stage(project, made, damage):
    before = project.read("dvc.lock")
    (cached,) = (
        path
        for path in (project.folder / ".dvc/cache/files").rglob("*")
        if path.is_file() and path.read_text() == "hello"
    )
    cached.unlink()
    if damage == "changed":
        cached.write_text("hellO")
    (project.folder / "first.txt").unlink()
    output, code = project.repro()
    assert (code, ran(output)) == (0, ["first"]), output
    assert (project.read("first.txt"), project.read("dvc.lock")) == ("hello", before)
    assert cached.read_text() == "hello"


@pytest.mark.parametrize("victim", ["dvc", "stage"])
def test_kill_9_of_dvc_or_of_a_stage_leaves_nothing_behind(project, made, victim):
    project.params(second="wait")
    process, below = project.waiting("-m", "dvc", "repro", FCN_PARENT_RUN="")
    (stage_,) = (
        child for child in below if child.cmdline()[1:3] == ["-m", "tests.reliability.small_stages"]
    )
    (process if victim == "dvc" else stage_).kill()
    output, _ = process.communicate()
    assert process.returncode == (-signal.SIGKILL if victim == "dvc" else 255)
    assert living(below, 60) == []
    assert not (project.folder / "second.txt").exists()

    project.params()
    output, code = project.repro()
    # no lock is left; what was there before comes back from the cache
    assert (code, ran(output)) == (0, []), output
    assert project.read("second.txt") == "world"


def test_ctrl_c_twice_ends_what_does_not_want_to_end(project, made):
    project.params(second="stubborn")
    process, below = project.waiting("-m", "fcn", "repro", "--verbose")
    said = ""
    os.killpg(process.pid, signal.SIGINT)
    while "got SIGINT" not in said:
        said += process.stdout.readline()
    time.sleep(3.2)  # signals in quick succession count as one
    os.killpg(process.pid, signal.SIGINT)
    said += process.communicate()[0]
    assert process.returncode == 130, said
    assert "got SIGTERM" in said
    assert living(below) == []
    project.params()
    assert project.repro()[1] == 0


def test_a_read_only_workspace_is_said_in_one_line(project, made):
    project.params(first="other")
    inside = 'mount --bind . . && mount -o remount,ro,bind . && cd "$PWD" && exec "$@"'
    wrapped = ["unshare", "-m", "sh", "-c", inside, "sh"]
    if (
        os.geteuid() != 0
        or subprocess.run([*wrapped, "true"], cwd=project.folder, capture_output=True).returncode
    ):
        project.params()
        pytest.skip("no file system can be mounted here")
    command = [
        *wrapped,
        sys.executable,
        "-m",
        "tests.reliability.small_stages",
        "--text",
        "other",
        "--out",
        "first.txt",
    ]
    environment = project.environment | {"FCN_PARENT_RUN": "", "PATH": os.environ["PATH"]}
    done = subprocess.run(
        command, cwd=project.folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "error: OSError: [Errno 30] Read-only file system: 'first.txt'"
    )
    done = subprocess.run([*wrapped, sys.executable, "-m", "fcn", "repro"], cwd=project.folder,
    env=environment | {
        "FCN_PARENT_RUN": "x", "PREFECT_API_URL": "http://127.0.0.1:9/api"},
    capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Read-only file system" in done.stdout + done.stderr
    project.params()
    assert project.read("first.txt") == "hello"


def test_a_clock_that_is_set_back_makes_no_process_a_dead_one(monkeypatch):
    mine = processes.identity(psutil.Process())
    platform = vars(psutil)["_psplatform"]
    boot_time = platform.boot_time
    created = psutil.Process().create_time()
    # as Linux says after that
    monkeypatch.setattr(platform, "boot_time", lambda: boot_time() - 3600)
    if sys.platform == "linux":
        assert psutil.Process().create_time() == pytest.approx(created - 3600, abs=2)
    assert processes.is_alive(mine)
    assert processes.identity(psutil.Process()) == mine


def test_200_runs_of_a_stage_leave_no_process_file_or_memory(tmp_path, monkeypatch):
    monkeypatch.setenv(processes.PARENT_RUN, "")
    handlers = {
        number: signal.getsignal(number)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    me = psutil.Process()
    counts = []
    for number in range(220):
        assert (
            stage.execute(
                small_stages.tiny, {"text": str(number), "out": tmp_path / "out"}, name="tiny"
            )
            == 0
        )
        if number in (19, 219):
            gc.collect()
            counts.append(
                (me.num_fds(), me.num_threads(), len(me.children()), me.memory_info().rss)
            )
    for number, handler in handlers.items():
        signal.signal(number, handler)
    (*before, memory), (*after, memory_after) = counts
    assert after == before
    assert memory_after - memory < 200 * 50_000, "less than 50 kB for a run"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out").read_text() == "219"


def test_10_processes_leave_nothing_behind(project, made):
    before = sorted(path.name for path in project.folder.iterdir())
    for _ in range(5):
        pair = [
            project.start(
                "-m", "tests.reliability.small_stages", "--text", "hello", "--out",
                f"../{number}.txt", FCN_PARENT_RUN=""
            )
            for number in range(2)
        ]  # fmt: skip
        for process in pair:
            said, _ = process.communicate()
            assert process.returncode == 0, said
            with pytest.raises(ProcessLookupError):  # a session of its own, of which nobody is left
                os.killpg(process.pid, 0)
    assert sorted(path.name for path in project.folder.iterdir()) == before
    assert project.read("../1.txt") == "hello"


@pytest.fixture
def prefect_server(project):
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    url = f"http://127.0.0.1:{port}/api"
    started = []

    def start():
        process = project.start(
            "-c", SERVER, str(port), PREFECT_API_URL="", PREFECT_SERVER_ANALYTICS_ENABLED="false"
        )
        started.append(process)
        while True:
            assert process.poll() is None, process.stdout.read()
            try:
                if httpx.get(f"{url}/health", trust_env=False, timeout=5).status_code == 200:
                    return process
            except httpx.TransportError:
                time.sleep(0.1)

    yield url, start
    for process in started:
        process.kill()
        process.communicate()


def test_a_prefect_server_killed_and_restarted_in_mid_run_knows_how_it_ended(
    project, prefect_server
):
    url, start = prefect_server
    first = start()
    waiting = ("-m", "tests.reliability.small_stages", "--text", "wait", "--out", "../w.txt")
    process, _ = project.waiting(*waiting, PREFECT_API_URL=url)
    first.kill()
    first.wait()
    start()
    (project.folder / "go").touch()
    output, _ = process.communicate()
    (project.folder / "go").unlink()
    assert process.returncode == 0, output
    assert project.read("../w.txt") == "wait"
    with SyncPrefectClient(url) as client:
        (run,) = client.read_flow_runs()
        assert run.state
        assert (run.flow_id is not None, run.state.name) == (True, "Completed"), output
