"""What stands in the ledgers is told to MLflow: from where the last time ended, and as often as
need be.

A `Mark` is written after MLflow has answered: who is killed in between tells an entry again, which
changes nothing (see `tell`). One process at a time forwards a ledger.
"""

import fcntl
import logging
import shutil
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from fcn.errors import UserError
from tasks.tracking import store
from tasks.tracking.entries import Artifact, Entry, Metrics, Register
from tasks.tracking.ledger import Ledger, ledgers
from tasks.tracking.mark import Mark
from tasks.tracking.tell import POINTS, Refused, Target, tell

log = logging.getLogger(__name__)

Result = TypeVar("Result")

_REFUSALS = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "RESOURCE_ALREADY_EXISTS")
"""MLflow's codes for what no repetition changes; a proxy before a server that is down has others.
"""


def forward(ledger: Ledger) -> None:
    """Tells MLflow what stands in a ledger and is not told yet.

    Nothing, if another process does it.

    Args:
        ledger: of a run that is over, or at work in this process or another one.

    Raises:
        Refused: MLflow does not take this run, because it is deleted there.
        store.Unavailable: MLflow does not work; what was not told still waits.
    """
    with ledger.path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        _asked(lambda: _forward(ledger))


def _asked(what: Callable[[], Result]) -> Result:
    """What is asked of MLflow; where its database is damaged, a new one is asked."""
    try:
        with store.asked():
            return what()
    except store.Unavailable as error:
        if not store.set_aside(error):
            raise
    with store.asked():
        return what()


def _forward(ledger: Ledger) -> None:
    from mlflow.entities import Metric

    mark = Mark.of(ledger)
    try:
        target, mark = _find(ledger, mark)
        points: list[Any] = []
        end = mark.offset
        for end, entry in ledger.read(mark.offset):
            if isinstance(entry, Metrics):
                points += [Metric(*each, entry.time, entry.step) for each in entry.values.items()]
                if len(points) < POINTS:
                    continue
            target.log("metrics", points, POINTS)
            points = []
            _tell(entry, target, f"{ledger.path}, up to byte {end}")
            mark = mark.save(ledger, offset=end)
            if isinstance(entry, Artifact | Register):
                shutil.rmtree(target.files / entry.path.partition("/")[0], ignore_errors=True)
        target.log("metrics", points, POINTS)
        if end != mark.offset:
            mark.save(ledger, offset=end)
    except Refused as reason:
        mark.save(ledger, refused=str(reason), seen=ledger.path.stat().st_size)
        log.warning(
            "MLflow at %s refuses a record of a run: %s. The record stays in %s.",
            store.address(), reason, ledger.path,
        )  # fmt: skip
        raise


def _tell(entry: Entry | None, target: Target, where: str) -> None:
    """Tells one entry; what MLflow refuses of a run that it has is said and left out."""
    if entry is None:
        log.warning("%s: a damaged line is left out", where)
        return
    from mlflow.exceptions import MlflowException

    try:
        if said := tell(entry, target):
            log.info("MLflow: %s", said)
    except (MlflowException, Refused, UserError) as error:
        if isinstance(error, MlflowException) and error.error_code not in _REFUSALS:
            raise
        if _is_deleted(target.client.get_run(target.id)):
            raise Refused(f"the run {target.id} is deleted in MLflow") from error
        log.warning("%s: MLflow does not take %s: %s", where, entry.do, store.reason(error))


def _find(ledger: Ledger, mark: Mark) -> tuple[Target, Mark]:
    """The run of a ledger in MLflow, found again or made; one that was deleted is made anew, if a
    stage has begun to work on it since.
    """
    from mlflow.exceptions import MlflowException

    found, opening, run = store.connect(), ledger.opening, None
    client, experiment = found.client, store.experiment(found, opening.experiment)
    if mark.run and mark.database == found.database:
        try:
            run = client.get_run(mark.run)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
    if run and _is_deleted(run):
        if not mark.begins(ledger):
            raise Refused(f"the run {mark.run} is deleted in MLflow")
        run = None

    def newest(tag: str, value: str) -> Any:
        query, order = f"tags.`{tag}` = '{value}'", ["attributes.start_time DESC"]
        return next(iter(client.search_runs([experiment], query, max_results=1, order_by=order)), 0)

    if run is None:
        run = newest("ledger", opening.id) or (
            opening.model and newest("model.sha256", opening.model)
        )
        given = (experiment, opening.time, {"ledger": opening.id}, opening.name)
        try:
            run = run or client.create_run(*given)
        except MlflowException as error:
            if error.error_code not in _REFUSALS:
                raise
            raise Refused(store.reason(error)) from error  # the experiment is deleted
        known = {"database": found.database, "run": run.info.run_id, "experiment": experiment}
        former = {"offset": 0, "former": mark.run} if mark.run else {}
        mark = mark.save(ledger, refused="", **known, **former)
    lost = None
    if mark.former and found.artifacts:
        lost = found.artifacts / opening.experiment / mark.former / "artifacts"
    return Target(client, run.info.run_id, ledger.path.with_suffix(""), lost), mark


def _is_deleted(run: Any) -> bool:
    return bool(run.info.lifecycle_stage == "deleted")


@dataclass
class Outcome:
    """What forwarding all ledgers came to: how many are `done`, `refused`, or have something
    `left`.

    `elsewhere`: the addresses that others are for; `database`: see `store.Store`.
    """

    database: int
    done: int = 0
    refused: int = 0
    left: int = 0
    elsewhere: set[str] = field(default_factory=set)


def forward_all(
    only: Collection[Path] | None = None, moved: str | None = None, again: bool = False
) -> Outcome:
    """Forwards every ledger that has something left for this MLflow, the oldest first.

    Args:
        only: these alone; None: all.
        moved: an address: the MLflow that was there is this one now.
        again: try what MLflow has refused, too.

    Raises:
        store.Unavailable: see `forward`.
    """
    outcome = Outcome(_asked(store.connect).database)
    for ledger in ledgers():
        if only is not None and ledger.path not in only:
            continue
        mark = Mark.of(ledger)
        if mark.store == moved:
            mark = mark.save(ledger, store=store.address())
        if again and mark.refused:
            mark = mark.save(ledger, refused="")
        if not mark.waits(ledger, outcome.database):
            continue
        if mark.store != store.address():
            outcome.elsewhere.add(mark.store)
            continue
        try:
            forward(ledger)
        except Refused:
            outcome.refused += 1
            continue
        left = Mark.of(ledger).waits(ledger, store.database())
        outcome.left += left
        outcome.done += not left
    return outcome
