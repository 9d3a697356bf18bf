"""TensorFlow without its first words, which are about no command."""

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator

_CHATTER = re.compile(
    r"WARNING: All log messages before absl::InitializeLog|I\d{4} |"
    r"E\d{4} .* failed call to cuInit|To enable the following instructions"
)
"""What it says where all is well, and where there is no GPU."""


@contextlib.contextmanager
def tensorflow() -> Iterator[None]:
    """Imports TensorFlow, and lets the block import what needs it.

    Its C++ writes past Python and past every level that can be set, so the file of standard error
    is another one meanwhile; what is no chatter is printed afterwards, also after an error.
    """
    sys.stderr.flush()
    with tempfile.TemporaryFile("w+", errors="replace") as said:
        before = os.dup(2)
        os.dup2(said.fileno(), 2)
        try:
            from fcn.hardware import devices

            devices.gpus()
            yield
        finally:
            sys.stderr.flush()
            os.dup2(before, 2)
            os.close(before)
            said.seek(0)
            kept = [line for line in said if not _CHATTER.match(line)]
            print("".join(kept), end="", file=sys.stderr, flush=True)
