"""What a data set is to the rest: pairs of an image and its label by split, and the names of the
classes.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from fcn import reading
from fcn.errors import CONTROL, UserError, enumeration
from fcn.pixels import images, labels

LONGEST = 200
"""Characters of the name of a class or an image: files are called like these."""


@dataclass(frozen=True)
class Pair:
    """One image and its label, as files.

    Attributes:
        id: the data set's name of the image, unique in the set.
        image: its file.
        label: its label's.
        encoding: how the label says its classes: a key of `labels.ENCODINGS`.
        draw: makes the label, uint8 (H, W) of class indices, where `label` is the file of an
            annotation tool; else None.
    """

    id: str
    image: Path
    label: Path
    encoding: str = "indices"
    draw: Callable[[], np.ndarray] | None = field(default=None, compare=False)


@dataclass(frozen=True)
class DatasetSpec:
    """What is wanted of a data set.

    Attributes:
        roots: by key of an archive, the folder inside of it that holds the data set.
        classes: names by label value; none: the data set's own.
        train: the split to train on; which there are, each data set says.
        val: the split to validate on.
        seed: of splits that are drawn.
    """

    roots: Mapping[str, Path]
    classes: Sequence[str] = ()
    train: str = "train"
    val: str = "val"
    seed: int = 0

    @property
    def splits(self) -> dict[str, str]:
        """The names of the two, by "train" and "val"."""
        return {"train": self.train, "val": self.val}


@dataclass(frozen=True)
class Listing:
    """A data set as it was asked for.

    Attributes:
        classes: names by label value.
        splits: "train" and "val", each in a fixed order.
        colours: (red, green, blue), 0..255, by label value, where the labels are of the encoding
            "colours".
        notes: what scores depend on beyond the pairs, in sentences: labels without a void border, a
            rebuilt list.
        own: the user's, whose splits nobody has published: nearly equal images in both are refused.
    """

    classes: tuple[str, ...]
    splits: dict[str, list[Pair]]
    colours: tuple[tuple[int, int, int], ...] = ()
    notes: tuple[str, ...] = ()
    own: bool = False

    def examples(self, split: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Reads the images of a split and their labels, in its order.

        Args:
            split: "train" or "val".

        Yields:
            uint8 RGB (H, W, 3), upright, and uint8 (H, W) of class indices, 255 being void.

        Raises:
            UserError: one cannot be read, or they do not fit each other.
        """
        for pair in self.splits[split]:
            image = images.read(pair.image)
            label = labels.classes_of(
                pair.label,
                labels.stored(pair.label, pair.draw),
                len(self.classes),
                (image.shape[1], image.shape[0]),
                pair.encoding,
                self.colours,
            )
            yield image, label


def read_ids(path: Path, expected: int | None = None) -> list[str]:
    """The ids of a list, one per line, in its order; blanks around them and empty lines do not
    count.

    Args:
        path: a text file.
        expected: how many ids the official list has, checked if given.

    Raises:
        UserError: no such file, no text, no ids, an id that is no name of a file or leads
            elsewhere, an id twice, or another number than expected.
    """
    if not os.path.lexists(path):
        raise UserError(
            f"{path}: there is no such list. Is the archive complete, and is this its right folder?"
        )
    ids = reading.lines(path, "a text with an id per line", "put the list there again")
    if not ids:
        raise UserError(f"{path}: the list is empty")
    # Files are read and written under these names.
    wrong = [
        name
        for name in ids
        if PurePosixPath(name).is_absolute() or ".." in name.split("/") or not _plain(name)
    ]
    if wrong:
        raise UserError(
            f"{path}: expected names of images, but these are none: "
            f"{enumeration([reading.quoted(name) for name in wrong])}"
        )
    twice = sorted(name for name, times in Counter(ids).items() if times > 1)
    if twice:
        raise UserError(f"{path}: listed more than once: {enumeration(twice)}")
    check_count(str(path), len(ids), expected)
    return ids


def _plain(name: str) -> bool:
    return name.isprintable() and "\\" not in name and len(name) <= LONGEST


def check_count(what: str, found: int, expected: int | None) -> None:
    """Raises UserError if an official split has another number of images than it should; None
    expects nothing.
    """
    if expected is not None and found != expected:
        raise UserError(
            f"{what}: expected {expected} images, the list has {found}: is the archive "
            "complete and the right one?"
        )


def complete(pairs: Iterable[Pair], where: str) -> list[Pair]:
    """The pairs, whose files are all there.

    Args:
        pairs: to be looked at.
        where: what lists them, for messages.

    Raises:
        UserError: some are not; ten are named.
    """
    pairs = list(pairs)
    missing = [file for pair in pairs for file in (pair.image, pair.label) if not file.is_file()]
    if missing:
        raise UserError(
            f"{where} lists images that are not there: {enumeration(missing)}. Is the "
            "archive complete?"
        )
    return pairs


def choose_classes(given: Sequence[str], own: Sequence[str], where: str) -> tuple[str, ...]:
    """The names of the classes: those given, or the data set's own.

    Args:
        given: of the parameters; empty: none.
        own: of the data set; empty: it has none.
        where: what the data set's names stand in, for messages.

    Raises:
        UserError: there are neither, or not as many of the ones as of the others; or a name that
            cannot be shown.
    """
    if not given and not own:
        raise UserError(
            f"records.classes: no names, and {where} has none: list the classes in the "
            "order of their values"
        )
    if given and own and len(given) != len(own):
        raise UserError(
            f"records.classes: {len(given)} names, but {where} has {len(own)} classes: give as "
            "many, or [] to take its own"
        )
    chosen = tuple(given or own)
    wrong = [name for name in chosen if CONTROL.search(name) or not 0 < len(name) <= LONGEST]
    if wrong:
        raise UserError(
            f"{'records.classes' if given else where}: expected names of 1 to {LONGEST} characters "
            "without control characters, got "
            f"{enumeration([reading.quoted(name) for name in wrong])}"
        )
    return chosen


def leaks(train: Sequence[Pair], val: Sequence[Pair]) -> None:
    """Refuses sets that share images, by id.

    Args:
        train: of the training set.
        val: of the validation set.

    Raises:
        UserError: they do; ten are named.
    """
    both = sorted({pair.id for pair in train} & {pair.id for pair in val})
    if both:
        raise UserError(
            f"the training set ({len(train)} images) and the validation set ({len(val)}) share "
            f"{len(both)}: {enumeration(both)}. Scores on images that were trained on mean "
            "nothing: choose splits that share none"
        )
