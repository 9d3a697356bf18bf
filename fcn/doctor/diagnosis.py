"""A folder of images and labels, looked at as a whole."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fcn.datasets import enumeration, folder
from fcn.doctor import layouts, near
from fcn.doctor.contents import Content, hexadecimal
from fcn.doctor.findings import KINDS, Finding
from fcn.doctor.looks import Look, look, of_labels
from fcn.doctor.meaning import Meaning
from fcn.doctor.rules import judge
from fcn.spec import VOID

SCHEMA = 1


@dataclass(frozen=True)
class Row:
    """How often a class occurs.

    Attributes:
        name: of the class; "" for a value or colour that is none.
        raw: how the labels say it: values or colours (#rrggbb), several if they are smeared.
        pixels: how many.
        files: in how many labels.
        most: the label that has most of it; "" if none has.
    """

    name: str
    raw: str
    pixels: int
    files: int
    most: str


@dataclass(frozen=True)
class Diagnosis:
    """What a path holds and what is wrong with it.

    Attributes:
        path: as it was asked for.
        layout: see `layouts.Found`.
        items: images and labels.
        kind, words: what the labels are, see `Meaning`.
        height, width: smallest and largest, in pixels, of images, or of labels where there are no images.
        rows: classes by their index, then what is no class.
        void: pixels of void.
        lines: a proposal for classes.txt; empty if none is needed or possible.
        names: by value, of the labels that `convert` would write.
        findings: those that stop `records` first.
        meaning: of the labels, for converting them.
    """

    path: str
    layout: str
    items: tuple[layouts.Item, ...]
    kind: str
    words: str
    height: tuple[int, int]
    width: tuple[int, int]
    rows: tuple[Row, ...]
    void: int
    lines: tuple[str, ...]
    names: tuple[str, ...]
    findings: tuple[Finding, ...]
    meaning: Meaning = field(repr=False)

    @property
    def stops(self) -> bool:
        """`records` would refuse this, or write labels that mean something else."""
        return any(finding.stops for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Plain data; the package's docstring has the schema."""
        labelled = sum(row.pixels for row in self.rows)
        return {
            "schema": SCHEMA,
            "path": self.path,
            "layout": self.layout,
            "images": sum(item.image is not None for item in self.items),
            "labels": sum(item.label is not None for item in self.items),
            "kind": self.kind,
            "words": self.words,
            "height": list(self.height),
            "width": list(self.width),
            "classes": [
                {"name": row.name, "raw": row.raw, "pixels": row.pixels, "share": row.pixels / labelled if labelled else 0.0,
                 "files": row.files, "most": row.most}
                for row in self.rows
            ],
            "void_pixels": self.void,
            "void_share": self.void / (labelled + self.void) if labelled + self.void else 0.0,
            "classes_txt": list(self.lines),
            "stops": self.stops,
            "findings": [
                {"kind": finding.kind, "stops": finding.stops, "file": finding.file, "what": finding.what,
                 "title": KINDS[finding.kind].title, "do": finding.advice}
                for finding in self.findings
            ],
        }  # fmt: skip


def check_counts(pixels: Sequence[int], names: Sequence[str]) -> list[Finding]:
    """Says what is wrong with labels that could all be read, by how often they have each value.

    Args:
        pixels: (256,), by label value.
        names: of the classes, by label value.

    Returns:
        Findings; one that `stops` says that there is but one class, or that these were masks of 0 and 255.
    """
    counts = [int(count) for count in pixels]
    rows = [Row(name, str(index), counts[index], 0, "") for index, name in enumerate(names)]
    findings = _of_classes(rows, counts[VOID], known=True)
    if counts[0] and counts[VOID] and not any(counts[1:VOID]):
        findings.insert(0, Finding("mask_255", "", f"the only values are 0 ({counts[0]} pixels) and 255 ({counts[VOID]})"))
    return findings


def examine(
    path: Path,
    classes: int | Sequence[str] | None = None,
    colours: Sequence[int] = (),
    done: Callable[[int, int], None] = lambda *_: None,
) -> Diagnosis:
    """Looks at all that a path holds.

    Args:
        path: see `layouts.find`.
        classes: how many there are, or their names by label value; None: what the path itself says.
        colours: 0xRRGGBB of each of `classes`, if the labels hold colours.
        done: called with (pairs looked at, pairs in all) after each.

    Raises:
        UserError: see `layouts.find`.
    """
    found = layouts.find(path)
    names, table, encoding = found.classes, found.colours, found.encoding
    if classes is not None:
        names = () if isinstance(classes, int) else tuple(classes)
        table = tuple(colours)
        encoding = "colours" if table else None if encoding == "colours" else encoding
    count = classes if isinstance(classes, int) else len(names) or None
    seen = []
    with ThreadPoolExecutor() as pool:
        for number, each in enumerate(pool.map(look, found.items), 1):
            seen.append(each)
            done(number, len(found.items))
    contents = [each.content for each in seen if each.content is not None]
    sizes = [each.header.size for each in seen if each.header] or [each.size for each in contents] or [(0, 0)]
    findings = [*found.findings, *(finding for each in seen for finding in each.findings)]
    meaning = Meaning("nothing", "no label could be read", "values")
    if contents:
        meaning = judge(contents, count, table, encoding)
        findings += of_labels(contents, meaning, encoding)
    if meaning.kind == "own_colours":
        names = ()  # whose they are is not known, however many they are
    rows, void = _rows(contents, meaning, names, 0 if meaning.kind == "own_colours" else count or 0)
    if len(contents) > 1:
        findings += _of_classes(rows, void, bool(count))
    findings += _of_splits(found, seen, meaning)
    void_class = folder.like_void(names) if found.layout in ("folder", "labels") else ""
    if void_class:
        findings.append(Finding("void_class", "", void_class))
    lines: tuple[str, ...] = ()
    if found.layout in ("folder", "labels"):
        lines = _lines(meaning, names)
    if found.layout == "folder" and not count and not any(finding.kind in _NAMING for finding in findings):
        findings.append(Finding("classes_missing", str(found.root / "classes.txt"), "there is no such file"))
    findings = [_advised(finding, meaning, lines) for finding in findings]
    return Diagnosis(
        str(path), found.layout, found.items, meaning.kind, meaning.words,
        (min(size[1] for size in sizes), max(size[1] for size in sizes)),
        (min(size[0] for size in sizes), max(size[0] for size in sizes)),
        rows, void, lines, _names(meaning, names),
        tuple(sorted(findings, key=lambda finding: (not finding.stops, list(KINDS).index(finding.kind)))), meaning,
    )  # fmt: skip


def _of_splits(found: layouts.Found, seen: Sequence[Look], meaning: Meaning) -> list[Finding]:
    """What is wrong with the lists: nothing labelled in one, or nearly the same images in two."""
    findings = []
    looks = dict(zip((item.id for item in found.items), seen, strict=True))
    for path, ids in found.lists.items():
        contents = [looks[id].content for id in sorted(ids & set(looks))]
        keys = [getattr(each, meaning.form) for each in contents if each is not None]
        if meaning.classes and keys and all(k is not None and (meaning.assign(k) == VOID).all() for k in keys):
            findings.append(Finding("all_void", str(path), f"every pixel of its {len(keys)} labels is void"))
    if found.layout in ("voc", "ade20k", "sbd", "labels"):
        return findings  # whose splits are published
    small = {id: look.thumbnail for id, look in looks.items() if look.thumbnail is not None}
    lists = {path.stem: [(id, small[id]) for id in sorted(ids & set(small))] for path, ids in found.lists.items()}
    if {"train", "val"} <= set(lists):
        same = [f"{one} = {other}" for one, other in near.pairs(lists["train"], lists["val"])]
        return [*findings, Finding("near_duplicates", "", f"{len(same)}: {enumeration(same)}")] if same else findings
    same = [f"{one} = {other}" for one, other in near.pairs(list(small.items()), list(small.items())) if one < other]
    return [*findings, Finding("near_duplicates_anywhere", "", f"{len(same)}: {enumeration(same)}")] if same else findings


_WRITE = "Write classes.txt as proposed below; the labels stay as they are. Or write them anew as indices, with --convert OUT."


_CONVERT = "Write them anew as indices, with --convert OUT, and use OUT in place of the labels."

_NAMING = ("classes_broken", "own_colours", "voc_colours", "mask_255", "two_values", "scaled")
"""Findings whose advice is to write classes.txt."""


def _advised(finding: Finding, meaning: Meaning, lines: Sequence[str]) -> Finding:
    """The finding that says what the labels are, with the advice that fits the proposal for classes.txt, if there is one."""
    if finding.kind != meaning.kind or finding.kind not in _NAMING or not lines:
        return finding
    return replace(finding, do=_WRITE if "#" in lines[0] else _CONVERT)


def _rows(contents: Sequence[Content], meaning: Meaning, names: Sequence[str], count: int) -> tuple[tuple[Row, ...], int]:
    if meaning.kind == "photographs":
        return (), 0
    pixels: dict[Any, dict[str, int]] = {}
    raws: dict[Any, set[int]] = {}
    for each in contents:
        keys = getattr(each, meaning.form)
        if keys is None:
            continue
        for key, index, number in zip(keys.tolist(), meaning.assign(keys).tolist(), each.counts.tolist(), strict=True):
            which = ("class", index) if index >= 0 else ("unknown", key)
            by_file = pixels.setdefault(which, {})
            by_file[str(each.path)] = by_file.get(str(each.path), 0) + number
            raws.setdefault(which, set()).add(key)
    void = sum(pixels.pop(("class", VOID), {}).values()) + sum(each.rest for each in contents if meaning.reach)
    named = {index: _name(index, names, meaning) for index in range(count)}
    named |= {index: _name(index, names, meaning) for kind, index in pixels if kind == "class"}
    rows = [_row(named[n], _raw(("class", n), raws, meaning), pixels.get(("class", n), {})) for n in sorted(named)]
    unknown = sorted((w for w in pixels if w[0] == "unknown"), key=lambda which: -sum(pixels[which].values()))
    return (*rows, *(_row("", _raw(which, raws, meaning), pixels[which]) for which in unknown)), void


def _row(name: str, raw: str, by_file: dict[str, int]) -> Row:
    return Row(name, raw, sum(by_file.values()), len(by_file), max(by_file, key=lambda file: by_file[file], default=""))


def _raw(which: tuple[str, int], raws: dict[Any, set[int]], meaning: Meaning) -> str:
    """How labels say a class: the value or colour it is known by, else those that were found."""
    known = [key for key, index in meaning.classes.items() if which == ("class", index)]
    keys = known or sorted(raws.get(which, ()))
    return ", ".join(hexadecimal(key) if meaning.form == "colours" else str(key) for key in keys)


def _name(index: int, names: Sequence[str], meaning: Meaning) -> str:
    if index < len(names):
        return names[index]
    return "background" if index == 0 and meaning.classes.get(0) == 0 else f"class{index}"


def _lines(meaning: Meaning, names: Sequence[str]) -> tuple[str, ...]:
    """What classes.txt should hold, if that can be proposed: names with colours for labels that can stay as they are."""
    classes = {index: key for key, index in meaning.classes.items() if index != VOID}
    void = VOID in meaning.classes.values()
    if meaning.kind in ("own_colours", "voc_colours") and not meaning.reach:
        return tuple(f"{_name(index, names, meaning)} {hexadecimal(classes[index])}" for index in sorted(classes))
    if meaning.kind in ("mask_255", "two_values", "scaled") and not (meaning.reach or void or max(classes.values()) > 255):
        # Greys are colours, too.
        return tuple(f"{_name(index, names, meaning)} {hexadecimal(classes[index] * 0x010101)}" for index in sorted(classes))
    unclear = meaning.kind in KINDS and meaning.kind not in (*_NAMING, "shifted")
    return () if names or unclear else _names(meaning, names)


def _names(meaning: Meaning, names: Sequence[str]) -> tuple[str, ...]:
    """A name for each value up to the highest one, at least two."""
    last = max((index for index in meaning.classes.values() if index != VOID), default=-1)
    return tuple(_name(index, names, meaning) for index in range(max(last + 1, len(names), 2))) if last >= 0 else ()


def _of_classes(rows: Sequence[Row], void: int, known: bool) -> list[Finding]:
    findings, labelled = [], sum(row.pixels for row in rows)
    absent = [row.name for row in rows if not row.pixels]
    if absent and known:
        findings.append(Finding("class_absent", "", f"{len(absent)} of {len(rows)}: {enumeration(absent)}"))
    if void > labelled:
        findings.append(Finding("mostly_void", "", f"{100 * void / (void + labelled):.1f} % of all pixels"))
    if labelled + void and sum(row.pixels > 0 for row in rows) < 2:
        what = next((row.name or row.raw for row in rows if row.pixels), "void")
        findings.append(Finding("one_class", "", f"{what} is all there is"))
    return findings
