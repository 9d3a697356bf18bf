"""`python -m flows.serve models:/NAME@champion`: a registered net as a server for programs, on this machine alone."""

import argparse
import os
import sys


def main(argv: list[str] | None = None) -> int:
    """Serves a model until Ctrl-C.

    Returns:
        0: stopped; 2: misuse.
    """
    arguments = _parser().parse_args(argv)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before the import that reads it
    from tasks import scoring

    try:
        scoring.serve(arguments.model, arguments.port, arguments.allow)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m flows.serve", description="Serves a model of MLflow's on 127.0.0.1.", allow_abbrev=False
    )
    parser.add_argument("model", help="models:/NAME@ALIAS of the registry that MLFLOW_TRACKING_URI names, or a folder")
    parser.add_argument("--port", type=int, default=5001)
    parser.add_argument(
        "--allow", action="append", default=[], metavar="HOST", help="answer as this host, too: that of a proxy in front"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
