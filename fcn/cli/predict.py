"""`fcn predict IMAGE...`: what a trained net makes of photographs."""

import functools
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from fcn import pretrained
from fcn.cli import quiet
from fcn.cli.options import MADE, NET, Model, Place, model_folder
from fcn.cli.progress import counter
from fcn.errors import LINE, UserError, shown, words

FAILED, INTERRUPTED = 1, 130


def predict(
    images: Annotated[list[str], Parameter(name="IMAGE", negative="")],
    /,
    *,
    model: Model = pretrained.DEFAULT,
    tile: Annotated[int, Parameter(group=NET)] = 1024,
    precision: Annotated[Literal["float32", "bfloat16"], Parameter(group=NET)] = "float32",
    megapixels: Annotated[float, Parameter(group=NET)] = 200,
    frames: Annotated[int, Parameter(group=NET)] = 0,
    out: Annotated[Place, Parameter(group=MADE)] = Path("predicted"),
    probabilities: Annotated[bool, Parameter(group=MADE, negative="")] = False,
) -> int:
    """Predict the class of every pixel of photographs of any size and kind, and of videos.

    Writes OUT/labels (palette PNGs, VOC's colours), OUT/overlays (with a legend), OUT/classes.txt
    and OUT/legend.png, all upright: EXIF's rotation is carried out. Exit code: 0 all done, 1 some
    images failed, 2 misuse.

    Example: `fcn predict photo.jpg`

    Args:
        images: An image, a folder of images, or a pattern in quotes; a video; or `webcam`
            (`webcam:1` for the second one), until Ctrl-C.
        model: Which net.
        tile: Cut images with a side of more than so many pixels into tiles. With larger ones less
            is computed twice, with smaller ones less memory is used; the result is the same.
        precision: Of the net's numbers.
        megapixels: The largest picture that is read; memory grows with it, by 14 bytes a pixel.
        frames: Of each video or webcam, at most so many frames; 0: all.
        out: Folder for the predictions.
        probabilities: Write OUT/probabilities, float16 .npz, as well.

    Returns:
        0: all done; 1: some could not be; 130: interrupted, and what had been done is complete.

    Raises:
        UserError: nothing could be begun.
    """
    try:
        failed = _run(images, model, tile, precision, megapixels, frames, out, probabilities)
    except KeyboardInterrupt:
        print(f"\nInterrupted. What had been predicted is in {shown(out)}.", file=sys.stderr)
        return INTERRUPTED
    return FAILED if failed else 0


def _run(
    wanted: list[str],
    model: str,
    tile: int,
    precision: str,
    megapixels: float,
    frames: int,
    out: Path,
    probabilities: bool,
) -> list[str]:
    """Predicts the images one after the other and says of each what was found in it.

    Returns:
        Sentences on what could not be predicted, which have been printed as well.
    """
    from fcn.pixels import images
    from fcn.predict import predictions, video

    if not megapixels > 0:
        raise UserError(f"--megapixels: expected a number above 0, got {megapixels}")
    images.allow(megapixels)
    cameras = {
        Path(name): number
        for name in wanted
        if (number := video.camera(name)) is not None and not os.path.lexists(name)
    }
    wanted = [name for name in wanted if name not in map(str, cameras)]
    found, failed = predictions.find(wanted, out)
    found += cameras
    if not found:
        raise UserError(*failed)
    names = predictions.names(found)
    predictions.refuse(out, wanted, found, names)
    folder = model_folder(model)

    with quiet.tensorflow():  # only now: misuse is told without the seconds that it takes
        from fcn.predict import predictor as predict

    predictor = predict.load(folder, tile, precision)
    predictions.prepare(out, predictor.spec.classes)
    for complaint in failed:
        print(shown(complaint, LINE), file=sys.stderr)
    if predictor.spec.knows:
        print(f"{shown(predictor.spec.knows, LINE)} `--model ...` names another net.", flush=True)
    most = round(predict.MOST * megapixels / images.MEGAPIXELS)
    moving = [path for path in found if path in cameras or video.is_video(path)]
    done = 0
    for number, (path, name) in enumerate(zip(found, names, strict=True), 1):
        start = time.perf_counter()
        try:
            if path in moving:
                source = cameras.get(path, path)
                place = predictions.video_place(out, name)
                what, answer = _video(source, place, predictor, most, frames)
            else:
                what, answer = _image(path, name, predictor, out, most, probabilities)
        except (UserError, OSError) as error:
            said = words(error)
            failed.append(said if shown(path) in said else f"{shown(path)}: {said}")
            line = f"{number} of {len(found)}  {shown(failed[-1], LINE)}"
            print(line, file=sys.stderr, flush=True)
            continue
        done += 1
        seconds = f"{time.perf_counter() - start:.1f} s"
        line = f"{number} of {len(found)}  {shown(path)}  {what}  {seconds}  {answer}"
        print(line, flush=True)
    left = _left_out(wanted, out)
    besides = f", {left} other files left out" if left else ""
    noun = "images and videos" if moving else "images"
    counted = f"{predictor.spec.variant}: {done} of {len(found)} {noun} predicted{besides}"
    print(f"{counted}; see {shown(out)}/{'videos' if moving == found else 'overlays'}")
    if failed:
        print(UserError(f"{len(failed)} failed:", *failed), file=sys.stderr)
    return failed


def _image(
    path: Path, name: str, predictor: Any, out: Path, most: int, probabilities: bool
) -> tuple[str, str]:
    """Predicts a photograph; returns its size and what is in it.

    `predictor` is a `fcn.predict.predictor.Predictor`, whose import takes seconds.
    """
    from fcn.predict import predictions

    found = predictor.predict(predictor.read(path, most), probabilities, counter("tile"))
    predictions.write(out, name, found)
    size = f"{found.image.shape[1]}x{found.image.shape[0]}"
    return size, predictions.shares(found.labels, predictor.spec.classes)


def _video(
    source: Path | int, out: Path, predictor: Any, most: int, frames: int
) -> tuple[str, str]:
    """Predicts a video, or what a camera sees; returns how many frames, and where they are."""
    from fcn.predict import video

    painter = video.painter(lambda image: predictor.predict(image).labels, predictor.spec.classes)
    if isinstance(source, int):
        print(f"webcam:{source}: Ctrl-C ends it", file=sys.stderr, flush=True)
    bounded = functools.partial(predictor.too_much, most=most)
    count = video.paint(source, out, painter, frames, bounded, counter("frame"))
    return f"{count} frame{'s' * (count != 1)}", shown(out)


def _left_out(wanted: Sequence[str], out: Path) -> int:
    """Says which files were not taken for pictures; returns how many."""
    from fcn.predict import predictions, video

    left = predictions.skipped(wanted, out)
    for path in left:
        kind = "a video" if video.is_video(path) else "no image by its name"
        then = "to predict its frames" if video.is_video(path) else "if it is one"
        print(f"left out: {shown(path)} is {kind}; name it by itself {then}", file=sys.stderr)
    return len(left)
