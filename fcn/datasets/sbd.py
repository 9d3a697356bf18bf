"""The Semantic Boundaries Dataset: VOC2011's images, five times as many of them labelled, without a
void border.

Its labels are MATLAB files, `cls/<id>.mat`, whose `GTcls.Segmentation` holds VOC's class values.
VOC's labels leave out the border of every object (255); these do not, so a net trained on them
learns the border as well, and scores measured on them do not compare with scores measured on VOC's.
"""

from pathlib import Path

from fcn.datasets.pairs import Pair, read_ids

COUNTS = {"train": 8498, "val": 2857}


def pair(root: Path, name: str) -> Pair:
    """The files of an image, by VOC's id; whether they are there is not looked at."""
    return Pair(name, root / "img" / f"{name}.jpg", root / "cls" / f"{name}.mat", "sbd")


def ids(root: Path, split: str) -> list[str]:
    """The ids of "train" or "val".

    Raises:
        UserError: no such list, or not the official number of ids in it.
    """
    return read_ids(root / f"{split}.txt", COUNTS[split])
