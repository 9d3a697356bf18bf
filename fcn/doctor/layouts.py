"""Which files of a folder are images, which are labels, and which belong together."""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from fcn.datasets import Annotated, ade20k, folder, formats, pairs, splits, stems, voc
from fcn.doctor.findings import Finding
from fcn.errors import UserError
from fcn.io import links, walk

Draw = Callable[[], np.ndarray] | None

_LABELS = (".png", ".mat", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".jpg", ".jpeg")


@dataclass(frozen=True)
class Layout:
    """Two folders of a data set: of `images` and of `labels`, which are of an `encoding` of `labels.ENCODINGS`.

    `records` reads images whose names end in one of `image_ends`, and labels that end in `label_end`.
    """

    name: str
    images: str
    labels: str
    encoding: str
    image_ends: tuple[str, ...]
    label_end: str


LAYOUTS = (
    Layout("voc", "JPEGImages", "SegmentationClass", "indices", (".jpg",), ".png"),
    Layout("folder", "images", "masks", "indices", stems.IMAGES, ".png"),
    Layout("ade20k", "images", "annotations", "ade20k", (".jpg",), ".png"),
    Layout("sbd", "img", "cls", "sbd", (".jpg",), ".mat"),
)


@dataclass(frozen=True)
class Item:
    """An image and its label, one of which may not be there; `id` is what their names have in common.

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
        layout: a name of `LAYOUTS`, or "labels" for labels alone.
        root: the folder of the data set, or of the labels.
        items: in the order of their ids.
        classes: names by label value; empty where nothing says them.
        colours: 0xRRGGBB by label value, where classes.txt has them.
        encoding: how labels should be stored, a key of `labels.ENCODINGS`; None: nothing says it.
        findings: files that do not pair up.
        lists: the ids of each list, by its file.
    """

    layout: str
    root: Path
    items: tuple[Item, ...]
    classes: tuple[str, ...]
    colours: tuple[int, ...]
    encoding: str | None
    findings: tuple[Finding, ...]
    lists: dict[Path, frozenset[str]] = field(default_factory=dict)


def find(path: Path) -> Found:
    """Looks at a path.

    Args:
        path: a data set's folder in one of the `LAYOUTS`, or up to three folders above it; a folder of labels; a label. Of
            a folder or file inside of a data set, the pairs that it is part of are taken.

    Returns:
        Images and labels.

    Raises:
        UserError: no such path, nothing in it that could be a label, or several data sets.
    """
    if not path.exists():
        raise UserError(f"{path}: no such file or folder")
    if path.is_dir() and (known := formats.recognise(path)):
        return _annotated(known)
    roots = [(path, layout) for layout in LAYOUTS if _has(path, layout)] if path.is_dir() else []
    for layout in LAYOUTS:
        roots += [(root, layout) for root in path.parents if not roots and _has(root, layout) and _inside(path, root, layout)]
    depth = 1
    while not roots and path.is_dir() and depth <= 3:
        below = sorted(path.glob("/".join("*" * depth)))
        roots = [(root, layout) for root in below for layout in LAYOUTS if _has(root, layout)]
        depth += 1
    if len({root for root, _ in roots}) > 1:
        raise UserError(f"{path}: several data sets: {pairs.enumeration([root for root, _ in roots])}. Name one of them")
    if roots:
        return _data_set(path, *roots[0])
    return (_loose(path) if path.is_dir() else None) or _labels_alone(path)


def _loose(root: Path) -> Found | None:
    """Images and labels that go by their names, wherever below a folder; None if these are none."""
    names, colours = _classes(root, LAYOUTS[1])
    encoding = "colours" if colours else "indices"
    splits = folder.loose_pairs(root, encoding)
    if not splits:
        return None
    found = _annotated(Annotated("folder", root, names, splits))
    return replace(found, colours=colours, encoding=encoding)


def _annotated(known: Annotated) -> Found:
    """What an annotation tool has exported."""
    items = [Item(p.id, p.image, p.label, p.draw) for pairs in known.splits.values() for p in pairs]
    notes = tuple(Finding("left_out", "", note) for note in known.notes)
    lists = {known.root / f"{split}/": frozenset(p.id for p in pairs) for split, pairs in known.splits.items() if split}
    return Found(
        known.format, known.root, tuple(sorted(items, key=lambda item: item.id)), known.classes, (), "indices", notes, lists
    )


def read_classes(path: Path) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Names and colours 0xRRGGBB of a classes.txt; see `folder.read_classes`."""
    names, colours = folder.read_classes(path)
    return names, tuple(red << 16 | green << 8 | blue for red, green, blue in colours)


def _has(root: Path, layout: Layout) -> bool:
    return (root / layout.images).is_dir() and (root / layout.labels).is_dir()


def _inside(path: Path, root: Path, layout: Layout) -> bool:
    return path.relative_to(root).parts[0] in (layout.images, layout.labels)


def _data_set(path: Path, root: Path, layout: Layout) -> Found:
    images, doubled_images = _by_stem(root / layout.images, stems.IMAGES)
    labels, doubled_labels = _by_stem(root / layout.labels, _LABELS)
    findings = doubled_images + doubled_labels
    findings += [finding for place in (layout.images, layout.labels) for finding in _odd(root / place)]
    labels = stems.aligned(images, labels) if layout.name == "folder" else labels
    findings += [
        Finding("left_out", stems.shown(file), "is called like no image")
        for file in walk(root / layout.images)
        if file.suffix.lower() not in stems.IMAGES and layout.name == "folder"
    ]
    lists: dict[Path, frozenset[str]] = {}
    for path_of_list in _lists(root, layout):
        try:
            lists[path_of_list] = frozenset(_ids(path_of_list, layout, images, labels))
        except UserError as error:
            findings.append(_said("list_broken", path_of_list, error))
    listed = frozenset().union(*lists.values())
    if not listed:
        labels, renamed = _renamed(images, labels)
        findings += renamed
    # Of a data set with lists the images beyond them are nobody's business: VOC has six times as many as labels.
    items = [Item(id, images.get(id), labels.get(id)) for id in sorted(set(labels) | (listed or set(images)))]
    if path != root and root in path.parents:
        items = [item for item in items if any(part and _within(part, path) for part in (item.image, item.label))]
    findings += [finding for item in items for finding in _lacking(item, root, layout)]
    if not any(item.image for item in items):
        findings.append(Finding("no_images", "", f"none in {root / layout.images} that could be read"))
    names: tuple[str, ...] = ()
    colours: tuple[int, ...] = ()
    try:
        names, colours = _classes(root, layout)
    except UserError as error:
        findings.append(_said("classes_broken", root / "classes.txt", error))
    encoding = "colours" if colours else layout.encoding
    return Found(layout.name, root, tuple(items), names, colours, encoding, tuple(findings), lists)


def _ids(path: Path, layout: Layout, images: dict[str, Path], labels: dict[str, Path]) -> list[str]:
    if layout.name != "folder":
        return pairs.read_ids(path)
    return splits.listed(path, {name: labels[name].stem if name in labels else name for name in images})


def _said(kind: str, path: Path, error: UserError) -> Finding:
    return Finding(kind, str(path), str(error).removeprefix(f"{path}: "))


def _lacking(item: Item, root: Path, layout: Layout) -> list[Finding]:
    findings = []
    if item.image is None:
        findings.append(
            Finding("image_missing", str(item.label or item.id), f"no image of this name in {root / layout.images}")
        )
    elif not item.image.name.lower().endswith(layout.image_ends):
        findings.append(Finding("ending", str(item.image), f"an image that does not end in {' or '.join(layout.image_ends)}"))
    if item.label is None:
        findings.append(
            Finding("label_missing", str(item.image or item.id), f"no label of this name in {root / layout.labels}")
        )
    elif not item.label.name.lower().endswith(layout.label_end):
        findings.append(Finding("ending", str(item.label), f"a label that does not end in {layout.label_end}"))
    return findings


def _within(path: Path, folder: Path) -> bool:
    return path == folder or folder in path.parents


def _lists(root: Path, layout: Layout) -> list[Path]:
    if layout.name == "voc":
        return sorted(path for path in (root / "ImageSets" / "Segmentation").glob("*.txt") if path.stem != "test")
    return [path for path in (root / "train.txt", root / "val.txt") if path.is_file()]


def _classes(root: Path, layout: Layout) -> tuple[tuple[str, ...], tuple[int, ...]]:
    if layout.name in ("voc", "sbd"):
        return voc.CLASSES, ()
    if layout.name == "ade20k":
        known = (root / "objectInfo150.txt").is_file()
        return ade20k.names(root) if known else tuple(f"class{n}" for n in range(ade20k.CLASSES)), ()
    return read_classes(root / "classes.txt") if (root / "classes.txt").is_file() else ((), ())


def _files(place: Path, suffixes: Collection[str]) -> list[Path]:
    return sorted(path for path in walk(place) if path.suffix.lower() in suffixes and stems.nameable(path))


def _odd(place: Path) -> list[Finding]:
    """Links, and names that no list and no record can hold."""
    followed = [path for path in (place, *links(place)) if path.is_symlink()]
    findings = [Finding("link", stems.shown(path), f"leads to {stems.shown(path.resolve())}") for path in followed]
    odd = [path for path in walk(place) if not stems.nameable(path)]
    return findings + [Finding("name_bytes", stems.shown(path), "was not looked at") for path in odd]


def _by_stem(place: Path, suffixes: Collection[str]) -> tuple[dict[str, Path], list[Finding]]:
    found: dict[str, Path] = {}
    findings = []
    for path in _files(place, suffixes):
        first = found.setdefault(path.stem, path)
        if first != path:
            findings.append(Finding("name_twice", str(path), f"the same name as {first}"))
    return found, findings


def _renamed(images: dict[str, Path], labels: dict[str, Path]) -> tuple[dict[str, Path], list[Finding]]:
    """Labels by the images' names, if all of them are called like an image with the same ending, such as `_mask`."""
    if set(images) & set(labels) or not labels:
        return labels, []
    stem = next(iter(labels))
    for ending in (stem[end:] for end in range(1, len(stem)) if stem[:end] in images):
        bare = {name.removesuffix(ending): path for name, path in labels.items()}
        if all(name.endswith(ending) for name in labels) and len(set(bare) & set(images)) > len(labels) / 2:
            words = f"the labels' names end in {ending!r}, the images' do not, e.g. {labels[stem].name}"
            return bare, [Finding("names_differ", "", words)]
    return labels, []


def _labels_alone(path: Path) -> Found:
    files: Sequence[Path] = [path] if path.is_file() else _files(path, _LABELS)
    place = path if path.is_dir() else path.parent
    odd = _odd(path) if path.is_dir() else []
    if not files:
        links = "".join(f". {finding}" for finding in odd[:1])
        raise UserError(f"{path}: expected images that are labels ({', '.join(_LABELS)}), found none{links}")
    ending = _ending(files)
    beside = "beside their labels" + (f", whose names end in {ending!r}" if ending else "")
    if ending:
        stem = {file.stem: file for file in files}
        photographs = {name + ending: file for name, file in stem.items() if name + ending in stem}
    else:
        # Photographs beside labels of the same name: the labels are what a lossless format holds.
        stems_of = {file.stem for file in files if file.suffix in (".png", ".mat")}
        photographs = {f.stem: f for f in files if f.suffix.lower() in (".jpg", ".jpeg") and f.stem in stems_of}
    labels = [file for file in files if file not in photographs.values()]
    encoding = "sbd" if all(file.suffix == ".mat" for file in labels) else None
    items = tuple(Item(file.relative_to(place).with_suffix("").as_posix(), photographs.get(file.stem), file) for file in labels)
    if photographs:
        odd.append(Finding("beside", "", f"{len(photographs)} images lie {beside}"))
    return Found("labels", place, items, voc.CLASSES if encoding else (), (), encoding, tuple(odd))


def _ending(files: Sequence[Path]) -> str:
    """What most labels' names have at their end, `_mask` or the like, where their images' names end before it; or ""."""
    names = {file.stem for file in files}
    endings = Counter(
        name[end:] for name in names for end in range(1, len(name)) if not name[end].isalnum() and name[:end] in names
    )
    ending, count = next(iter(endings.most_common(1)), ("", 0))
    return ending if 2 * count > 0.8 * len(files) else ""
