"""A pair of files: what is wrong with it by itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from fcn.datasets import Pair
from fcn.doctor import near
from fcn.doctor.contents import Content, count
from fcn.doctor.findings import KINDS, Finding
from fcn.doctor.layouts import Item
from fcn.doctor.meaning import Meaning
from fcn.doctor.rules import judge
from fcn.doctor.turned import unclear
from fcn.errors import UserError
from fcn.pixels import Header, images, stored
from fcn.spec import VOID

_MODES = {"indices": ("P", "L", "1"), "ade20k": ("P", "L", "1"), "sbd": ("GTcls",), "colours": ("RGB", "RGBA", "P", "L", "1")}
"""How `labels.read` takes labels of an encoding to be stored."""


@dataclass(frozen=True)
class Look:
    """What is in an item's files, as far as they can be read, and what is wrong with them before anybody asks for classes.

    `thumbnail` is that of `fcn.doctor.near`.
    """

    header: Header | None
    content: Content | None
    thumbnail: np.ndarray | None
    findings: tuple[Finding, ...]


def check(pair: Pair, classes: int, colours: Sequence[tuple[int, int, int]] = ()) -> list[Finding]:
    """Says what is wrong with a pair; costs about three times what reading both files does.

    Args:
        pair: the files, and how the label should be stored.
        classes: how many there are.
        colours: (red, green, blue) of each, for labels of the encoding "colours".

    Returns:
        Findings. If none of them `stops`, `labels.read` and `images.read` take the pair; where these refuse it, one does.
    """
    table = tuple(red << 16 | green << 8 | blue for red, green, blue in colours)
    seen = look(Item(pair.id, pair.image, pair.label, pair.draw))
    findings = list(seen.findings)
    if seen.content is not None:
        meaning = judge([seen.content], classes, table if pair.encoding == "colours" else (), pair.encoding)
        of_label = of_labels([seen.content], meaning, pair.encoding)
        values = [] if seen.content.values is None else seen.content.values.tolist()
        if values == [0, VOID] and pair.encoding == "indices":
            # One label may well be of background and void only; a whole folder of them would be masks.
            of_label = [finding for finding in of_label if finding.kind != "mask_255"]
        findings += of_label or _disguised(seen.content)
    return sorted(findings, key=lambda finding: not finding.stops)


def look(item: Item) -> Look:
    """Reads both files of an item, or the one that is there."""
    header, label, small, findings = None, None, None, []
    picture = values = None
    if item.image is not None:
        try:
            header = images.header(item.image, images.longest)
            picture = images.read(item.image)
            small = near.thumbnail(Image.fromarray(picture))
            findings += _of_image(str(item.image), header)
        except UserError as error:
            findings.append(_said("image_unreadable", item.image, error))
    if item.label is not None:
        try:
            values = stored(item.label, item.draw)
            label = count(item.label, values)
        except UserError as error:
            findings.append(_said("label_unreadable", item.label, error))
    if header and label:
        findings += _of_sizes(header, label)
    if header and picture is not None and values is not None:
        why = unclear(header, picture, values.pixels)
        findings += [Finding("turned_unclear", str(item.image), why)] if why else []
    return Look(header, label, small, tuple(findings))


def _said(kind: str, path: Path, error: UserError) -> Finding:
    return Finding(kind, str(path), str(error).removeprefix(f"{path}: ").rstrip("."))


def _of_image(file: str, header: Header) -> list[Finding]:
    kinds = (
        ("image_turned", header.orientation != 1, f"EXIF orientation {header.orientation}"),
        ("image_inks", header.mode == "CMYK", "mode CMYK"),
        ("image_grey", header.mode in ("1", "L", "LA"), f"mode {header.mode}"),
        ("image_deep", header.mode.startswith("I;16"), f"mode {header.mode}"),
        ("image_transparent", header.mode in ("RGBA", "LA", "PA"), f"mode {header.mode}"),
    )
    return [Finding(kind, file, what) for kind, applies, what in kinds if applies]


def _of_sizes(header: Header, label: Content) -> list[Finding]:
    if label.size == header.size:
        return []
    wide, high = label.size
    what = f"the label is {wide}x{high} pixels, its image {header.size[0]}x{header.size[1]}"
    if label.size == header.stored:
        return [Finding("size_turned", str(label.path), f"{what} (turned by EXIF orientation {header.orientation})")]
    hints = " (turned by 90 degrees?)" if (high, wide) == header.size else ""
    return [Finding("size_mismatch", str(label.path), what + hints)]


def of_labels(contents: Sequence[Content], meaning: Meaning, encoding: str | None) -> list[Finding]:
    """What the labels are, if `records` would not take them, and what else is to be said of them."""
    findings = list(meaning.findings)
    if meaning.kind in KINDS and not any(finding.kind == meaning.kind for finding in findings):
        file = str(contents[0].path) if len(contents) == 1 else ""
        findings.append(Finding(meaning.kind, file, meaning.words))
    for each in contents:
        if meaning.form == "colours" and each.transparent:
            findings.append(Finding("label_transparent", str(each.path), "some pixels are transparent, and have no colour"))
        modes = _MODES["colours"] if meaning.form == "colours" else _MODES[encoding or "indices"]
        if each.mode not in modes and not (encoding is None and each.mode == "GTcls"):
            kind = "greys_as_colours" if each.kind == "rgb" and meaning.form == "values" else "storage"
            findings.append(Finding(kind, str(each.path), f"mode {each.mode}, where {' or '.join(modes)} is read"))
        elif each.path.suffix.lower() == ".png":  # of other endings the layout says it
            findings += _disguised(each)
    return findings


def _disguised(label: Content) -> list[Finding]:
    if label.format in ("PNG", "MAT"):
        return []
    return [Finding("storage", str(label.path), f"{label.format} by its content, where PNG is read")]
