"""What the table of findings asks of a case: each gives the files it holds
for, and what was found.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from fcn.datasets import folder
from fcn.doctor.case import Case, Look
from fcn.doctor.contents import Content
from fcn.errors import enumeration
from fcn.pixels import Header

Spots = Iterable[tuple[Path | str, str]]
"""Files, "" for all of them, and what was found there."""
Predicate = Callable[[Case], Spots]


def once(words: Callable[[Case], str]) -> Predicate:
    """Something of the whole; no words: it does not hold."""
    return lambda case: [("", said)] if (said := words(case)) else []


def image(words: str, holds: Callable[[Header], bool]) -> Predicate:
    """Something of an image that can be read, whose header the words may name."""

    def spots(case: Case) -> Iterator[tuple[Path | str, str]]:
        for each in case.looks:
            if each.header and each.thumbnail is not None and holds(each.header):
                assert each.item.image is not None
                yield each.item.image, words.format(each.header)

    return spots


def modes(*names: str) -> Predicate:
    """An image of one of Pillow's modes."""
    return image("mode {0.mode}", lambda head: head.mode in names)


def pair(part: str, words: Callable[[Look], str]) -> Predicate:
    """Something of a pair, said of its `part`, "image" or "label"; no words: it does not hold."""

    def spots(case: Case) -> Iterator[tuple[Path | str, str]]:
        found = ((getattr(each.item, part), words(each)) for each in case.looks)
        yield from ((file, said) for file, said in found if said)

    return spots


def label(words: str, holds: Callable[[Case, Content], object]) -> Predicate:
    """Something of a label, which the words may name."""

    def spots(case: Case) -> Iterator[tuple[Path | str, str]]:
        modes = " or ".join(case.modes)
        those = (each for each in case.contents if holds(case, each))
        yield from ((each.path, words.format(each, modes=modes)) for each in those)

    return spots


def called(kind: str) -> Predicate:
    """What the folders, the labels or their palettes were found to be, by the kind's name."""

    def spots(case: Case) -> Iterator[tuple[Path | str, str]]:
        yield from case.folder.noted.get(kind, ())
        if case.meaning.kind == kind:
            yield from _meant(case)
        if case.palettes and case.palettes[0] == kind:
            yield case.palettes[1:]

    return spots


def _meant(case: Case) -> Iterator[tuple[Path | str, str]]:
    """What the labels are; where single files hold what is no class, said of these."""
    meaning, found = case.meaning, False
    noun = "label values" if meaning.form == "values" else "colours"
    for each in case.contents if meaning.wrong else ():
        keys = getattr(each, meaning.form)
        hit = np.isin(keys, meaning.wrong) if keys is not None else np.zeros(0, bool)
        if hit.any():
            found = True
            listed = case.labels.listed(keys[hit].tolist())
            yield each.path, f"{noun} {listed} in {int(each.counts[hit].sum())} pixels"
    if not found:
        yield case.contents[0].path if len(case.contents) == 1 else "", meaning.words


def lacking(part: str, other: str) -> Predicate:
    """Items of a data set without an image or a label."""

    def spots(case: Case) -> Iterator[tuple[Path | str, str]]:
        place = case.folder.root / getattr(case.folder.layout, f"{part}s")
        for item in case.set:
            if getattr(item, part) is None:
                yield getattr(item, other) or item.id, f"no {part} of this name in {place}"

    return spots


def ending(case: Case) -> Iterator[tuple[Path | str, str]]:
    """Files of a data set whose ending its layout does not have."""
    ends = case.folder.layout.image_ends, (case.folder.layout.label_end,)
    for item in case.set:
        both = ("an image", item.image, ends[0]), ("a label", item.label, ends[1])
        for noun, file, those in both:
            if file is not None and not file.name.lower().endswith(those):
                yield file, f"{noun} that does not end in {' or '.join(those)}"


@once
def no_images(case: Case) -> str:
    """A data set without one."""
    kind = case.folder.layout
    lone = kind.images and not any(item.image for item in case.folder.items)
    return f"none in {case.folder.root / kind.images} that could be read" if lone else ""


@once
def void_class(case: Case) -> str:
    """A class of the user's that is called like void."""
    return folder.like_void(case.names) if case.folder.own else ""


def alike(split: bool) -> Predicate:
    """Images that are nearly the same, in lists or in a folder without lists."""

    @once
    def words(case: Case) -> str:
        same = [f"{one} = {other}" for one, other in case.alike] if case.split is split else []
        return f"{len(same)}: {enumeration(same)}" if same else ""

    return words


def size(look: Look, turned: bool) -> str:
    """A label of another size: that of the image as it lies in the file, or any."""
    header, content = look.header, look.content
    if not header or not content or content.size == header.size:
        return ""
    wide, high = content.size
    what = f"the label is {wide}x{high} pixels, its image {header.size[0]}x{header.size[1]}"
    if (content.size == header.stored) is not turned:
        return ""
    if turned:
        return f"{what} (turned by EXIF orientation {header.orientation})"
    return what + (" (turned by 90 degrees?)" if (high, wide) == header.size else "")


def classes_missing(case: Case) -> Spots:
    """Nothing names the classes, and no other finding's advice is to write classes.txt."""
    own = case.folder.layout.name == "folder" and not case.classes
    if own and case.meaning.kind not in NAMING and "classes_broken" not in case.folder.noted:
        yield case.folder.root / "classes.txt", "there is no such file"


NAMING = ("own_colours", "voc_colours", "mask_255", "two_values", "scaled")
"""What labels may be for which a classes.txt can be proposed."""


def storage(case: Case) -> Iterator[tuple[Path | str, str]]:
    """A mode that is not read, or another format than the name says."""
    words = "mode {0.mode}, where {modes} is read"
    yield from label(words, lambda case, each: case.odd(each) and not case.as_greys(each))(case)
    yield from label("{0.format} by its content, where PNG is read", _disguised)(case)


def _disguised(case: Case, content: Content) -> bool:
    """Of other endings the layout says it."""
    named = content.path.suffix.lower() == ".png" or not case.folder.items
    return not case.odd(content) and content.format not in ("PNG", "MAT") and named


@once
def mixed(case: Case) -> str:
    """Colours, stored in several ways, of no table that would say what they are."""
    kinds = {each.kind for each in case.contents} - {"bits"}
    if len(kinds) < 2 or case.labels.form != "colours" or case.table or case.photographs:
        return ""
    modes = sorted(each.mode for each in case.contents)
    return ", ".join(f"{modes.count(mode)} of mode {mode}" for mode in dict.fromkeys(modes))


@once
def absent(case: Case) -> str:
    """Classes that were named and never occur."""
    names = [row.name for row in case.rows if not row.pixels]
    if not names or not case.classes:
        return ""
    return f"{len(names)} of {len(case.rows)}: {enumeration(names)}"


@once
def mostly_void(case: Case) -> str:
    """More void than classes."""
    labelled = sum(row.pixels for row in case.rows)
    share = f"{100 * case.void / max(case.void + labelled, 1):.1f} % of all pixels"
    return share if case.void > labelled else ""


@once
def one_class(case: Case) -> str:
    """All labelled pixels are of one class, or none is labelled."""
    shown = [row.name or row.raw for row in case.rows if row.pixels]
    if len(shown) > 1 or (not shown and not case.void):
        return ""
    return f"{shown[0] if shown else 'void'} is all there is"
