"""Pictures of labels: colours, overlays, legends, rows of panels. Pillow only."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fcn.spec import VOID, palette

_FONT = 14
_GAP = 6
_ROWS = 256


def colours(labels: np.ndarray) -> np.ndarray:
    """uint8 labels (H, W) -> uint8 RGB (H, W, 3) in the VOC palette."""
    return np.asarray(palette()[labels])


def overlay(
    image: np.ndarray, labels: np.ndarray, names: Sequence[str], opacity: float = 0.6
) -> np.ndarray:
    """Paints labels over an image. A class 0 called "background" is left as it is; any other is
    painted.

    Args:
        image: uint8 RGB (H, W, 3).
        labels: uint8 (H, W).
        names: of the classes.
        opacity: of the colours, 0..1.

    Returns:
        uint8 RGB (H, W, 3).
    """
    mixed = np.empty_like(image)
    for top in range(0, len(image), _ROWS):  # a large image is many times larger in float64
        rows = slice(top, top + _ROWS)
        mixed[rows] = np.round((1 - opacity) * image[rows] + opacity * colours(labels[rows]))
    return np.where((labels == 0)[..., None], image, mixed) if _has_background(names) else mixed


def painted(labels: Sequence[np.ndarray], names: Sequence[str]) -> list[int]:
    """The values that `overlay` shows of these labels, uint8 (H, W) each, in increasing order: what
    a legend has to explain.
    """
    values = np.unique(np.concatenate([np.unique(each) for each in labels])).tolist()
    return [value for value in values if value or not _has_background(names)]


def _has_background(names: Sequence[str]) -> bool:
    return names[0].lower() == "background"


def legend(
    names: Sequence[str], labels: Sequence[int], width: int, size: int = _FONT
) -> Image.Image:
    """Colour keys in lines of at most `width` pixels.

    Args:
        names: of all classes, by label value.
        labels: the values to show, in this order; 255 is shown as "void".
        width: of the picture, in pixels.
        size: of the font, in pixels.

    Returns:
        An RGB image on white.
    """
    font, gap, x, y, spots = ImageFont.load_default(size), size * _GAP // _FONT, 0, 0, []
    for value in labels:
        text = "void" if value == VOID else names[value]
        needs = 2 * size + int(font.getlength(text)) + 2 * gap
        if x and x + needs > width:
            x, y = 0, y + size + gap
        spots.append((x, y, value, text))
        x += needs
    picture = Image.new("RGB", (width, y + size + gap), "white")
    draw, table = ImageDraw.Draw(picture), palette()
    for x, y, value, text in spots:
        draw.rectangle(
            (x, y + 2, x + size, y + 2 + size - 3),
            fill=tuple(table[value].tolist()),
            outline="black",
        )
        draw.text((x + size + gap, y), text, fill="black", font=font)
    return picture


def explained(
    image: np.ndarray, labels: np.ndarray, names: Sequence[str], opacity: float = 0.6
) -> Image.Image:
    """An overlay above a legend of the classes that it shows, in letters that suit its size.

    Args:
        image: uint8 RGB (H, W, 3).
        labels: uint8 (H, W).
        names: of the classes.
        opacity: of the colours, 0..1.

    Returns:
        An RGB image, the overlay at its top left; wider than it where the longest name is.
    """
    height, width = labels.shape
    size = max(_FONT, min(width, height) // 40)
    shown = painted([labels], names)
    font = ImageFont.load_default(size)
    texts = ["void" if value == VOID else names[value] for value in shown] or [
        f"nothing but {names[0]}"
    ]
    wide = max(width, *(3 * size + int(font.getlength(text)) for text in texts))
    if shown:
        key = legend(names, shown, wide, size)
    else:
        key = Image.new("RGB", (wide, size + size * _GAP // _FONT), "white")
        ImageDraw.Draw(key).text((0, 0), texts[0], fill="black", font=font)
    sheet = Image.new("RGB", (wide, height + _GAP + key.height), "white")
    sheet.paste(Image.fromarray(overlay(image, labels, names, opacity)), (0, 0))
    sheet.paste(key, (0, height + _GAP))
    return sheet


def panels(
    rows: Sequence[Sequence[np.ndarray]],
    titles: Sequence[str],
    names: Sequence[str],
    shown: Sequence[int],
    scale: int = 1,
) -> Image.Image:
    """A table of pictures under titles, with a legend below.

    Args:
        rows: RGB pictures, uint8 (H, W, 3), one per title in every row; sizes may vary.
        titles: of the columns.
        names: of the classes.
        shown: the label values that the legend explains.
        scale: whole factor by which small pictures are enlarged, without smoothing.

    Returns:
        An RGB image.
    """
    width = max(picture.shape[1] for row in rows for picture in row) * scale + _GAP
    heights = [max(picture.shape[0] for picture in row) * scale + _GAP for row in rows]
    key = legend(names, shown, width * len(titles))
    top = _FONT + 2 * _GAP
    sheet = Image.new("RGB", (width * len(titles), top + sum(heights) + key.height), "white")
    draw, font, y = ImageDraw.Draw(sheet), ImageFont.load_default(_FONT), top
    for column, title in enumerate(titles):
        draw.text((column * width, _GAP // 2), title, fill="black", font=font)
    for row, height in zip(rows, heights, strict=True):
        for column, picture in enumerate(row):
            big = Image.fromarray(np.kron(picture, np.ones((scale, scale, 1), np.uint8)))
            sheet.paste(big, (column * width, y))
        y += height
    sheet.paste(key, (0, y))
    return sheet
