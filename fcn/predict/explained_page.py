"""`fcn.predict.explain` as one HTML file that needs nothing else."""

import base64
from collections.abc import Sequence
from html import escape

import numpy as np
from PIL import Image

from fcn.net import bilinear_kernel
from fcn.pixels import visualize
from fcn.predict import serving
from fcn.predict.explain import Stage
from fcn.spec import ModelSpec, palette

SIDE = 500
"""Pixels of the longer side to which a photograph is reduced: that of VOC's."""
SHOWN = 5
"""Classes whose score maps are shown: those with the most pixels."""
STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 66rem; margin: 0 auto; padding: 1rem; }
body { background: Canvas; color: CanvasText; }
h2 { margin: 2.5rem 0 .5rem; padding-top: .5rem; border-top: 1px solid #8886; }
.row { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(15rem, 100%), 1fr));
  gap: 1rem; }
figure { margin: 0; break-inside: avoid; }
figcaption { font-size: .9rem; }
img, svg { width: 100%; height: auto; image-rendering: pixelated; display: block; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1rem; padding: 0;
  list-style: none; font-size: .9rem; }
.legend i { display: inline-block; width: 1em; height: 1em; margin-right: .35em;
  border: 1px solid #8889; }
"""
HTML = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


def page(
    image: np.ndarray,
    name: str,
    spec: ModelSpec,
    stages: Sequence[Stage],
    kernels: dict[str, tuple[int, np.ndarray | None]],
) -> str:
    """The page.

    Args:
        image: uint8 RGB (H, W, 3), as the net took it.
        name: of the photograph.
        spec: of the net.
        stages: see `explain.explain`.
        kernels: see `explain.kernels`.
    """
    values = [each["value"] for each in serving.shares(stages[-1].labels, spec.classes)][:SHOWN]
    knows = f" {escape(spec.knows)}" if spec.knows else ""
    parts = [
        f"<h1>{escape(name)}, seen by {spec.variant}</h1><p>{image.shape[1]} x {image.shape[0]} "
        f"pixels.{knows}</p>",
        _legend(stages, spec),
        _scores(stages[0], image, values, spec),
        _strides(stages, image, spec),
        _upsampling(stages, values[0], spec, kernels),
        _crops(stages, image),
    ]
    return HTML.format(
        title=f"{escape(name)}, seen by {spec.variant}", style=STYLE, body="\n".join(parts)
    )


def reduced(image: np.ndarray) -> np.ndarray:
    """A photograph, uint8 (H, W, 3), with a longer side of at most `SIDE` pixels."""
    picture = Image.fromarray(image)
    picture.thumbnail((SIDE, SIDE))
    return np.asarray(picture)


def _legend(stages: Sequence[Stage], spec: ModelSpec) -> str:
    shown = visualize.painted([stage.labels for stage in stages], spec.classes)
    table = palette()
    spots = [
        f'<li><i style="background: #{bytes(table[v]).hex()}"></i>{escape(spec.classes[v])}</li>'
        for v in shown
    ]
    return f'<ul class="legend">{"".join(spots)}</ul>'


def _scores(stage: Stage, image: np.ndarray, values: Sequence[int], spec: ModelSpec) -> str:
    rows, columns = stage.scores.shape[:2]
    figures = [_figure(_url(Image.fromarray(image)), "The photograph", "The photograph.")]
    for value in values:
        scores = stage.scores[..., value]
        text = (
            f"{escape(spec.classes[value])}: scores from {scores.min():.1f} (light) to "
            f"{scores.max():.1f} (dark)."
        )
        figures.append(
            _figure(
                _heat(scores, image.shape[:2]), f"Scores of {escape(spec.classes[value])}", text
            )
        )
    return (
        "<h2>The classifier as a net</h2><p>A classifier says one thing of a whole picture. Its "
        f"last layers as convolutions say it at {columns} x {rows} places at once, one every "
        f"{stage.stride} pixels: the layer <code>{stage.layer}</code>. A cell is what the "
        "classifier would say of the window around it.</p>"
        f'<div class="row">{"".join(figures)}</div>'
    )


def _strides(stages: Sequence[Stage], image: np.ndarray, spec: ModelSpec) -> str:
    figures, before = [], None
    for stage in stages:
        over = Image.fromarray(visualize.overlay(image, stage.labels, spec.classes))
        text = f"Stride {stage.stride}, from <code>{stage.layer}</code>"
        figures.append(_figure(_url(over), f"Classes at stride {stage.stride}", f"{text}."))
        if before is not None and stage.skip is not None:
            changed = stage.labels != before
            lit = np.where(changed[..., None], image, (image // 4 + 150).astype(np.uint8))
            strength, base = np.abs(stage.skip).mean(), np.abs(stage.scores - stage.skip).mean()
            text = (
                f"What the skip to stride {stage.stride} changes: {changed.mean():.1%} of the "
                f"pixels; the others are pale. Its scores are {strength:.2f} strong on average, "
                f"those that it is added to {base:.2f}."
            )
            figures.append(
                _figure(
                    _url(Image.fromarray(lit)), f"Pixels that change at stride {stage.stride}", text
                )
            )
        before = stage.labels
    return (
        "<h2>What each skip adds</h2><p>The same run of the same net, answered from each of its "
        "score maps: the coarse ones know what, the fine ones where. The last is the net's "
        f'answer.</p><div class="row">{"".join(figures)}</div>'
    )


def _upsampling(
    stages: Sequence[Stage],
    value: int,
    spec: ModelSpec,
    kernels: dict[str, tuple[int, np.ndarray | None]],
) -> str:
    figures = []
    for layer, (factor, learned) in kernels.items():
        fixed = bilinear_kernel(factor)
        text = (
            f"<code>{layer}</code>: bilinear, {2 * factor} x {2 * factor}, for a factor of {factor}"
        )
        figures.append(_figure(_heat(fixed, (160, 160)), f"Bilinear kernel of {layer}", f"{text}."))
        if learned is not None:
            text = (
                f"<code>{layer}</code> as learned; it differs by "
                f"{np.abs(learned - fixed).max():.4f} at most."
            )
            figures.append(_figure(_heat(learned, (160, 160)), f"Learned kernel of {layer}", text))
    scores, name = stages[-1].scores[..., value], escape(spec.classes[value])
    rows, columns = scores.shape
    large = np.asarray(
        Image.fromarray(scores).resize((columns * 4, rows * 4), Image.Resampling.BILINEAR)
    )
    both = {
        f"{name} before: {columns} x {rows} cells": scores,
        f"{name} after, in part: 4 x 4 for each cell": large,
    }
    figures += [_figure(_heat(each, large.shape), text, f"{text}.") for text, each in both.items()]
    return (
        "<h2>The bilinear kernel</h2><p>A cell becomes many pixels: every pixel takes from its "
        "nearest cells, the more, the nearer. Dark is much.</p>"
        f'<div class="row">{"".join(figures)}</div>'
    )


def _crops(stages: Sequence[Stage], image: np.ndarray) -> str:
    figures = []
    for stage in stages:
        (rows, columns), (height, width) = stage.upsampled, image.shape[:2]
        svg = (
            f'<svg viewBox="-4 -4 {columns + 8} {rows + 8}" role="img" aria-label="Crop at stride '
            f'{stage.stride}"><rect width="{columns}" height="{rows}" fill="#8883" '
            f'stroke="currentColor" stroke-width="3"/><rect x="{stage.offset}" y="{stage.offset}" '
            f'width="{width}" height="{height}" fill="#4682d255" stroke="currentColor" '
            'stroke-width="3" stroke-dasharray="12 8"/></svg>'
        )
        text = (
            f"Stride {stage.stride}: {columns} x {rows} pixels come out of the upsampling; the "
            f"window of {width} x {height} begins at ({stage.offset}, {stage.offset})."
        )
        figures.append(f"<figure>{svg}<figcaption>{text}</figcaption></figure>")
    return (
        "<h2>Where the crop takes its window from</h2><p>The enlarged scores are larger than the "
        "photograph. The crop takes (dashed) the part whose pixels lie on the photograph's; the "
        "offsets follow from kernels, strides and padding.</p>"
        f'<div class="row">{"".join(figures)}</div>'
    )


def _figure(url: str, alt: str, text: str) -> str:
    return f'<figure><img src="{url}" alt="{alt}"><figcaption>{text}</figcaption></figure>'


def _heat(values: np.ndarray, size: tuple[int, ...]) -> str:
    """Numbers (h, w) as a picture of about a size (H, W), a square for each: the larger, the
    darker.
    """
    low, high = float(values.min()), float(values.max())
    share = ((values - low) / (high - low or 1.0))[..., None]
    colours = np.rint((1 - share) * [247, 251, 255] + share * [8, 48, 107]).astype(np.uint8)
    return _url(Image.fromarray(colours).resize((size[1], size[0]), Image.Resampling.NEAREST))


def _url(picture: Image.Image) -> str:
    return f"data:image/png;base64,{base64.b64encode(serving.png(picture)).decode()}"
