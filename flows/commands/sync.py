"""`fcn sync`: MLflow is told what it could not be told while it was down."""

import sys
from typing import Annotated

from cyclopts import Parameter


def sync(
    *,
    from_: Annotated[str | None, Parameter(name="--from")] = None,
    refused: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Tell MLflow what it could not be told while it was down.

    The next run that reaches MLflow does the same, but for what takes long, and for what was meant
    for another address. Exit code: 0 nothing waits any more, 1 something is left, 2 misuse.

    Example: `fcn sync`

    Args:
        from_: Deliver what was meant for this address, which MLflow has left.
        refused: Try again what MLflow had refused.

    Returns:
        0: nothing waits any more; 1: MLflow does not work, or something is left.
    """
    from tasks.tracking import spool, store

    folder = spool.FOLDER / spool.REFUSED if refused else spool.FOLDER
    if not spool.waiting(folder):
        print(f"Nothing waits in {folder}.")
        return 0
    store.prepare()
    before = len(spool.waiting(folder))
    try:
        with store.asked():
            outcome = spool.deliver(of=from_, folder=folder)
    except store.failures() as error:
        left = len(spool.waiting(folder))
        _complain(f"MLflow at {store.address()} failed: {store.reason(error)}. Of {before} files {left} still wait.")
        return 1
    told = f"what {outcome.delivered} runs could not tell it before"
    print(f"MLflow at {store.address()} has now {told}.")
    for address in sorted(outcome.elsewhere):
        _complain(
            f"Some is meant for {address}: set MLFLOW_TRACKING_URI to it, or, if that is where it "
            f"has moved, say --from {address}."
        )
    if outcome.behind:
        _complain(f"The rest waits: {outcome.behind}.")
    if outcome.refused:
        _complain(
            f"Refused by MLflow: {outcome.refused} entries, kept in "
            f"{spool.FOLDER / spool.REFUSED}. When the reason that they name is gone (a deleted "
            "run is restored), say --refused."
        )
    if left := len(spool.waiting(folder)):
        _complain(f"{left} files are left in {folder}; runs that are at work deliver their own.")
    return 1 if left or outcome.refused else 0


def _complain(text: str) -> None:
    print(text, file=sys.stderr)
