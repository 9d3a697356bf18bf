"""What stands in the ledgers is told to MLflow: from where the last time ended, and as often as
need be.

Beside a ledger lies how far it has come, see `Mark`. It is written after MLflow has answered: who
is killed in between tells an entry again, which changes nothing (see `tell`). One process at a time
forwards a ledger.
"""

import contextlib
import logging
import shutil
import time
from dataclasses import dataclass, field
from typing import Any

from filelock import FileLock, Timeout

from fcn import reading
from fcn.errors import UserError
from fcn.io import files
from tasks.tracking import store
from tasks.tracking.entries import Artifact, Entry, Metrics, Register
from tasks.tracking.ledger import Ledger, ledgers
from tasks.tracking.tell import POINTS, Refused, Target, tell

log = logging.getLogger(__name__)

_REFUSALS = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "RESOURCE_ALREADY_EXISTS")
"""MLflow's codes for what no repetition changes; a proxy before a server that is down has others.
"""

_PATIENCE = 5.0  # seconds for another process that tells the same ledger


class Mark(reading.Model):
    """How far a ledger has been forwarded.

    Attributes:
        store: address of the MLflow that it is for.
        database: see `store.Store`: in a new database everything is missing.
        offset: in the ledger; all before it is told.
        run: MLflow's id of the run.
        former: its id in the database before.
        refused: why MLflow does not take the run; empty, if it does.
    """

    store: str
    database: int = 0
    offset: int = 0
    run: str | None = None
    former: str | None = None
    refused: str = ""

    @classmethod
    def of(cls, ledger: Ledger) -> "Mark":
        """That of a ledger; a new one if it is missing or damaged, since telling twice does no
        harm.
        """
        with contextlib.suppress(UserError):
            return reading.read_json(ledger.path.with_suffix(".json"), cls, "")
        return cls(store=store.address())

    def save(self, ledger: Ledger, **changes: Any) -> "Mark":
        """Writes it, changed, beside the ledger."""
        mark = self.model_copy(update=changes)
        files.write_json(ledger.path.with_suffix(".json"), mark.model_dump())
        return mark


def forward(ledger: Ledger, seconds: float = float("inf")) -> tuple[Target | None, str | None]:
    """Tells MLflow what stands in a ledger and is not told yet.

    Args:
        ledger: of a run that is over, or at work in this process or another one.
        seconds: after this time the rest is left for the next call.

    Returns:
        The run in MLflow, None if another process tells this ledger; and what came of it in words,
        if that is worth them.

    Raises:
        Refused: MLflow does not take this run, because it is deleted there.
        one of `store.failures()`: MLflow does not work; what was not told still waits.
    """
    deadline = time.monotonic() + seconds
    try:
        with FileLock(ledger.path.with_suffix(".lock"), timeout=min(seconds, _PATIENCE)):
            try:
                return _forward(ledger, deadline)
            except store.failures() as error:
                if not store.set_aside(error):
                    raise
                return _forward(ledger, deadline)
    except Timeout:
        return None, None


def _forward(ledger: Ledger, deadline: float) -> tuple[Target, str | None]:
    from mlflow.entities import Metric

    mark = Mark.of(ledger)
    if mark.refused:
        raise Refused(mark.refused)
    said = None
    try:
        target, mark = _find(ledger, mark)
        points: list[Any] = []
        end = mark.offset
        for end, entry in ledger.read(mark.offset):
            if isinstance(entry, Metrics):
                points += [
                    Metric(name, value, entry.time, entry.step)
                    for name, value in entry.values.items()
                ]
                if len(points) < POINTS:
                    continue
            target.log("metrics", points, POINTS)
            points = []
            said = _tell(entry, target, f"{ledger.path}, up to byte {end}") or said
            mark = mark.save(ledger, offset=end)
            if isinstance(entry, Artifact | Register):
                shutil.rmtree(target.files / entry.path.partition("/")[0], ignore_errors=True)
            if time.monotonic() > deadline:
                return target, said
        target.log("metrics", points, POINTS)
        if end != mark.offset:
            mark.save(ledger, offset=end)
        return target, said
    except Refused as reason:
        mark.save(ledger, refused=str(reason))
        log.warning(
            "MLflow at %s refuses a record of a run: %s. The record stays in %s.",
            store.address(), reason, ledger.path,
        )  # fmt: skip
        raise


def _tell(entry: Entry | None, target: Target, where: str) -> str | None:
    """Tells one entry; what MLflow refuses of a run that it has is said and left out."""
    if entry is None:
        log.warning("%s: a damaged line is left out", where)
        return None
    from mlflow.exceptions import MlflowException

    try:
        return tell(entry, target)
    except (MlflowException, Refused, UserError) as error:
        if isinstance(error, MlflowException) and error.error_code not in _REFUSALS:
            raise
        _check_there(target.client.get_run(target.id))
        log.warning("%s: MLflow does not take %s: %s", where, entry.do, store.reason(error))
        return None


def _find(ledger: Ledger, mark: Mark) -> tuple[Target, Mark]:
    """The run of a ledger in MLflow, found again or made."""
    from mlflow.exceptions import MlflowException

    found, opening, run = store.connect(), ledger.opening, None
    client = found.client
    if mark.run and mark.database == found.database:
        try:
            run = client.get_run(mark.run)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
    experiment = store.experiment(found, opening.experiment)

    def newest(tag: str, value: str) -> Any:
        query, order = f"tags.`{tag}` = '{value}'", ["attributes.start_time DESC"]
        return next(
            iter(client.search_runs([experiment], query, max_results=1, order_by=order)), None
        )

    if run is None:
        run = newest("ledger", opening.id) or (
            opening.model and newest("model.sha256", opening.model)
        )
        try:
            run = run or client.create_run(
                experiment, opening.time, {"ledger": opening.id}, opening.name
            )
        except MlflowException as error:
            if error.error_code not in _REFUSALS:
                raise
            raise Refused(store.reason(error)) from error  # the experiment is deleted
        former = {"offset": 0, "former": mark.run} if mark.run else {}
        mark = mark.save(ledger, database=found.database, run=run.info.run_id, **former)
    _check_there(run)
    lost = None
    if mark.former and found.artifacts:
        lost = found.artifacts / opening.experiment / mark.former / "artifacts"
    return Target(client, run.info.run_id, experiment, ledger.path.with_suffix(""), lost), mark


def _check_there(run: Any) -> None:
    if run.info.lifecycle_stage == "deleted":
        raise Refused(f"the run {run.info.run_id} is deleted in MLflow")


@dataclass
class Outcome:
    """What forwarding all ledgers came to: how many are `done`, `refused`, or have something
    `left`.

    `elsewhere`: the addresses that others are for.
    """

    done: int = 0
    refused: int = 0
    left: int = 0
    elsewhere: set[str] = field(default_factory=set)


def forward_all(
    seconds: float = float("inf"), moved: str | None = None, again: bool = False
) -> Outcome:
    """Forwards every ledger that has something left for this MLflow, the oldest first.

    Args:
        seconds: after this time the rest is left.
        moved: an address: the MLflow that was there is this one now.
        again: try what MLflow has refused, too.

    Raises:
        one of `store.failures()`: see `forward`.
    """
    outcome, deadline, database = Outcome(), time.monotonic() + seconds, store.connect().database
    for ledger in reversed([*ledgers()]):
        mark = Mark.of(ledger)
        if mark.store == moved:
            mark = mark.save(ledger, store=store.address())
        if again and mark.refused:
            mark = mark.save(ledger, refused="")
        if mark.refused or not waits(ledger, mark, database):
            continue
        if mark.store != store.address():
            outcome.elsewhere.add(mark.store)
            continue
        if time.monotonic() < deadline:
            try:
                forward(ledger, deadline - time.monotonic())
            except Refused:
                outcome.refused += 1
                continue
        left = waits(ledger, Mark.of(ledger), store.database())
        outcome.left += left
        outcome.done += not left
    return outcome


def waits(ledger: Ledger, mark: Mark, database: int = 0) -> bool:
    """Whether something is left to tell: all of it, where the store's database is a new one."""
    if database and mark.database != database and mark.store == store.address():
        return True
    return any(True for _ in ledger.read(mark.offset))
