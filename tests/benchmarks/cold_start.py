"""What the first photograph costs: `flows.predict` from a cold start, beside TensorFlow's import and a forward pass.

    python -m tests.benchmarks.cold_start --rounds 3

A photograph of 500x375 and the default model, or `--model`. Each time is that of a process of its own; the forward pass is the
second one of a process that has the net already. Rounds of the three are interleaved, so that whatever else the machine does
falls on all of them; the best of each counts. More than `--bound` times the sum of the two ends with exit code 1.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from flows.predict import MODEL, model_folder
from tests.benchmarks import pairs

PASS = """
import sys, time
from pathlib import Path
from fcn import images, predict
predictor, image = predict.load(Path(sys.argv[1])), images.read(Path(sys.argv[2]))
predictor(image)
begin = time.perf_counter()
predictor(image)
print(time.perf_counter() - begin)
"""


def seconds(*words: str | Path) -> tuple[float, str]:
    """How long Python took with these words, and what it printed."""
    begin = time.perf_counter()
    done = subprocess.run([sys.executable, *words], stdout=subprocess.PIPE, text=True, check=True)
    return time.perf_counter() - begin, done.stdout


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", **MODEL)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--bound", type=float, default=1.5)
    args = parser.parse_args()
    folder = model_folder(args.model)
    best = {"import": float("inf"), "pass": float("inf"), "predict": float("inf")}
    with tempfile.TemporaryDirectory() as name:
        photo, out = pairs.made(Path(name), 1)[0].image, Path(name, "out")
        for number in range(1, args.rounds + 1):
            found = {
                "import": seconds("-c", "import tensorflow")[0],
                "pass": float(seconds("-c", PASS, folder, photo)[1].split()[-1]),
                "predict": seconds("-m", "flows.predict", photo, "--model", folder, "--out", out)[0],
            }
            best = {key: min(best[key], found[key]) for key in best}
            told = ", ".join(f"{key} {value:.2f} s" for key, value in found.items())
            print(f"round {number}: {told}", flush=True)
    ratio = best["predict"] / (best["import"] + best["pass"])
    told = ", ".join(f"{key} {value:.2f} s" for key, value in best.items())
    print(f"best: {told}; predict is {ratio:.2f} times import and pass; the bound is {args.bound}")
    return int(ratio > args.bound)


if __name__ == "__main__":
    sys.exit(main())
