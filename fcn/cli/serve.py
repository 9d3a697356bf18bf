"""`python -m flows.serve`: a net as a server for programs, on this machine alone."""

import argparse
import os
import sys
import tempfile
from pathlib import Path


def main(argv: list[str] | None = None) -> int:
    """Serves a model until Ctrl-C.

    Returns:
        0: stopped; 2: misuse.
    """
    arguments = _parser().parse_args(argv)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before the import that reads it
    with tempfile.TemporaryDirectory() as temporary:
        try:
            model = _of_mlflow(arguments.model, Path(temporary, "model"))
            from tasks import scoring

            scoring.serve(model, arguments.port, arguments.allow)
        except ValueError as error:
            print(error, file=sys.stderr)
            return 2
    return 0


def _of_mlflow(given: str | None, out: Path) -> str:
    """The model itself if it is one of MLflow's, which brings its own `fcn`; else one that is made of it in `out`.

    Raises:
        ValueError: neither.
    """
    if given and (given.startswith("models:") or Path(given, "MLmodel").is_file()):
        return given
    from flows.predict import model_folder

    from fcn.errors import UserError
    from tasks.tracking import pyfunc

    try:
        pyfunc.save(model_folder(given) if given else model_folder(), out)
    except UserError as error:
        words = str(error).replace("--model: expected ", "MODEL: expected models:/NAME@ALIAS, a folder of MLflow's, ")
        raise ValueError(words) from error
    return str(out)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m flows.serve", description="Answers programs on 127.0.0.1, until Ctrl-C.", allow_abbrev=False
    )
    parser.add_argument(
        "model",
        nargs="?",
        help="a variant, fcn8s, which stands for models/fcn8s; a model's folder; models:/NAME@ALIAS of the registry that "
        "MLFLOW_TRACKING_URI names; default: the net in the box, for photographs",
    )
    parser.add_argument("--port", type=int, default=5001)
    parser.add_argument(
        "--allow", action="append", default=[], metavar="HOST", help="answer as this host, too: that of a proxy in front"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
