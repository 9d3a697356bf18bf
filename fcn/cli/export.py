"""`fcn export --out DIR`: a net as a file that runs without this project."""

from typing import Annotated, Literal

from cyclopts import Parameter, validators

from fcn import pretrained
from fcn.cli import quiet
from fcn.cli.options import MADE, Model, Place, model_folder
from fcn.errors import shown

Side = Annotated[int, Parameter(validator=validators.Number(gte=1, lte=16_384))]
Form = Literal["savedmodel", "onnx", "tflite", "int8"]


def export(
    *,
    model: Model = pretrained.DEFAULT,
    out: Annotated[Place, Parameter(group=MADE)],
    format: Annotated[Form, Parameter(group=MADE)] = "savedmodel",
    height: Annotated[Side | None, Parameter(group=MADE)] = None,
    width: Annotated[Side | None, Parameter(group=MADE)] = None,
    argmax: Annotated[bool, Parameter(group=MADE, negative="")] = False,
    bits: Annotated[Literal[8, 32], Parameter(group=MADE)] = 32,
    pictures: Annotated[
        list[str] | None, Parameter(group=MADE, negative="", consume_multiple=True)
    ] = None,
) -> None:
    """Write a net as a file that runs without this project, and check it.

    The export's scores are compared with the net's; if they differ, nothing is written.

    Example: `fcn export --model fcn8s --out exported --format onnx`

    Args:
        model: Which net.
        out: A new folder.
        format: TensorFlow's SavedModel; ONNX; TensorFlow Lite; or int8, a model folder of this
            project in a quarter of the bytes.
        height: Of the only image that an ONNX or TensorFlow Lite net takes, in pixels. TensorFlow
            Lite and OpenCV need both fixed.
        width: Likewise.
        argmax: An ONNX or TensorFlow Lite net that gives labels instead of scores.
        bits: Of the kernels in ONNX and TensorFlow Lite; 8 makes a quarter of the bytes.
        pictures: Photographs or folders of them on which the labels of both are compared, too.

    Raises:
        UserError: misuse, a missing library, or scores that differ.
    """
    from fcn.errors import UserError
    from fcn.io import files
    from fcn.predict import predictions

    size = (height, width) if height and width else None
    if (height or width) and not size:
        raise UserError("--height and --width: expected both, got one of them")
    files.check_folder(out, option="--out")
    photographs, complaints = predictions.find(pictures or [], out)
    if complaints:
        raise UserError(*complaints)

    with quiet.tensorflow():  # only now: it takes seconds
        from fcn.net import surgery
        from fcn.predict import export, graph

    net, spec = surgery.load(model_folder(model))
    found = export.write(net, spec, out, format, graph.Wanted(size, argmax, bits))
    written = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    compared = [(1, *size)] if size else export.SIZES
    sizes = ", ".join(f"{n} of {wide}x{high}" for n, high, wide in compared)
    where = f"{shown(out)}: {written / 1e6:.1f} MB"
    print(f"Wrote {spec.variant}, {len(spec.classes)} classes, to {where}.")
    taken = f"one of {width}x{height}" if size else "any size"
    output = "`labels`: uint8 (N, H, W)" if argmax else "`scores`: float32 (N, H, W, classes)"
    print(f"Input `image`: RGB float32 (N, H, W, 3), 0..255, {taken}. Output {output}.")
    difference = f"Largest difference from Keras, on random images ({sizes})"
    print(f"{difference}: {found:.1e} of the largest score.")
    if photographs:
        same, mean_iu = export.agreement(net, format, out, photographs, size)
        count = f"{len(photographs)} picture{'s' * (len(photographs) != 1)}"
        print(f"On {count} {same:.2%} of the pixels have the net's label: mean IU {mean_iu:.4f}.")
