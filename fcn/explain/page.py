"""`fcn.evaluate.explain` as one HTML file that needs nothing else."""

import base64
import io
from collections.abc import Sequence
from html import escape

import numpy as np
from PIL import Image, ImageDraw

from fcn.evaluate import explain
from fcn.pixels import visualize
from fcn.spec import ModelSpec, palette

SHOWN = 4
"""Classes whose score maps are shown, at most: those with the most pixels."""
STYLE = """
:root { color-scheme: light dark; --line: #8886; }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 66rem; margin: 0 auto; padding: 1rem; }
body { background: Canvas; color: CanvasText; }
h1, h2, h3 { line-height: 1.2; overflow-wrap: anywhere; }
h2 { margin: 2.5rem 0 .5rem; padding-top: .5rem; border-top: 1px solid var(--line); }
h2 a { color: inherit; text-decoration: none; }
nav { display: flex; flex-wrap: wrap; gap: .2rem 1rem; }
.row { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(14rem, 100%), 1fr)); }
.row { gap: 1rem; }
figure { margin: 0; break-inside: avoid; }
figcaption { font-size: .9rem; }
img, svg { width: 100%; height: auto; display: block; border: 1px solid var(--line); }
.cells { image-rendering: pixelated; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .5rem 0; }
th, td { padding: .2rem .8rem .2rem 0; border-bottom: 1px solid var(--line); text-align: right; }
th:first-child { text-align: left; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1rem; padding: 0; list-style: none; }
.legend i { display: inline-block; width: 1em; height: 1em; margin-right: .35em; }
.legend i { border: 1px solid #8889; vertical-align: -.12em; }
:focus-visible { outline: 3px solid Highlight; outline-offset: 1px; }
@media print { nav { display: none; } h2, h3 { break-after: avoid; } body { font-size: 12px; } }
"""
HTML = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:;
 style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>{title}</h1>
{body}
</main>
</body>
</html>
"""
_FROM, _TO = (247, 251, 255), (8, 48, 107)


def page(
    found: explain.Explained, spec: ModelSpec, name: str, back: tuple[str, str] = ("", "")
) -> str:
    """The page.

    Args:
        found: see `explain.explain`.
        spec: of the net.
        name: of the photograph.
        back: address and name of the page that this one belongs to, if there is one.
    """
    image, stages = found.image, found.stages
    values = explain.values(stages[-1].labels, spec)[:SHOWN]
    sections = {
        "classifier": (
            "The classifier as a net",
            _classifier(stages[0], found.window, image, values, spec),
        ),
        "skips": ("What each skip adds", _skips(stages, image, found.value, spec)),
        "kernels": ("The bilinear kernel", _kernels(found.kernels) + _enlarged(found, spec)),
        "crop": ("Where the crop takes its window from", _crops(stages, image)),
    }
    links = {f"#{key}": title for key, (title, _) in sections.items()}
    if back[0]:
        links = {back[0]: back[1]} | links
    knows = f" {escape(spec.knows)}" if spec.knows else ""
    parts = [
        f"<p>{image.shape[1]} x {image.shape[0]} pixels; {spec.variant} on {spec.backbone}, "
        f"padding {spec.padding}.{knows}</p>",
        "<nav>" + " ".join(f'<a href="{to}">{text}</a>' for to, text in links.items()) + "</nav>",
        _legend(stages, spec),
    ]
    parts += [
        f'<h2 id="{key}"><a href="#{key}">{title}</a></h2>\n{text}'
        for key, (title, text) in sections.items()
    ]
    title = f"{escape(name)}, seen by {spec.variant}"
    return HTML.format(title=title, style=STYLE, body="\n".join(parts))


def _legend(stages: Sequence[explain.Stage], spec: ModelSpec) -> str:
    shown, table = visualize.painted([stage.labels for stage in stages], spec.classes), palette()
    spots = [
        f'<li><i style="background: #{bytes(table[value]).hex()}"></i>'
        f"{escape(spec.classes[value])}</li>"
        for value in shown
    ]
    return f'<ul class="legend">{"".join(spots)}</ul>' if spots else ""


def _classifier(
    stage: explain.Stage,
    window: explain.Window,
    image: np.ndarray,
    values: Sequence[int],
    spec: ModelSpec,
) -> str:
    rows, columns = stage.scores.shape[:2]
    name = escape(spec.classes[values[0]])
    figures = [
        _photo(
            _framed(image, window),
            f"The photograph with a frame of {window.side} pixels",
            f"The photograph, and in the frame the window on which the net is surest of {name}: "
            f"row {window.row}, column {window.column} of its scores.",
        )
    ]
    for value in values:
        text = f"{escape(spec.classes[value])}: {_range(stage.scores[..., value])}."
        figures.append(_cells(stage.scores[..., value], text))
    best = int(window.alone.argmax())
    lines = [
        f'<tr><th scope="row">{escape(spec.classes[value])}</th><td>{window.alone[value]:.2f}</td>'
        f"<td>{window.cell[value]:.2f}</td></tr>"
        for value in dict.fromkeys((*values, best, int(window.cell.argmax())))
    ]
    return (
        f"<p>A classifier takes a window of {window.side} x {window.side} pixels and says one "
        "thing of it. The same layers as convolutions say it of a whole photograph: here at "
        f"{columns} x {rows} places, one every {stage.stride} pixels. Their last layer, "
        f"<code>{stage.layer}</code>, stands where the classifier had "
        "its own, and each of its cells is a classifier on the window around it.</p>"
        f'<div class="row">{"".join(figures)}</div>'
        "<p>The framed window alone, cut out and given to the classifier, is "
        f"{escape(spec.classes[best])} to it. The cell of the map has other scores only because of "
        "what lies around the window: the classifier sees nothing there, the net sees the "
        "photograph.</p>"
        f'<table><thead><tr><th scope="col">score</th><th scope="col">window alone</th>'
        f'<th scope="col">cell of the map</th></tr></thead><tbody>{"".join(lines)}</tbody></table>'
    )


def _skips(stages: Sequence[explain.Stage], image: np.ndarray, value: int, spec: ModelSpec) -> str:
    parts, before = [], None
    name = escape(spec.classes[value])
    for stage in stages:
        over = visualize.overlay(image, stage.labels, spec.classes)
        text = f"The answer at stride {stage.stride}, from <code>{stage.layer}</code>."
        figures = [_photo(over, f"Classes at stride {stage.stride}", text)]
        title = f"Stride {stage.stride}"
        if before is not None and stage.skip is not None:
            title += f": <code>{stage.pool}</code> is added"
            added = stage.skip[..., value]
            text = f"What <code>score_{stage.pool}</code> adds to {name}: {_range(added)}."
            figures.append(_cells(added, text))
            changed = stage.labels != before
            lit = np.where(changed[..., None], image, (image // 4 + 150).astype(np.uint8))
            strength = np.abs(stage.skip).mean()
            base = np.abs(stage.scores - stage.skip).mean()
            text = (
                f"The pixels that it gives another class: {changed.mean():.1%}; the others are "
                f"pale. Its scores are {strength:.2f} strong on average over all classes, those "
                f"that they are added to {base:.2f}."
            )
            figures.append(_photo(lit, f"Pixels that change at stride {stage.stride}", text))
        parts.append(f'<h3>{title}</h3><div class="row">{"".join(figures)}</div>')
        before = stage.labels
    return (
        "<p>One run of one net, answered from each of its score maps: the coarse ones know what, "
        f"the fine ones where. The last is the net's answer.</p>{''.join(parts)}"
    )


def _kernels(kernels: Sequence[explain.Kernel]) -> str:
    figures = []
    for kernel in kernels:
        side = 2 * kernel.factor
        fate = "and so it stays: it is fixed" if kernel.learned is None else "as training begins"
        text = (
            f"<code>{kernel.layer}</code>, for a factor of {kernel.factor}: bilinear, "
            f"{side} x {side}, {fate}."
        )
        figures.append(_cells(kernel.bilinear, text))
        if kernel.learned is not None:
            text = (
                f"<code>{kernel.layer}</code> as trained, the mean over the classes; it differs by "
                f"{np.abs(kernel.learned - kernel.bilinear).max():.4f} at most."
            )
            figures.append(_cells(kernel.learned, text))
    return (
        "<p>A cell becomes many pixels: every pixel takes from its nearest cells, the more, the "
        f'nearer. Dark is much.</p><div class="row">{"".join(figures)}</div>'
    )


def _enlarged(found: explain.Explained, spec: ModelSpec) -> str:
    """A score map before and after the net's last layer."""
    scores, name = found.stages[-1].scores[..., found.value], escape(spec.classes[found.value])
    (rows, columns), (height, width) = scores.shape, found.enlarged.shape
    figures = [
        _cells(scores, f"Scores of {name} before: {columns} x {rows} cells."),
        _cells(found.enlarged, f"After: {width} x {height} pixels."),
    ]
    return f'<div class="row">{"".join(figures)}</div>'


def _crops(stages: Sequence[explain.Stage], image: np.ndarray) -> str:
    figures, (height, width) = [], image.shape[:2]
    for stage in stages:
        rows, columns = stage.enlarged.shape
        url = _url(Image.fromarray(visualize.colours(stage.enlarged)).quantize(256), "PNG")
        # White and black together are seen on every colour.
        place = (
            f'x="{stage.offset}" y="{stage.offset}" width="{width}" height="{height}" fill="none"'
        )
        svg = (
            f'<svg viewBox="-6 -6 {columns + 12} {rows + 12}" role="img" '
            f'aria-label="The enlarged scores and the window of the crop at stride {stage.stride}">'
            f'<image href="{url}" width="{columns}" height="{rows}"/>'
            f'<rect {place} stroke="#fff" stroke-width="5"/>'
            f'<rect {place} stroke="#000" stroke-width="3" stroke-dasharray="14 10"/></svg>'
        )
        text = (
            f"Stride {stage.stride}: {columns} x {rows} pixels come out of the upsampling; the "
            f"window of {width} x {height} begins at ({stage.offset}, {stage.offset}), which lies "
            "on the photograph's first pixel."
        )
        figures.append(f"<figure>{svg}<figcaption>{text}</figcaption></figure>")
    return (
        "<p>The enlarged scores, here each pixel's best class, are larger than the photograph. The "
        "crop takes (dashed) the part whose pixels lie on the photograph's; the offsets follow "
        f'from kernels, strides and padding.</p><div class="row">{"".join(figures)}</div>'
    )


def _range(values: np.ndarray) -> str:
    return f"scores from {values.min():.1f} (light) to {values.max():.1f} (dark)"


def _framed(image: np.ndarray, window: explain.Window) -> np.ndarray:
    """The image with the window's frame, as far as it lies on it: white beside black."""
    picture = Image.fromarray(image)
    draw, (height, width) = ImageDraw.Draw(picture), image.shape[:2]
    left, top = max(0, window.left), max(0, window.top)
    right = max(left, min(width, window.left + window.side) - 1)
    bottom = max(top, min(height, window.top + window.side) - 1)
    for inside, colour in enumerate(("black", "white", "white", "white", "black")):
        if right - left > 2 * inside and bottom - top > 2 * inside:
            box = (left + inside, top + inside, right - inside, bottom - inside)
            draw.rectangle(box, outline=colour)
    return np.asarray(picture)


def _photo(image: np.ndarray, alt: str, text: str) -> str:
    return _figure(_url(Image.fromarray(image), "JPEG"), image.shape[:2], alt, text)


def _cells(values: np.ndarray, text: str) -> str:
    """Numbers (h, w) as a picture, a pixel for each: the larger, the darker."""
    low, high = float(values.min()), float(values.max())
    share = ((values - low) / (high - low or 1.0))[..., None]
    colours = np.rint((1 - share) * _FROM + share * _TO).astype(np.uint8)
    alt = text.replace("<code>", "").replace("</code>", "").partition(":")[0]
    return _figure(_url(Image.fromarray(colours), "PNG"), values.shape, alt, text, ' class="cells"')


def _figure(url: str, size: Sequence[int], alt: str, text: str, kind: str = "") -> str:
    shape = f'width="{size[1]}" height="{size[0]}"'
    picture = f'<img{kind} src="{url}" {shape} alt="{alt}">'
    return f"<figure>{picture}<figcaption>{text}</figcaption></figure>"


def _url(picture: Image.Image, kind: str) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **({"quality": 85} if kind == "JPEG" else {"optimize": True}))
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
