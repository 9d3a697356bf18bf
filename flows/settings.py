"""Stage `settings`: the parameters as they come out, in one file that all
other stages depend on.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fcn.errors import UserError
from fcn.io import files
from tasks.settings import config


def main(argv: Sequence[str] | None = None) -> int:
    """Check params.yaml and profiles.yaml, and write what comes out of them.

    No flow of Prefect: it takes half a second, and asking a server would take longer.

    Returns:
        0, or 1 for an error.
    """
    parser = argparse.ArgumentParser(prog="fcn stage settings", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    out = parser.parse_args(argv).out
    try:
        files.write_json(out, config.resolved()[0].data)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0
