"""Draws where the crops of FCN-8s come from: every map of the net on one line of pixels.

    python -m docs.images.crops

The positions are worked out here layer by layer, and must give the offsets of `fcn.spec`.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from fcn.spec import BACKBONES, VARIANTS

OUT = Path(__file__).parent / "crops.svg"
SIDE = 160
"""Pixels of the image that is drawn."""
WIDTH, LANE, LEFT, TOP = 960, 52, 200, 30
GREY, BLUE, LIGHT = "#9a9a9a", "#1f6fb2", "#cfe3f4"


@dataclass(frozen=True)
class Line:
    """One side of a map: its cells lie on pixels `first`, `first + stride`, ... of the image."""

    first: float
    stride: int
    cells: int

    def convolved(self, side: int, border: int = 0) -> "Line":
        """After a convolution without padding but `border` cells of zeros at either end."""
        shift = ((side - 1) / 2 - border) * self.stride
        return replace(self, first=self.first + shift, cells=self.cells + 2 * border - side + 1)

    def pooled(self) -> "Line":
        """After a pooling of 2 by 2, a last cell of one row included."""
        return Line(self.first + self.stride / 2, 2 * self.stride, -(-self.cells // 2))

    def upsampled(self, factor: int) -> "Line":
        """After a transposed convolution with a kernel of twice the factor, without padding."""
        stride = self.stride // factor
        return Line(self.first - (factor - 0.5) * stride, stride, factor * (self.cells + 1))

    def offset(self, other: "Line") -> int:
        """Which cell of this line lies on the first of the other one."""
        cells = (other.first - self.first) / self.stride
        assert cells == int(cells), "they would never meet"
        return int(cells)


def lines(side: int = SIDE) -> list[tuple[str, Line, int]]:
    """The maps of FCN-8s as (name, line, offset of the crop), in the order of the net."""
    net, pad = BACKBONES["vgg16"], BACKBONES["vgg16"].paddings["caffe"]
    image = here = Line(0.0, 1, side)
    pools = {}
    for number, block in enumerate(net.blocks, 1):
        for _ in block:
            first = here is image
            here = here.convolved(net.side, pad.border if first else net.side // 2)
        pools[f"pool{number}"] = here = here.pooled()
    for dense in net.dense:
        here = here.convolved(dense.side)
    found = [("image", image, 0), ("score_fr", here, 0)]
    *inner, (last, factor) = VARIANTS["fcn8s"].upsamplings()
    for pool, (name, doubled) in zip(VARIANTS["fcn8s"].skips, inner, strict=True):
        here = here.upsampled(doubled)
        offset = pools[pool].offset(here)
        assert offset == pad.skip_offset[pool]
        found += [(name, here, 0), (f"score_{pool}", pools[pool], offset)]
    here = here.upsampled(factor)
    assert here.offset(image) == pad.score_offset[factor]
    return [*found, (last, here, here.offset(image))]


def svg() -> str:
    """The picture: a lane for each map, a dot for each cell, the crop's window shaded."""
    lanes = lines()
    low = min(line.first for _, line, _ in lanes) - 12
    high = max(line.first + line.stride * (line.cells - 1) for _, line, _ in lanes) + 12
    scale = (WIDTH - LEFT - 10) / (high - low)

    def x(pixel: float) -> float:
        return round(LEFT + (pixel - low) * scale, 1)

    height = TOP + LANE * len(lanes) + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        'font-family="sans-serif" font-size="13">',
        "<title>The maps of FCN-8s on one line of pixels, and what each crop leaves out</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        f'<rect x="{x(-0.5)}" y="8" width="{x(SIDE - 0.5) - x(-0.5):.1f}" height="{height - 28}" '
        f'fill="{LIGHT}"/>',
        f'<text x="{x(0)}" y="{height - 6}">image pixel 0</text>',
        f'<text x="{x(SIDE)}" y="{height - 6}" text-anchor="end">{SIDE - 1}</text>',
    ]
    before: Line | None = None
    for number, (name, line, offset) in enumerate(lanes):
        y = TOP + LANE * number
        parts += [
            f'<text x="4" y="{y + 4}" font-weight="bold">{name}</text>',
            f'<text x="4" y="{y + 20}" fill="#444">{_formula(line)}</text>',
        ]
        kept = range(offset, offset + (lanes[0][1] if line.stride == 1 else before or line).cells)
        if line.stride == 1:
            for cells, colour in ((range(line.cells), GREY), (kept, BLUE)):
                wide = x(line.first + cells.stop - 0.5) - x(line.first + cells.start - 0.5)
                parts.append(
                    f'<rect x="{x(line.first + cells.start - 0.5)}" y="{y - 5}" '
                    f'width="{wide:.1f}" height="10" fill="{colour}"/>'
                )
        else:
            for cell in range(line.cells):
                inside = not name.startswith("score_pool") or cell in kept
                parts.append(
                    f'<circle cx="{x(line.first + cell * line.stride)}" cy="{y}" '
                    f'r="{min(6, 1.5 + line.stride / 8)}" fill="{BLUE if inside else GREY}"/>'
                )
        if offset:
            end = x(line.first + offset * line.stride)
            parts.append(
                f'<path d="M{x(line.first)} {y + 14}H{end}" stroke="black" fill="none"/>'
                f'<text x="{(x(line.first) + end) / 2:.1f}" y="{y + 28}" '
                f'text-anchor="middle">crop {offset}</text>'
            )
        before = line
    return "\n".join([*parts, "</svg>", ""])


def _formula(line: Line) -> str:
    """Where cell n lies, in pixels of the image."""
    if line.first == 0:
        return "cell n on pixel n"
    times = "" if line.stride == 1 else f"{line.stride}"
    return f"cell n on {times}n {'+' if line.first > 0 else '-'} {abs(line.first):g}"


if __name__ == "__main__":
    OUT.write_text(svg(), encoding="utf-8")
    print(OUT)
