"""`fcn sync`: MLflow gets the records of the ledgers that it does not have yet."""

import sys
from typing import Annotated

from cyclopts import Parameter


def sync(
    *,
    from_: Annotated[str | None, Parameter(name="--from")] = None,
    refused: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Deliver to MLflow the records that could not reach it while it was down.

    The next run that reaches MLflow delivers them as well, except what takes long and what was
    meant for another address. Exit code: 0 nothing is left, 1 something is left, 2 misuse.

    Example: `fcn sync`

    Args:
        from_: Deliver also what was meant for this former address of MLflow.
        refused: Deliver again what MLflow refused.

    Returns:
        0: nothing is left; 1: MLflow does not work, or something is left.
    """
    from tasks.tracking import forward, forwarder, ledger, store

    store.prepare()
    where = f"MLflow at {store.address()}"
    if ledger.paths():
        with forwarder.alone() as alone:
            if alone:
                ledger.end_killed()
    try:
        outcome = forward.forward_all(moved=from_, again=refused)
    except store.Unavailable as error:
        _complain(f"{where} failed: {error}. The records wait in {ledger.FOLDER}.")
        return 1
    if outcome == forward.Outcome(outcome.database):
        print(f"{where} has all that stands in {ledger.FOLDER}.")
        return 0
    print(f"{where} has now the records of {outcome.done} earlier runs, too.")
    for address in sorted(outcome.elsewhere):
        _complain(
            f"Some is meant for {address}: set MLFLOW_TRACKING_URI to it, or, if that is where it "
            f"has moved, say --from {address}."
        )
    if outcome.left:
        _complain(f"{outcome.left} runs have records left, which another process delivers now.")
    if outcome.refused:
        _complain(
            f"Refused by MLflow: {outcome.refused} runs. When the reason is gone (a deleted run is "
            "restored), say --refused."
        )
    return 1 if outcome.left or outcome.refused or outcome.elsewhere else 0


def _complain(text: str) -> None:
    print(text, file=sys.stderr)
