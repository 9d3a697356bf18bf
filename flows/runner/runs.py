"""Rows in Prefect: which runs belong together, which were skipped, which have lost their process.

Prefect nests flow runs by itself only inside one process. Across processes a child belongs to its
parent by a task run of the parent that stands for it; the server then copies every state of the
child to that task run.

A `client` is Prefect's own, or an `httpx.Client` with the API as its base: both ask the same way.
So a command that has nothing else to do with Prefect need not import it.
"""

import contextlib
import json
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import psutil

from fcn.errors import UserError
from flows.runner import processes
from tasks.settings import yamlfile
from tasks.tracking import root

PIPELINE = "pipeline"  # the name of the flow around one `dvc repro`, whoever started that
UNFINISHED = ["RUNNING", "PENDING", "CANCELLING"]
LOST = ("CRASHED", "Its process ended without recording its end: killed, or out of memory.")

State = tuple[str, str]
"""A type of state, and its words."""


def ask(client: Any, method: str, path: str, body: Any = None) -> Any:
    """What Prefect's API answers; an error of HTTP is raised."""
    answer = client.request(method, path, json=body)
    answer.raise_for_status()
    return answer.json() if answer.content else None


def tags() -> list[str]:
    """What a person would filter runs by: the workspace's folder, and the profile."""
    found = [f"folder:{root().name}"]
    with contextlib.suppress(UserError, OSError):
        profile = yamlfile.plain(Path("params.yaml")).get("profile")
        found += [f"profile:{profile}"] if profile else []
    return found


def labels(process: psutil.Process) -> dict[str, str]:
    """By which `reconcile` knows the process that a run lives in."""
    return {
        "host": socket.gethostname(),
        "process": processes.identity(process),
        "workspace": str(root()),
    }


def create(
    client: Any, flow: str, name: str | None, parent: str | None = None,
    parameters: Mapping[str, Any] | None = None, process: psutil.Process | None = None,
    key: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Creates a run of a flow, or finds the one with that key.

    Args:
        client: a client of the API.
        flow: the flow's name.
        name: name of the run in the UI (None: Prefect invents one).
        parent: id of the flow run above.
        parameters: arguments by name.
        process: that it lives in (default: this one).
        key: a second run with the same key is the first one.
    """
    return ask(client, "POST", "/flow_runs/", {  # type: ignore[no-any-return]
        "flow_id": ask(client, "POST", "/flows/", {"name": flow})["id"],
        "name": name,
        "parameters": json.loads(json.dumps(parameters or {}, default=str)),
        "tags": tags(),
        "labels": labels(process or psutil.Process()),
        "parent_task_run_id": _task_run(client, parent, name or flow) if parent else None,
        "idempotency_key": key,
        "state": _state(("PENDING", "")),
    })  # fmt: skip


def mark(client: Any, run: str, others: Iterable[str]) -> None:
    """Gives a run that somebody else has made, a deployment's, this process and the workspace's
    tags beside its own.
    """
    ask(client, "PATCH", f"/flow_runs/{run}", {"tags": [*others, *tags()]})
    ask(client, "PATCH", f"/flow_runs/{run}/labels", labels(psutil.Process()))


def set_state(client: Any, run: str, state: State) -> None:
    """Sets a flow run's state, whatever it was before."""
    ask(client, "POST", f"/flow_runs/{run}/set_state", {"state": _state(state), "force": True})


def _state(state: State, name: str | None = None) -> dict[str, Any]:
    return {"type": state[0], "name": name or state[0].capitalize(), "message": state[1] or None}


def record_skipped(client: Any, parent: str, stage: str, how: str) -> None:
    """Records a stage that DVC did not run, as a task run of `parent` in the state `how` ("Cached"
    or "Restored").
    """
    _set_task(client, _task_run(client, parent, stage), ("COMPLETED", ""), how)


def record_nothing_to_do(client: Any, name: str, stages: Iterable[str]) -> None:
    """Records a pipeline all of whose stages were up to date."""
    run, stages = create(client, PIPELINE, name)["id"], [*stages]
    set_state(client, run, ("RUNNING", ""))
    for stage in stages:
        record_skipped(client, run, stage, "Cached")
    set_state(client, run, ("COMPLETED", f"nothing to do: {len(stages)} stages are up to date"))


def _task_run(client: Any, parent: str, name: str) -> str:
    """Creates a task run below `parent`; no function belongs to it in this process."""
    # DVC runs or skips each stage once per invocation, so its name tells it from the others.
    row = {
        "flow_run_id": parent,
        "task_key": name,
        "dynamic_key": name,
        "name": name,
        "state": _state(("PENDING", "")),
    }
    return str(ask(client, "POST", "/task_runs/", row)["id"])


def _set_task(client: Any, task_run: str, state: State, name: str | None = None) -> None:
    ask(
        client,
        "POST",
        f"/task_runs/{task_run}/set_state",
        {"state": _state(state, name), "force": True},
    )


def adopt_dvc(client: Any, dvc: psutil.Process) -> dict[str, Any]:
    """Finds or creates the flow run that stands for a bare `dvc repro`, and sets it Running.

    Returns:
        The run, with the state that it had before, by which `release_dvc` sees an earlier failure.
    """
    name, key = processes.dvc_command(dvc), f"dvc-{processes.identity(dvc)}"
    run = create(client, PIPELINE, name, process=dvc, key=key)
    set_state(client, run["id"], ("RUNNING", ""))
    return run


def release_dvc(client: Any, run: Mapping[str, Any], failed: str | None, stopped: str) -> None:
    """Closes the run of a bare `dvc repro` after a stage; the next stage of that dvc process opens
    it again.

    Args:
        client: a client of the API.
        run: what `adopt_dvc` returned.
        failed: name of the stage if it did not end well.
        stopped: how the stage was stopped, if it was.
    """
    state: State = ("COMPLETED", "")
    if stopped:
        state = ("CANCELLED", stopped)
    elif failed:
        state = ("FAILED", f"Stage {failed} did not complete.")
    # an earlier stage, under `dvc repro --keep-going`
    elif (before := run.get("state")) and before["type"] == "FAILED":
        state = (before["type"], before["message"])
    set_state(client, run["id"], state)


def reconcile(client: Any, all_are_ours: bool = False) -> int:
    """Sets the runs of this workspace Crashed whose process is gone without having said so (kill
    -9, out of memory).

    Args:
        client: a client of the API.
        all_are_ours: its database has the runs of this workspace and of no other; those that say to
            be of another one are what it began with, as a copy or before it was moved.

    Returns:
        How many runs that were.
    """
    mine: dict[str, Any] = {} if all_are_ours else {"tags": {"all_": tags()[:1]}}
    unfinished = {"state": {"type": {"any_": UNFINISHED}}}
    open_runs = ask(
        client, "POST", "/flow_runs/filter", {"flow_runs": mine | unfinished, "limit": 200}
    )
    # A run may have ended without its tasks, so these are looked for by themselves.
    open_tasks = ask(
        client,
        "POST",
        "/task_runs/filter",
        {"flow_runs": mine, "task_runs": unfinished, "limit": 200},
    )
    owners = {
        "id": {"any_": sorted({task["flow_run_id"] for task in open_tasks if task["flow_run_id"]})}
    }
    others = ask(client, "POST", "/flow_runs/filter", {"flow_runs": owners}) if open_tasks else []
    lost = {run["id"] for run in [*open_runs, *others] if _is_lost(run["labels"], all_are_ours)}
    for task in open_tasks:
        if task["flow_run_id"] in lost:
            _set_task(client, task["id"], LOST)
    ended = [run["id"] for run in open_runs if run["id"] in lost]
    for run in ended:
        set_state(client, run, LOST)
    return len(ended)


def _is_lost(labels: Mapping[str, Any], all_are_ours: bool) -> bool:
    process = labels.get("process")
    if process is None or labels.get("host") != socket.gethostname():
        return False
    return not processes.is_alive(str(process)) or (
        all_are_ours and labels.get("workspace") != str(root())
    )
