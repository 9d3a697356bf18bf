"""Which reader a file needs, by its first bytes; a name or a suffix says nothing."""

import os
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fcn.errors import UserError
from fcn.io import BROKEN, sniff
from fcn.weights import caffe, keras_h5, matconvnet, npy, npz


@dataclass(frozen=True)
class Found:
    """A classifier as its file stores it.

    Attributes:
        container: what kind of file it is.
        layers: the authors' layer names -> (kernel, bias); see `axes`.
        axes: "OIHW" (matrices O x C*H*W, as Caffe flattens) or "HWIO" (matrices H*W*C x O).
        channels: what its container says that the first layer takes, "bgr" or "rgb".
    """

    container: str
    layers: Mapping[str, Sequence[np.ndarray]]
    axes: str
    channels: str


def _of(
    container: str, axes: str, read: Callable[[Path], Mapping[str, Sequence[np.ndarray]]]
) -> Callable[[Path], Found]:
    return lambda path: Found(container, read(path), axes, "bgr")


def _matconvnet(path: Path) -> Found:
    layers, channels = matconvnet.read(path)
    return Found("MatConvNet .mat", layers, "HWIO", channels)


def _zip(path: Path) -> Found:
    """A zip archive by its members: Keras' `.keras`, the project's .npz, or what PyTorch writes,
    which is refused.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except BROKEN:
        names = []  # the reader of .npz says what is wrong
    if "model.weights.h5" in names:
        return Found("Keras .keras", keras_h5.read_archive(path), "HWIO", "bgr")
    if any(name.endswith("/data.pkl") for name in names):
        return _other_training("PyTorch")(path)
    return Found("the project's .npz", npz.read(path), "HWIO", "bgr")


def _other_training(container: str) -> Callable[[Path], Found]:
    """Refuses without reading it what holds other weights, whatever the network's name."""

    def refuse(path: Path) -> Found:
        raise UserError(
            f"{path}: this is a file of {container}. The VGGs that are published in it "
            "(torchvision's) come from another training, for RGB images in 0..1; the recipes here "
            "start from the authors' training, for BGR in 0..255. Take one of these files: "
            f"{_WANTED}. Nothing in the file was run"
        )

    return refuse


_TORCH_BEFORE_1_6 = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""A pickle of the number 0x1950a86a20f9469cfc6c; since 1.6 PyTorch writes zip archives."""

# First bytes -> reader. A caffemodel has no mark of its own: it begins with a field of its message,
# the name (1), the layers (2) or the layer (100); a solverstate, which the reader refuses by name,
# with its number of iterations.
_READERS: dict[tuple[bytes, ...], Callable[[Path], Found]] = {
    (b"\x93NUMPY",): _of("caffe-tensorflow .npy", "HWIO", npy.read),
    (b"MATLAB 5.0",): _matconvnet,
    (b"\x89HDF\r\n\x1a\n",): _of("Keras .h5", "HWIO", keras_h5.read),
    (b"PK\x03\x04",): _zip,
    (_TORCH_BEFORE_1_6,): _other_training("PyTorch"),
    (b"\x0a", b"\x12", b"\xa2\x06", b"\x08"): _of("Caffe .caffemodel", "OIHW", caffe.read),
}
_WANTED = (
    ".caffemodel, .npy of caffe-tensorflow, .mat of MatConvNet, .h5 or .keras of Keras, or "
    ".npz of this project"
)


def read(path: str | os.PathLike[str]) -> Found:
    """Read a classifier's weights from any of the containers above.

    Raises UserError, naming the file and what it is, if it is missing, something else, truncated or
    damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(
            f"{path}: wanted a classifier's weights ({_WANTED}), but there is no such file"
        )
    with open(path, "rb") as file:
        head = file.read(16)
    reader = next((reader for firsts, reader in _READERS.items() if head.startswith(firsts)), None)
    if head[8:10] == b'{"':  # the length of a header in JSON, then the header
        reader = _other_training("safetensors")
    if reader is None:
        size = path.stat().st_size
        raise UserError(
            f"{path}: wanted a classifier's weights ({_WANTED}), but the file ({size} "
            f"bytes) is {sniff(path)}"
        )
    return reader(path)
