"""What the labels of a folder are: rules in order, the first that fits says it."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from fcn.datasets import CLASSES, enumeration
from fcn.doctor import palettes
from fcn.doctor.contents import Content, hexadecimal
from fcn.doctor.findings import Finding
from fcn.doctor.meaning import REACH, Case, Meaning, ranges, smear_words, smeared, spot
from fcn.doctor.palettes import VOC, VOC_VOID
from fcn.spec import VOID, palette

_FLAT = 0.5
"""The share of pixels in plain areas above which pictures of many colours are smeared labels; VOC's photographs have 0.21."""

_GREYS = np.asarray(Image.fromarray(palette()[None]).convert("L"))[0].tolist()  # of VOC's colours, by index


def judge(
    contents: Sequence[Content], classes: int | None = None, table: Sequence[int] = (), encoding: str | None = None
) -> Meaning:
    """Says what labels are, all of them together.

    Args:
        contents: of the label files; at least one.
        classes: how many there are, if that is known.
        table: colours 0xRRGGBB by class, if classes.txt has them.
        encoding: how they should be stored, a key of `labels.ENCODINGS`; None: unknown.

    Returns:
        The meaning; if it is one of the three good ones, `records` can read the values of all files.
    """
    coloured = any(content.values is None for content in contents) or palettes.colours_count(contents)
    wanted = encoding == "colours" and any(content.colours is not None for content in contents)
    form = "colours" if coloured or wanted else "values"
    case = Case([c for c in contents if getattr(c, form) is not None], form, classes, tuple(table), encoding)
    for rule in _RULES[form]:
        meaning = rule(case)
        if meaning is not None:
            break
    else:
        raise AssertionError("the last rule always fits")
    if meaning.kind == "photographs":
        return meaning
    if case.smeared:
        meaning = replace(meaning, reach=REACH)
    return replace(meaning, findings=meaning.findings + _also(case, contents))


# Values.


def _indices(case: Case) -> Meaning | None:
    """All values are allowed; the only ones of 0 and 255 are no labels, though, but a mask."""
    beyond = [value for value in case.pixels if not case.allowed(value)]
    if beyond or case.found == [0, VOID]:
        return None
    if case.encoding == "ade20k":
        words = f"indices as ADE20K stores them, 0 for 'other' and class 0 as 1: {case.listed(list(case.pixels))}"
        return Meaning("ade20k", words, "values", {value: value - 1 if value else VOID for value in case.pixels})
    return Meaning(
        "indices", f"class indices: {case.listed(list(case.pixels))}", "values", {value: value for value in case.pixels}
    )


def _mask(case: Case) -> Meaning | None:
    if case.found != [0, VOID]:
        return None
    return _ranked(case, "mask_255", "masks of 0 and 255: as indices, 255 means void, and nothing but class 0 would be left")


def _greys_of_voc(case: Case) -> Meaning | None:
    greys = _GREYS[: min(case.classes or len(CLASSES), len(CLASSES))]
    known = {**{grey: index for index, grey in enumerate(greys)}, _GREYS[VOID]: VOID}
    if len(case.found) < 3 or max(case.found) < len(CLASSES) or not set(case.found) <= set(known):
        return None
    # Classes 1 and 16 have the same grey.
    certain = all(greys.count(value) < 2 for value in case.found)
    words = f"VOC's colours turned into grey: {case.listed(case.found)}" + ("" if certain else "; 38 is class 1 or 16")
    return Meaning("voc_greys", words, "values", {value: known[value] for value in case.found} if certain else {})


def _scaled(case: Case) -> Meaning | None:
    """Evenly spread, 255 being one of them or void; or as many values as classes, far apart."""
    for found in (case.found, [value for value in case.found if value != VOID]):
        if len(found) < 3 or max(found) < 64:
            continue
        steps = np.diff(found)
        even = found[0] == 0 and int(np.ptp(steps)) <= 1
        if even or (len(found) == case.classes and steps.min() >= 8):
            words = f"{len(found)} grey values spread for the eye: {case.listed(found)}"
            return _ranked(case, "scaled", words, found)
    return None


def _two(case: Case) -> Meaning | None:
    high = len(case.found) == 2 and case.found[1] >= 64 and (case.found[0] == 0 or case.found[0] >= 64)
    two = len(case.found) == 2 and case.classes == 2 and case.found != [1, 2] and VOID not in case.found
    if not two and not (high and case.classes in (None, 2)):
        return None
    return _ranked(case, "two_values", f"two values, {case.found[0]} and {case.found[1]}, where 0 and 1 are meant")


def _shifted(case: Case) -> Meaning | None:
    solid = [value for value in case.found if value != VOID]
    if case.encoding == "ade20k" or not solid or solid[0] < 1:
        return None
    last = len(solid) if case.classes is None else case.classes
    if solid[-1] != last or (case.classes is None and len(solid) < 2):
        return None
    words = f"indices that count from 1: {case.listed(case.found)}; 0 never occurs"
    return Meaning("shifted", words, "values", {value: value if value == VOID else value - 1 for value in case.found})


def _one_more(case: Case) -> Meaning | None:
    solid = [value for value in case.found if value != VOID]
    if case.encoding == "ade20k" or case.classes is None or not solid or solid[-1] != case.classes:
        return None
    words = f"indices 0..{case.classes}: one more than the {case.classes} classes"
    return Meaning("one_more", words, "values", {value: value - 1 if value not in (0, VOID) else VOID for value in case.found})


def _already(case: Case) -> Meaning | None:
    if case.encoding != "ade20k" or case.classes is None or VOID not in case.found or case.found[-2:-1] >= [case.classes]:
        return None
    words = f"indices that count from 0, with 255 for void: {case.listed(case.found)}; ADE20K's count from 1 and have no 255"
    return Meaning("already_indices", words, "values", {value: value for value in case.found})


def _by_palette(case: Case) -> Meaning | None:
    """Indices that mean nothing, but a palette that does."""
    if case.classes is None or any(content.kind != "palette" for content in case.contents):
        return None
    coloured = replace(case, form="colours")
    meaning = _of_table(coloured) or _of_voc(coloured)
    if meaning is None or not all(index < case.classes or index == VOID for index in meaning.classes.values()):
        return None
    return meaning


def _beyond(case: Case) -> Meaning | None:
    beyond = [v for v in sorted(case.pixels) if not case.allowed(v) and (case.classes or v not in range(VOID + 1))]
    if not beyond:
        return None
    pixels = sum(case.pixels[value] for value in beyond)
    limit = f"0..{case.classes - (case.encoding != 'ade20k')}" if case.classes else "8 bits"
    words = f"indices, of which {ranges(beyond)} ({pixels} pixels) lie beyond {limit}; all: {case.listed(list(case.pixels))}"
    findings = _per_file(case, beyond, "out_of_range", "label values")
    return Meaning("out_of_range", words, "values", {v: v for v in case.pixels if case.allowed(v)}, findings=findings)


def _likely(case: Case) -> Meaning:
    """Without a word on the classes, small numbers are taken for what they are."""
    solid = [value for value in case.found if value != VOID] or [0]
    classes = {value: value for value in case.found}
    if solid[-1] > 4 * len(solid) + 16:
        if any(content.kind == "rgb" for content in case.contents) and all(c.colours is not None for c in case.contents):
            return _own(replace(case, form="colours"))  # three equal channels are a colour, too
        words = (
            f"only {len(solid)} values, up to {solid[-1]}: indices of many classes, or grey values: {case.listed(case.found)}"
        )
        return Meaning("sparse", words, "values", classes)
    return Meaning("indices", f"class indices, as far as one can tell: {case.listed(case.found)}", "values", classes)


# Colours.


def _of_table(case: Case) -> Meaning | None:
    table = {colour: index for index, colour in reversed(list(enumerate(case.table)))}
    void = {} if VOC_VOID in table else {VOC_VOID: VOID}
    taken = _taken(case, {**table, **void})
    if not case.table or taken is None:
        return None
    return Meaning("class_colours", f"colours of classes.txt: {case.listed(case.found)}", "colours", taken)


def _of_voc(case: Case) -> Meaning | None:
    last = max(case.classes or 0, len(CLASSES))
    taken = _taken(case, {colour: index for colour, index in VOC.items() if index < last or index == VOID})
    if case.table or taken is None or set(taken.values()) <= {0, VOID}:
        return None
    indices = sorted(set(taken.values()))
    names = enumeration([CLASSES[index] for index in indices if index < len(CLASSES)])
    words = f"colours of VOC's palette, for the indices {ranges(indices)} (in VOC: {names})"
    return Meaning("voc_colours", words, "colours", taken)


def _unknown(case: Case) -> Meaning | None:
    if not case.table:
        return None
    known = {colour: index for index, colour in reversed(list(enumerate(case.table)))} | {VOC_VOID: VOID}
    unknown = [colour for colour in case.pixels if colour not in known]
    pixels = sum(case.pixels[colour] for colour in unknown) + sum(content.rest for content in case.contents)
    words = f"colours that classes.txt does not have, in {pixels} pixels: {case.listed(unknown)}"
    findings = _per_file(case, unknown, "unknown_colours", "colours")
    return Meaning("unknown_colours", words, "colours", known, findings=findings)


def _photographs(case: Case) -> Meaning | None:
    """Labels are areas of one colour each, even after a lossy format."""
    everything = sum(int(content.counts.sum()) + content.rest for content in case.contents)
    inside = sum(int(content.inside.sum()) for content in case.contents)
    if 0 < len(case.found) < VOID and (not case.smeared or inside > _FLAT * everything):
        return None
    return Meaning(
        "photographs", f"pictures of {len(case.pixels)} colours or more, {inside / everything:.0%} in plain areas", "colours"
    )


def _own(case: Case) -> Meaning:
    """Black is taken for the background, or else what covers most; then by how much they cover."""
    often = sorted((colour for colour in case.found if colour != VOC_VOID), key=lambda c: (c != 0, -case.pixels[c]))
    classes = {colour: index for index, colour in enumerate(often)}
    void = {VOC_VOID: VOID} if VOC_VOID in case.found else {}
    words = f"{len(often)} colours of no known table: {case.listed(often)}" + (
        f", and {hexadecimal(VOC_VOID)}, void" if void else ""
    )
    return Meaning("own_colours", words, "colours", classes | void)


_RULES: dict[str, tuple[Callable[[Case], Meaning | None], ...]] = {
    "values": (
        _mask, _indices, _shifted, _one_more, _already, _greys_of_voc, _scaled, _two, _by_palette, _beyond, _likely,
    ),
    "colours": (_of_table, _of_voc, _unknown, _photographs, _own),
}  # fmt: skip


# What several rules need.


def _ranked(case: Case, kind: str, words: str, found: Sequence[int] | None = None) -> Meaning:
    order = case.found if found is None else found
    classes = {value: rank for rank, value in enumerate(order)}
    return Meaning(kind, words, "values", {VOID: VOID, **classes} if VOID in case.found else classes)


def _taken(case: Case, known: dict[int, int]) -> dict[int, int] | None:
    """The part of `known` that is found, as far as `REACH` if it is smeared; None if something else is found, too."""
    if not case.smeared:
        return {colour: known[colour] for colour in case.found} if set(case.found) <= set(known) else None
    spots, taken = np.array([spot(colour, "colours") for colour in known]).reshape(-1, 3), {}
    for colour in case.found:
        distance = np.abs(spots - spot(colour, "colours")).max(1) if known else np.array([256])
        if distance.min() > REACH // 2:
            return None
        nearest = list(known)[int(distance.argmin())]
        taken[nearest] = known[nearest]
    return taken


def _per_file(case: Case, keys: Sequence[int], kind: str, noun: str) -> tuple[Finding, ...]:
    wanted, findings = np.array(list(keys)), []
    for content in case.contents:
        own = getattr(content, case.form)
        hit = np.isin(own, wanted)
        if hit.any():
            words = f"{noun} {case.listed(own[hit].tolist())} in {int(content.counts[hit].sum())} pixels"
            findings.append(Finding(kind, str(content.path), words))
    return tuple(findings)


def _also(case: Case, contents: Sequence[Content]) -> tuple[Finding, ...]:
    """What is to be said of files, whatever the labels mean."""
    findings = [Finding("lossy", str(c.path), f"a label as {c.format}") for c in contents if c.lossy]
    for content in smeared(contents):
        findings.append(Finding("smeared", str(content.path), smear_words(content)))
    if case.form == "values" and any(content.kind == "palette" for content in contents):
        findings += palettes.remarks(contents, case.classes)
    if len({content.kind for content in contents} - {"bits"}) > 1 and case.form == "colours" and not case.table:
        counts = Counter(content.mode for content in contents)
        words = ", ".join(f"{count} of mode {mode}" for mode, count in sorted(counts.items()))
        findings.append(Finding("mixed", "", words))
    return tuple(findings)
