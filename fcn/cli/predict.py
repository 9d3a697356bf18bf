"""`fcn predict IMAGE...`: what a trained net makes of photographs."""

import sys
import time
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from fcn import pretrained
from fcn.cli.options import MADE, NET, Model, Place, model_folder
from fcn.errors import LINE, UserError, shown, words

FAILED, INTERRUPTED = 1, 130


def predict(
    images: Annotated[list[str], Parameter(name="IMAGE", negative="")],
    /,
    *,
    model: Model = pretrained.DEFAULT,
    tile: Annotated[int, Parameter(group=NET)] = 1024,
    precision: Annotated[Literal["float32", "bfloat16"], Parameter(group=NET)] = "float32",
    out: Annotated[Place, Parameter(group=MADE)] = Path("predicted"),
    probabilities: Annotated[bool, Parameter(group=MADE, negative="")] = False,
) -> int:
    """Predict the class of every pixel of photographs of any size and kind.

    Writes OUT/labels (palette PNGs, VOC's colours), OUT/overlays (with a legend), OUT/classes.txt
    and OUT/legend.png, all upright: EXIF's rotation is carried out. Exit code: 0 all done, 1 some
    images failed, 2 misuse.

    Example: `fcn predict photo.jpg`

    Args:
        images: An image, a folder of images, or a pattern in quotes.
        model: Which net.
        tile: Cut images with a side of more than so many pixels into tiles. With larger ones less
            is computed twice, with smaller ones less memory is used; the result is the same.
        precision: Of the net's numbers.
        out: Folder for the predictions.
        probabilities: Write OUT/probabilities, float16 .npz, as well.

    Returns:
        0: all done; 1: some could not be; 130: interrupted, and what had been done is complete.

    Raises:
        UserError: nothing could be begun.
    """
    try:
        failed = _run(images, model, tile, precision, out, probabilities)
    except KeyboardInterrupt:
        print(f"\nInterrupted. What had been predicted is in {shown(out)}.", file=sys.stderr)
        return INTERRUPTED
    return FAILED if failed else 0


def _run(
    wanted: list[str], model: str, tile: int, precision: str, out: Path, probabilities: bool
) -> list[str]:
    """Predicts the images one after the other and says of each what was found in it.

    Returns:
        Sentences on what could not be predicted, which have been printed as well.
    """
    from fcn.predict import predictions

    found, failed = predictions.find(wanted, out)
    if not found:
        raise UserError(*failed)
    names = predictions.names(found)
    predictions.refuse(out, wanted, found, names)
    folder = model_folder(model)

    # only now: misuse is told without the seconds that TensorFlow takes
    from fcn.predict import predictor as predict

    predictor = predict.load(folder, tile, precision)
    classes = predictor.spec.classes
    predictions.prepare(out, classes)
    for complaint in failed:
        print(shown(complaint, LINE), file=sys.stderr)
    if predictor.spec.knows:
        print(f"{shown(predictor.spec.knows, LINE)} `--model ...` names another net.", flush=True)
    done = 0
    report = _tiles if sys.stderr.isatty() else lambda *_: None
    for number, (path, name) in enumerate(zip(found, names, strict=True), 1):
        start = time.perf_counter()
        try:
            predicted = predictor.predict(path, probabilities, report)
            predictions.write(out, name, predicted)
        except (UserError, OSError) as error:
            said = words(error)
            failed.append(said if shown(path) in said else f"{shown(path)}: {said}")
            line = f"{number} of {len(found)}  {shown(failed[-1], LINE)}"
            print(line, file=sys.stderr, flush=True)
            continue
        done += 1
        size = f"{predicted.image.shape[1]}x{predicted.image.shape[0]}"
        seconds = f"{time.perf_counter() - start:.1f} s"
        told = predictions.shares(predicted.labels, classes)
        print(f"{number} of {len(found)}  {shown(path)}  {size}  {seconds}  {told}", flush=True)
    left = predictions.skipped(wanted, out)
    for path in left:
        text = f"left out: {shown(path)} is called like no image; name it by itself if it is one"
        print(text, file=sys.stderr)
    besides = f", {len(left)} other files left out" if left else ""
    counted = f"{predictor.spec.variant}: {done} of {len(found)} images predicted{besides}"
    print(f"{counted}; see {shown(out)}/overlays")
    if failed:
        print(UserError(f"{len(failed)} failed:", *failed), file=sys.stderr)
    return failed


def _tiles(done: int, total: int) -> None:
    if total > 1:
        end = "\r" if done == total else ""
        print(f"\rtile {done} of {total}", end=end, file=sys.stderr, flush=True)
