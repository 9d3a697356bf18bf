"""`fcn submit`: VOC's test images to the archive that its server scores, or a check of one."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Group, Parameter
from cyclopts.validators import mutually_exclusive

from fcn.cli import quiet
from fcn.cli.options import MADE, NET, Place, model_folder
from fcn.errors import UserError, shown, words

if TYPE_CHECKING:
    import numpy as np

REFUSED, INTERRUPTED = 1, 130
SOURCE = Group("Where the predictions come from: one of these", validator=mutually_exclusive)


def submit(
    *,
    images: Place,
    ids: Place,
    model: Annotated[str | None, Parameter(group=SOURCE)] = None,
    predictions: Annotated[Place | None, Parameter(group=SOURCE)] = None,
    check: Annotated[Place | None, Parameter(group=SOURCE)] = None,
    precision: Annotated[Literal["float32", "bfloat16"], Parameter(group=NET)] = "float32",
    out: Annotated[Place, Parameter(group=MADE)] = Path("submission.tgz"),
    challenge: Annotated[Literal["VOC2011", "VOC2012"], Parameter(group=MADE)] = "VOC2012",
    competition: Annotated[Literal["comp5", "comp6"], Parameter(group=MADE)] = "comp6",
) -> int:
    """Pack predictions of VOC's test images for its evaluation server, and check them.

    Exit code: 0 the archive is complete and right, 1 it is not, 2 misuse.

    Example: `fcn submit --images JPEGImages --ids test.txt --model voc-fcn8s`

    Args:
        images: JPEGImages, with the test images in it.
        ids: ImageSets/Segmentation/test.txt.
        model: Predict by this variant or model folder.
        predictions: Take <id>.png from this folder, `labels` of `fcn predict`.
        check: Make nothing, check this archive.
        precision: Of the net's numbers.
        out: The archive to write.
        challenge: Whose test images these are.
        competition: comp6: trained on other data, too, as from ImageNet's weights on; comp5: on the
            challenge's alone.

    Returns:
        0: it is there and complete; 1: it is not, or nothing could be made; 130: interrupted,
        nothing was left.

    Raises:
        UserError: nothing says where the predictions come from.
    """
    if not (model or predictions or check):
        raise UserError("one of --model, --predictions and --check is needed")

    from fcn.datasets import official
    from fcn.io import files
    from fcn.predict import submission

    where = submission.place(challenge, competition)
    try:
        if not check:
            files.check_file(out, "--out")
        listed = official.to_predict(images, ids)
        if check:
            submission.check(check, listed, where)
        elif predictions:
            found = submission.from_folder(predictions, listed)
            submission.pack(out, _told(found, len(listed)), listed, where)
        else:
            found = _by(str(model), precision, listed)
            submission.pack(out, _told(found, len(listed)), listed, where)
    except (UserError, OSError) as error:
        print(words(error), file=sys.stderr)
        return REFUSED
    except KeyboardInterrupt:
        print("\nInterrupted; no archive was written.", file=sys.stderr)
        return INTERRUPTED
    called = f"{shown(check or out)}: {len(listed)} images in {where}"
    print(f"{called}, of the right sizes, classes and colours")
    wanted = official.TESTS.get(challenge)
    if wanted and len(listed) != wanted:
        print(
            f"The server wants all {wanted} test images of {challenge}; {shown(ids)} lists "
            f"{len(listed)}."
        )
    return 0


def _by(
    model: str, precision: str, listed: Sequence[tuple[str, Path]]
) -> "Iterator[tuple[str, np.ndarray]]":
    """Predicts the images, one by one."""
    folder = model_folder(model)

    from fcn.datasets import voc
    from fcn.pixels import images

    with quiet.tensorflow():  # only now: misuse is told without the seconds that it takes
        from fcn.predict import predictor as predict

    predictor = predict.load(folder, precision=precision)
    if predictor.spec.classes != voc.CLASSES:
        raise UserError(
            f"{folder}: expected a model of VOC's 21 classes, which the server scores; this one "
            f"has {', '.join(predictor.spec.classes)}"
        )
    for name, path in listed:
        if images.header(path).orientation != 1:
            raise UserError(
                f"{path}: marked as lying on its side, which none of VOC's images is: "
                "is this the official file?"
            )
        yield name, predictor.predict(images.read(path)).labels


def _told(
    predicted: "Iterable[tuple[str, np.ndarray]]", total: int
) -> "Iterator[tuple[str, np.ndarray]]":
    for number, each in enumerate(predicted, 1):
        yield each
        if number % 100 == 0 or number == total:
            print(f"{number} of {total}", file=sys.stderr, flush=True)
