"""The files of a folder, and which of its pictures and labels belong together."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from fcn.datasets import names
from fcn.datasets.pairs import Pair
from fcn.datasets.stems import refuse_unnameable
from fcn.errors import UserError, enumeration
from fcn.io import PICTURES, walk

_LOSSY = (".jpg", ".jpeg", ".jfif", ".jpe", ".heic", ".heif")


@dataclass(frozen=True)
class Annotated:
    """A folder whose format is known.

    Attributes:
        format: its name, for people.
        root: the folder.
        classes: names by label value.
        splits: pairs by "train", "val", "test", or "" for those that are in none.
        notes: what was left out, and what void stands for, in sentences.
    """

    format: str
    root: Path
    classes: tuple[str, ...]
    splits: dict[str, list[Pair]]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tree:
    """The files below a folder, without hidden ones."""

    root: Path

    @cached_property
    def files(self) -> list[Path]:
        """All of them, relative to the root, sorted."""
        return sorted(path.relative_to(self.root) for path in walk(self.root))

    def ending(self, suffixes: Iterable[str]) -> list[Path]:
        """Those whose names end so, in any case."""
        return [path for path in self.files if path.suffix.lower() in tuple(suffixes)]

    def called(self, name: str) -> list[Path]:
        """Those of this name."""
        return [path for path in self.files if path.name == name]

    @cached_property
    def _by_name(self) -> dict[str, list[Path]]:
        found: dict[str, list[Path]] = {}
        for path in self.ending(PICTURES):
            found.setdefault(path.name, []).append(path)
        return found

    def labels(self, roles: frozenset[str] = frozenset()) -> set[Path]:
        """The pictures that are called like labels; or, if none is, the PNGs beside a JPEG of their
        name.
        """
        pictures = self.ending(PICTURES)
        lossy = {path.with_suffix("") for path in pictures if path.suffix.lower() in _LOSSY}
        called = {path for path in pictures if names.is_label(path, roles)}
        twins = (path for path in self.ending((".png",)) if path.with_suffix("") in lossy)
        return called or set(twins)

    @property
    def has_pairs(self) -> bool:
        """Whether some pictures are labels, and some are not."""
        return 0 < len(self.labels()) < len(self.ending(PICTURES))

    def picture(self, name: str, beside: Path) -> Path | None:
        r"""The picture that an annotation file names, relative to the root.

        Args:
            name: as the file writes it, with "/" or "\" and folders or without.
            beside: the annotation file's folder, relative to the root.
        """
        wanted = Path(name.replace("\\", "/"))
        same = self._by_name.get(wanted.name, [])
        if len(same) < 2:
            return same[0] if same else None
        near = [path for path in same if path.parts[-len(wanted.parts) :] == wanted.parts]
        close = [path for path in near if beside in path.parents and beside != Path()]
        return (close or near)[0] if len(close or near) == 1 else None


def identified(
    found: Iterable[tuple[str, Path, Path, Callable[[], np.ndarray] | None]], root: Path
) -> dict[str, list[Pair]]:
    """Pairs by split.

    Args:
        found: of each pair its split, its image, its label (for messages), both relative to the
            root, and the function that draws the label.
        root: the folder.

    Returns:
        Pairs whose ids are the images' names without ending, with folders where that is not enough.

    Raises:
        UserError: the same image twice, or a name that is no UTF-8.
    """
    found = list(found)
    refuse_unnameable(root, (path for _, *both, _ in found for path in both))
    stems = Counter(image.stem for _, image, _, _ in found)
    twice = [
        path for path, times in Counter(image for _, image, _, _ in found).items() if times > 1
    ]
    if twice:
        raise UserError(f"{root}: images with more than one label: {enumeration(twice)}")
    splits: dict[str, list[Pair]] = {}
    for split, image, label, draw in sorted(found, key=lambda each: each[1]):
        id = image.stem if stems[image.stem] == 1 else image.with_suffix("").as_posix()
        pair = Pair(id, root / image, root / label, draw=draw)
        splits.setdefault(split, []).append(pair)
    return splits


def beside(
    tree: Tree,
    taken: Callable[[Path], bool] = lambda path: True,
    roles: frozenset[str] = frozenset(),
) -> list[tuple[str, Path, Path]]:
    """Split, image and label of each pair of pictures that go by their names.

    Args:
        tree: the folder's files.
        taken: whether to take a picture, by its path below the root.
        roles: see `names.is_label`.

    Raises:
        UserError: labels without an image, or images without a label; ten are named.
    """
    by_split: dict[str, tuple[dict[str, Path], dict[str, Path]]] = {}
    doubled = []
    drawn = tree.labels(roles)
    for path in filter(taken, tree.ending(PICTURES)):
        place = by_split.setdefault(names.split_of(path), ({}, {}))[path in drawn]
        doubled += [path] if path.stem in place else []
        place[path.stem] = path
    if doubled:
        raise UserError(f"{tree.root}: the same name more than once: {enumeration(doubled)}")
    found, lonely = [], []
    for split, (images, labels) in by_split.items():
        pairs = names.matched(images, labels, roles)
        found += [(split, images[name], labels[label]) for name, label in pairs.items()]
        lonely += [images[name] for name in sorted(set(images) - set(pairs))]
        lonely += [labels[name] for name in sorted(set(labels) - set(pairs.values()))]
    if lonely:
        raise UserError(
            f"{tree.root}: {len(lonely)} images or labels without the other: "
            f"{enumeration(lonely)}. Both need the same name, but for words such as _mask"
        )
    return found
