"""`fcn predict IMAGE...`: what a trained net makes of photographs."""

import functools
import os
import sys
import time
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from fcn import pretrained
from fcn.cli import quiet
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
    cameras = [
        name for name in wanted if video.camera(name) is not None and not os.path.lexists(name)
    ]
    wanted = [name for name in wanted if name not in cameras]
    found, failed = predictions.find(wanted, out)
    found += map(Path, cameras)
    if not found:
        raise UserError(*failed)
    names = predictions.names(found)
    predictions.refuse(out, wanted, found, names)
    folder = model_folder(model)

    with quiet.tensorflow():  # only now: misuse is told without the seconds that it takes
        from fcn.predict import predictor as predict

    predictor = predict.load(folder, tile, precision)
    classes = predictor.spec.classes
    predictions.prepare(out, classes)
    for complaint in failed:
        print(shown(complaint, LINE), file=sys.stderr)
    if predictor.spec.knows:
        print(f"{shown(predictor.spec.knows, LINE)} `--model ...` names another net.", flush=True)
    most = round(predict.MOST * megapixels / images.MEGAPIXELS)

    bounded = functools.partial(predictor.too_much, most=most)
    report = _tiles if sys.stderr.isatty() else lambda *_: None

    def of_image(path: Path, name: str) -> tuple[str, str]:
        predicted = predictor.predict(predictor.read(path, most), probabilities, report)
        predictions.write(out, name, predicted)
        size = f"{predicted.image.shape[1]}x{predicted.image.shape[0]}"
        return size, predictions.shares(predicted.labels, classes)

    def of_video(path: Path, name: str) -> tuple[str, str]:
        camera = video.camera(str(path)) if str(path) in cameras else None
        place = predictions.video_place(out, name)
        painted = video.painter(lambda image: predictor.predict(image).labels, classes)
        source = path if camera is None else camera
        told = _frames if sys.stderr.isatty() else lambda *_: None
        if camera is not None:
            print(f"{shown(path)}: Ctrl-C ends it", file=sys.stderr, flush=True)
        count = video.paint(source, place, painted, frames, bounded, told)
        return f"{count} frame{'s' * (count != 1)}", shown(place)

    done = 0
    for number, (path, name) in enumerate(zip(found, names, strict=True), 1):
        start = time.perf_counter()
        work = of_video if str(path) in cameras or video.is_video(path) else of_image
        try:
            what, answer = work(path, name)
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
    left = predictions.skipped(wanted, out)
    for path in left:
        kind = "a video" if video.is_video(path) else "no image by its name"
        then = "to predict its frames" if video.is_video(path) else "if it is one"
        print(f"left out: {shown(path)} is {kind}; name it by itself {then}", file=sys.stderr)
    besides = f", {len(left)} other files left out" if left else ""
    videos = sum(str(path) in cameras or video.is_video(path) for path in found)
    noun = "images and videos" if videos else "images"
    counted = f"{predictor.spec.variant}: {done} of {len(found)} {noun} predicted{besides}"
    print(f"{counted}; see {shown(out)}/{'videos' if videos == len(found) else 'overlays'}")
    if failed:
        print(UserError(f"{len(failed)} failed:", *failed), file=sys.stderr)
    return failed


def _tiles(done: int, total: int) -> None:
    if total > 1:
        end = "\r" if done == total else ""
        print(f"\rtile {done} of {total}", end=end, file=sys.stderr, flush=True)


def _frames(done: int, total: int) -> None:
    of = f" of {total}" if total else ""
    print(f"\rframe {done}{of}", end="\r" if done == total else "", file=sys.stderr, flush=True)
