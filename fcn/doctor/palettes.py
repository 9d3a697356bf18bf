"""VOC's palette, and palettes that are not VOC's."""

from collections.abc import Sequence

from fcn.datasets import CLASSES
from fcn.doctor.contents import Content, hexadecimal
from fcn.doctor.findings import Finding
from fcn.spec import VOID, palette

VOC = {int(red) << 16 | int(green) << 8 | int(blue): index for index, (red, green, blue) in enumerate(palette())}
"""Index by colour 0xRRGGBB."""

VOC_VOID = next(colour for colour, index in VOC.items() if index == VOID)
"""The colour of void."""


def remarks(contents: Sequence[Content], classes: int | None = None) -> list[Finding]:
    """What is to be said of palettes where only the indices count: at most one thing.

    Args:
        contents: of the label files.
        classes: how many there are; None: unknown, as many as VOC's.
    """
    conflict, seen = _conflict(contents)
    if conflict:
        return [conflict]
    foreign = sorted(value for value, (colour, _) in seen.items() if VOC.get(colour) != value)
    if not foreign:
        return []
    shown = ", ".join(f"{value} is {hexadecimal(seen[value][0])}" for value in foreign[:12])
    last = len(CLASSES) if classes is None else classes
    elsewhere = [VOC.get(seen[value][0], VOID + 1) for value in foreign]
    # Their colours are VOC's, but those of other classes: as `Image.quantize` leaves them, which sorts colours anew.
    swapped = all(index < last or index == VOID for index in elsewhere)
    kind = "palette_reordered" if swapped or VOID in elsewhere else "palette_foreign"
    return [Finding(kind, "", shown + (" and so on" if len(foreign) > 12 else ""))]


def colours_count(contents: Sequence[Content]) -> bool:
    """The same index has several colours and the same colour several indices: each file has a palette of its own.

    So do programs that reduce an image to few colours; its colours mean something then, its indices nothing.
    """
    if any(content.kind != "palette" for content in contents) or _conflict(contents)[0] is None:
        return False
    index: dict[int, int] = {}
    pairs = (
        zip(c.values.tolist(), c.colours.tolist(), strict=True)
        for c in contents
        if c.values is not None and c.colours is not None
    )
    return any(index.setdefault(colour, value) != value for pair in pairs for value, colour in pair)


def _conflict(contents: Sequence[Content]) -> tuple[Finding | None, dict[int, tuple[int, str]]]:
    """The first index that has two colours, if there is one; and the colour of each index, with the file it was seen in."""
    seen: dict[int, tuple[int, str]] = {}
    for content in contents:
        if content.kind == "palette" and content.values is not None and content.colours is not None:
            for value, colour in zip(content.values.tolist(), content.colours.tolist(), strict=True):
                first, file = seen.setdefault(value, (colour, content.path.name))
                if first != colour:
                    words = f"index {value} is {hexadecimal(colour)} here and {hexadecimal(first)} in {file}"
                    return Finding("palettes_differ", str(content.path), words), seen
    return None, seen
