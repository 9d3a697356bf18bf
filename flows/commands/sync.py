"""`python -m flows.commands.sync`: MLflow is told what stands in the ledgers and it was not told yet. Needs no Prefect.

The next run that reaches MLflow does the same, but for what takes long, and for what was meant for another address.
"""

import argparse
import sys

from tasks.tracking import forward, ledger, store


def main(argv: list[str] | None = None) -> int:
    """Forwards what is left in the ledgers, and says what came of it.

    Returns:
        0: nothing is left any more; 1: MLflow does not work, or something is left; 2: misuse.
    """
    arguments = _parser().parse_args(argv)
    store.prepare()
    try:
        with store.asked():
            outcome = forward.forward_all(moved=getattr(arguments, "from"), again=arguments.refused)
    except store.failures() as error:
        print(
            f"MLflow at {store.address()} failed: {store.reason(error)}. What it should know stands in {ledger.FOLDER}.",
            file=sys.stderr,
        )
        return 1
    if outcome == forward.Outcome():
        print(f"MLflow at {store.address()} has all that stands in {ledger.FOLDER}.")
        return 0
    print(f"MLflow at {store.address()} has now what {outcome.done} runs could not tell it before.")
    for address in sorted(outcome.elsewhere):
        print(f"Some is meant for {address}: set MLFLOW_TRACKING_URI to it, or, if that is where it has moved, say "
              f"--from {address}.", file=sys.stderr)  # fmt: skip
    if outcome.left:
        print(f"{outcome.left} runs have something left, which another process tells MLflow now.", file=sys.stderr)
    if outcome.refused:
        print(f"Refused by MLflow: {outcome.refused} runs. When the reason is gone (a deleted run is restored), say "
              "--refused.", file=sys.stderr)  # fmt: skip
    return 1 if outcome.left or outcome.refused or outcome.elsewhere else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m flows.commands.sync",
        description="Tells MLflow what it could not be told while it was down.",
        epilog="Exit code: 0 nothing is left any more, 1 something is left, 2 misuse.",
        allow_abbrev=False,
    )
    parser.add_argument("--from", metavar="ADDRESS", help="deliver what was meant for ADDRESS, which MLflow has left")
    parser.add_argument("--refused", action="store_true", help="try again what MLflow had refused")
    return parser


if __name__ == "__main__":
    sys.exit(main())
