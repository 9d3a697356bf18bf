"""The authors' own nets (fcn32s-heavy-pascal.caffemodel and its kin), score layers and upsampling
included.

Layer names and shapes: net.py and the prototxts of voc-fcn32s, voc-fcn16s, voc-fcn8s and
voc-fcn8s-atonce in shelhamer/fcn.berkeleyvision.org @ 1305c73. They are the names of this project
too, but for the two Scale layers of the at-once net, which are fixed factors here.
"""

from collections.abc import Sequence

import numpy as np

from fcn.errors import UserError
from fcn.net import bilinear_kernel
from fcn.spec import BACKBONES, MEAN_BGR, VARIANTS, ModelSpec, Variant
from fcn.weights import Layers, convert

_NETS = {name: row for name, row in VARIANTS.items() if "vgg16" in row.backbones}
"""The variants that the authors published; LeNet's is not theirs."""

_OLDER = ("score-", "score2", "score4", "upsample", "bigscore")
"""Beginnings of layer names of the nets released in 2014 (fcn-32s-pascal and its kin), whose
upsampling has biases.
"""


def convert_net(
    layers: Layers, classes: Sequence[str], source: str
) -> tuple[dict[str, np.ndarray], ModelSpec]:
    """Convert a whole FCN of any width.

    Args:
        layers: layer name -> blobs, as `fcn.weights.caffe.read` gives them.
        classes: names of the classes that it scores, background first.
        source: what to call the file in errors.

    Returns:
        The weights as a model folder has them, `<layer>/kernel` and `<layer>/bias`, first layer
        first; and what they are of, the variant being told from the layers, the width from their
        shapes, and `upsampling` from the inner kernels.

    Raises UserError for a layer that is missing, unknown or of the wrong shape, for a scale that is
    not the paper's, and for a last upsampling that is not bilinear.
    """
    backbone, variant = _recognise(set(layers), source)
    weights, _ = convert(
        {name: layers[name] for name in BACKBONES[backbone].layers()}, backbone, source
    )
    heads, count = _NETS[variant], len(classes)
    inputs = {"score_fr": weights["fc7/bias"].size}
    inputs |= {
        f"score_{pool}": weights[f"{_last(backbone, pool)}/bias"].size for pool in heads.skips
    }
    for name, size in inputs.items():
        kernel, bias = _blobs(layers, name, [(count, size, 1, 1), (count,)], source)
        weights[f"{name}/kernel"], weights[f"{name}/bias"] = (
            np.ascontiguousarray(kernel.transpose(2, 3, 1, 0)),
            bias,
        )
    upsampling, kernels = _upsampling(layers, heads, count, source)
    weights |= kernels
    for pool, value in heads.scales.items():
        (scale,) = _blobs(layers, f"scale_{pool}", [(inputs[f"score_{pool}"],)], source)
        if not np.allclose(scale, value, rtol=1e-5, atol=0):
            raise UserError(
                f"{source}: scale_{pool}: wanted {value} everywhere, but it holds {scale.min():g} "
                f"to {scale.max():g}"
            )
    first, filters = BACKBONES[backbone].blocks[0][0]
    width, units = weights[f"{first}/bias"].size / filters, weights["fc7/bias"].size
    spec = ModelSpec(
        variant, backbone, tuple(classes), width, units, "caffe", upsampling, 0.5, MEAN_BGR
    )
    return weights, spec


def _upsampling(
    layers: Layers, heads: Variant, count: int, source: str
) -> tuple[str, dict[str, np.ndarray]]:
    """Whether it was fixed or learned, and the kernels that a model folder holds: the inner ones,
    if they were learned.
    """
    kernels, fixed = {}, {}
    for name, factor in heads.upsamplings():
        (kernel,) = _blobs(layers, name, [(count, count, 2 * factor, 2 * factor)], source)
        # Caffe's deconvolution runs a convolution backwards, so its kernel is in x out x H x W.
        kernels[name] = np.ascontiguousarray(kernel.transpose(2, 3, 1, 0))
        bilinear = bilinear_kernel(factor)[:, :, None, None] * np.eye(count)
        fixed[name] = np.allclose(kernels[name], bilinear, rtol=0, atol=1e-6)
    *inner, (last, _) = heads.upsamplings()
    if not fixed[last]:
        raise UserError(
            f"{source}: {last}: wanted the bilinear kernel, as of all these nets, but "
            "it holds another"
        )
    if all(fixed.values()):
        return "fixed", {}
    return "learned", {f"{name}/kernel": kernels[name] for name, _ in inner}


def _recognise(found: set[str], source: str) -> tuple[str, str]:
    """The backbone and the variant that have just these layers."""
    nets = {}
    for variant, row in _NETS.items():
        for backbone in row.backbones:
            trunk = set(BACKBONES[backbone].layers())
            fixed = {row.upsamplings()[-1][0], *(f"scale_{pool}" for pool in row.scales)}
            nets[backbone, variant] = trunk | set(row.head("learned")) | fixed
    for net, wanted in nets.items():
        if wanted == found:
            return net
    if any(name.startswith(_OLDER) for name in found):
        advice = (
            "these are the names of the nets released in 2014; take the later ones, "
            "fcn32s-heavy-pascal.caffemodel and so on"
        )
    elif not any(name.startswith(("score", "upscore")) for name in found):
        advice = "it has no score layers: it is no FCN"
    else:
        nearest = min(nets, key=lambda net: len(nets[net] ^ found))
        lacks, extra = sorted(nets[nearest] - found), sorted(found - nets[nearest])
        advice = f"next to {nearest[1]} on {nearest[0]} it lacks {', '.join(lacks) or 'nothing'}"
        advice += f" and has {', '.join(extra)} besides" if extra else ""
    raise UserError(
        f"{source}: wanted one of the authors' FCNs ({', '.join(_NETS)}), but the layers are of no "
        f"such net; {advice}"
    )


def _last(backbone: str, pool: str) -> str:
    """The convolution before a pooling layer, "pool4"."""
    return BACKBONES[backbone].blocks[int(pool.removeprefix("pool")) - 1][-1][0]


def _blobs(
    layers: Layers, name: str, shapes: list[tuple[int, ...]], source: str
) -> Sequence[np.ndarray]:
    found = [blob.shape for blob in layers[name]]
    if found != shapes:
        raise UserError(
            f"{source}: {name}: wanted blobs of shapes {shapes}, but they are {found}: "
            "are there other classes?"
        )
    return layers[name]
