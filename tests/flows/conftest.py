"""A throwaway DVC project with a Prefect server of its own, so that no test touches the developer's
`.prefect`.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.sorting import FlowRunSort

REPO = Path(__file__).parents[2]

STAGE = """
import os, sys, time
from pathlib import Path
from fcn.errors import UserError
from flows.runner import stage
from tasks.tracking import steps

@steps.step("make")
def make(text: str) -> str:
    if text == "unwanted":
        raise UserError("params.yaml: text: wanted a greeting, got 'unwanted'")
    while text == "wait":
        print("waiting", flush=True)
        time.sleep(0.2)
    return text

def tiny(text: str, out: Path) -> None:
    out.write_text(make(text))

if __name__ == "__main__":
    sys.exit(stage.main(tiny))
"""

FIRST = """
stages:
  first:
    cmd: python -m tiny --text ${first} --out first.txt
    params: [first]
    outs: [first.txt]
"""

DVC = (
    FIRST
    + """\
  second:
    foreach: {a: {}, b: {}}
    do:
      cmd: python -m tiny --text ${second} --out second-${key}.txt
      deps: [first.txt]
      params: [second]
      outs: ["second-${key}.txt"]
"""
)

# Keeps the server of a folder running until its standard input is closed.
KEEPER = """
import sys, psutil
from flows.runner import processes, server
url = server.join(server.home(), [processes.identity(psutil.Process())])
print(url, server.home(), flush=True)
sys.stdin.read()
"""


def _isolated(folder):
    """Environment of a process that works in `folder` and knows nothing of the developer's settings
    and servers.
    """
    foreign = ("PREFECT_", "DVC_", "GIT_", "FCN_", "MLFLOW_")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)} | {
        "PYTHONPATH": str(REPO),
        "DO_NOT_TRACK": "1",
        "DVC_NO_ANALYTICS": "1",
        "DVC_GLOBAL_CONFIG_DIR": str(folder / "dvc-config"),
        "DVC_SITE_CACHE_DIR": str(folder / "dvc-site"),
        "GIT_CONFIG_GLOBAL": os.devnull,
    }


class Keeper(subprocess.Popen[str]):
    """A process that uses the server of a folder until `end`."""

    def __init__(self, folder, environment=None):
        super().__init__(
            [sys.executable, "-c", KEEPER],
            cwd=folder,
            env=environment or _isolated(folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def says(self):
        """The API's address and Prefect's home."""
        assert self.stdout
        return self.stdout.readline().rstrip("\n").split(" ", 1)

    def end(self):
        self.communicate()


class Project:
    """The project's folder, how to run something in it, and what Prefect knows of it."""

    def __init__(self, folder, url, client, environment):
        self.folder, self.url, self.client, self.environment = folder, url, client, environment

    def params(self, **values):
        (self.folder / "params.yaml").write_text(
            "".join(f"{name}: {value}\n" for name, value in values.items())
        )

    def start(self, *command, **options):
        """Start `python -m command`; what it says comes in `stdout`."""
        return subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **options,
        )

    def run(self, *command):
        """Exit code and output of `python -m command`."""
        with self.start(*command) as process:
            output, _ = process.communicate()
        return process.returncode, output

    def top(self):
        """The newest flow run that has no parent."""
        runs = self.client.read_flow_runs(sort=FlowRunSort.START_TIME_DESC, limit=20)
        return next(run for run in runs if run.parent_task_run_id is None)

    def below(self, run):
        """Name of the state of each task run of a flow run, by the task run's name."""
        return {task_run.name: task_run.state.name for task_run in self._task_runs(run)}

    def child(self, run, name):
        """The flow run that the task run `name` of `run` stands for."""
        found = {
            task_run.name: task_run.state.state_details.child_flow_run_id
            for task_run in self._task_runs(run)
        }
        return self.client.read_flow_run(found[name])

    def _task_runs(self, run):
        return self.client.read_task_runs(
            flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run.id]))
        )


@pytest.fixture(scope="session")
def keeper():
    return Keeper


@pytest.fixture(scope="session")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    environment = _isolated(folder)
    shutil.copy(REPO / "pyproject.toml", folder)  # Prefect's settings
    (folder / "tiny.py").write_text(STAGE)
    (folder / "dvc.yaml").write_text(DVC)
    for command in (["git", "init", "--quiet"], [sys.executable, "-m", "dvc", "init", "--quiet"]):
        subprocess.run(command, cwd=folder, env=environment, check=True)
    with Keeper(folder, environment) as process:
        url, home = process.says()
        assert Path(home) == folder / ".prefect"
        with SyncPrefectClient(url) as client:
            yield Project(folder, url, client, environment)
        process.end()
