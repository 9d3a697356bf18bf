"""The encoded examples of a split by their number, read from the disk when they are asked for."""

import os
import weakref
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from fcn.input import records

HEAD, TAIL = 12, 4
"""Bytes before an example in a TFRecord file, its length in 8 and a checksum in 4, and after it,
its own checksum.
"""


class Examples:
    """Random access to the examples of a split, in the order in which they are stored.

    Memory holds 32 bytes of each. The files stay open, so examples can be read although the folder
    is removed or replaced.
    """

    def __init__(self, folder: Path, split: str) -> None:
        """Looks at every byte of the files once: at their digests, and for a checksum of each
        example.

        Args:
            folder: of the records.
            split: name of the split.

        Raises:
            UserError: see `records.shard_paths`.
        """
        self.paths = records.shard_paths(folder, split)
        self.files = [os.open(path, os.O_RDONLY) for path in self.paths]
        weakref.finalize(self, _close, self.files)
        places = [(n, *place) for n, path in enumerate(self.paths) for place in _places(path)]
        self.places = np.array(places, np.int64)

    def __call__(self, number: int) -> bytes:
        """One example.

        Raises:
            ValueError: the file has changed since it was opened.
        """
        file, offset, length, checksum = self.places[number].tolist()
        example = os.pread(self.files[file], length, offset)
        if zlib.crc32(example) != checksum:
            raise ValueError(
                f"{self.paths[file]}: the {length} bytes at {offset} have changed "
                "since the training began"
            )
        return example

    def tensor(self, number: tf.Tensor) -> tf.Tensor:
        """The same in a graph: a scalar string. With anything stateful, TensorFlow would read one
        after the other.
        """
        return tf.ensure_shape(tf.numpy_function(self, [number], tf.string, stateful=False), ())


def _places(path: str) -> Iterator[tuple[int, int, int]]:
    """Offset, length and checksum of every example of a file that is whole."""
    with open(path, "rb") as file:
        while head := file.read(HEAD):
            offset, length = file.tell(), int.from_bytes(head[:8], "little")
            yield offset, length, zlib.crc32(file.read(length))
            file.seek(TAIL, os.SEEK_CUR)


def _close(files: list[int]) -> None:
    for file in files:
        os.close(file)
