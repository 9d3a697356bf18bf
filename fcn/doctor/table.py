"""A diagnosis as text, for a terminal."""

import shlex
from collections.abc import Sequence
from itertools import groupby
from pathlib import PurePath

from fcn.doctor.case import Row
from fcn.doctor.convert import unclear
from fcn.doctor.diagnosis import Diagnosis
from fcn.doctor.findings import KINDS, Finding
from fcn.doctor.layouts import ALONE, LAYOUTS, PUBLISHED
from fcn.errors import LINE, enumeration, shown

_SHOWN, _UNKNOWN = 4, 20


def summary(diagnosis: Diagnosis, command: str = "fcn doctor") -> str:
    """Three lines: what it is and how many, what is wrong, and the next command.

    Args:
        diagnosis: of a path.
        command: what the doctor is called by.
    """
    again = f"{command} {shlex.quote(diagnosis.path)}"
    stops = _titles(diagnosis, stops=True)
    notes = _titles(diagnosis, stops=False)
    convertible = not unclear(diagnosis) and any(
        "--convert" in f.advice for f in diagnosis.findings if f.stops
    )
    if stops and "#" in "".join(diagnosis.lines):
        step = f"write classes.txt as proposed below, then {again}"
    elif stops and convertible:
        step = f"{again} --convert OUT"
    elif stops:
        step = f"put it right as said below, then {again}"
    elif diagnosis.layout == "labels":
        step = (
            "put the labels into masks/ and their images into images/ beside it, then look at both"
        )
    elif diagnosis.layout in PUBLISHED:
        step = "choose it as `dataset` in params.yaml, then make repro"
    else:
        step = 'make repro ARGS="--set profile=folder", with these files in data/own'
    wrong = f"Nothing wrong{', but: ' if notes else ''}{'; '.join(notes)}"
    if stops:
        wrong = f"Wrong: {'; '.join(stops)}"
    return "\n".join(shown(line, LINE) for line in (_first(diagnosis), wrong, f"Next: {step}"))


def _first(diagnosis: Diagnosis) -> str:
    words = {kind.name: kind.words for kind in (*LAYOUTS, ALONE)}
    what = words.get(diagnosis.layout, diagnosis.layout)
    numbers = (_number(count, part[:-1]) for part, count in diagnosis.files.items())
    left = sum(finding.kind == "left_out" and finding.file != "" for finding in diagnosis.findings)
    besides = [f"{_number(left, 'other file')} left out"] if left else []
    return f"{diagnosis.path}: {', '.join((what, *numbers, *besides))}"


def _titles(diagnosis: Diagnosis, stops: bool) -> list[str]:
    return list(dict.fromkeys(KINDS[f.kind].title for f in diagnosis.findings if f.stops is stops))


def table(diagnosis: Diagnosis) -> str:
    """What was found, class by class, what is wrong, and what to do; several lines, the last one
    without an end.

    Args:
        diagnosis: of a folder.
    """
    images = diagnosis.files["images"]
    lines = [_first(diagnosis)]
    start = "" if diagnosis.kind == "nothing" else "The labels are "
    lines.append(start + diagnosis.words)
    lines += [f"Sizes: {_span(diagnosis.width)} wide, {_span(diagnosis.height)} high", ""]
    lines += _classes(diagnosis) if diagnosis.rows else []
    for kind, group in groupby(diagnosis.findings, key=lambda finding: finding.kind):
        lines += ["", *_finding(kind, list(group), diagnosis)]
    if diagnosis.lines:
        lines += ["", *_proposal(diagnosis)]
    stops = _titles(diagnosis, stops=True)
    verdict = "Nothing here would stop `records`."
    if stops:
        verdict = f"{_number(len(stops), 'thing')} to be put right first."
    elif not images:
        verdict = "The labels are fine. `records` needs an image for each, and there are none here."
    return "\n".join(shown(line, LINE) for line in (*lines, "", verdict))


def _classes(diagnosis: Diagnosis) -> list[str]:
    labelled = sum(row.pixels for row in diagnosis.rows)
    known = [row for row in diagnosis.rows if row.name and row.pixels]
    unknown = [row for row in diagnosis.rows if not row.name]
    cells = [["class", "in the labels", "pixels", "share", "labels", "most of it in"]]
    cells += [_cells(row, labelled) for row in known + unknown[:_UNKNOWN]]
    if len(unknown) > _UNKNOWN:
        cells.append(["(none)", f"and {len(unknown) - _UNKNOWN} more", "", "", "", ""])
    if diagnosis.void:
        share = f"{100 * diagnosis.void / (labelled + diagnosis.void):.2f} %"
        cells.append(["(void)", "", str(diagnosis.void), share, "", "(share of all pixels)"])
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    return ["  ".join(_aligned(row, widths)).rstrip() for row in cells]


def _aligned(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    """Numbers to the right."""
    return [
        cell.rjust(w) if n in (2, 3, 4) else cell.ljust(w)
        for n, (cell, w) in enumerate(zip(row, widths, strict=True))
    ]


def _cells(row: Row, labelled: int) -> list[str]:
    share = f"{100 * row.pixels / labelled:.2f} %"
    return [
        shown(row.name) or "(none)",
        row.raw,
        str(row.pixels),
        share,
        str(row.files),
        shown(PurePath(row.most).name),
    ]


def _finding(kind: str, findings: Sequence[Finding], diagnosis: Diagnosis) -> list[str]:
    title = f"{'STOP' if KINDS[kind].stops else 'note'}  {KINDS[kind].title}"
    of_files = [finding for finding in findings if finding.file]
    lines = [f"{title}: {len(of_files)} files" if len(of_files) > 1 else title]
    lines += [
        f"      {finding.what}"
        for finding in findings
        if not finding.file and finding.what != diagnosis.words
    ]
    alike: dict[str, list[str]] = {}
    for finding in of_files:
        alike.setdefault(finding.what, []).append(finding.file.removeprefix(f"{diagnosis.path}/"))
    for what, files in list(alike.items())[:_SHOWN]:
        lines.append(f"      {enumeration(files, _SHOWN)}: {what}")
    if len(alike) > _SHOWN:
        lines.append(f"      ... and {len(alike) - _SHOWN} more (--json FILE has all)")
    return lines + [f"   -> {text}" for text in dict.fromkeys(each.advice for each in findings)]


def _proposal(diagnosis: Diagnosis) -> list[str]:
    where = f"{diagnosis.path}/classes.txt" if diagnosis.layout == "folder" else "classes.txt"
    as_they_are = "#" in diagnosis.lines[0] or diagnosis.kind == "indices"
    when = "" if as_they_are else ", once the labels are converted"
    return [
        f"Proposal for {where}{when}; put your names in place of class1, class2, ...:",
        "",
        *(f"    {line}" for line in diagnosis.lines),
    ]


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' if count != 1 else ''}"


def _span(sides: tuple[int, int]) -> str:
    return f"{sides[0]}" if sides[0] == sides[1] else f"{sides[0]} to {sides[1]}"
