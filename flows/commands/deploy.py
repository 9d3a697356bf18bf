"""`fcn deploy`: the pipeline on a Prefect server."""

import os
import subprocess
import sys
from typing import Literal

from fcn.errors import UserError

POOL = "fcn"
"""The pool that prefect.yaml names."""


def deploy(*, kind: Literal["process", "docker", "kubernetes"] = "process") -> int:
    """Put the deployments of prefect.yaml on the Prefect server that PREFECT_API_URL names.

    Makes the work pool `fcn` if there is none, lets it run one thing at a time, and deploys.
    `prefect worker start --pool fcn` then does the work; docs/how-to/deploy.md says more.

    Example: `fcn deploy`

    Args:
        kind: Of the pool, where it is made; docker and kubernetes take their template from deploy/.

    Returns:
        The exit code of the first of Prefect's commands that failed, or 0.

    Raises:
        UserError: no server is configured.
    """
    from prefect.settings import get_current_settings

    if not get_current_settings().api.url:
        raise UserError("fcn deploy: PREFECT_API_URL is not set: which Prefect server is it for?")
    create = ["work-pool", "create", POOL, "--type", kind]
    if kind != "process":
        create += ["--base-job-template", f"deploy/{kind}-pool.json"]
    there = _prefect(["work-pool", "inspect", POOL], quiet=True) == 0
    steps = [
        *([] if there else [create]),
        ["work-pool", "set-concurrency-limit", POOL, "1"],
        ["--no-prompt", "deploy", "--all"],
    ]
    return next((code for step in steps if (code := _prefect(step))), 0)


def _prefect(words: list[str], quiet: bool = False) -> int:
    sink = subprocess.DEVNULL if quiet else None
    environment = os.environ | {"DO_NOT_TRACK": "1"}
    command = [sys.executable, "-m", "prefect", *words]
    return subprocess.run(command, stdout=sink, stderr=sink, env=environment).returncode
