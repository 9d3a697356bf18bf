"""A VGG of Keras applications, with or without its fully connected layers, in any form that Keras
has stored one.

* HDF5 with the layers' names, of old and new Keras: the published `..._tf_kernels.h5`, its `notop`
  twin, whole models;
* `.weights.h5` of Keras 3, which numbers layers by their kind: conv2d, conv2d_1, ..., dense;
* `.keras`, an archive of such a file and of `config.json`, which says what the layers are. Nothing
  of it is built or run.
"""

import io
import json
import os
import re
import zipfile
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np

from fcn.errors import UserError
from fcn.spec import BACKBONES

_FULLY_CONNECTED = {"fc1": "fc6", "fc2": "fc7", "predictions": "fc8"}
_MOST = 2**30
"""Bytes of an array; the largest, fc6's kernel, has 411 MB. A file can claim any number for the few
that it holds.
"""
_MOST_WEIGHTS, _MOST_CONFIG = 2**30, 2**22
"""Bytes of an archive's members; VGG-19's weights have 575 MB, its configuration 0.02 MB."""
_CONVOLUTION = re.compile(r"block(\d)_conv(\d)")
_NUMBERED = re.compile(r"layers/(conv2d|dense)(?:_(\d+))?/vars/\d")
_CLASSES = {
    "InputLayer",
    "Conv2D",
    "MaxPooling2D",
    "GlobalAveragePooling2D",
    "GlobalMaxPooling2D",
    "Flatten",
    "Dense",
    "Dropout",
}
"""What Keras applications make a VGG of."""

Layers = dict[str, tuple[np.ndarray, ...]]


def read(path: str | os.PathLike[str]) -> Layers:
    """Read the layers of a VGG of Keras applications, by the paper's names: block1_conv1 is
    conv1_1, fc1 is fc6.

    A layer's arrays are found below the group of its name, whatever they are called there:
    `block1_conv1_W_1:0` (2016), `block1_conv1/kernel:0` (Keras 2) or `vars/0` (Keras 3), also below
    `model_weights`.

    Returns layer name -> (kernel, bias) as stored: kernels H x W x I x O, matrices I x O; conv1_1
    takes BGR.

    Raises UserError if it is no such file, truncated, or refers to other files.
    """
    return _read(path, Path(path))


def read_archive(path: str | os.PathLike[str]) -> Layers:
    """The same of a `.keras` archive.

    Raises UserError also for a layer that Keras' own VGGs do not have, such as one of somebody's
    own making.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            config = json.loads(_member(archive, "config.json", _MOST_CONFIG, path))
            _check_classes(config, path)
            return _read(
                io.BytesIO(_member(archive, "model.weights.h5", _MOST_WEIGHTS, path)), path
            )
    except (
        OSError,
        ValueError,
        KeyError,
        RecursionError,
        zipfile.BadZipFile,
        NotImplementedError,
    ) as error:
        raise UserError(
            f"{path}: wanted a model of Keras, but the archive is truncated or damaged: {error}"
        ) from error


def _member(archive: zipfile.ZipFile, name: str, most: int, path: Path) -> bytes:
    size = archive.getinfo(name).file_size
    if size > most:
        raise UserError(f"{path}: {name}: {size} bytes, at most {most} are expected of a VGG")
    return archive.read(name)


def _check_classes(config: Any, path: Path) -> None:
    layers = (
        config["config"]["layers"]
        if isinstance(config, dict) and isinstance(config.get("config"), dict)
        else None
    )
    if not isinstance(layers, list) or not all(isinstance(layer, dict) for layer in layers):
        raise UserError(f"{path}: config.json: wanted the layers of a model of Keras")
    for layer in layers:
        kind, module = layer.get("class_name"), layer.get("module")
        if kind not in _CLASSES or module != "keras.layers":
            raise UserError(
                f"{path}: wanted a VGG of Keras applications, but this model has a layer "
                f"{module}.{kind}, which these do not have. Nothing of the archive was run"
            )


def _read(source: str | os.PathLike[str] | IO[bytes], path: Path) -> Layers:
    found: dict[str, list[np.ndarray]] = {}
    numbered: dict[tuple[str, int], list[np.ndarray]] = {}

    def visit(name: str, node: h5py.Dataset | h5py.Group) -> None:
        parts = name.split("/")
        layer = next(filter(None, map(_paper_name, parts)), None)
        number = _NUMBERED.fullmatch(name)
        if isinstance(node, h5py.Dataset) and (layer or number) and parts[0] != "optimizer_weights":
            if node.external or node.is_virtual:  # HDF5 would open the other file, whichever it is
                raise UserError(
                    f"{path}: {name}: wanted the weights themselves, but they are said "
                    "to lie in another file"
                )
            if node.nbytes > _MOST:
                raise UserError(
                    f"{path}: {name}: {node.nbytes} bytes, at most {_MOST} are "
                    "expected of an array of VGG's"
                )
            if layer:
                found.setdefault(layer, []).append(node[()])
            elif number:
                numbered.setdefault((number[1], int(number[2] or 0)), []).append(node[()])

    try:
        with h5py.File(source, "r") as file:
            file.visititems(visit)  # follows no link to another file
            names = list(file)
    except (OSError, RuntimeError, ValueError, TypeError, KeyError, MemoryError) as error:
        raise UserError(
            f"{path}: wanted Keras' VGG weights, but the file is truncated or damaged: {error}"
        ) from error
    found = found or _by_number(numbered)
    if not found:
        raise UserError(
            f"{path}: wanted the layers block1_conv1 ... predictions of Keras applications, but "
            f"this HDF5 file holds {', '.join(names[:10]) or 'nothing'}: it is another network, or "
            "not one of Keras"
        )
    # The kernel is the one with more axes.
    return {
        name: tuple(sorted(arrays, key=np.ndim, reverse=True)) for name, arrays in found.items()
    }


def _by_number(numbered: dict[tuple[str, int], list[np.ndarray]]) -> dict[str, list[np.ndarray]]:
    """The layers of the VGG that has so many convolutions, in their order; none if there is no such
    VGG.
    """
    convolutions, dense = (
        [key for key in sorted(numbered) if key[0] == kind] for kind in ("conv2d", "dense")
    )
    for net in BACKBONES.values():
        names = net.convolutions()
        if (
            net.input == "bgr"
            and len(convolutions) == len(names)
            and len(dense) <= len(_FULLY_CONNECTED)
        ):
            pairs = zip((*convolutions, *dense), (*names, *_FULLY_CONNECTED.values()), strict=False)
            return {name: numbered[key] for key, name in pairs}
    return {}


def _paper_name(part: str) -> str | None:
    match = _CONVOLUTION.fullmatch(part)
    return f"conv{match[1]}_{match[2]}" if match else _FULLY_CONNECTED.get(part)
