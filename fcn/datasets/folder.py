"""A folder of one's own: pictures and masks with a classes.txt, or what an annotation tool has
exported.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from fcn import reading
from fcn.datasets import splits, stems
from fcn.datasets.annotations import formats
from fcn.datasets.annotations.tree import Tree, beside, identified
from fcn.datasets.names import is_void, split_of
from fcn.datasets.pairs import LONGEST, DatasetSpec, Listing, Pair, choose_classes
from fcn.errors import CONTROL, UserError, enumeration
from fcn.io import PICTURES
from fcn.spec import VOID_COLOUR, Colour

_COLOURED = re.compile(r"(.*\S)\s*#([0-9a-fA-F]{6})")
_MOST = 255


def read_classes(path: Path) -> tuple[tuple[str, ...], tuple[Colour, ...]]:
    """The classes of a classes.txt: one per line, in the order of their values, `name` or `name
    #rrggbb`.

    Args:
        path: the file.

    Returns:
        Names; and (red, green, blue), 0..255, of each: then the masks are images of these colours.
        Or no colours: then the masks' values are the classes.

    Raises:
        UserError: a colour without a name, colours for some classes only, a name or colour twice,
            the colour of void, or not 2 to 255 classes.
    """
    lines = reading.lines(path, "the name of a class per line", "write it again", reading.SMALL)
    odd = [line for line in lines if CONTROL.search(line) or len(line) > LONGEST + len(" #rrggbb")]
    if odd:
        raise UserError(
            f"{path}: expected names of at most {LONGEST} characters without control characters, "
            f"got {reading.quoted(odd[0])}: write it again"
        )
    found = [_COLOURED.fullmatch(line) for line in lines]
    names = [match[1] if match else line for match, line in zip(found, lines, strict=True)]
    codes = [match[2].lower() for match in found if match]
    if not 2 <= len(names) <= _MOST:
        raise UserError(f"{path}: expected 2 to {_MOST} classes, one per line, got {len(names)}")
    bare = [line for line, match in zip(lines, found, strict=True) if not match]
    if (codes and bare) or any(name.startswith("#") for name in names):
        raise UserError(
            f"{path}: expected `name` on every line, or `name #rrggbb` on every line, but without "
            "a name or a colour are: "
            f"{enumeration([line for line in lines if line in bare or line.startswith('#')])}"
        )
    for kind, values in (("name", names), ("colour", codes)):
        twice = [value for value, times in Counter(values).items() if times > 1]
        if twice:
            raise UserError(
                f"{path}: the same {kind} for more than one class: {enumeration(twice)}"
            )
    colours = tuple((int(code[:2], 16), int(code[2:4], 16), int(code[4:], 16)) for code in codes)
    if VOID_COLOUR in colours:
        raise UserError(
            f"{path}: {names[colours.index(VOID_COLOUR)]} has the colour #e0e0c0, "
            "which means void: choose another"
        )
    return tuple(names), colours


def like_void(names: Sequence[str]) -> str:
    """Words on a class that is called like pixels that count for nothing; "" if there is none."""
    for index, name in enumerate(names):
        if is_void(name):
            return (
                f"class {index} is called {name!r}, but would be trained and averaged as any other"
            )
    return ""


def load(asked: DatasetSpec) -> Listing:
    """A user's folder.

    Args:
        asked: the root "folder" holds images/, masks/ (PNG) and classes.txt; or images and masks
            that go by their names, in one folder or several; or is of one of
            `annotations.formats.FORMATS`. And lists, if any. Without a classes.txt masks hold class
            values. For the splits see `splits.choose`.

    Raises:
        UserError: see `read_classes`, `formats.recognise`, `stems.by_stem` and `splits.choose`.
    """
    root = asked.roots["folder"]
    known = formats.recognise(root)
    if known:
        chosen = choose_classes(asked.classes, known.classes, f"{root} ({known.format})")
        listed, notes = _divided(root, known.splits, asked)
        return Listing(chosen, listed, notes=(*known.notes, *notes), own=True)
    path = root / "classes.txt"
    names, colours = read_classes(path) if path.exists() else ((), ())
    chosen = choose_classes(asked.classes, names, str(path))
    if like_void(chosen):
        raise UserError(
            f"{path}: {like_void(chosen)}. If its pixels are to count for nothing, take its line "
            "out and run the doctor, whose --convert makes them void (255); if it is a class, "
            "name it otherwise, such as background"
        )
    encoding = "colours" if colours else "indices"
    loose = loose_pairs(root, encoding)
    if loose:
        listed, notes = _divided(root, loose, asked)
        return Listing(chosen, listed, colours, notes, own=True)
    images = stems.by_stem(root / "images", stems.IMAGES)
    masks = stems.aligned(images, stems.by_stem(root / "masks", (".png",)))
    lonely = sorted(set(masks) - set(images))
    if lonely and stems.share(asked.train):
        raise UserError(f"{root}: {len(lonely)} labels have no image: {enumeration(lonely)}")
    by_split: dict[str, list[str]] = {}
    for name, image in images.items():
        by_split.setdefault(split_of(image.relative_to(root)), []).append(name)
    stems_of = {name: masks[name].stem if name in masks else name for name in images}
    divided, notes = splits.choose(root, stems_of, by_split, asked)
    return Listing(
        chosen,
        {
            purpose: stems.pairs(images, masks, ids, encoding, _place(root, asked.splits[purpose]))
            for purpose, ids in divided.items()
        },
        colours,
        notes,
        own=True,
    )


def _place(root: Path, name: str) -> str:
    path = root / f"{name}.txt"
    return str(path if path.is_file() else root)


def loose_pairs(root: Path, encoding: str) -> dict[str, list[Pair]]:
    """Pairs by split of a folder without images/ and masks/, or where these have folders for the
    splits with the same names in them, which go by their names; none if there are none.

    Raises:
        UserError: an image or a label without the other.
    """
    tree = Tree(root)
    named = all((root / name).is_dir() for name in ("images", "masks"))
    if (named and not repeated(root)) or not tree.has_pairs:
        return {}
    found = identified(((split, image, label, None) for split, image, label in beside(tree)), root)
    return {
        split: [replace(pair, encoding=encoding) for pair in pairs]
        for split, pairs in found.items()
    }


def repeated(root: Path) -> bool:
    """Whether images of the same name lie in the folders of different splits, below images/."""
    images = Tree(root / "images").ending(PICTURES)
    by_split = {(path.stem, split_of(path)) for path in images}
    return len(by_split) > len({stem for stem, _ in by_split})


def _divided(
    root: Path, by_split: Mapping[str, Sequence[Pair]], asked: DatasetSpec
) -> tuple[dict[str, list[Pair]], tuple[str, ...]]:
    pairs = {pair.id: pair for found in by_split.values() for pair in found}
    ids = {split: [pair.id for pair in found] for split, found in by_split.items()}
    labels = {id: id if pair.draw else pair.label.stem for id, pair in pairs.items()}
    divided, notes = splits.choose(root, labels, ids, asked)
    unknown = [name for names in divided.values() for name in names if name not in pairs]
    if unknown:
        raise UserError(
            f"{root}: {len(unknown)} names on the lists have no image: {enumeration(unknown)}"
        )
    return {purpose: [pairs[name] for name in names] for purpose, names in divided.items()}, notes
