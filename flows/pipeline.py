"""The whole DAG as one Prefect flow: `python -m flows.pipeline [--force] [--set KEY=VALUE ...] [targets ...]`.

DVC decides what runs and in which order; this is one `dvc repro` with a run in Prefect around it. The stages attach
themselves to that run.
"""

import argparse
import contextlib
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from uuid import UUID

import httpx
import psutil
from prefect import flow, runtime
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.logging.handlers import APILogHandler
from prefect.settings import get_current_settings

from fcn.errors import UserError
from flows import processes, runs, stage

# What dvc says of a stage that it does not run, and the name of the state in which Prefect then shows that stage.
SKIPPED = {
    re.compile(r"(?:Stage )?'(.+)' didn't change, skipping"): "Cached",
    re.compile(r"Stage '(.+)' is cached - skipping run, checking out outputs"): "Restored",
}
STOP = ((signal.SIGINT, 20.0), (signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0))  # seconds to wait after each


def main(argv: list[str] | None = None) -> int:
    """Run the pipeline with the arguments of the command line.

    Returns:
        0, 1 (a stage failed or dvc refused: its own words stand in the output) or 130 (interrupted).
    """
    parser = argparse.ArgumentParser(prog="python -m flows.pipeline", description=__doc__.partition("\n\n")[0])
    parser.add_argument("targets", nargs="*", help="stages to bring up to date, with all that they need (default: all)")
    parser.add_argument("--force", action="store_true", help="run every stage, changed or not")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="changes",
        help="WRITES a value into params.yaml, where it stays, and records the outcome as a DVC experiment "
        "(dvc exp run -S): --set profile=voc2012; repeatable. Needs a git commit to start from.",
    )
    parameters = vars(parser.parse_args(argv))
    command = ["repro", *parameters["targets"], *["--force"] * parameters["force"]]
    if parameters["changes"]:
        print(
            f"params.yaml: setting {', '.join(parameters['changes'])} in the file itself, where it stays after the run "
            "(`git diff params.yaml` shows it)",
            flush=True,
        )
        command[:1] = ["exp", "run"]
        command += [word for change in parameters["changes"] for word in ("-S", change)]
    return stage.execute(pipeline, {"command": command}, name=" ".join(["dvc", *command]))


@flow(name=runs.PIPELINE)
def pipeline(command: list[str]) -> None:
    """Run one dvc command; its stages become child runs, those that it skips task runs.

    Args:
        command: the words after `dvc`.

    Raises:
        UserError: dvc did not end well. The message repeats its last error.
    """
    if get_current_settings().api.url is None:  # running without Prefect
        error = _follow(command, {stage.PARENT_RUN: ""}, lambda line: None)
    else:
        with get_client(sync_client=True) as client:
            with contextlib.suppress(httpx.HTTPError):  # a record is worth no run
                runs.reconcile(client)
            error = _follow(command, _connection(), _recorder(client))
            with contextlib.suppress(httpx.HTTPError):
                runs.reconcile(client)  # of a stage that ran out of memory
    if error is not None:
        raise UserError(f"dvc {' '.join(command)}: {error}")


def _connection() -> dict[str, str]:
    """What the stages need to find this run."""
    return {stage.PARENT_RUN: runtime.flow_run.id, "PREFECT_API_URL": str(get_current_settings().api.url)}


def _recorder(client: SyncPrefectClient) -> Callable[[str], None]:
    """Make the function that records lines of output with this run in Prefect, and the stages that they say to be skipped."""
    run_id = runtime.flow_run.id
    handler = APILogHandler()
    lost = False

    def record(line: str) -> None:
        nonlocal lost
        handler.handle(logging.makeLogRecord({"name": "dvc", "levelno": logging.INFO, "msg": line, "flow_run_id": run_id}))
        for pattern, how in SKIPPED.items():
            if not lost and (found := pattern.fullmatch(line)):
                try:
                    runs.record_skipped(client, UUID(run_id), found[1], how)
                except httpx.HTTPError:
                    lost = True  # asking again costs seconds a line; `stage.execute` will say so at the end

    return record


def _follow(command: list[str], extra: dict[str, str], record: Callable[[str], None]) -> str | None:
    """Run dvc, passing its output on line by line as it comes; its last error if it failed, else None."""
    environment = (
        os.environ
        | extra
        | {
            stage.PARENT_PROCESS: processes.identity(psutil.Process()),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
            "PYTHONUNBUFFERED": "1",
            "DVC_NO_ANALYTICS": "1",
            "DO_NOT_TRACK": "1",
        }
    )
    last_error = "it failed without saying why"
    child = subprocess.Popen(
        [sys.executable, "-m", "dvc", *command],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,  # Ctrl-C reaches us alone; `_stop` hands it on, and sees to it that all of them end
    )
    assert child.stdout is not None
    try:
        for line in child.stdout:
            print(line, end="", flush=True)
            record(line.rstrip())
            if line.startswith("ERROR: "):
                last_error = line.removeprefix("ERROR: ").strip()
        child.wait()
    except BaseException:
        _stop(child)
        raise
    child.stdout.close()
    return last_error if child.returncode else None


def _stop(child: subprocess.Popen[str]) -> None:
    """End dvc and all that it started, gently at first; another Ctrl-C goes on to the next step."""
    assert child.stdout is not None
    rest: Iterable[str] = child.stdout
    reader = threading.Thread(target=lambda: [print(line, end="", flush=True) for line in rest], daemon=True)
    reader.start()  # else a full pipe could keep them from ending
    for number, seconds in STOP:
        with contextlib.suppress(KeyboardInterrupt):
            if _is_gone_after(child, number, seconds):
                break
    reader.join(timeout=2)
    if not reader.is_alive():
        child.stdout.close()


def _is_gone_after(child: subprocess.Popen[str], number: signal.Signals, seconds: float) -> bool:
    """Send a signal to the group of `child`, and tell whether all of it ends within some seconds."""
    deadline = time.monotonic() + seconds
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, number)
    while _is_group_running(child.pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    child.wait()
    return True


def _is_group_running(group: int) -> bool:
    """Tell whether a process group has a member that is more than a zombie (whose reaping may be nobody's hurry)."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                return True
    return False


if __name__ == "__main__":
    sys.exit(main())
