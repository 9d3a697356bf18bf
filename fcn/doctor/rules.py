"""What the labels of a folder are: rules in order, the first that fits says it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from PIL import Image

from fcn.datasets import CLASSES
from fcn.doctor.contents import channels, hexadecimal
from fcn.doctor.evidence import REACH, VOC, VOC_VOID, Labels, ranges, spot
from fcn.errors import enumeration
from fcn.spec import VOID, palette

_FLAT = 0.5
"""The share of pixels in plain areas above which pictures of many colours are smeared labels;
VOC's photographs have 0.21."""

_GREYS = np.asarray(Image.fromarray(palette()[None]).convert("L"))[0].tolist()  # by VOC's index


@dataclass(frozen=True)
class Meaning:
    """What labels are.

    Attributes:
        kind: "indices", "ade20k", "class_colours", "nothing", or a key of `findings.KINDS`.
        words: the same in a sentence, with the values or colours found.
        form: which of a file's pixels are meant: "values" or "colours" (0xRRGGBB).
        classes: value or colour -> class index, 255 for void; empty where that is unknown.
        wrong: values or colours that are no class.
        reach: how far a value or colour may lie from one of `classes`; what lies farther is void
            then. 0: it must be one.
    """

    kind: str
    words: str
    form: str = "values"
    classes: dict[int, int] = field(default_factory=dict)
    wrong: tuple[int, ...] = ()
    reach: int = 0

    def assign(self, keys: np.ndarray) -> np.ndarray:
        """Values or colours, int (n,), as classes, int16 (n,): 255 is void, -1 no class."""
        if not self.classes:
            return np.full(len(keys), -1, np.int16)
        known = _planes(np.array(list(self.classes), np.int32), self.form)
        classes = np.array(list(self.classes.values()), np.int16)
        away = np.abs(_planes(keys, self.form)[:, :, None] - known[:, None]).max(0)
        else_ = VOID if self.reach else -1
        return np.where(away.min(1) <= self.reach, classes[away.argmin(1)], else_).astype(np.int16)


def judge(labels: Labels) -> Meaning:
    """Says what labels are, all of them together: of a good kind if `records` can read them."""
    if not labels.contents:
        return Meaning("nothing", "no label could be read")
    meaning = next(found for rule in _RULES[labels.form] if (found := rule(labels)))
    if labels.smeared and meaning.kind != "photographs":
        return replace(meaning, reach=REACH)
    return meaning


# Values.


def _mask(labels: Labels) -> Meaning | None:
    if labels.found != [0, VOID]:
        return None
    words = "masks of 0 and 255: as indices, 255 means void, and nothing but class 0 would be left"
    return Meaning("mask_255", words, classes=_ranks(labels, [0, VOID]))


def _indices(labels: Labels) -> Meaning | None:
    if not all(map(labels.allowed, labels.pixels)):
        return None
    values = list(labels.pixels)
    if labels.encoding == "ade20k":
        words = f"indices as ADE20K stores them, 0 for 'other' and class 0 as 1: {ranges(values)}"
        return Meaning("ade20k", words, classes={v: v - 1 if v else VOID for v in values})
    return Meaning("indices", f"class indices: {ranges(values)}", classes={v: v for v in values})


def _shifted(labels: Labels) -> Meaning | None:
    solid = labels.solid
    if labels.encoding == "ade20k" or not solid or solid[0] < 1:
        return None
    last = len(solid) if labels.classes is None else labels.classes
    if solid[-1] != last or (labels.classes is None and last < 2):
        return None
    words = f"indices that count from 1: {labels.listed()}; 0 never occurs"
    return Meaning("shifted", words, classes={v: v if v == VOID else v - 1 for v in labels.found})


def _one_more(labels: Labels) -> Meaning | None:
    if labels.encoding == "ade20k" or labels.classes is None:
        return None
    if labels.solid[-1:] != [labels.classes]:
        return None
    words = f"indices 0..{labels.classes}: one more than the {labels.classes} classes"
    classes = {v: v - 1 if v not in (0, VOID) else VOID for v in labels.found}
    return Meaning("one_more", words, classes=classes)


def _already(labels: Labels) -> Meaning | None:
    if labels.encoding != "ade20k" or labels.classes is None or VOID not in labels.found:
        return None
    if labels.found[-2:-1] >= [labels.classes]:
        return None
    words = (
        f"indices that count from 0, with 255 for void: {labels.listed()}; ADE20K's count "
        "from 1 and have no 255"
    )
    return Meaning("already_indices", words, classes={v: v for v in labels.found})


def _greys_of_voc(labels: Labels) -> Meaning | None:
    greys = _GREYS[: min(labels.classes or len(CLASSES), len(CLASSES))]
    known = {**{grey: index for index, grey in enumerate(greys)}, _GREYS[VOID]: VOID}
    found = labels.found
    if len(found) < 3 or max(found) < len(CLASSES) or not set(found) <= set(known):
        return None
    certain = all(greys.count(value) < 2 for value in found)  # classes 1 and 16 have the same grey
    unsure = "" if certain else "; 38 is class 1 or 16"
    classes = {value: known[value] for value in found} if certain else {}
    words = f"VOC's colours turned into grey: {labels.listed()}{unsure}"
    return Meaning("voc_greys", words, classes=classes)


def _scaled(labels: Labels) -> Meaning | None:
    """Evenly spread, 255 being one of them or void; or as many values as classes, far apart."""
    for found in (labels.found, labels.solid):
        if len(found) >= 3 and max(found) >= 64:
            steps = np.diff(found)
            even = found[0] == 0 and int(np.ptp(steps)) <= 1
            if even or (len(found) == labels.classes and steps.min() >= 8):
                words = f"{len(found)} grey values spread out for viewing: {labels.listed(found)}"
                return Meaning("scaled", words, classes=_ranks(labels, found))
    return None


def _two(labels: Labels) -> Meaning | None:
    if len(labels.found) != 2:
        return None
    low, high = labels.found
    spread = high >= 64 and (low == 0 or low >= 64) and labels.classes in (None, 2)
    if not spread and (labels.classes != 2 or (low, high) == (1, 2) or VOID in (low, high)):
        return None
    words = f"two values, {low} and {high}, where 0 and 1 are meant"
    return Meaning("two_values", words, classes=_ranks(labels, [low, high]))


def _by_palette(labels: Labels) -> Meaning | None:
    """Indices that mean nothing, but a palette that does."""
    if labels.classes is None or any(each.kind != "palette" for each in labels.contents):
        return None
    coloured = replace(labels, form="colours")
    meaning = _of_table(coloured) or _of_voc(coloured)
    indices = set(meaning.classes.values()) if meaning else set()
    return meaning if max(indices - {VOID}, default=0) < labels.classes else None


def _beyond(labels: Labels) -> Meaning | None:
    count = labels.classes
    values = [value for value in sorted(labels.pixels) if not labels.allowed(value)]
    beyond = [value for value in values if count or value not in range(VOID + 1)]
    if not beyond:
        return None
    pixels = sum(labels.pixels[value] for value in beyond)
    limit = f"0..{count - (labels.encoding != 'ade20k')}" if count else "8 bits"
    words = (
        f"indices, of which {ranges(beyond)} ({pixels} pixels) lie beyond {limit}; all: "
        f"{ranges(list(labels.pixels))}"
    )
    classes = {value: value for value in labels.pixels if labels.allowed(value)}
    return Meaning("out_of_range", words, classes=classes, wrong=tuple(beyond))


def _likely(labels: Labels) -> Meaning:
    """Without a word on the classes, small numbers are taken for what they are."""
    last, count = max(labels.solid, default=0), max(len(labels.solid), 1)
    kind, words = "indices", "class indices, as far as one can tell"
    if last > 4 * count + 16:
        grey = any(each.kind == "rgb" for each in labels.contents)
        if grey and all(each.colours is not None for each in labels.contents):
            return _own(replace(labels, form="colours"))  # three equal channels are a colour, too
        kind = "sparse"
        words = f"only {count} values, up to {last}: indices of many classes, or grey values"
    return Meaning(kind, f"{words}: {labels.listed()}", classes={v: v for v in labels.found})


# Colours.


def _of_table(labels: Labels) -> Meaning | None:
    taken = _taken(labels, {VOC_VOID: VOID} | _table(labels))
    if not labels.table or taken is None:
        return None
    return Meaning("class_colours", f"colours of classes.txt: {labels.listed()}", "colours", taken)


def _of_voc(labels: Labels) -> Meaning | None:
    last = max(labels.classes or 0, len(CLASSES))
    taken = _taken(labels, {code: n for code, n in VOC.items() if n < last or n == VOID})
    if labels.table or taken is None or set(taken.values()) <= {0, VOID}:
        return None
    indices = sorted(set(taken.values()))
    names = enumeration([CLASSES[index] for index in indices if index < len(CLASSES)])
    words = f"colours of VOC's palette, for the indices {ranges(indices)} (in VOC: {names})"
    return Meaning("voc_colours", words, "colours", taken)


def _unknown(labels: Labels) -> Meaning | None:
    if not labels.table:
        return None
    known = _table(labels) | {VOC_VOID: VOID}
    unknown = [colour for colour in labels.pixels if colour not in known]
    pixels = sum(labels.pixels[code] for code in unknown)
    pixels += sum(each.rest for each in labels.contents)
    words = f"colours that classes.txt does not have, in {pixels} pixels: {labels.listed(unknown)}"
    return Meaning("unknown_colours", words, "colours", known, tuple(unknown))


def _photographs(labels: Labels) -> Meaning | None:
    """Labels are areas of one colour each, even after a lossy format."""
    everything = sum(int(each.counts.sum()) + each.rest for each in labels.contents)
    inside = sum(int(each.inside.sum()) for each in labels.contents)
    if 0 < len(labels.found) < VOID and (not labels.smeared or inside > _FLAT * everything):
        return None
    share = f"{inside / everything:.0%} in plain areas"
    words = f"pictures of {len(labels.pixels)} colours or more, {share}"
    return Meaning("photographs", words, "colours")


def _own(labels: Labels) -> Meaning:
    """Black is taken for the background, or else what covers most; then by how much they cover."""
    often = [colour for colour in labels.found if colour != VOC_VOID]
    often.sort(key=lambda colour: (colour != 0, -labels.pixels[colour]))
    classes = {colour: index for index, colour in enumerate(often)}
    words = f"{len(often)} colours of no known table: {labels.listed(often)}"
    if VOC_VOID in labels.found:
        classes[VOC_VOID] = VOID
        words += f", and {hexadecimal(VOC_VOID)}, void"
    return Meaning("own_colours", words, "colours", classes)


_RULES: dict[str, tuple[Callable[[Labels], Meaning | None], ...]] = {
    "values": (
        _mask, _indices, _shifted, _one_more, _already, _greys_of_voc, _scaled, _two, _by_palette,
        _beyond, _likely,
    ),
    "colours": (_of_table, _of_voc, _unknown, _photographs, _own),
}  # fmt: skip


# What several rules need.


def _ranks(labels: Labels, order: Sequence[int]) -> dict[int, int]:
    ranks = {value: rank for rank, value in enumerate(order)}
    return {VOID: VOID, **ranks} if VOID in labels.found else ranks


def _table(labels: Labels) -> dict[int, int]:
    """Class by colour of classes.txt; of equal colours the first counts."""
    return {colour: index for index, colour in reversed(list(enumerate(labels.table)))}


def _taken(labels: Labels, known: dict[int, int]) -> dict[int, int] | None:
    """The part of `known` that is found, roughly if it is smeared; None if there is more."""
    if not labels.smeared:
        found = labels.found
        return {colour: known[colour] for colour in found} if set(found) <= set(known) else None
    spots, taken = np.array([spot(colour, "colours") for colour in known]), {}
    for colour in labels.found:
        distance = np.abs(spots - spot(colour, "colours")).max(1)
        if distance.min() > REACH // 2:
            return None
        nearest = list(known)[int(distance.argmin())]
        taken[nearest] = known[nearest]
    return taken


def _planes(keys: Any, form: str) -> np.ndarray:
    return np.stack(channels(keys)) if form == "colours" else keys[None]
