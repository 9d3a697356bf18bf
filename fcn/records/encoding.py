"""One pair of files into one example of the records: checked, and stored so that just its pixels
come out again.
"""

import hashlib
import io
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image

from fcn.datasets import Pair
from fcn.doctor import Case, Content, Item, Look, count, findings, near, unclear
from fcn.errors import UserError
from fcn.input import SCHEMA
from fcn.pixels import images, labels


@dataclass(frozen=True)
class Example:
    """An encoded pair and what the index says of it.

    `size` is (height, width); `pixels`, int64 (256,), counts the label values; `sample` is a digest
    of the image's size and of some of its pixels: equal images have equal samples. `thumbnail` is
    that of `fcn.doctor.near`; `content` is what the label holds, for what can be told of all labels
    together only.
    """

    pair: Pair
    data: bytes
    size: tuple[int, int]
    pixels: np.ndarray
    sample: bytes
    thumbnail: np.ndarray
    content: Content


def encode(pair: Pair, classes: int, colours: Sequence[tuple[int, int, int]] = ()) -> Example:
    """Checks one pair and encodes it.

    An upright JPEG in RGB or grey is kept as it came; any other picture is stored as a PNG of the
    same pixels.

    Args:
        pair: the files.
        classes: label values 0..classes-1 and 255 are allowed.
        colours: of the data set, for labels in colours: see `labels.read`.

    Returns:
        The example.

    Raises:
        UserError: the image is unreadable; the label is unreadable, of another size, out of range,
            smoothed, or may not be turned as EXIF turns its image.
    """
    header = images.header(pair.image, images.longest)
    stored, sample, thumbnail = _jpeg(pair.image) if header.plain_jpeg else _as_png(pair.image)
    width, height = header.size
    label = labels.stored(pair.label, pair.draw)
    try:
        truth = labels.classes_of(pair.label, label, classes, header.size, pair.encoding, colours)
    except UserError as error:
        if header.orientation == 1:
            raise
        raise UserError(
            f"{error}. EXIF data turn this image (orientation {header.orientation}); its label "
            "must fit the upright picture"
        ) from error
    content = count(pair.label, label)
    doubt = ""
    if header.orientation != 1:
        doubt = unclear(header, images.read(pair.image), label.pixels)
    look = Look(Item(pair.id, pair.image, pair.label), content=content, doubt=doubt)
    for finding in findings(Case([look]), ("smeared", "turned_unclear")):
        raise UserError(str(finding))
    features = {
        "schema": _integer(SCHEMA), "id": _text(pair.id.encode()), "image": _text(stored),
        "label": _text(_grey_png(truth)),
        "height": _integer(height), "width": _integer(width),
    }  # fmt: skip
    example = tf.train.Example(features=tf.train.Features(feature=features))
    data = example.SerializeToString(deterministic=True)
    return Example(pair, data, (height, width), _counts(truth), sample, thumbnail, content)


def same_picture(first: Pair, second: Pair) -> bool:
    """Whether two images are the same pixel by pixel, in whatever files."""
    return np.array_equal(images.read(first.image), images.read(second.image))


def _jpeg(path: Path) -> tuple[bytes, bytes, np.ndarray]:
    with images.opened(path) as picture:
        picture.load()
        return path.read_bytes(), _sample(picture), near.thumbnail(picture)


def _as_png(path: Path) -> tuple[bytes, bytes, np.ndarray]:
    picture, buffer = Image.fromarray(images.read(path)), io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue(), _sample(picture), near.thumbnail(picture)


def _sample(picture: Image.Image) -> bytes:
    some = picture.resize((32, 32), Image.Resampling.NEAREST).convert("RGB")
    return hashlib.sha256(b"%d x %d " % picture.size + some.tobytes()).digest()


def _integer(value: int) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))


def _text(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def _grey_png(labels: np.ndarray) -> bytes:
    """PNG of uint8 (H, W). Grey, since TensorFlow would expand a palette to RGB when it decodes.

    Pillow would try PNG's filters on every row, which labels gain nothing from and which takes
    longer than all the rest; for the same reason only runs of equal pixels are looked for.
    """
    height, width = labels.shape
    # each row begins with the number of its filter: 0 is none
    rows = np.zeros((height, 1 + width), np.uint8)
    rows[:, 1:] = labels
    packer = zlib.compressobj(strategy=zlib.Z_RLE)
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)  # 8 bits, grey
    chunks = (
        (b"IHDR", header),
        (b"IDAT", packer.compress(rows.data) + packer.flush()),
        (b"IEND", b""),
    )
    framed = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


def _counts(labels: np.ndarray) -> np.ndarray:
    """How often each value occurs, int64 (256,); labels consist of runs, and adding those is faster
    than `np.bincount`.
    """
    flat = labels.reshape(-1)
    ends = np.append(np.flatnonzero(flat[1:] != flat[:-1]) + 1, flat.size)
    return np.bincount(flat[ends - 1], weights=np.diff(ends, prepend=0), minlength=256).astype(
        np.int64
    )
