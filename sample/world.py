"""The sample world: small scenes of cut-out shapes on a cluttered ground, in the format of PASCAL
VOC.

The hue hints at the class, as it does in nature; texture and shade do not. What makes up the
outlines (holes, points, teeth, bits) is 8 to 16 pixels wide: finer than the stride of FCN-32s.
Every number comes from one PCG64 stream per image and every picture from Pillow's integer
arithmetic, so the same versions give the same bytes.
"""

import gzip
import io
import math
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from fcn.io.files import replacing_file
from fcn.pixels.labels import to_image
from fcn.spec.colours import VOID

CLASSES = ("background", "ring", "star", "cross", "moon", "comb", "key")
YEAR = "World"
SPLITS = {"train": 320, "val": 48}
SEED = 2015
DIAMETER = (60.0, 96.0)  # pixels

_OVER = 4  # supersampling of the outlines
_POINT = tuple[float, float]


def generator(*key: int) -> np.random.Generator:
    """The stream of one image: a PCG64 generator that depends on the integers `key` (seed, split,
    number) alone.
    """
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(list(key))))


def _circle(x: float, y: float, r: float, aspect: float = 1.0, steps: int = 64) -> list[_POINT]:
    turns = [2 * math.pi * k / steps for k in range(steps)]
    return [(x + r * math.cos(t), y + aspect * r * math.sin(t)) for t in turns]


def _box(x0: float, y0: float, x1: float, y1: float) -> list[_POINT]:
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]


def _star(points: int, inner: float) -> list[_POINT]:
    corners = [(math.pi * k / points, 1.0 if k % 2 == 0 else inner) for k in range(2 * points)]
    return [(r * math.sin(t), r * math.cos(t)) for t, r in corners]


def outline(name: str, rng: np.random.Generator) -> list[tuple[int, list[_POINT]]]:
    """The parts of one object of class `name`, about a circle of radius 1: polygons, in order, to
    add (1) or cut out (0).
    """
    u = rng.uniform
    if name == "ring":
        aspect = u(0.82, 1.0)
        return [(1, _circle(0, 0, 1.0, aspect)), (0, _circle(0, 0, u(0.48, 0.6), aspect))]
    if name == "star":
        return [(1, _star(int(rng.integers(5, 7)), u(0.4, 0.5)))]
    if name == "cross":
        half = u(0.2, 0.27)
        return [(1, _box(-1, -half, 1, half)), (1, _box(-half, -1, half, 1))]
    if name == "moon":
        return [(1, _circle(0, 0, 1.0)), (0, _circle(u(0.42, 0.56), 0, u(0.78, 0.86)))]
    if name == "comb":
        teeth = int(rng.integers(3, 5))
        height, pitch = u(0.55, 0.7), 2.0 / (2 * teeth - 1)
        parts = [(1, _box(-1, -height, 1, -height + u(0.32, 0.42)))]
        return parts + [
            (1, _box(-1 + 2 * k * pitch, -height, -1 + (2 * k + 1) * pitch, height))
            for k in range(teeth)
        ]
    if name == "key":
        bow, half, bit = u(0.46, 0.52), u(0.13, 0.16), u(0.4, 0.48)
        parts = [
            (1, _circle(-1 + bow, 0, bow)),
            (1, _box(-0.4, -half, 1, half)),
            (1, _box(0.76, 0, 1, bit)),
        ]
        return [*parts, (1, _box(0.36, 0, 0.58, bit)), (0, _circle(-1 + bow, 0, bow * 0.5))]
    raise ValueError(f"no outline for class {name!r}; known: {', '.join(CLASSES[1:])}")


def stamp(
    name: str, size: tuple[int, int], centre: _POINT, diameter: float, rng: np.random.Generator
) -> Image.Image:
    """The coverage (mode L, 0 to 255) of one object, tilted by up to 20 degrees, in an image of
    `size` (width, height).
    """
    angle, squeeze = rng.uniform(-0.35, 0.35), rng.uniform(0.88, 1.0)
    cos, sin, half = math.cos(angle), math.sin(angle), diameter / 2 * _OVER
    mask = Image.new("L", (size[0] * _OVER, size[1] * _OVER))
    pen = ImageDraw.Draw(mask)
    for add, points in outline(name, rng):
        placed = [(x * half, y * half * squeeze) for x, y in points]
        # Whole sub-pixels: the last bit of a sine must not decide about a pixel.
        corners = [
            (
                round(centre[0] * _OVER + x * cos - y * sin),
                round(centre[1] * _OVER + x * sin + y * cos),
            )
            for x, y in placed
        ]
        pen.polygon(corners, fill=255 * add)
    return mask.reduce(_OVER)


def _colour(
    rng: np.random.Generator,
    saturation: tuple[int, int],
    value: tuple[int, int],
    hue: int | None = None,
) -> tuple[int, int, int]:
    """A random colour, near `hue` (0 to 255) if it is given."""
    hues = (0, 256) if hue is None else (hue - 24, hue + 25)
    hsv = (
        int(rng.integers(*hues)) % 256,
        int(rng.integers(*saturation)),
        int(rng.integers(*value)),
    )
    return Image.new("HSV", (1, 1), hsv).convert("RGB").getpixel((0, 0))  # type: ignore[return-value]


def _field(
    rng: np.random.Generator, size: tuple[int, int], cells: int, low: int, high: int
) -> Image.Image:
    """A smooth random picture (mode L): `cells` x `cells` random values, interpolated."""
    grid = rng.integers(low, high, (cells, cells), dtype=np.uint8)
    return Image.fromarray(grid).resize(size, Image.Resampling.BICUBIC)


def _texture(
    rng: np.random.Generator, size: tuple[int, int], first: tuple[int, ...], second: tuple[int, ...]
) -> Image.Image:
    """Plain, striped, dotted or cloudy: two colours mixed by a random pattern."""
    kind, (width, height) = int(rng.integers(4)), size
    if kind == 0:
        mix = _field(rng, size, 2, 0, 90)
    elif kind == 3:
        mix = _field(rng, size, 6, 0, 256)
    else:
        mix = Image.new("L", size)
        pen, pitch, slant = (
            ImageDraw.Draw(mix),
            int(rng.integers(7, 14)),
            int(rng.integers(-height, height)),
        )
        if kind == 1:
            for x in range(-2 * height, width + 2 * height, pitch):
                pen.line((x, 0, x + slant, height), fill=190, width=max(2, pitch // 3))
        else:
            for row, y in enumerate(range(0, height, pitch)):
                for x in range((row % 2) * pitch // 2, width, pitch):
                    pen.ellipse((x, y, x + pitch // 3, y + pitch // 3), fill=200)
    return Image.composite(Image.new("RGB", size, second), Image.new("RGB", size, first), mix)


def ground(size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """A cluttered background (RGB): soft colours, blots, and strokes, discs and scraps that are no
    objects.
    """
    channels = [_field(rng, size, int(rng.integers(2, 5)), 70, 215) for _ in range(3)]
    grey = channels[0]
    picture = Image.merge("RGB", [Image.blend(grey, channel, 0.45) for channel in channels])
    picture = Image.blend(picture, Image.new("RGB", size, _colour(rng, (40, 140), (110, 240))), 0.4)
    area, pen = size[0] * size[1], ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(2, 5)) + area // 4000):
        x, y, r = int(rng.integers(size[0])), int(rng.integers(size[1])), int(rng.integers(3, 14))
        colour, kind = _colour(rng, (30, 190), (80, 250)), int(rng.integers(4))
        if kind == 0:
            pen.ellipse((x - r, y - r, x + r, y + r), fill=colour)
        elif kind == 1:
            corners = rng.integers(-2 * r, 2 * r + 1, (3, 2))
            pen.polygon([(x + int(a), y + int(b)) for a, b in corners], fill=colour)
        else:
            dx, dy = (int(v) for v in rng.integers(-60, 61, 2))
            pen.line((x, y, x + dx, y + dy), fill=colour, width=int(rng.integers(1, 5)))
    return picture.filter(ImageFilter.GaussianBlur(1))


def put(picture: Image.Image, mask: Image.Image, hue: int, rng: np.random.Generator) -> Image.Image:
    """`picture` (RGB) with an object on it: a soft shadow, then the texture, lit from the top left,
    where `mask` (L) covers.

    `hue` (0 to 255) is that of its main colour, give or take 24; its second colour is any.
    """
    first, second = _colour(rng, (90, 256), (90, 256), hue), _colour(rng, (20, 256), (90, 256))
    shadow = (
        ImageChops.offset(mask, 2, 3)
        .filter(ImageFilter.GaussianBlur(2))
        .point(lambda v: v * 2 // 5)
    )
    picture = Image.composite(Image.new("RGB", picture.size, (20, 20, 30)), picture, shadow)
    face = _texture(rng, picture.size, first, second)
    inside = mask.filter(ImageFilter.MinFilter(3))
    light = ImageChops.subtract(mask, ImageChops.offset(inside, 1, 1)).point(lambda v: v // 3)
    dark = ImageChops.subtract(mask, ImageChops.offset(inside, -1, -1)).point(lambda v: v // 3)
    face = Image.composite(Image.new("RGB", picture.size, (255, 255, 255)), face, light)
    face = Image.composite(Image.new("RGB", picture.size, (0, 0, 0)), face, dark)
    return Image.composite(face, picture, mask)


def grain(picture: Image.Image, rng: np.random.Generator, amount: int = 5) -> Image.Image:
    """`picture` with noise of up to `amount` grey levels added to each pixel (the same in the three
    channels).
    """
    noise = rng.integers(-amount, amount + 1, (picture.height, picture.width, 1))
    return Image.fromarray(np.clip(np.asarray(picture, np.int64) + noise, 0, 255).astype(np.uint8))


class Canvas:
    """A picture in the making: objects go on top of each other, each within rules about how much
    may be hidden.
    """

    def __init__(self, size: tuple[int, int], rng: np.random.Generator) -> None:
        """An empty cluttered ground of `size` (width, height); `rng` also decides about the
        objects.
        """
        self.size, self.rng, self.picture = size, rng, ground(size, rng)
        self.instances, self.classes = np.zeros((size[1], size[0]), np.uint8), [0]

    def add(self, centre: _POINT | None = None, hide: float = 0.0) -> None:
        """Add an object of a random class at `centre`, or at a random place; none if 20 places do
        not do.

        It hides at most the share `hide` of any object below it. Its middle stays off the picture's
        rim.
        """
        rng, (width, height) = self.rng, self.size
        for _attempt in range(20):
            cls, diameter = int(rng.integers(1, len(CLASSES))), rng.uniform(*DIAMETER)
            place = centre or (rng.uniform(0.2, 0.8) * width, rng.uniform(0.2, 0.8) * height)
            mask = stamp(CLASSES[cls], self.size, place, diameter, rng)
            solid = np.asarray(mask) >= 128
            before = np.bincount(self.instances.ravel(), minlength=len(self.classes))
            after = np.bincount(self.instances[~solid].ravel(), minlength=len(self.classes))
            if not (after[1:] < (1 - hide) * before[1:]).any():
                self.picture = put(self.picture, mask, cls * 256 // (len(CLASSES) - 1), rng)
                self.instances[solid] = len(self.classes)
                self.classes.append(cls)
                return

    def label(self) -> Image.Image:
        """Class indices as a palette image, 255 where two regions meet (one
        pixel on either side).
        """
        edge = Image.fromarray(self.instances)
        border = np.asarray(edge.filter(ImageFilter.MaxFilter(3))) != np.asarray(
            edge.filter(ImageFilter.MinFilter(3))
        )
        return to_image(np.where(border, VOID, np.asarray(self.classes, np.uint8)[self.instances]))


def scene(rng: np.random.Generator) -> tuple[Image.Image, Image.Image]:
    """One pair: a picture (RGB, sides of 104 to 160 px) of 1 to 3 objects, and its label (palette;
    class index, 255 = void).
    """
    long, short = int(rng.integers(120, 161)), int(rng.integers(104, 129))
    canvas = Canvas((long, short) if rng.random() < 0.5 else (short, long), rng)
    for _ in range(int(rng.integers(1, 4))):
        canvas.add(hide=0.12)
    return grain(canvas.picture, rng), canvas.label()


def view(rng: np.random.Generator, side: int) -> tuple[np.ndarray, int]:
    """One example for the classifier: a picture (`side`, `side`, 3; uint8 RGB) and the class of
    what is in its middle.

    One object, alone, within 24 px of the centre or, in one of seven, none (class 0).
    """
    canvas, half = Canvas((side, side), rng), side // 2
    if rng.random() >= 1 / 7:
        canvas.add((half + rng.uniform(-24, 24), half + rng.uniform(-24, 24)))
    return np.asarray(grain(canvas.picture, rng)), canvas.classes[-1]


def write_tar(target: Path, seed: int = SEED, splits: dict[str, int] = SPLITS) -> None:
    """Write the world as a tar laid out like VOC (`VOCdevkit/World/...`), owners, dates and order
    fixed.
    """
    root, lists, files = f"VOCdevkit/{YEAR}", {}, {}
    for number, (split, count) in enumerate(splits.items()):
        lists[split] = [f"{split}_{i:04d}" for i in range(count)]
        for i, name in enumerate(lists[split]):
            picture, label = scene(generator(seed, number, i))
            image, index = io.BytesIO(), io.BytesIO()
            picture.save(image, "JPEG", quality=80, subsampling=2, optimize=True)
            label.save(index, "PNG", optimize=True)
            files[f"{root}/JPEGImages/{name}.jpg"] = image.getvalue()
            files[f"{root}/SegmentationClass/{name}.png"] = index.getvalue()
    lists["trainval"] = [name for split in splits for name in lists[split]]
    for split, names in lists.items():
        files[f"{root}/ImageSets/Segmentation/{split}.txt"] = "".join(
            f"{name}\n" for name in names
        ).encode()
    # Compressed, since half of a tar of such small files is headers, padding and the same palette
    # again and again.
    with (
        replacing_file(target) as part,
        part.open("wb") as file,
        gzip.GzipFile("", "wb", compresslevel=9, fileobj=file, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name in sorted(files):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(files[name]), 0o644
            archive.addfile(member, io.BytesIO(files[name]))
