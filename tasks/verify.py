"""The authors' published nets: converted, scored, and held to what was published."""

from collections.abc import Sequence
from pathlib import Path

from fcn.datasets import Pair, read_ids, voc
from fcn.errors import UserError
from fcn.io import archives
from fcn.published import scores
from tasks.tracking import Progress, steps


@steps.step("unpack {ids}")
def unpack_listed(archive: Path, root: str, ids: Path, target: Path) -> list[Pair]:
    """Extracts the listed images and labels, and only those, of a VOC archive.

    Args:
        archive: the tar.
        root: the folder in it that holds JPEGImages and SegmentationClass.
        ids: file with one image id per line.
        target: folder to make or replace.

    Returns:
        One pair per id, in the list's order.

    Raises:
        UserError: no list, no readable archive, or not all of the list in it.
    """
    if not ids.exists():
        raise UserError(
            f"{ids}: wanted a list of image ids, but there is no such file; run this "
            "from the project's root"
        )
    names = read_ids(ids)
    wanted = {f"{root}/JPEGImages/{name}.jpg" for name in names} | {
        f"{root}/SegmentationClass/{name}.png" for name in names
    }
    archives.extract(archive, target, wanted=lambda name: name.removeprefix("./") in wanted)
    lists = target / root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / ids.name).write_text("\n".join(names) + "\n", encoding="utf-8")
    return voc.pairs(target / root, ids.stem)


@steps.step("convert {variant}")
def convert_net(caffemodel: Path, variant: str, classes: Sequence[str], folder: Path) -> None:
    """Makes the model folder `folder` of a published net; see
    `fcn.published.scores.to_model_folder`.
    """
    scores.to_model_folder(caffemodel, variant, classes, folder)
    steps.logger().info("%s: converted into %s", caffemodel.name, folder)


@steps.step("score {variant}")
def score_net(
    folder: Path,
    variant: str,
    pairs: Sequence[Pair],
    expected: Sequence[float],
    tolerance: float,
) -> scores.Verdict:
    """Scores a model folder and compares with the `expected` scores, in percent; see
    `fcn.published.scores.judge`.
    """
    log = steps.logger()
    measured = scores.score(folder, pairs, Progress(log.info, f"score {variant}", "images"))
    return scores.judge(variant, measured, expected, tolerance)
