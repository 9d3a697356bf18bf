"""A folder of one's own: images/, masks/ of the same names, classes.txt, and lists or shares as splits."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from fcn import reading
from fcn.datasets import stems
from fcn.datasets.pairs import LONGEST, Listing, choose_classes, enumeration
from fcn.errors import CONTROL, UserError
from fcn.spec import VOID_COLOUR, Colour

_COLOURED = re.compile(r"(.*\S)\s*#([0-9a-fA-F]{6})")
_MOST = 255
_VOID = re.compile(r"(?i)(un-?labell?ed|void|ignored?|ignore[ _-](label|region)|don'?t[ _-]?care)")


def read_classes(path: Path) -> tuple[tuple[str, ...], tuple[Colour, ...]]:
    """The classes of a classes.txt: one per line, in the order of their values, `name` or `name #rrggbb`.

    Args:
        path: the file.

    Returns:
        Names; and (red, green, blue), 0..255, of each: then the masks are images of these colours. Or no colours: then the
        masks' values are the classes.

    Raises:
        UserError: a colour without a name, colours for some classes only, a name or colour twice, the colour of void, or not
            2 to 255 classes.
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
            f"{path}: expected `name` on every line, or `name #rrggbb` on every line, but without a name or a colour are: "
            f"{enumeration([line for line in lines if line in bare or line.startswith('#')])}"
        )
    for kind, values in (("name", names), ("colour", codes)):
        twice = [value for value, times in Counter(values).items() if times > 1]
        if twice:
            raise UserError(f"{path}: the same {kind} for more than one class: {enumeration(twice)}")
    colours = tuple((int(code[:2], 16), int(code[2:4], 16), int(code[4:], 16)) for code in codes)
    if VOID_COLOUR in colours:
        raise UserError(f"{path}: {names[colours.index(VOID_COLOUR)]} has the colour #e0e0c0, which means void: choose another")
    return tuple(names), colours


def like_void(names: Sequence[str]) -> str:
    """Words on a class that is called like pixels that count for nothing; "" if there is none."""
    for index, name in enumerate(names):
        if _VOID.fullmatch(name):
            return f"class {index} is called {name!r}, but would be trained and averaged as any other"
    return ""


def load(roots: Mapping[str, Path], classes: Sequence[str], train: str, val: str, seed: int) -> Listing:
    """A user's folder.

    Args:
        roots: "folder" holds images/ (JPEG, PNG, BMP, WebP, TIFF), masks/ (PNG) and classes.txt; and lists, if any.
        classes: names by label value, or none: those of classes.txt. Without a classes.txt masks hold class values.
        train: name of a list, "train" for train.txt, or a share of all images such as "80%".
        val: likewise.
        seed: see `stems.draw`.

    Raises:
        UserError: see `read_classes`, `stems.by_stem` and `stems.splits`.
    """
    root = roots["folder"]
    path = root / "classes.txt"
    names, colours = read_classes(path) if path.exists() else ((), ())
    chosen = choose_classes(classes, names, str(path))
    if like_void(chosen):
        raise UserError(
            f"{path}: {like_void(chosen)}. If its pixels are to count for nothing, take its line out and run the doctor, whose "
            "--convert makes them void (255); if it is a class, name it otherwise, such as background"
        )
    images, masks = stems.by_stem(root / "images", stems.IMAGES), stems.by_stem(root / "masks", (".png",))
    listed = stems.splits(root, images, masks, "colours" if colours else "indices", train, val, seed)
    return Listing(chosen, listed, colours, own=True)
