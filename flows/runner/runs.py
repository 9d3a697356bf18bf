"""Rows in Prefect: which runs belong together, which were skipped, which have lost their process.

Prefect nests flow runs by itself only inside one process. Across processes a child belongs to its parent by a task run of
the parent that stands for it; the server then copies every state of the child to that task run.
"""

import socket
from typing import Any
from uuid import UUID

import psutil
from prefect import Flow, State, Task
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.states import Completed, Crashed, Failed, Pending, Running

from flows.runner import processes

PIPELINE = "pipeline"  # the name of the flow around one `dvc repro`, whoever started that
UNFINISHED = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]
_PROCESS = "process:"


def tags(process: psutil.Process) -> list[str]:
    """The tags by which `reconcile` knows the process that a run lives in."""
    return [_host(), f"{_PROCESS}{processes.identity(process)}"]


def _host() -> str:
    return f"host:{socket.gethostname()}"


def create(client: SyncPrefectClient, flow: Flow, parameters: dict[str, Any], name: str | None, parent: UUID | None) -> FlowRun:
    """Create the run of `flow` that this process is about to execute, below the flow run `parent` if there is one.

    Args:
        client: a client of the API.
        flow: the flow to run.
        parameters: its arguments by name.
        name: name of the run in the UI (None: Prefect invents one).
        parent: id of the flow run above.
    """
    task_run_id = _task_run(client, parent, name or flow.name, Pending()) if parent else None
    return client.create_flow_run(
        flow,
        name=name,
        parameters=flow.serialize_parameters(parameters),
        tags=tags(psutil.Process()),
        parent_task_run_id=task_run_id,
        state=Pending(),
    )


def record_skipped(client: SyncPrefectClient, parent: UUID, stage: str, how: str) -> None:
    """Record a stage that DVC did not run, as a task run of `parent` in the state `how` ("Cached" or "Restored")."""
    task_run_id = _task_run(client, parent, stage, Pending())
    client.set_task_run_state(task_run_id, Completed(name=how), force=True)


def _task_run(client: SyncPrefectClient, parent: UUID, name: str, state: State) -> UUID:
    """Create a task run below `parent`; no function belongs to it in this process."""
    task = Task(fn=_task_run, name=name)
    # DVC runs or skips each stage once per invocation, so its name tells it from the others.
    return client.create_task_run(task, flow_run_id=parent, dynamic_key=name, name=name, state=state).id


def adopt_dvc(client: SyncPrefectClient, dvc: psutil.Process) -> FlowRun:
    """Find or create the flow run that stands for a bare `dvc repro`, and set it Running.

    All stages of one dvc process find the same run. The first of them reconciles what earlier invocations left behind.

    Returns:
        The run, with the state that it had before, by which `release_dvc` sees an earlier failure.
    """
    flow_id = client.create_flow_from_name(PIPELINE)
    response = client.request(
        "POST",
        "/flow_runs/",
        json={
            "flow_id": str(flow_id),
            "name": processes.dvc_command(dvc),
            "idempotency_key": f"dvc-{processes.identity(dvc)}",
            "tags": tags(dvc),
            "state": {"type": "PENDING"},
        },
    )
    run = FlowRun.model_validate(response.json())
    if response.status_code == 201:
        reconcile(client)
    client.set_flow_run_state(run.id, Running(), force=True)
    return run


def release_dvc(client: SyncPrefectClient, run: FlowRun, failed: str | None, interrupted: bool = False) -> None:
    """Close the run of a bare `dvc repro` after a stage; the next stage of that dvc process opens it again.

    Args:
        client: a client of the API.
        run: what `adopt_dvc` returned.
        failed: name of the stage if it did not end well.
        interrupted: whether that was because of Ctrl-C, which leaves all runs above in the state that the stage is in.
    """
    state: State[Any] = Completed()
    if failed:
        state = (Crashed if interrupted else Failed)(message=f"Stage {failed} did not complete.")
    if not failed and run.state is not None and run.state.is_failed():
        state = run.state  # of an earlier stage, under `dvc repro --keep-going`
    client.set_flow_run_state(run.id, state, force=True)


def reconcile(client: SyncPrefectClient) -> int:
    """Set the runs of this machine Crashed whose process is gone without having said so (kill -9, out of memory).

    Returns:
        How many runs that were.
    """
    mine = FlowRunFilterTags(all_=[_host()])
    unfinished = FlowRunFilterState(type=FlowRunFilterStateType(any_=UNFINISHED))
    open_runs = client.read_flow_runs(flow_run_filter=FlowRunFilter(tags=mine, state=unfinished), limit=200)
    # A run may have ended without its tasks, so these are looked for by themselves.
    open_tasks = client.read_task_runs(
        flow_run_filter=FlowRunFilter(tags=mine),
        task_run_filter=TaskRunFilter(state=TaskRunFilterState(type=TaskRunFilterStateType(any_=UNFINISHED))),
        limit=200,
    )
    owners = FlowRunFilterId(any_=sorted({task_run.flow_run_id for task_run in open_tasks if task_run.flow_run_id}))
    lost = {
        run.id
        for run in [*open_runs, *client.read_flow_runs(flow_run_filter=FlowRunFilter(id=owners))]
        for tag in run.tags
        if tag.startswith(_PROCESS) and not processes.is_alive(tag.removeprefix(_PROCESS))
    }
    gone: State[Any] = Crashed(message="Its process is gone without a word: killed, or out of memory.")
    for task_run in open_tasks:
        if task_run.flow_run_id in lost:
            client.set_task_run_state(task_run.id, gone, force=True)
    ended = [run.id for run in open_runs if run.id in lost]
    for run_id in ended:
        client.set_flow_run_state(run_id, gone, force=True)
    return len(ended)
