"""`python -m flows.commands.sync`: MLflow is told what it could not be told while it was down. Needs no Prefect.

The next run that reaches MLflow does the same, but for what takes long, and for what was meant for another address.
"""

import argparse
import sys

from tasks.tracking import spool, store


def main(argv: list[str] | None = None) -> int:
    """Delivers what waits in the spool, and says what came of it.

    Returns:
        0: nothing waits any more; 1: MLflow does not work, or something is left; 2: misuse.
    """
    arguments = _parser().parse_args(argv)
    folder = spool.FOLDER / spool.REFUSED if arguments.refused else spool.FOLDER
    if not spool.waiting(folder):
        print(f"Nothing waits in {folder}.")
        return 0
    store.prepare()
    before = len(spool.waiting(folder))
    try:
        with store.asked():
            outcome = spool.deliver(of=getattr(arguments, "from"), folder=folder)
    except store.failures() as error:
        left = len(spool.waiting(folder))
        print(
            f"MLflow at {store.address()} failed: {store.reason(error)}. Of {before} files {left} still wait.", file=sys.stderr
        )
        return 1
    print(f"MLflow at {store.address()} has now what {outcome.delivered} runs could not tell it before.")
    for address in sorted(outcome.elsewhere):
        print(f"Some is meant for {address}: set MLFLOW_TRACKING_URI to it, or, if that is where it has moved, say "
              f"--from {address}.", file=sys.stderr)  # fmt: skip
    if outcome.behind:
        print(f"The rest waits: {outcome.behind}.", file=sys.stderr)
    if outcome.refused:
        print(f"Refused by MLflow: {outcome.refused} entries, kept in {spool.FOLDER / spool.REFUSED}. When the reason that "
              "they name is gone (a deleted run is restored), say --refused.", file=sys.stderr)  # fmt: skip
    if left := len(spool.waiting(folder)):
        print(f"{left} files are left in {folder}; runs that are at work deliver their own.", file=sys.stderr)
    return 1 if left or outcome.refused else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m flows.commands.sync",
        description="Tells MLflow what it could not be told while it was down.",
        epilog="Exit code: 0 nothing waits any more, 1 something is left, 2 misuse.",
        allow_abbrev=False,
    )
    parser.add_argument("--from", metavar="ADDRESS", help="deliver what was meant for ADDRESS, which MLflow has left")
    parser.add_argument("--refused", action="store_true", help="try again what MLflow had refused")
    return parser


if __name__ == "__main__":
    sys.exit(main())
