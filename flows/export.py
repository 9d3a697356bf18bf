"""`python -m flows.export --model fcn8s --out DIR`: a net as a SavedModel, as ONNX or in 8 bits, checked. Needs no server."""

import argparse
import os
import sys

from fcn.errors import UserError, shown, words
from fcn.io import files
from flows.predict import MODEL, model_folder
from flows.runner import to_path


def main(argv: list[str] | None = None) -> int:
    """Exports a model folder and says by how much the export's scores differ.

    Returns:
        0: written; 2: misuse, a missing library, or scores that differ. Nothing is written then.
    """
    parser = _parser()
    arguments = parser.parse_args(argv)
    size = (arguments.height, arguments.width) if arguments.height and arguments.width else None
    if (arguments.height or arguments.width) and not size:
        parser.error("--height and --width: expected both, got one of them")
    try:
        files.check_folder(arguments.out, option="--out")
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    # Before TensorFlow comes in, which takes seconds and says things that are not about this.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from fcn.net import surgery
    from fcn.predict import export

    try:
        model, spec = surgery.load(model_folder(arguments.model))
        found = export.write(model, spec, arguments.out, arguments.format, size=size, labels=arguments.argmax)
    except (UserError, OSError) as error:
        print(words(error), file=sys.stderr)
        return 2
    written = sum(path.stat().st_size for path in arguments.out.rglob("*") if path.is_file())
    compared = [(1, *size)] if size else export.SIZES
    sizes = ", ".join(f"{images} of {width}x{height}" for images, height, width in compared)
    output = "`labels`: uint8 (N, H, W)" if arguments.argmax else "`scores`: float32 (N, H, W, classes)"
    taken = f"one of {size[1]}x{size[0]}" if size else "any size"
    print(f"Wrote {spec.variant}, {len(spec.classes)} classes, to {shown(arguments.out)}: {written / 1e6:.1f} MB.")
    print(f"Input `image`: RGB float32 (N, H, W, 3), 0..255, {taken}. Output {output}.")
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
    for side in ("--height", "--width"):
        text = "of the only image that the ONNX net takes, in pixels: OpenCV needs both fixed (default: any)"
        parser.add_argument(side, type=side_of_image, metavar="PIXELS", help=text)
    parser.add_argument("--argmax", action="store_true", help="the ONNX net gives labels instead of scores")
    return parser


def side_of_image(text: str) -> int:
    """A number of pixels, as argparse wants it."""
    if not text.isdecimal() or not 1 <= int(text) <= 16_384:
        raise argparse.ArgumentTypeError(f"expected 1 to 16384 pixels, got {text!r}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
