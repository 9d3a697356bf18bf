"""The whole DAG as one Prefect flow: `fcn repro [--force] [--set KEY=VALUE ...] [STAGE ...]`.

DVC decides what runs and in which order; this is one `dvc repro` with a run in Prefect around it.
The stages attach themselves to that run.
"""

import contextlib
import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx

from fcn.errors import LINE, UserError, shown
from flows import outside
from flows.runner import (
    children,
    committed,
    console,
    dvclines,
    outcome,
    overrides,
    processes,
    remote,
    runs,
    server,
    stage,
    workspace,
)
from tasks.settings import config
from tasks.tracking import console as messages
from tasks.tracking import forwarder, kept, provenance, steps


def run(
    targets: list[str],
    force: bool,
    changes: list[str],
    pull: bool | None,
    local: Path | None = None,
    verbose: bool = False,
) -> int:
    """Run the pipeline.

    Args:
        targets: stages to bring up to date; none: all.
        force: run every stage, changed or not.
        changes: `KEY=VALUE`, see `overrides.change`.
        pull: whether to take from the DVC remote; None: where it helps.
        local: a file or a folder that has files of the profile, which are not downloaded.
        verbose: print all messages.

    Returns:
        0, 1 (a stage failed or dvc refused: its own words stand in the output) or 130
        (interrupted).

    Raises:
        UserError: what is no change.
    """
    wanted = dict(overrides.change(change) for change in changes)
    try:
        # before a server starts, and before anything is written
        settings = overrides.check_file(changes=wanted)
        command = words(targets, force, pull, bool(changes))
        if not changes and not local and command == ["repro", *targets] and is_done(targets):
            return 0
        from flows import download  # only now: where there is nothing to do, it is not needed

        if settings and targets != ["settings"] and not {*command} & {*remote.LENIENT}:
            download.check(settings, local)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return processes.INTERRUPTED
    name = " ".join(["dvc", *command, *(f"--set {change}" for change in changes)])
    with console.opened(f"repro {' '.join(targets)}".rstrip(), verbose):
        given = {"command": command, "changes": changes, "local": local}
        return stage.execute(pipeline, given, name=name)


def words(
    targets: list[str], force: bool, pull: bool | None = None, experiment: bool = False
) -> list[str]:
    """The words after `dvc` for these arguments of the command line."""
    command = ["repro", *targets, *["--force"] * force]
    if not force:
        command += ["--pull"] * pull if pull is not None else remote.options()
    # An experiment starts from a commit.
    if experiment and remote.is_whole() and provenance.git("rev-parse", "--verify", "HEAD"):
        command[:1] = ["exp", "run"]
    return command


def is_done(targets: list[str]) -> bool:
    """Whether `dvc repro` has nothing to do. Then that is said, and recorded where somebody may be
    looking.

    It takes a second. Prefect's import and a server's start, for a run in which nothing happens,
    would take ten.
    """
    # a run changed params.yaml; or another server counts
    if overrides.BEFORE.exists() or "PREFECT_API_URL" in os.environ:
        return False
    from dvc.exceptions import DvcException  # type: ignore[import-untyped]
    from dvc.repo import Repo  # type: ignore[import-untyped]

    try:
        overrides.check_file()
        outside.note()
        # of DVC's dependencies about each other
        with warnings.catch_warnings(action="ignore"), Repo() as repo:
            if repo.status(targets or None, with_deps=True):
                return False
            wanted = [
                stage for target in targets for stage in repo.stage.collect(target, with_deps=True)
            ]
            stages = [*dict.fromkeys(stage.addressing for stage in (wanted or repo.index.stages))]
    except (UserError, DvcException, OSError, ValueError):  # dvc has the words for it
        return False
    outcome.say_nothing_to_do(stages)
    with contextlib.suppress(OSError, httpx.HTTPError, ValueError, LookupError):
        if url := server.join(server.home(), [], None):
            with server.client(url) as client:
                runs.record_nothing_to_do(client, " ".join(["dvc repro", *targets]), stages)
    return True


def pipeline(command: list[str], changes: Sequence[str] = (), local: Path | None = None) -> None:
    """Run one dvc command; its stages become child runs, those that it skips task runs.

    Args:
        command: the words after `dvc`.
        changes: `KEY=VALUE`, written into params.yaml before, see `overrides.change`.
        local: see `run`.

    Raises:
        UserError: another command than `pipeline` is for, see `overrides`; or dvc did not end well:
            the message repeats its last error, or says who else is at work here.
    """
    wanted = dict(overrides.change(change) for change in changes)
    overrides.check_command(command)
    with workspace.held(" ".join(["dvc", *command])):
        overrides.restore()
        if wanted and overrides.write(wanted):
            console.say(f"params.yaml is changed: {', '.join(changes)} (`git diff` shows it)")
        if local:
            from flows import download

            for path in download.bring(config.read(), local):
                console.say(f"{path}: taken from {local}")
        reproduce(command)


def reproduce(command: list[str]) -> None:
    """Do the work of `pipeline` in a workspace that is held already."""
    overrides.check_command(command)  # also of a deployment, whose parameters others give
    overrides.check_file()
    outside.note()
    with console.opened("repro") as seen:
        with connected() as (extra, hear):
            lacking = remote.lacking()
            error = dvc(["pull", *lacking], extra, hear) if lacking else None
            error = error or dvc(command, extra, hear)
            plain = [word for word in command if word not in remote.LENIENT]
            if error is not None and plain != command and workspace.is_cut_off(error):
                seen.say(f"not to be had from the remote ({shown(error)}): it is made here")
                error = dvc(plain, extra, hear)
        if error is not None:
            raise seen.failed(workspace.busy(error) or dvclines.words(error, seen.log))
        seen.end()
        kept.forget()
        if steps.recorded():
            outcome.show()
        if said := committed.words():
            seen.say(said)
        outcome.say(seen)


@contextlib.contextmanager
def connected() -> Iterator[tuple[dict[str, str], Callable[[str], object]]]:
    """What the stages below this flow run need in their environment to find it, and the function
    that takes in their lines: for the console, and for Prefect.

    Runs that have lost their process are put right after it: that of a stage which ran out of
    memory. And MLflow is given some time to hear of all.
    """
    with console.opened("run") as seen, forwarder.needed():
        try:
            if steps.recorded():
                with _recording(seen) as found:
                    yield found
            else:
                yield {processes.PARENT_RUN: "", messages.ASKED: "1"}, seen.hear
            forwarder.wait()
            for _, text in forwarder.news():
                seen.say(text)
        except KeyboardInterrupt as error:
            error.add_note(seen.stopped())
            raise


@contextlib.contextmanager
def _recording(seen: console.Console) -> Iterator[tuple[dict[str, str], Callable[[str], object]]]:
    from prefect.client.orchestration import get_client

    from flows.runner import recorded

    with get_client(sync_client=True) as client:
        url = str(client.api_url).rstrip("/")
        if url == os.environ.get(recorded.FOUND):
            seen.say(f"in Prefect: {url.removesuffix('/api')}/runs/flow-run/{steps.run_id()}")
        extra = {processes.PARENT_RUN: steps.run_id(), "PREFECT_API_URL": url, messages.ASKED: "1"}
        yield extra, _recorder(client, seen)
        with contextlib.suppress(*recorded.NO_PREFECT):  # a record is worth no run
            runs.reconcile(client)


def _recorder(client: Any, seen: console.Console) -> Callable[[str], object]:
    """Makes the function that takes in lines of output, and records with this run in Prefect the
    messages, and the stages that are skipped.
    """
    from prefect.logging.handlers import APILogHandler

    from flows.runner import recorded

    run_id, handler, lost = steps.run_id(), APILogHandler(), False

    def hear(line: str) -> None:
        nonlocal lost
        text = seen.hear(line)
        if not text:
            return
        known = {"name": "dvc", "levelno": logging.INFO, "msg": shown(text, LINE)}
        handler.handle(logging.makeLogRecord({**known, "flow_run_id": run_id}))
        for pattern, how in dvclines.SKIPPED.items():
            if not lost and (found := pattern.fullmatch(text)):
                try:
                    runs.record_skipped(client, run_id, found[1], how)
                except recorded.NO_PREFECT:
                    # asking again costs seconds a line; `stage.execute` will say so at the end
                    lost = True

    return hear


def dvc(command: list[str], extra: dict[str, str], hear: Callable[[str], object]) -> str | None:
    """Run dvc with the words `command`; its last error, None if there was none. See
    `children.follow`.

    DVC ends with 0 although its cache could not take what a stage has made: that is an error, too.
    """
    errors = dvclines.Errors()

    def both(line: str) -> None:
        hear(line)
        errors.hear(line)

    code = children.follow(["dvc", *command], extra, both)
    if code < 0 and not errors.last:
        name = signal.Signals(-code).name
        errors.last = f"dvc was ended by {name}: by somebody, or because the memory was full"
    if errors.lost or not code:
        return errors.lost or None
    return errors.last or "dvc failed without saying why"
