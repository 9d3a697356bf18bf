"""`python -m flows.web --model fcn8s`: a page to drop pictures on, served on this machine alone, without the internet."""

import argparse
import os
import sys
from pathlib import Path

from flows.predict import MODEL, model_folder

from fcn import pretrained
from fcn.errors import UserError, words


def main(argv: list[str] | None = None) -> int:
    """Serves the page until Ctrl-C.

    Returns:
        0: stopped; 2: misuse, or a missing library.
    """
    arguments = _parser().parse_args(argv)
    # Both before the imports that read them.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from tasks import web_page

    try:
        chosen = model_folder(arguments.model)
        trained = {path.parent.name: path.parent for path in Path("models").glob("*/model.json")}
        known = pretrained.folders() | trained | {chosen.name: chosen}
        page = web_page.build(dict(sorted(known.items())), chosen.name)
        web_page.serve(page, arguments.port, allowed=arguments.allow)
    except (UserError, OSError) as error:
        print(words(error), file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m flows.web", description="Serves a page to drop pictures on, on 127.0.0.1.", allow_abbrev=False
    )
    parser.add_argument("--model", **MODEL)
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument(
        "--allow", action="append", default=[], metavar="HOST", help="answer as this host, too: that of a proxy in front"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
