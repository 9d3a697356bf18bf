"""What the first photograph costs: `fcn predict` from a cold start, beside TensorFlow's import and
a forward pass.

    python -m tests.benchmarks.cold_start --rounds 3

A photograph of 500x375 and the default model, or `--model`. Each time is that of a process of its
own; the forward pass is the second one of a process that has the net already. Rounds of the three
are interleaved, so that whatever else the machine does falls on all of them; the best of each
counts. On a busy machine only the processor's seconds, which are told beside those of the clock,
mean something. More than `--bound` times the sum of the two ends with exit code 1.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fcn import pretrained
from fcn.cli.options import model_folder
from tests.benchmarks import pairs

PASS = """
import sys, time
from pathlib import Path
from fcn.pixels import images
from fcn.predict import predictor as predict
predictor, image = predict.load(Path(sys.argv[1])), images.read(Path(sys.argv[2]))
predictor.predict(image)
begin = time.perf_counter(), time.process_time()
predictor.predict(image)
print(time.perf_counter() - begin[0], time.process_time() - begin[1])
"""


Times = tuple[float, float]
"""Seconds by the clock, and of the processor."""


def measured(*words: str | Path) -> tuple[Times, str]:
    """How long Python took with these words, and what it printed."""
    begin = time.perf_counter(), _processor()
    done = subprocess.run([sys.executable, *words], stdout=subprocess.PIPE, text=True, check=True)
    return (time.perf_counter() - begin[0], _processor() - begin[1]), done.stdout


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def told(times: dict[str, Times]) -> str:
    """All of them in words."""
    parts = (
        f"{key} {clock:.2f} s ({processor:.2f} of the processor)"
        for key, (clock, processor) in times.items()
    )
    return ", ".join(parts)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default=pretrained.DEFAULT)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--bound", type=float, default=1.5)
    args = parser.parse_args()
    folder = model_folder(args.model)
    rounds: dict[str, list[Times]] = {"import": [], "pass": [], "predict": []}
    with tempfile.TemporaryDirectory() as name:
        photo, out = pairs.made(Path(name), 1)[0].image, Path(name, "out")
        for number in range(1, args.rounds + 1):
            rounds["import"].append(measured("-c", "import tensorflow")[0])
            clock, processor = measured("-c", PASS, folder, photo)[1].split()[-2:]
            rounds["pass"].append((float(clock), float(processor)))
            words = ("-m", "fcn", "predict", photo, "--model", folder, "--out", out)
            rounds["predict"].append(measured(*words)[0])
            print(
                f"round {number}: {told({key: each[-1] for key, each in rounds.items()})}",
                flush=True,
            )
    best = {key: tuple(map(min, zip(*each, strict=True))) for key, each in rounds.items()}
    ratios = [best["predict"][n] / (best["import"][n] + best["pass"][n]) for n in (0, 1)]
    print(f"best: {told(best)}")
    print(
        f"predict is {ratios[0]:.2f} times import and pass by the clock, {ratios[1]:.2f} times of "
        f"the processor; the bound is {args.bound}"
    )
    return int(ratios[0] > args.bound)


if __name__ == "__main__":
    sys.exit(main())
