"""`python -m flows.export --model fcn8s --out DIR`: a net as a SavedModel, as ONNX or in 8 bits, checked. Needs no server."""

import argparse
import logging
import os
import sys

from flows.predict import MODEL, model_folder

from fcn.errors import UserError, shown, words
from fcn.io import files
from flows.runner import to_path


def main(argv: list[str] | None = None) -> int:
    """Exports a model folder and says by how much the export's scores differ.

    Returns:
        0: written; 2: misuse, a missing library, or scores that differ. Nothing is written then.
    """
    arguments = _parser().parse_args(argv)
    try:
        files.check_folder(arguments.out, option="--out")
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    # Before TensorFlow comes in, which takes seconds and says things that are not about this.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from fcn.net import surgery
    from fcn.predict import export

    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    try:
        model, spec = surgery.load(model_folder(arguments.model))
        found = export.write(model, spec, arguments.out, arguments.format)
    except (UserError, OSError) as error:
        print(words(error), file=sys.stderr)
        return 2
    size = sum(path.stat().st_size for path in arguments.out.rglob("*") if path.is_file())
    sizes = ", ".join(f"{images} of {width}x{height}" for images, height, width in export.SIZES)
    print(f"Wrote {spec.variant}, {len(spec.classes)} classes, to {shown(arguments.out)}: {size / 1e6:.1f} MB.")
    print("Input `image`: RGB float32 (N, H, W, 3), 0..255, any size. Output `scores`: float32 (N, H, W, classes).")
    print(f"Largest difference from Keras, on random images ({sizes}): {found:.1e} of the largest score.")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m flows.export", description="Writes a net as a file that runs without this project.", allow_abbrev=False
    )
    parser.add_argument("--model", **MODEL)
    parser.add_argument("--out", required=True, type=to_path, metavar="DIR", help="a new folder")
    parser.add_argument(
        "--format",
        default="savedmodel",
        choices=("savedmodel", "onnx", "int8"),
        help="TensorFlow's SavedModel (default); ONNX; or int8: a model folder of this project in a quarter of the bytes",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
