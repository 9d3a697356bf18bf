"""From a classifier of any container to the project's weights: one axis order, BGR, and no fully
connected layers.

The same mapping as the authors' `surgery.py`: a matrix over a flattened map becomes a convolution
with a kernel as large as that map (Long et al., CVPR 2015, section 3.1), whatever the classifier:
VGG's fc6 over the 7 x 7 cells of pool5, LeNet's ip1 over the 4 x 4 of pool2. fc7, over the 1 x 1 of
fc6, is the same. The last layer, the classes, is dropped.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fcn.errors import UserError
from fcn.spec import BACKBONES
from fcn.weights import account, known

Layers = Mapping[str, Sequence[np.ndarray]]

_TO_HWIO = {"OIHW": (2, 3, 1, 0), "HWIO": (0, 1, 2, 3)}


def convert(
    layers: Layers,
    backbone: str,
    source: str = "the caffemodel",
    axes: str = "OIHW",
    channels: str = "bgr",
) -> tuple[dict[str, np.ndarray], list[dict[str, Any]]]:
    """Convert the layers of a classifier of any width.

    Args:
        layers: layer name -> (kernel, bias). Fully connected layers may be matrices or already
            convolutions. The last one may be missing, and so may all of them together.
        backbone: key of `BACKBONES`.
        source: what to call the file in errors.
        axes: how kernels are stored: "OIHW", matrices then being O x C*H*W as Caffe flattens; or
            "HWIO", with matrices H*W*C x O.
        channels: what the first layer takes, "bgr" or "rgb", as far as the container says. In a
            published VGG, whose values are known, the values decide, about this and about rows and
            columns. A network for grey images has no such order.

    Returns:
        The weights, `<layer>/kernel` (H, W, in, out) and `<layer>/bias` (out,), float32, first
        layer first, for BGR images (or grey ones); and the report: for each array what
        `account.row` says, its `action` being copied, transposed or convolutionalised ("with
        channels flipped", "with rows and columns swapped" where that was needed) or dropped. The
        row of the first kernel has `input_order`, which the file expects ("bgr", "rgb" or "grey"),
        how that is known (`input_order_by`: values, container or network), `published`, the network
        whose published values these are, or None, and `differing`: if the first layer is that of
        the published VGG-16, the other convolutions that are not; `published` is None then.

    Raises UserError for a layer that is missing, unknown, of the wrong shape or not finite.
    """
    net = BACKBONES[backbone]
    _check_names(set(layers), backbone, source)
    weights: dict[str, np.ndarray] = {}
    report: list[dict[str, Any]] = []
    inputs, published = net.channels, None
    order, by = (channels, "container") if net.input == "bgr" else (net.input, "network")
    for name in (name for name in net.layers() if name in layers):
        kernel, bias, action = _checked(layers[name], name, inputs, backbone, source, axes)
        if not report and net.input == "bgr":
            published = known.recognise(kernel, bias)
            if published and published.channels:
                order, by = published.channels, "values"
            if order == "rgb":
                kernel, action = kernel[:, :, ::-1], f"{action} with channels flipped"
        if published and published.columns_first:
            kernel, action = kernel.transpose(1, 0, 2, 3), f"{action} with rows and columns swapped"
        inputs = bias.size
        for array, blob, what in (("kernel", kernel, action), ("bias", bias, "copied")):
            result = np.ascontiguousarray(blob, dtype=np.float32)
            weights[f"{name}/{array}"] = result
            report.append(
                account.row(name, array, layers[name][array == "bias"], result, what, source)
            )
    network = published.network if published else None
    differing = []
    if network == "vgg16":
        differing = known.differing({(row["layer"], row["array"]): row["sha256"] for row in report})
    report[0] |= {
        "input_order": order,
        "input_order_by": by,
        "published": None if differing else network,
        "differing": differing,
    }
    for array, blob in zip(("kernel", "bias"), layers.get(net.dropped, ()), strict=False):
        report.append(account.row(net.dropped, array, blob, None, "dropped", source))
    return weights, report


def _check_names(found: set[str], backbone: str, source: str) -> None:
    """Raise UserError unless the file has exactly the layers of `backbone`.

    The last one may be missing; or the fully connected ones all together, as in what Keras calls
    `notop`.
    """
    net = BACKBONES[backbone]
    wanted = set(net.layers())
    missing, extra = sorted(wanted - found), sorted(found - wanted - {net.dropped})
    if not extra and (
        not missing or (missing == sorted(net.dense_names()) and net.dropped not in found)
    ):
        return
    problems = [f"lacks {', '.join(missing)}"] if missing else []
    problems += [f"has {', '.join(extra)}, unknown to {backbone}"] if extra else []
    others = [
        key
        for key, other in BACKBONES.items()
        if key != backbone
        and found - {other.dropped, *other.dense_names()} == set(other.convolutions())
    ]
    if others:
        advice = f"its layers are those of {others[0]}: set the backbone to {others[0]}"
    elif any(name.startswith(("score", "upscore")) for name in found):
        advice = "it looks like an FCN, not like the classifier that training starts from"
    elif not found & wanted:
        advice = f"it is another network, with the layers {', '.join(sorted(found))}"
    else:
        advice = "it is another network, or not complete: get it again"
    raise UserError(
        f"{source}: wanted the layers of {backbone}, but the file "
        f"{' and '.join(problems)}; {advice}"
    )


def _checked(
    blobs: Sequence[np.ndarray], name: str, inputs: int, backbone: str, source: str, axes: str
) -> tuple[np.ndarray, np.ndarray, str]:
    """Return a view of a layer's kernel as H x W x I x O, its bias and what was done to the kernel.

    `inputs` channels come in, the kernel is to be as large as the backbone's table says; raises
    UserError for any other shape.
    """
    net = BACKBONES[backbone]
    side, dense = net.layers()[name], name in net.dense_names()
    shapes = [" x ".join(map(str, blob.shape)) for blob in blobs]
    if len(blobs) != 2:
        raise UserError(
            f"{source}: {name}: wanted a kernel and a bias, but there are {len(blobs)} "
            f"blobs: {shapes}"
        )
    kernel, bias = blobs
    sizes = {"O": -1, "I": inputs, "H": side, "W": side}
    action = "copied" if axes == "HWIO" else "transposed"
    if dense and kernel.ndim == 2 and kernel.shape[axes == "OIHW"] == inputs * side * side:
        # Flattened in the order of the file's own axes, so the matrix is split first and the axes
        # moved afterwards.
        kernel, action = kernel.reshape([sizes[axis] for axis in axes]), "convolutionalised"
    if kernel.ndim != 4 or any(
        kernel.shape[at] != sizes[axis] for at, axis in enumerate(axes) if axis != "O"
    ):
        forms = [[axis if axis == "O" else sizes[axis] for axis in axes]]
        if dense:
            forms.append(["O", inputs * side**2] if axes == "OIHW" else [inputs * side**2, "O"])
        wanted = " or ".join(" x ".join(map(str, form)) for form in forms)
        raise UserError(
            f"{source}: {name}: wanted a kernel of {wanted} for {backbone} after a layer with "
            f"{inputs} outputs, but it is {shapes[0]}: this is not {backbone}, or its layers do "
            "not belong together"
        )
    kernel = kernel.transpose(_TO_HWIO[axes])
    if bias.shape != kernel.shape[3:]:
        raise UserError(
            f"{source}: {name}: wanted one bias per output ({kernel.shape[3]}), but "
            f"the bias is {shapes[1]}"
        )
    return kernel, bias, action
