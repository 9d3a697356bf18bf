"""What the doctor needs for 10 000 pairs of 500x375: `python tests/benchmarks/doctor.py [PAIRS]`.

Processor time of so many real files (300 unless said), and of the search for near duplicates among
10 000 thumbnails; both together for 10 000 pairs on two cores. Bound: 60 s and 1 GB.
"""

import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parent))
import pairs

from fcn import doctor
from fcn.doctor import near

ALL, CORES, SECONDS, MEMORY = 10_000, 2, 60, 1000


def main() -> None:
    """Prints seconds and megabytes."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "own"
        for part in ("images", "masks"):
            (root / part).mkdir(parents=True)
        (root / "classes.txt").write_text("\n".join(pairs.CLASSES))
        made = pairs.made(Path(folder), count)
        peaks = []
        for part in (made[: count // 2], made[count // 2 :]):
            for pair in part:
                pair.image.rename(root / "images" / pair.image.name)
                pair.label.rename(root / "masks" / pair.label.name)
            start = time.process_time()
            found = doctor.examine(root)
            seconds = time.process_time() - start
            peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    assert not found.stops
    rng = np.random.default_rng(0)
    thumbnails = [(str(n), rng.integers(0, 256, (16, 16, 3), np.uint8)) for n in range(ALL)]
    start = time.process_time()
    assert not [pair for pair in near.pairs(thumbnails, thumbnails) if pair[0] < pair[1]]
    compared = time.process_time() - start
    whole = seconds / count * ALL / CORES + compared
    grown = peaks[1] + (peaks[1] - peaks[0]) / (count - count // 2) * ALL
    print(
        f"{1000 * seconds / count:.1f} ms a pair and {compared:.0f} s for near duplicates: "
        f"{whole:.0f} s for {ALL} pairs on {CORES} cores (bound {SECONDS}); {peaks[1]:.0f} MB for "
        f"{count} pairs, at most {grown:.0f} MB for {ALL} (bound {MEMORY})"
    )
    sys.exit(whole > SECONDS or grown > MEMORY)


if __name__ == "__main__":
    main()
