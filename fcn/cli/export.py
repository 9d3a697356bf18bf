"""`fcn export --out DIR`: a net as a file that runs without this project."""

import logging
from typing import Annotated, Literal

from cyclopts import Parameter

from fcn import pretrained
from fcn.cli.options import MADE, Model, Place, model_folder
from fcn.errors import shown


def export(
    *,
    model: Model = pretrained.DEFAULT,
    out: Annotated[Place, Parameter(group=MADE)],
    format: Annotated[Literal["savedmodel", "onnx", "int8"], Parameter(group=MADE)] = "savedmodel",
) -> None:
    """Write a net as a file that runs without this project, and check it.

    The export's scores are compared with the net's; if they differ, nothing is written.

    Example: `fcn export --model fcn8s --out exported --format onnx`

    Args:
        model: Which net.
        out: A new folder.
        format: TensorFlow's SavedModel; ONNX; or int8, a model folder of this project in a quarter
            of the bytes.

    Raises:
        UserError: misuse, a missing library, or scores that differ.
    """
    from fcn.io import files

    files.check_folder(out, option="--out")

    from fcn.net import surgery  # only now: TensorFlow takes seconds
    from fcn.predict import export  # only now: TensorFlow takes seconds

    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    net, spec = surgery.load(model_folder(model))
    found = export.write(net, spec, out, format)
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    sizes = ", ".join(f"{images} of {width}x{height}" for images, height, width in export.SIZES)
    where = f"{shown(out)}: {size / 1e6:.1f} MB"
    print(f"Wrote {spec.variant}, {len(spec.classes)} classes, to {where}.")
    print("Input `image`: RGB float32 (N, H, W, 3), 0..255, any size.", end=" ")
    print("Output `scores`: float32 (N, H, W, classes).")
    compared = f"Largest difference from Keras, on random images ({sizes})"
    print(f"{compared}: {found:.1e} of the largest score.")
