"""Labels that are judged together: their values or colours, and which of them are mixtures."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from fcn.datasets import CLASSES
from fcn.doctor.contents import Content, channels, hexadecimal
from fcn.errors import enumeration
from fcn.spec import VOID, palette

SMEARED = 0.04
"""The `Content.smear` above which labels were smoothed: real ones of VOC have 0.0006 at most, of
ADE20K 0.011, resized ones 0.08 or more."""
LEAST = 8
"""Mixed pixels: fewer are chance in a small label."""
REACH = 32
"""How far, in the most different channel, a smeared colour may lie from its class."""

_LISTED = 12  # values or colours in a sentence

VOC = {int(code): index for index, code in enumerate(palette().astype(int) @ [1 << 16, 1 << 8, 1])}
"""Index by colour 0xRRGGBB of VOC's palette."""
VOC_VOID = next(colour for colour, index in VOC.items() if index == VOID)


@dataclass(frozen=True)
class Labels:
    """Labels, and what is known of them beforehand.

    Attributes:
        contents: of the files that have `form`.
        form: which of a file's pixels are meant: "values" or "colours" (0xRRGGBB).
        classes: how many there are; None: unknown.
        table: colours 0xRRGGBB by class, of classes.txt; may be empty.
        encoding: how they should be stored, a key of `labels.ENCODINGS`; None: unknown.
    """

    contents: Sequence[Content]
    form: str
    classes: int | None = None
    table: tuple[int, ...] = ()
    encoding: str | None = None

    @cached_property
    def pixels(self) -> Counter[int]:
        """Pixels by value or colour."""
        return self._sum("counts")

    @cached_property
    def found(self) -> list[int]:
        """The values or colours, ascending; if they are smeared, only those that fill areas."""
        return sorted(self._areas() if self.smeared else self.pixels)

    @cached_property
    def solid(self) -> list[int]:
        """Those of them that are not 255."""
        return [value for value in self.found if value != VOID]

    @cached_property
    def smeared(self) -> bool:
        """Many values or colours are but mixtures of others."""
        many = len(self.pixels) > 8 and any(content.lossy for content in self.contents)
        return many or any(each.rest for each in self.contents) or bool(smeared(self.contents))

    def allowed(self, value: int) -> bool:
        """A label file of this encoding may hold the value."""
        if self.classes is None or value < 0:
            return False
        if self.encoding == "ade20k":
            return value <= self.classes
        return value < self.classes or (value == VOID and self.encoding != "sbd")

    def listed(self, found: Sequence[int] | None = None) -> str:
        """Values (as ranges) or colours (the most frequent first) in words; None: `found`."""
        keys = self.found if found is None else found
        if self.form == "values":
            return ranges(keys)
        often = sorted(keys, key=lambda colour: -self.pixels[colour])
        return enumeration([hexadecimal(colour) for colour in often], _LISTED)

    def _sum(self, what: str) -> Counter[int]:
        total: Counter[int] = Counter()
        for each in self.contents:
            keys, counts = getattr(each, self.form), getattr(each, what)
            for key, number in zip(keys.tolist(), counts.tolist(), strict=True):
                total[key] += number
        return total

    def _areas(self) -> list[int]:
        centres = np.zeros((0, 3), int)
        for key, number in self._sum("inside").most_common():
            place = spot(key, self.form)
            far = not len(centres) or np.abs(centres - place).max(1).min() > REACH
            if number >= 4 and far:
                centres = np.vstack([centres, place])
        if any(content.lossy for content in self.contents):  # nearly black or white was meant so
            centres = np.where(centres <= 8, 0, np.where(centres >= 247, 255, centres))
        return [int(code) for code in centres @ [1 << 16, 1 << 8, 1]]


def smeared(contents: Sequence[Content]) -> list[Content]:
    """Those labels that were smoothed, or resized like pictures.

    A class may be a line of one pixel around objects: the commonest of the values between their
    neighbours, if it fills no area in any of the labels, is taken for one and not counted.
    """
    inside: Counter[int] = Counter()
    between: Counter[int] = Counter()
    for each in contents:
        columns = (_keys(each), each.inside.tolist(), each.between.tolist())
        for key, areas, mixed in zip(*columns, strict=True):
            inside[key] += areas
            between[key] += mixed
    thin = (key for key in between if not inside[key])
    line = max(thin, key=lambda key: between[key], default=-1)

    def share(each: Content) -> float:
        keys = np.array(_keys(each))
        return float(each.smear * (each.mixed - each.between[keys == line].sum()) / each.mixed)

    return [each for each in contents if each.mixed >= LEAST and share(each) > SMEARED]


def _keys(each: Content) -> list[int]:
    keys = each.colours if each.values is None else each.values
    assert keys is not None
    found: list[int] = keys.tolist()
    return found


def spot(key: int, form: str) -> np.ndarray:
    """A value or colour as a place in red, green and blue, int (3,); values have one dimension."""
    return np.array(channels(key) if form == "colours" else [0, 0, key])


def ranges(values: Sequence[int]) -> str:
    """[0, 1, 2, 5, 255] as "0..2, 5, 255"; at most `_LISTED` parts."""
    parts: list[list[int]] = []
    for value in sorted(values):
        if parts and value <= parts[-1][-1] + 1:
            parts[-1] = [parts[-1][0], value]
        else:
            parts.append([value, value])
    return enumeration([f"{a}" if a == b else f"{a}..{b}" for a, b in parts], _LISTED)


Remark = tuple[str, str, str]
"""A kind of finding, the file, and what was found."""


def palettes(contents: Sequence[Content], classes: int | None) -> Remark | None:
    """What is to be said of palettes where only the indices count: at most one thing."""
    conflict, seen = _conflict(contents)
    if conflict:
        return ("palettes_differ", *conflict)
    foreign = sorted(value for value, (colour, _) in seen.items() if VOC.get(colour) != value)
    if not foreign:
        return None
    shown = ", ".join(f"{value} is {hexadecimal(seen[value][0])}" for value in foreign[:_LISTED])
    last = len(CLASSES) if classes is None else classes
    elsewhere = [VOC.get(seen[value][0], VOID + 1) for value in foreign]
    # VOC's colours, but those of other classes: as `Image.quantize` leaves them, which sorts them.
    swapped = all(index < last or index == VOID for index in elsewhere) or VOID in elsewhere
    kind = "palette_reordered" if swapped else "palette_foreign"
    return kind, "", shown + (" and so on" if len(foreign) > _LISTED else "")


def palettes_mean(contents: Sequence[Content]) -> bool:
    """Each file has a palette of its own: an index has several colours, and a colour indices.

    So do programs that reduce an image to few colours; its colours mean something then, its
    indices nothing.
    """
    if any(each.kind != "palette" for each in contents) or _conflict(contents)[0] is None:
        return False
    index: dict[int, int] = {}
    return any(index.setdefault(colour, value) != value for _, value, colour in _entries(contents))


def _conflict(
    contents: Sequence[Content],
) -> tuple[tuple[str, str] | None, dict[int, tuple[int, str]]]:
    """The first index with two colours: file and words; each index's colour, and where it was."""
    seen: dict[int, tuple[int, str]] = {}
    for path, value, colour in _entries(contents):
        first, file = seen.setdefault(value, (colour, path.name))
        if first != colour:
            codes = f"{hexadecimal(colour)} here and {hexadecimal(first)}"
            return (str(path), f"index {value} is {codes} in {file}"), seen
    return None, seen


def _entries(contents: Sequence[Content]) -> Iterator[tuple[Path, int, int]]:
    for each in contents:
        if each.kind == "palette" and each.values is not None and each.colours is not None:
            for value, colour in zip(each.values.tolist(), each.colours.tolist(), strict=True):
                yield each.path, value, colour
