"""What labels may turn out to be, and what is known of them before anybody says it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from fcn.doctor.contents import Content, channels, hexadecimal
from fcn.doctor.findings import Finding
from fcn.spec import VOID

SMEARED = 0.04
"""The `Content.smear` above which labels were smoothed: real ones of VOC have 0.0006 at most, of ADE20K 0.011, resized
ones 0.08 or more."""

LEAST = 8
"""Mixed pixels: fewer are chance in a small label."""

REACH = 32
"""How far, in the most different channel, a smeared colour may lie from the class it is taken for."""


@dataclass(frozen=True)
class Meaning:
    """What labels are.

    Attributes:
        kind: "indices", "ade20k", "class_colours", "nothing", or a key of `findings.KINDS`: what is in their place.
        words: the same in a sentence, with the values or colours found.
        form: which of a file's pixels are meant: "values" or "colours" (0xRRGGBB).
        classes: value or colour -> class index, 255 for void; empty where that is unknown.
        reach: how far a value or colour may lie from one of `classes`; what lies farther is void then. 0: it must be one.
        findings: beyond the kind itself.
    """

    kind: str
    words: str
    form: str
    classes: dict[int, int] = field(default_factory=dict)
    reach: int = 0
    findings: tuple[Finding, ...] = ()

    def assign(self, keys: np.ndarray) -> np.ndarray:
        """Values or colours, int (n,), as classes, int16 (n,): 255 for void, -1 for what is no class."""
        known = np.array(list(self.classes), np.int32)
        classes = np.array(list(self.classes.values()), np.int16)
        if not len(known):
            return np.full(len(keys), -1, np.int16)
        if not self.reach:
            order = np.argsort(known)
            nearest = order[np.minimum(np.searchsorted(known, keys, sorter=order), len(known) - 1)]
            return np.where(known[nearest] == keys, classes[nearest], -1).astype(np.int16)
        nearest, distance = np.zeros(len(keys), int), np.full(len(keys), 256)
        for index, key in enumerate(known):
            away = np.max([abs(a - b) for a, b in zip(_planes(keys, self.form), _planes(key, self.form), strict=True)], axis=0)
            nearest, distance = np.where(away < distance, index, nearest), np.minimum(away, distance)
        return np.where(distance <= self.reach, classes[nearest], VOID).astype(np.int16)


@dataclass(frozen=True)
class Case:
    """Labels, and what is known of them beforehand.

    Attributes:
        contents: of all label files.
        form: see `Meaning`.
        classes: how many there are; None: unknown.
        table: colours 0xRRGGBB by class, of classes.txt; may be empty.
        encoding: how they should be stored, a key of `labels.ENCODINGS`; None: unknown.
    """

    contents: Sequence[Content]
    form: str
    classes: int | None
    table: tuple[int, ...]
    encoding: str | None

    @cached_property
    def pixels(self) -> Counter[int]:
        """Pixels by value or colour."""
        return self._sum("counts")

    @cached_property
    def found(self) -> list[int]:
        """The values or colours in ascending order; if they are smeared, only those that fill areas."""
        return sorted(self._areas() if self.smeared else self.pixels)

    @cached_property
    def smeared(self) -> bool:
        """Many values or colours are but mixtures of others."""
        many = len(self.pixels) > 8 and any(content.lossy for content in self.contents)
        return many or any(content.rest for content in self.contents) or bool(smeared(self.contents))

    def allowed(self, value: int) -> bool:
        """A label file of this encoding may hold the value."""
        if self.classes is None or value < 0:
            return False
        if self.encoding == "ade20k":
            return value <= self.classes
        return value < self.classes or (value == VOID and self.encoding != "sbd")

    def listed(self, found: Sequence[int]) -> str:
        """Values or colours in words: ranges of values, colours by frequency."""
        if self.form == "values":
            return ranges(found)
        often = sorted(found, key=lambda colour: -self.pixels[colour])
        return ", ".join(map(hexadecimal, often[:12])) + (f" and {len(often) - 12} more" if len(often) > 12 else "")

    def _sum(self, what: str) -> Counter[int]:
        total: Counter[int] = Counter()
        for content in self.contents:
            keys = getattr(content, self.form)
            if keys is not None:
                for key, count in zip(keys.tolist(), getattr(content, what).tolist(), strict=True):
                    total[key] += count
        return total

    def _areas(self) -> list[int]:
        inside, centres = self._sum("inside"), np.zeros((0, 3), int)
        for key, count in inside.most_common():
            place = spot(key, self.form)
            if count >= 4 and (not len(centres) or np.abs(centres - place).max(1).min() > REACH):
                centres = np.vstack([centres, place])
        keys = [int(r) << 16 | int(g) << 8 | int(b) if self.form == "colours" else int(b) for r, g, b in centres]
        return [_snapped(key, self.form) for key in keys] if any(content.lossy for content in self.contents) else keys


def smeared(contents: Sequence[Content]) -> list[Content]:
    """Those labels that were smoothed, or resized like pictures.

    A class may be a line of one pixel around objects: the commonest of the values that lie between their neighbours, if
    it fills no area in any of the labels, is taken for such a one and not counted.
    """
    inside: Counter[int] = Counter()
    between: Counter[int] = Counter()
    for content in contents:
        for key, areas, mixed in zip(_keys(content), content.inside.tolist(), content.between.tolist(), strict=True):
            inside[key] += areas
            between[key] += mixed
    line = max((key for key in between if not inside[key]), key=lambda key: between[key], default=-1)

    def share(content: Content) -> float:
        drawn: int = sum(n for key, n in zip(_keys(content), content.between.tolist(), strict=True) if key == line)
        return float(content.smear * (content.mixed - drawn) / content.mixed)

    return [content for content in contents if content.mixed >= LEAST and share(content) > SMEARED]


def smear_words(content: Content) -> str:
    """What is said of such a label."""
    return f"{100 * content.smear:.0f} % of the edge pixels lie between their neighbours in value"


def _keys(content: Content) -> list[int]:
    keys = content.colours if content.values is None else content.values
    assert keys is not None
    found: list[int] = keys.tolist()
    return found


def ranges(values: Sequence[int]) -> str:
    """[0, 1, 2, 5, 255] as "0..2, 5, 255"; at most twelve parts."""
    parts: list[list[int]] = []
    for value in sorted(values):
        if parts and value == parts[-1][-1] + 1:
            parts[-1] = [parts[-1][0], value]
        else:
            parts.append([value])
    words = [str(part[0]) if len(part) == 1 or part[0] == part[-1] else f"{part[0]}..{part[-1]}" for part in parts]
    return ", ".join(words[:12]) + (f" and {len(words) - 12} more" if len(words) > 12 else "")


def _planes(keys: np.ndarray, form: str) -> list[np.ndarray]:
    return list(channels(keys)) if form == "colours" else [keys]


def spot(key: int, form: str) -> np.ndarray:
    """A value or colour as a place in red, green and blue, int (3,); values have one dimension only."""
    return np.array([key >> 16, key >> 8 & 255, key & 255] if form == "colours" else [0, 0, key])


def _snapped(key: int, form: str) -> int:
    """A lossy format's nearly black or white, as what was meant."""
    parts = [0 if part <= 8 else 255 if part >= 247 else part for part in spot(key, form).tolist()]
    return parts[0] << 16 | parts[1] << 8 | parts[2]
