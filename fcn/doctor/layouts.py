"""Which files of a folder are images, which are labels, and which belong together."""

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from fcn.datasets import Annotated, ade20k, folder, formats, names, pairs, splits, stems, voc
from fcn.errors import UserError, enumeration
from fcn.io import VIDEOS, links, walk

Draw = Callable[[], np.ndarray] | None

LABELS = (".png", ".mat", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".jpg", ".jpeg")

Noted = dict[str, list[tuple[str, str]]]
"""File and what was found, by kind of finding: what only a look at the folders shows."""


@dataclass(frozen=True)
class Layout:
    """Two folders of a data set: of `images` and of `labels`, of an `encoding` of
    `labels.ENCODINGS`.

    Without them it is a format of an annotation tool, or of pairs that go by their names.

    `records` reads images whose names end in one of `image_ends`, and labels that end in
    `label_end`; `words` are said to people.
    """

    name: str
    words: str
    images: str = ""
    labels: str = ""
    encoding: str | None = None
    image_ends: tuple[str, ...] = ()
    label_end: str = ""


LAYOUTS = (
    Layout("voc", "VOC's layout (JPEGImages, SegmentationClass)", "JPEGImages", "SegmentationClass",
           "indices", (".jpg",), ".png"),
    Layout("folder", "images/ and masks/", "images", "masks", "indices", stems.IMAGES, ".png"),
    Layout("ade20k", "ADE20K's layout (images, annotations)", "images", "annotations", "ade20k",
           (".jpg",), ".png"),
    Layout("sbd", "SBD's layout (img, cls)", "img", "cls", "sbd", (".jpg",), ".mat"),
)  # fmt: skip
ALONE = Layout("labels", "labels alone")
LOOSE = Layout("folder", "images/ and masks/")
PUBLISHED = ("voc", "ade20k", "sbd")
"""Layouts of data sets whose splits are published."""


@dataclass(frozen=True)
class Item:
    """An image and its label, one of which may not be there; `id` is what their names share.

    `draw` makes the label of an annotation tool, see `pairs.Pair`.
    """

    id: str
    image: Path | None
    label: Path | None
    draw: Draw = None


@dataclass(frozen=True)
class Found:
    """What a path holds.

    Attributes:
        layout: one of `LAYOUTS`, `ALONE` for labels alone, `LOOSE`, or one of an annotation tool.
        root: the folder of the data set, or of the labels.
        items: in the order of their ids.
        noted: what is wrong with the files.
        classes: names by label value; empty where nothing says them.
        colours: 0xRRGGBB by label value, where classes.txt has them.
        encoding: how labels should be stored, a key of `labels.ENCODINGS`; None: unknown.
        lists: the ids of each list, by its file.
    """

    layout: Layout = ALONE
    root: Path = Path()
    items: tuple[Item, ...] = ()
    noted: Noted = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    colours: tuple[int, ...] = ()
    encoding: str | None = None
    lists: dict[Path, frozenset[str]] = field(default_factory=dict)

    @property
    def own(self) -> bool:
        """Whether a classes.txt is what names the classes."""
        return self.layout.name in ("folder", "labels")


def find(path: Path) -> Found:
    """Looks at a path.

    Args:
        path: a data set's folder in one of the `LAYOUTS`, or up to three folders above it; a folder
            of labels; a label. Of what lies inside of a data set, its pairs are taken.

    Returns:
        Images and labels.

    Raises:
        UserError: no such path, or several data sets.
    """
    if not path.exists():
        raise UserError(f"{path}: no such file or folder")
    if path.is_dir() and (known := formats.recognise(path)):
        return _annotated(known)
    roots = _data_sets([path]) if path.is_dir() else []
    if not roots:
        above = _data_sets(list(path.parents))
        roots = [
            (r, kind)
            for r, kind in above
            if path.relative_to(r).parts[0] in (kind.images, kind.labels)
        ]
    for depth in (1, 2, 3):
        if not roots and path.is_dir():
            roots = _data_sets(sorted(path.glob("/".join("*" * depth))))
    parents = {root.parent for root, _ in roots}
    named = all(names.split_named(root.name) for root, _ in roots)
    if len(roots) > 1 and len(parents) == 1 and named:
        roots = []  # one data set, whose splits have a folder each
        path = parents.pop()
    if len({root for root, _ in roots}) > 1:
        several = enumeration([root for root, _ in roots])
        raise UserError(f"{path}: several data sets: {several}. Name one of them")
    if roots:
        root, kind = roots[0]
        loose = _loose(root) if kind.name == "folder" and folder.repeated(root) else None
        return loose or _data_set(path, root, kind)
    return (_loose(path) if path.is_dir() else None) or _labels_alone(path)


def _loose(root: Path) -> Found | None:
    """Images and labels that go by their names, wherever below a folder; None if these are none."""
    called, colours = _classes(root, LOOSE)
    encoding = "colours" if colours else "indices"
    by_split = folder.loose_pairs(root, encoding)
    found = _annotated(Annotated("folder", root, called, by_split))
    return replace(found, layout=LOOSE, colours=colours, encoding=encoding) if by_split else None


def _annotated(known: Annotated) -> Found:
    """What an annotation tool has exported."""
    items = [Item(p.id, p.image, p.label, p.draw) for found in known.splits.values() for p in found]
    noted: Noted = {"left_out": [("", words) for words in known.notes]} if known.notes else {}
    _note_odd(known.root, noted)
    lists = {
        known.root / f"{split}/": frozenset(p.id for p in found)
        for split, found in known.splits.items()
        if split
    }
    layout = Layout(known.format, known.format)
    items.sort(key=lambda item: item.id)
    return Found(layout, known.root, tuple(items), noted, known.classes, (), "indices", lists)


def _data_sets(places: Collection[Path]) -> list[tuple[Path, Layout]]:
    return [
        (place, kind)
        for place in places
        for kind in LAYOUTS
        if (place / kind.images).is_dir() and (place / kind.labels).is_dir()
    ]


def read_classes(path: Path) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Names and colours 0xRRGGBB of a classes.txt; see `folder.read_classes`.

    Args:
        path: of the file.

    Raises:
        UserError: see there.
    """
    names, colours = folder.read_classes(path)
    return names, tuple(red << 16 | green << 8 | blue for red, green, blue in colours)


def _data_set(path: Path, root: Path, layout: Layout) -> Found:
    noted: Noted = {}
    images = _by_stem(root / layout.images, stems.IMAGES, noted)
    labels = _by_stem(root / layout.labels, LABELS, noted)
    _note_odd(root / layout.images, noted)
    _note_odd(root / layout.labels, noted)
    if layout.name == "folder":
        labels = stems.aligned(images, labels)
        for file in walk(root / layout.images):
            if file.suffix.lower() not in stems.IMAGES:
                what = "the name ends like no image's"
                if file.suffix.lower() in VIDEOS:
                    what = "a video: take pictures out of it"
                note(noted, "left_out", stems.shown(file), what)
    lists: dict[Path, frozenset[str]] = {}
    for file in _lists(root, layout):
        try:
            lists[file] = frozenset(_ids(file, layout, images, labels))
        except UserError as error:
            note(noted, "list_broken", file, said(file, error))
    listed = frozenset().union(*lists.values())
    if not listed:
        labels = _renamed(images, labels, noted)
    # Of a data set with lists the images beyond them are nobody's business: VOC has many.
    names = sorted(set(labels) | (listed or set(images)))
    items = [Item(id, images.get(id), labels.get(id)) for id in names]
    if root in path.parents:
        within = {
            id for id, file in (*images.items(), *labels.items()) if path in (file, *file.parents)
        }
        items = [item for item in items if item.id in within]
    classes: tuple[str, ...] = ()
    colours: tuple[int, ...] = ()
    try:
        classes, colours = _classes(root, layout)
    except UserError as error:
        note(noted, "classes_broken", root / "classes.txt", said(root / "classes.txt", error))
    encoding = "colours" if colours else layout.encoding
    return Found(layout, root, tuple(items), noted, classes, colours, encoding, lists)


def _ids(path: Path, layout: Layout, images: dict[str, Path], labels: dict[str, Path]) -> list[str]:
    if layout.name != "folder":
        return pairs.read_ids(path)
    return splits.listed(
        path, {name: labels[name].stem if name in labels else name for name in images}
    )


def note(noted: Noted, kind: str, file: Path | str, what: str) -> None:
    """Notes a finding of a kind."""
    noted.setdefault(kind, []).append((str(file), what))


def said(path: Path, error: UserError) -> str:
    """An error's words without the path that they begin with."""
    return str(error).removeprefix(f"{path}: ").rstrip(".")


def _lists(root: Path, layout: Layout) -> list[Path]:
    if layout.name == "voc":
        found = sorted((root / "ImageSets" / "Segmentation").glob("*.txt"))
        return [path for path in found if path.stem != "test"]
    return [path for path in (root / "train.txt", root / "val.txt") if path.is_file()]


def _classes(root: Path, layout: Layout) -> tuple[tuple[str, ...], tuple[int, ...]]:
    if layout.name in ("voc", "sbd"):
        return voc.CLASSES, ()
    if layout.name == "ade20k":
        if (root / "objectInfo150.txt").is_file():
            return ade20k.names(root), ()
        return tuple(f"class{n}" for n in range(ade20k.CLASSES)), ()
    return read_classes(root / "classes.txt") if (root / "classes.txt").is_file() else ((), ())


def _files(place: Path, suffixes: Collection[str]) -> list[Path]:
    return sorted(
        path for path in walk(place) if path.suffix.lower() in suffixes and stems.nameable(path)
    )


def _note_odd(place: Path, noted: Noted) -> None:
    """Links, and names that no list and no record can hold."""
    for path in (place, *links(place)):
        if path.is_symlink():
            note(noted, "link", stems.shown(path), f"leads to {stems.shown(path.resolve())}")
    for path in walk(place):
        if not stems.nameable(path):
            note(noted, "name_bytes", stems.shown(path), "was not looked at")


def _by_stem(place: Path, suffixes: Collection[str], noted: Noted) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in _files(place, suffixes):
        first = found.setdefault(path.stem, path)
        if first != path:
            note(noted, "name_twice", path, f"the same name as {first}")
    return found


def _renamed(images: dict[str, Path], labels: dict[str, Path], noted: Noted) -> dict[str, Path]:
    """Labels by the images' names, if all are called like an image with the same ending."""
    if set(images) & set(labels) or not labels:
        return labels
    stem = next(iter(labels))
    for ending in (stem[end:] for end in range(1, len(stem)) if stem[:end] in images):
        bare = {name.removesuffix(ending): path for name, path in labels.items()}
        shared = len(set(bare) & set(images))
        if all(name.endswith(ending) for name in labels) and shared > len(labels) / 2:
            example = f"e.g. {labels[stem].name}"
            words = f"the labels' names end in {ending!r}, the images' do not, {example}"
            note(noted, "names_differ", "", words)
            return bare
    return labels


def _labels_alone(path: Path) -> Found:
    noted: Noted = {}
    files, place = ([path], path.parent) if path.is_file() else (_files(path, LABELS), path)
    if path.is_dir():
        _note_odd(path, noted)
    stem = {file.stem: file for file in files}
    ending = _ending(files)
    if ending:
        photographs = {name + ending: file for name, file in stem.items() if name + ending in stem}
    else:
        # Photographs beside labels of the same name: the labels are what a lossless format holds.
        exact = {file.stem for file in files if file.suffix in (".png", ".mat")}
        lossy = [file for file in files if file.suffix.lower() in (".jpg", ".jpeg")]
        photographs = {file.stem: file for file in lossy if file.stem in exact}
    labels = [file for file in files if file not in photographs.values()]
    sbd = all(file.suffix == ".mat" for file in labels)
    ids = [file.relative_to(place).with_suffix("").as_posix() for file in labels]
    found = [photographs.get(file.stem) for file in labels]
    items = tuple(map(Item, ids, found, labels))
    if photographs:
        beside = f", whose names end in {ending!r}" if ending else ""
        note(noted, "beside", "", f"{len(photographs)} images lie beside their labels{beside}")
    encoding = "sbd" if sbd else None
    return Found(ALONE, place, items, noted, voc.CLASSES if sbd else (), (), encoding)


def _ending(files: Collection[Path]) -> str:
    """What most labels' names end in, `_mask` or the like, beyond their images' names; or ""."""
    names = {file.stem for file in files}
    cut = ((name[:end], name[end:]) for name in names for end in range(1, len(name)))
    endings = Counter(end for start, end in cut if not end[0].isalnum() and start in names)
    ending, count = next(iter(endings.most_common(1)), ("", 0))
    return ending if 2 * count > 0.8 * len(files) else ""
