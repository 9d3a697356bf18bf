"""A copy of the project to run as a user would, with the same pipeline and far fewer steps."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.settings import config, yamlfile

ROOT = Path(__file__).parents[2]


class Project:
    """A checkout in a folder of its own, and commands run inside."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        names = [
            "PREFECT_API_URL",
            "MLFLOW_TRACKING_URI",
            "DVC_STAGE",
            "PREFECT_HOME",
            "PREFECT_PROFILE",
        ]
        self.environment = {name: value for name, value in os.environ.items() if name not in names}
        self.environment["PATH"] = (
            f"{Path(sys.executable).parent}{os.pathsep}{self.environment['PATH']}"
        )
        self.environment |= {
            "DVC_NO_ANALYTICS": "1",
            "GIT_AUTHOR_NAME": "t",
            "GIT_AUTHOR_EMAIL": "t@t",
        }
        self.environment |= {"GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@t"}

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Runs a command in the project and returns what it printed, both streams in `stdout`."""
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment | environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=900,
        )

    def params(self) -> dict[str, Any]:
        params: dict[str, Any] = yaml.safe_load((self.folder / "params.yaml").read_text())
        return params

    def resolved(self, profile: str = "sample") -> dict[str, Any]:
        """What comes out of params.yaml and profiles.yaml for a profile."""
        shared = yamlfile.plain(self.folder / "profiles.yaml")
        own = {**self.params(), "profile": profile}
        return config.split(config.Layers(own, shared, "params.yaml").profile(profile)).data

    def change(self, values: dict[str, Any]) -> dict[str, Any]:
        """Writes values by their full keys into params.yaml; returns what it held."""
        before = self.params()
        params = self.params()
        for key, value in values.items():
            *outer, last = key.split(".")
            node = params
            for name in outer:
                node = node.setdefault(name, {})
            node[last] = value
        self.write_params(params)
        return before

    def write_params(self, params: dict[str, Any]) -> None:
        (self.folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def checkout(folder: Path) -> Project:
    """Copies what git tracks, or would track, as it is now, and commits it there."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in names.split("\0")[:-1]:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    project = Project(folder)
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "start"]):
        assert project.run("git", *command).returncode == 0
    return project


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    """The project with four steps per stage instead of thousands."""
    project = checkout(tmp_path_factory.mktemp("a checkout"))
    steps = {"iterations": 4, "log_every": 2, "validate_every": 4}
    recipes = [f"profiles.sample.train.{variant}" for variant in ("fcn32s", "fcn16s", "fcn8s")]
    project.change({f"{recipe}.{key}": value for recipe in recipes for key, value in steps.items()})
    return project


@pytest.fixture
def a_checkout(tmp_path) -> Project:
    """The project as it is, in a folder of its own."""
    return checkout(tmp_path / "a checkout")
