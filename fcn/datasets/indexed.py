"""Data sets that are folders of images and of index PNGs, described by a few words of data."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from fcn.datasets import stems
from fcn.datasets.annotations.tables import by_value
from fcn.datasets.pairs import DatasetSpec, Listing, Pair, check_count, choose_classes
from fcn.errors import UserError
from fcn.spec import VOID


@dataclass(frozen=True)
class Indexed:
    """A data set whose labels are index PNGs; a file of `fcn.datasets.sets` holds one.

    Attributes:
        classes: names by stored value, from 0 up.
        images: the folder of a split's images below the root, `{split}` standing for its name.
        labels: the folder of a split's labels, likewise; a label is called like its image.
        counts: by split, how many images it officially has.
        void: the stored values that count for nothing.

    Example:
        >>> from fcn.datasets.sets.camvid import DATASET
        >>> len(DATASET.classes), DATASET.labels.format(split="val")
        (11, 'valannot')
    """

    classes: tuple[str, ...]
    images: str
    labels: str
    counts: Mapping[str, int]
    void: tuple[int, ...] = (VOID,)

    def meaning(self) -> np.ndarray:
        """int16 (256,): the label value of each stored one, 255 for void, -1 for what may not be
        there.
        """
        found = np.full(256, -1, np.int16)
        found[: len(self.classes)] = np.arange(len(self.classes))
        found[list(self.void)] = VOID
        return found

    def load(self, asked: DatasetSpec) -> Listing:
        """The pairs of two of its splits.

        Args:
            asked: the root of one archive is the folder that the folders of the splits are in;
                splits are keys of `counts`.

        Raises:
            UserError: no such split, another number of images than it officially has, or an image
                without a label.
        """
        (root,) = asked.roots.values()
        chosen = choose_classes(asked.classes, self.classes, "the data set")
        for purpose, name in asked.splits.items():
            if name not in self.counts:
                raise UserError(
                    f"records.{purpose}: expected one of {', '.join(self.counts)}; got {name}"
                )
        return Listing(chosen, {key: self._pairs(root, name) for key, name in asked.splits.items()})

    def _pairs(self, root: Path, split: str) -> list[Pair]:
        folder = root / self.images.format(split=split)
        images = stems.by_stem(folder, stems.IMAGES)
        check_count(str(folder), len(images), self.counts[split])
        labels = stems.by_stem(root / self.labels.format(split=split), (".png",))
        labels = stems.aligned(images, labels)
        pairs = stems.pairs(images, labels, list(images), "indices", str(folder))
        meaning = self.meaning()
        return [replace(pair, draw=partial(by_value, pair.label, meaning)) for pair in pairs]
