"""`python -m flows.submit`: VOC's test images to the archive that its server scores, or a check of one. Needs no server."""

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from flows.predict import INTERRUPTED, model_folder

from fcn.datasets import official, voc
from fcn.errors import UserError, shown, words
from fcn.io import files
from fcn.pixels import images
from fcn.predict import submission
from flows.runner import to_path

REFUSED = 1


def main(argv: list[str] | None = None) -> int:
    """Makes and checks an archive, or checks the one given.

    Returns:
        0: it is there and complete; 1: it is not, or nothing could be made; 2: misuse; 130: interrupted, nothing was left.
    """
    arguments = _parser().parse_args(argv)
    where = submission.place(arguments.challenge, arguments.competition)
    try:
        if not arguments.check:
            files.check_file(arguments.out, "--out")
        listed = official.to_predict(arguments.images, arguments.ids)
        if arguments.check:
            submission.check(arguments.check, listed, where)
        else:
            predicted = (
                submission.from_folder(arguments.predictions, listed) if arguments.predictions else _by(arguments, listed)
            )
            submission.pack(arguments.out, _told(predicted, len(listed)), listed, where)
    except (UserError, OSError) as error:
        print(words(error), file=sys.stderr)
        return REFUSED
    except KeyboardInterrupt:
        print("\nInterrupted; no archive was written.", file=sys.stderr)
        return INTERRUPTED
    called = shown(arguments.check or arguments.out)
    print(f"{called}: {len(listed)} images in {where}, of the right sizes, classes and colours")
    wanted = official.TESTS.get(arguments.challenge)
    if wanted and len(listed) != wanted:
        print(
            f"The server wants all {wanted} test images of {arguments.challenge}; {shown(arguments.ids)} lists {len(listed)}."
        )
    return 0


def _by(arguments: argparse.Namespace, listed: Sequence[tuple[str, Path]]) -> Iterator[tuple[str, np.ndarray]]:
    """Predicts the images, one by one."""
    folder = model_folder(arguments.model)

    from fcn.predict import predictor as predict  # only now: misuse is told without the seconds that TensorFlow takes

    predictor = predict.load(folder, precision=arguments.precision)
    if predictor.spec.classes != voc.CLASSES:
        raise UserError(
            f"{folder}: expected a model of VOC's 21 classes, which the server scores; this one has "
            f"{', '.join(predictor.spec.classes)}"
        )
    for name, path in listed:
        if images.header(path).orientation != 1:
            raise UserError(f"{path}: marked as lying on its side, which none of VOC's images is: is this the official file?")
        yield name, predictor(images.read(path)).labels


def _told(predicted: Iterable[tuple[str, np.ndarray]], total: int) -> Iterator[tuple[str, np.ndarray]]:
    for number, each in enumerate(predicted, 1):
        yield each
        if number % 100 == 0 or number == total:
            print(f"{number} of {total}", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m flows.submit",
        description="Packs predictions of VOC's test images for its evaluation server, and checks them.",
        epilog="Exit code: 0 the archive is complete and right, 1 it is not, 2 misuse.",
        allow_abbrev=False,
    )
    parser.add_argument("--images", required=True, type=to_path, metavar="DIR", help="JPEGImages, with the test images in it")
    parser.add_argument("--ids", required=True, type=to_path, metavar="FILE", help="ImageSets/Segmentation/test.txt")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--model", help="predict by this variant or model folder")
    source.add_argument("--predictions", type=to_path, metavar="DIR", help="take <id>.png from here, `labels` of flows.predict")
    source.add_argument("--check", type=to_path, metavar="FILE", help="make nothing, check this archive")
    parser.add_argument(
        "--out", type=to_path, default=Path("submission.tgz"), help="the archive to write (default %(default)s)"
    )
    parser.add_argument("--challenge", choices=("VOC2011", "VOC2012"), default="VOC2012", help="default %(default)s")
    parser.add_argument(
        "--competition",
        choices=("comp5", "comp6"),
        default="comp6",
        help="comp6 (default): trained on other data, too, as from ImageNet's weights on; comp5: on the challenge's alone",
    )
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32", help="default %(default)s")
    return parser


if __name__ == "__main__":
    sys.exit(main())
