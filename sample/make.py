"""Makes both artefacts of the sample again: `python -m sample.make [--only world|vgg]`.

The tar takes seconds and comes out the same, byte for byte. The classifier took 5 minutes on two
cores; its bytes depend on the processor, so whoever makes it again writes its new checksum into
profiles.yaml.
"""

import argparse
from pathlib import Path

from fcn.io.files import digest
from sample import world

HERE = Path(__file__).parent


def main() -> None:
    """Write `world.tar.gz` and `vgg16_small.caffemodel` beside this file and print their sizes and
    checksums.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=("world", "vgg"), help="make just this one")
    only = parser.parse_args().only
    made = []
    if only != "vgg":
        made.append(HERE / "world.tar.gz")
        world.write_tar(made[-1])
    if only != "world":
        # TensorFlow takes seconds to load, and the world does without it
        from sample import pretrain

        made.append(HERE / "vgg16_small.caffemodel")
        pretrain.main(made[-1])
    for path in made:
        print(f"{path.name}: {path.stat().st_size} bytes, sha256:{digest(path)}")


if __name__ == "__main__":
    main()
