"""A folder of images and labels, a pair, or the counts of a split: examined."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fcn.datasets import Pair
from fcn.doctor import layouts
from fcn.doctor.case import Case, Row, look
from fcn.doctor.contents import hexadecimal
from fcn.doctor.findings import CONVERT, KINDS, Finding, findings
from fcn.doctor.layouts import Item
from fcn.doctor.predicates import NAMING
from fcn.doctor.rules import Meaning
from fcn.errors import UserError
from fcn.spec import VOID

SCHEMA = 1
_WRITE = (
    "Write classes.txt as proposed below; the labels stay as they are. Or write them anew as "
    "indices, with --convert OUT."
)


@dataclass(frozen=True)
class Diagnosis:
    """What a path holds and what is wrong with it.

    Attributes:
        path: as it was asked for.
        layout: see `layouts.Layout`.
        items: images and labels.
        kind, words: what the labels are, see `Meaning`.
        meaning: the same, for converting them.
        height, width: smallest and largest, in pixels, of images, or of labels without images.
        rows: classes by their index, then what is no class.
        void: pixels of void.
        lines: a proposal for classes.txt; empty if none is needed or possible.
        names: by value, of the labels that `convert` would write.
        findings: those that stop `records` first.
    """

    path: str
    layout: str
    items: tuple[Item, ...]
    kind: str
    words: str
    meaning: Meaning = field(repr=False)
    height: tuple[int, int]
    width: tuple[int, int]
    rows: tuple[Row, ...]
    void: int
    lines: tuple[str, ...]
    names: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def stops(self) -> bool:
        """`records` would refuse this, or write labels that mean something else."""
        return any(finding.stops for finding in self.findings)

    @property
    def files(self) -> dict[str, int]:
        """How many "images" and "labels" there are."""
        return {
            f"{part}s": sum(getattr(item, part) is not None for item in self.items)
            for part in ("image", "label")
        }

    def to_json(self) -> dict[str, Any]:
        """Plain data; the package's docstring has the schema."""
        labelled = sum(row.pixels for row in self.rows)
        return {
            "schema": SCHEMA, "path": self.path, "layout": self.layout, **self.files,
            "kind": self.kind, "words": self.words, "height": list(self.height),
            "width": list(self.width),
            "classes": [
                {"name": row.name, "raw": row.raw, "pixels": row.pixels,
                 "share": row.pixels / labelled if labelled else 0.0, "files": row.files,
                 "most": row.most}
                for row in self.rows
            ],
            "void_pixels": self.void,
            "void_share": self.void / (labelled + self.void) if labelled + self.void else 0.0,
            "classes_txt": list(self.lines), "stops": self.stops,
            "findings": [
                {"kind": each.kind, "stops": each.stops, "file": each.file, "what": each.what,
                 "title": KINDS[each.kind].title, "do": each.advice}
                for each in self.findings
            ],
        }  # fmt: skip


def check_counts(pixels: Sequence[int], names: Sequence[str]) -> list[Finding]:
    """Says what is wrong with labels that could all be read, by how often they have each value.

    Args:
        pixels: (256,), by label value.
        names: of the classes, by label value.

    Returns:
        Findings; one that `stops` says that there is but one class, or that these were masks.
    """
    counts = [int(count) for count in pixels]
    rows = [Row(name, str(index), counts[index], 0, "") for index, name in enumerate(names)]
    case = Case(classes=len(names), rows=rows, void=counts[VOID])
    found = findings(case, ("class_absent", "mostly_void", "one_class"))
    if counts[0] and counts[VOID] and not any(counts[1:VOID]):
        words = f"the only values are 0 ({counts[0]} pixels) and 255 ({counts[VOID]})"
        found.insert(0, Finding("mask_255", "", words))
    return found


def check(pair: Pair, classes: int, colours: Sequence[tuple[int, int, int]] = ()) -> list[Finding]:
    """Says what is wrong with a pair; costs about three times what reading both files does.

    Args:
        pair: the files, and how the label should be stored.
        classes: how many there are.
        colours: (red, green, blue) of each, for labels of the encoding "colours".

    Returns:
        Findings. If none of them `stops`, `labels.read` and `images.read` take the pair; where
        these refuse it, one does.
    """
    table = tuple(r << 16 | g << 8 | b for r, g, b in colours) if pair.encoding == "colours" else ()
    seen = look(Item(pair.id, pair.image, pair.label, pair.draw))
    case = Case([seen], classes=classes, table=table, encoding=pair.encoding)
    found = findings(case)
    # One label may well be of background and void only; a whole folder of them would be masks.
    values = [sorted(each.values.tolist()) for each in case.contents if each.values is not None]
    fine = pair.encoding == "indices" and values == [[0, VOID]]
    return [each for each in found if not (fine and each.kind == "mask_255")]


def examine(
    path: Path,
    classes: int | Sequence[str] | None = None,
    colours: Sequence[int] = (),
    done: Callable[[int, int], None] = lambda *_: None,
) -> Diagnosis:
    """Looks at all that a path holds.

    Args:
        path: see `layouts.find`.
        classes: how many there are, or their names by label value; None: what the path says.
        colours: 0xRRGGBB of each of `classes`, if the labels hold colours.
        done: called with (pairs looked at, pairs in all) after each.

    Raises:
        UserError: see `layouts.find`; or there is nothing that could be a label.
    """
    found = layouts.find(path)
    if not found.items and not found.layout.images:
        links = "".join(f". {each}" for each in findings(Case(folder=found))[:1])
        kinds = ", ".join(layouts.LABELS)
        raise UserError(f"{path}: expected images that are labels ({kinds}), found none{links}")
    names, table, encoding = found.classes, found.colours, found.encoding
    if classes is not None:
        names = () if isinstance(classes, int) else tuple(classes)
        table = tuple(colours)
        encoding = "colours" if table else None if encoding == "colours" else encoding
    count = classes if isinstance(classes, int) else len(names) or None
    looks = []
    with ThreadPoolExecutor() as pool:
        for number, each in enumerate(pool.map(look, found.items), 1):
            looks.append(each)
            done(number, len(found.items))
    case = Case(looks, found, count, names, table, encoding)
    if case.meaning.kind == "own_colours":
        case = replace(case, names=())  # whose they are is not known, however many they are
    rows, void = _rows(case)
    if len(case.contents) > 1:
        case = replace(case, rows=rows, void=void)
    lines = _lines(case.meaning, case.names) if found.own else ()
    kind = case.meaning.kind
    advice = {kind: _WRITE if "#" in lines[0] else CONVERT} if lines and kind in NAMING else {}
    said = [replace(each, do=advice.get(each.kind, "")) for each in findings(case)]
    sizes = [each.header.size for each in looks if each.header]
    sizes = sizes or [each.size for each in case.contents]
    wide, high = zip(*(sizes or [(0, 0)]), strict=True)
    return Diagnosis(
        str(path), found.layout.name, found.items, case.meaning.kind, case.meaning.words,
        case.meaning, (min(high), max(high)), (min(wide), max(wide)),
        rows, void, lines, _names(case.meaning, case.names), tuple(said),
    )  # fmt: skip


def _rows(case: Case) -> tuple[tuple[Row, ...], int]:
    """How often each class occurs, then what is no class, the commonest first; and void."""
    meaning = case.meaning
    pixels: dict[tuple[int, int | None], dict[str, int]] = {}
    raws: dict[tuple[int, int | None], set[int]] = {}
    if case.photographs:
        return (), 0
    for each in case.contents:
        keys = getattr(each, meaning.form)
        if keys is None:
            continue
        columns = keys.tolist(), meaning.assign(keys).tolist(), each.counts.tolist()
        for key, index, number in zip(*columns, strict=True):
            which = (index, None) if index >= 0 else (index, key)
            by_file = pixels.setdefault(which, {})
            by_file[str(each.path)] = by_file.get(str(each.path), 0) + number
            raws.setdefault(which, set()).add(key)
    void = sum(pixels.pop((VOID, None), {}).values())
    void += sum(each.rest for each in case.contents if meaning.reach)
    classes = {index for index, _ in pixels if index >= 0}
    if meaning.kind != "own_colours":
        classes |= set(range(case.classes or 0))
    unknown = [which for which in pixels if which[0] < 0]
    unknown.sort(key=lambda which: -sum(pixels[which].values()))
    rows = []
    for which in (*((index, None) for index in sorted(classes)), *unknown):
        known = [key for key, index in meaning.classes.items() if index == which[0]]
        form = hexadecimal if meaning.form == "colours" else str
        raw = ", ".join(map(form, known or sorted(raws.get(which, ()))))
        by_file = pixels.get(which, {})
        name = _name(which[0], case.names, meaning) if which[0] >= 0 else ""
        most = max(by_file, key=by_file.__getitem__, default="")
        rows.append(Row(name, raw, sum(by_file.values()), len(by_file), most))
    return tuple(rows), void


def _name(index: int, names: Sequence[str], meaning: Meaning) -> str:
    if index < len(names):
        return names[index]
    return "background" if index == 0 and meaning.classes.get(0) == 0 else f"class{index}"


def _lines(meaning: Meaning, names: Sequence[str]) -> tuple[str, ...]:
    """What classes.txt should hold, with colours for labels that can stay as they are."""
    classes = {index: key for key, index in meaning.classes.items() if index != VOID}
    colours = meaning.kind in ("own_colours", "voc_colours")
    greys = meaning.kind in NAMING and not colours and VOID not in meaning.classes.values()
    if not meaning.reach and (colours or (greys and max(classes.values()) <= 255)):
        scale = 1 if colours else 0x010101  # greys are colours, too
        return tuple(
            f"{_name(index, names, meaning)} {hexadecimal(classes[index] * scale)}"
            for index in sorted(classes)
        )
    unclear = meaning.kind in KINDS and meaning.kind not in (*NAMING, "shifted")
    return () if names or unclear else _names(meaning, names)


def _names(meaning: Meaning, names: Sequence[str]) -> tuple[str, ...]:
    """A name for each value up to the highest one, at least two."""
    last = max((index for index in meaning.classes.values() if index != VOID), default=-1)
    count = max(last + 1, len(names), 2) if last >= 0 else 0
    return tuple(_name(index, names, meaning) for index in range(count))
