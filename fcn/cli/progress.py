"""How far a command is, where somebody watches."""

import sys
from collections.abc import Callable


def counter(noun: str) -> Callable[[int, int], None]:
    """What says "tile 3 of 8", on a terminal only; the next line is written over it.

    Args:
        noun: what is counted.

    Returns:
        To be called with how many are done, and of how many; 0: nobody knows. Of one, nothing is
        said.
    """

    def told(done: int, total: int) -> None:
        if total != 1:
            of = f" of {total}" if total else ""
            end = "\r" if done == total else ""
            print(f"\r{noun} {done}{of}", end=end, file=sys.stderr, flush=True)

    return told if sys.stderr.isatty() else lambda *_: None
