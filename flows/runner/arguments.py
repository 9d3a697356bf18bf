"""What the commands' arguments have in common."""

import argparse
from pathlib import Path


def to_path(text: str) -> Path:
    """A path of the command line. An empty one, as an unset variable of a shell gives it, is
    misuse.

    Raises:
        argparse.ArgumentTypeError: it is empty.
    """
    if not text:
        raise argparse.ArgumentTypeError("expected a path, got nothing")
    return Path(text)
