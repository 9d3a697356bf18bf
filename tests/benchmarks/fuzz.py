"""Changes every kind of file that is read back, for as long as wanted: a value, or one sentence
that names the file.

    python -m tests.benchmarks.fuzz [--seconds S] [--seed N] [--kind NAME]

`tests/tasks/test_fuzz.py` is the short form of it, with the seed 0. A case that fails is told with
its seed and number; it is made again by `--kind NAME --seed N`.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS / name) for name in ("fcn", "fcn/pixels", "tasks")]
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import test_fuzz  # noqa: E402 - now it is found


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", choices=test_fuzz.KINDS, help="of all kinds this one")
    arguments = parser.parse_args()
    end, seed = time.monotonic() + arguments.seconds, arguments.seed
    cases, refused, failed = 0, 0, []
    with tempfile.TemporaryDirectory() as folder:
        project = test_fuzz.make(Path(folder) / "project")
        while time.monotonic() < end and not (arguments.kind and seed > arguments.seed):
            for kind in [arguments.kind] if arguments.kind else test_fuzz.KINDS:
                number = test_fuzz.KINDS[kind][2]
                try:
                    refused += test_fuzz.attack(project, kind, number, seed)
                except AssertionError as error:
                    failed.append(str(error))
                    print(f"FAILED  {error}", flush=True)
                cases += number
            print(
                f"seed {seed}: {cases} cases so far, {refused} refused, {len(failed)} kinds failed",
                flush=True,
            )
            seed += 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
