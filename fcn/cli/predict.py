"""`python -m flows.predict IMAGE...`: what a trained net makes of photographs. Needs no server."""

import argparse
import glob
import os
import sys
import time
from pathlib import Path
from typing import Any

from fcn import pretrained
from fcn.errors import LINE, UserError, shown, words
from fcn.pixels import images
from fcn.predict import predictions
from fcn.spec import VARIANTS
from flows.runner import to_path

FAILED, MISUSE, INTERRUPTED = 1, 2, 130


def main(argv: list[str] | None = None) -> int:
    """Predicts images one after the other and says of each, on standard output, what was found in it.

    Returns:
        0: all done; 1: some could not be; 2: misuse; 130: interrupted, and what had been done is complete.
    """
    arguments = _parser().parse_args(argv)
    try:
        failed = run(arguments)
    except (UserError, OSError) as error:
        print(words(error), file=sys.stderr)
        return MISUSE
    except KeyboardInterrupt:
        print(f"\nInterrupted. What had been predicted is in {shown(arguments.out)}.", file=sys.stderr)
        return INTERRUPTED
    return FAILED if failed else 0


def run(arguments: argparse.Namespace) -> list[str]:
    """Does what the command line asks for.

    Returns:
        Sentences on what could not be predicted, which have been printed as well.

    Raises:
        UserError: nothing could be begun.
    """
    found, failed = predictions.find(arguments.images, arguments.out)
    if not found:
        raise UserError(*failed)
    names = predictions.names(found)
    predictions.refuse(arguments.out, arguments.images, found, names)
    folder = model_folder(arguments.model)

    from fcn.predict import predictor as predict  # only now: misuse is told without the seconds that TensorFlow takes

    predictor = predict.load(folder, arguments.tile, arguments.precision)
    classes = predictor.spec.classes
    predictions.prepare(arguments.out, classes)
    for complaint in failed:
        print(shown(complaint, LINE), file=sys.stderr)
    if predictor.spec.knows:
        print(f"{shown(predictor.spec.knows, LINE)} `--model ...` names another net.", flush=True)
    done = 0

    def bounded(width: int, height: int) -> str:
        computed = predictor.cost(width, height)
        if computed <= predict.MOST:
            return ""
        return (
            f"for {width}x{height} pixels the net computes {computed:,}; {predict.MOST:,} are allowed: cut it into pieces, "
            "or choose a larger --tile"
        )

    for number, (path, name) in enumerate(zip(found, names, strict=True), 1):
        start = time.perf_counter()
        try:
            image = images.read(path, bounded)
            predicted = predictor(image, arguments.probabilities, _tiles if sys.stderr.isatty() else lambda *_: None)
            predictions.write(arguments.out, name, image, predicted.labels, predicted.probabilities, classes)
        except (UserError, OSError) as error:
            said = words(error)
            failed.append(said if shown(path) in said else f"{shown(path)}: {said}")
            print(f"{number} of {len(found)}  {shown(failed[-1], LINE)}", file=sys.stderr, flush=True)
            continue
        done += 1
        size = f"{image.shape[1]}x{image.shape[0]}"
        told = predictions.shares(predicted.labels, classes)
        print(f"{number} of {len(found)}  {shown(path)}  {size}  {time.perf_counter() - start:.1f} s  {told}", flush=True)
    print(f"{predictor.spec.variant}: {done} of {len(found)} images predicted; see {shown(arguments.out)}/overlays")
    if failed:
        print(UserError(f"{len(failed)} failed:", *failed), file=sys.stderr)
    return failed


def model_folder(given: str = pretrained.DEFAULT) -> Path:
    """The folder of a model: `models/<variant>` for a variant's name; a net in the box; or the one given; or what a model of
    MLflow's holds; or one of the authors' nets, `voc-<variant>`, which is fetched the first time.

    Raises:
        UserError: none of these.
    """
    boxed = pretrained.folders()
    artifacts = sorted(glob.glob(f"{glob.escape(given)}/artifacts/*"))
    for folder in (Path("models", given), boxed.get(given, Path(given)), *map(Path, artifacts)):
        if os.path.isfile(folder / "model.json"):  # also of a name that no disk takes
            return folder

    from flows import published_nets  # only now: what lies here needs neither YAML nor HTTP

    if given in published_nets.names():
        return published_nets.model_folder(given)
    trained = sorted(shown(path.parent.name) for path in Path("models").glob("*/model.json"))
    there = [*boxed, *trained, *published_nets.names()]
    raise UserError(
        f"--model: expected {', '.join(there)}, a variant ({', '.join(VARIANTS)}) once it has been trained, or a folder with "
        f"model.json and weights.npz; got {shown(given)}"
    )


MODEL: dict[str, Any] = {
    "default": pretrained.DEFAULT,
    "help": "a net in the box (default: %(default)s); a variant, fcn8s, which stands for models/fcn8s; a model's folder; or "
    "voc-fcn8s, voc-fcn16s, voc-fcn32s: the authors' own nets, fetched once",
}
"""Of the option `--model`, the same for every command."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m flows.predict",
        description="Predicts the class of every pixel of photographs of any size and kind.",
        epilog="Writes OUT/labels (palette PNGs, VOC's colours), OUT/overlays (with a legend), OUT/classes.txt and "
        "OUT/legend.png, all upright: EXIF's rotation is carried out. Exit code: 0 all done, 1 some images failed, 2 misuse.",
        allow_abbrev=False,
    )
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="an image, a folder of images, or a pattern in quotes")
    parser.add_argument("--model", **MODEL)
    parser.add_argument(
        "--out", default="predicted", type=to_path, metavar="DIR", help="folder for the predictions (default: %(default)s)"
    )
    parser.add_argument("--probabilities", action="store_true", help="write OUT/probabilities, float16 .npz, as well")
    parser.add_argument(
        "--tile",
        type=int,
        default=1024,
        metavar="N",
        help="cut images with a side of more than N pixels into tiles (default %(default)s): with larger ones less is computed "
        "twice, with smaller ones less memory is used; the result is the same",
    )
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32", help="default %(default)s")
    return parser


def _tiles(done: int, total: int) -> None:
    if total > 1:
        print(f"\rtile {done} of {total}", end="\r" if done == total else "", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
