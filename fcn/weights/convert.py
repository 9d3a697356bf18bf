"""From a VGG classifier of any container to the project's weights: one axis order, BGR, and no fully connected layers.

The same mapping as the authors' `surgery.py`: fc6, a matrix over the flattened 7 x 7 output of pool5, becomes a 7x7
convolution, fc7 a 1x1 one (Long et al., CVPR 2015, section 3.1). fc8, the ImageNet classes, is dropped.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fcn.architecture import BACKBONES
from fcn.errors import UserError
from fcn.weights import account, known

FC6_SIDE = 7
"""Height and width of pool5 for a 224 x 224 image, and so of fc6's kernel."""

Layers = Mapping[str, Sequence[np.ndarray]]

_TO_HWIO = {"OIHW": (2, 3, 1, 0), "HWIO": (0, 1, 2, 3)}


def convert(
    layers: Layers, backbone: str, source: str = "the caffemodel", axes: str = "OIHW", channels: str = "bgr"
) -> tuple[dict[str, np.ndarray], list[dict[str, Any]]]:
    """Convert the layers of a VGG of any width.

    Args:
        layers: layer name -> (kernel, bias). fc6 and fc7 may be matrices or already convolutions. fc8 may be missing.
        backbone: key of `BACKBONES`.
        source: what to call the file in errors.
        axes: how kernels are stored: "OIHW", matrices then being O x C*H*W as Caffe flattens; or "HWIO", with matrices
            H*W*C x O.
        channels: what conv1_1 takes, "bgr" or "rgb", as far as the container says. In a published network, whose values are
            known, the values decide, about this and about rows and columns.

    Returns:
        The weights, `<layer>/kernel` (H, W, in, out) and `<layer>/bias` (out,), float32, from conv1_1 to fc7, for BGR images;
        and the report: for each array what `account.row` says, its `action` being copied, transposed or convolutionalised
        ("with channels flipped", "with rows and columns swapped" where that was needed) or dropped. The row of conv1_1's
        kernel has `input_order`, which the file expects, how that is known (`input_order_by`: values or container) and
        `published`, the network whose published values these are, or None.

    Raises UserError for a layer that is missing, unknown, of the wrong shape or not finite.
    """
    names = [name for block in BACKBONES[backbone] for name in block]
    _check_names(set(layers), names, backbone, source)
    weights: dict[str, np.ndarray] = {}
    report: list[dict[str, Any]] = []
    inputs, published = 3, None
    for name in (*names, "fc6", "fc7"):
        side = {"fc6": FC6_SIDE, "fc7": 1}.get(name, 3)
        kernel, bias, action = _checked(layers[name], name, inputs, side, backbone, source, axes)
        if name == names[0]:
            published = known.recognise(kernel, bias)
            order = published.channels if published and published.channels else channels
            if order == "rgb":
                kernel, action = kernel[:, :, ::-1], f"{action} with channels flipped"
        if published and published.columns_first:
            kernel, action = kernel.transpose(1, 0, 2, 3), f"{action} with rows and columns swapped"
        inputs = bias.size
        for array, blob, what in (("kernel", kernel, action), ("bias", bias, "copied")):
            result = np.ascontiguousarray(blob, dtype=np.float32)
            weights[f"{name}/{array}"] = result
            report.append(account.row(name, array, layers[name][array == "bias"], result, what, source))
    report[0]["input_order"] = order
    report[0]["input_order_by"] = "values" if published and published.channels else "container"
    report[0]["published"] = published.network if published else None
    for array, blob in zip(("kernel", "bias"), layers.get("fc8", ()), strict=False):
        report.append(account.row("fc8", array, blob, None, "dropped", source))
    return weights, report


def _check_names(found: set[str], names: list[str], backbone: str, source: str) -> None:
    """Raise UserError unless the file has exactly the layers of `backbone`, with or without fc8."""
    wanted = {*names, "fc6", "fc7"}
    missing, extra = sorted(wanted - found), sorted(found - wanted - {"fc8"})
    if not missing and not extra:
        return
    problems = [f"lacks {', '.join(missing)}"] if missing else []
    problems += [f"has {', '.join(extra)}, unknown to {backbone}"] if extra else []
    convolutions = {name for name in found if name.startswith("conv")}
    alike = [key for key, blocks in BACKBONES.items() if {name for block in blocks for name in block} == convolutions]
    if alike and alike != [backbone]:
        advice = f"its convolutions are those of {alike[0]}: set the backbone to {alike[0]}"
    elif any(name.startswith(("score", "upscore")) for name in found):
        advice = "it looks like an FCN, not like the ImageNet classifier that training starts from"
    elif not found & wanted:
        advice = f"it is another network, with the layers {', '.join(sorted(found))}"
    elif missing == ["fc6", "fc7"]:
        advice = "it is the convolutions alone (Keras calls such a file `notop`): get the one with the fully connected layers"
    else:
        advice = "it is another network, or not complete: get it again"
    raise UserError(f"{source}: wanted the layers of {backbone}, but the file {' and '.join(problems)}; {advice}")


def _checked(
    blobs: Sequence[np.ndarray], name: str, inputs: int, side: int, backbone: str, source: str, axes: str
) -> tuple[np.ndarray, np.ndarray, str]:
    """Return a view of a layer's kernel as H x W x I x O, its bias and what was done to the kernel.

    `inputs` channels come in, the kernel is to be `side` x `side`; raises UserError for any other shape.
    """
    shapes = [" x ".join(map(str, blob.shape)) for blob in blobs]
    if len(blobs) != 2:
        raise UserError(f"{source}: {name}: wanted a kernel and a bias, but there are {len(blobs)} blobs: {shapes}")
    kernel, bias = blobs
    sizes = {"O": -1, "I": inputs, "H": side, "W": side}
    action = "copied" if axes == "HWIO" else "transposed"
    if name.startswith("fc") and kernel.ndim == 2 and kernel.shape[axes == "OIHW"] == inputs * side * side:
        # Flattened in the order of the file's own axes, so the matrix is split first and the axes moved afterwards.
        kernel, action = kernel.reshape([sizes[axis] for axis in axes]), "convolutionalised"
    if kernel.ndim != 4 or any(kernel.shape[at] != sizes[axis] for at, axis in enumerate(axes) if axis != "O"):
        forms = [[axis if axis == "O" else sizes[axis] for axis in axes]]
        if name.startswith("fc"):
            forms.append(["O", inputs * side**2] if axes == "OIHW" else [inputs * side**2, "O"])
        wanted = " or ".join(" x ".join(map(str, form)) for form in forms)
        raise UserError(
            f"{source}: {name}: wanted a kernel of {wanted} for {backbone} after a layer with {inputs} outputs, "
            f"but it is {shapes[0]}: this is not the VGG classifier, or its layers do not belong together"
        )
    kernel = kernel.transpose(_TO_HWIO[axes])
    if bias.shape != kernel.shape[3:]:
        raise UserError(f"{source}: {name}: wanted one bias per output ({kernel.shape[3]}), but the bias is {shapes[1]}")
    return kernel, bias, action
