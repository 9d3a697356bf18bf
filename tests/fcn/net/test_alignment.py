"""Where a prediction lands: the crop offsets measured, not read.

Every kernel passes its channels on from its centre, so that a net only pools, crops and upsamples.
Red rises in a linear ramp and green falls in the same one: the maximum over a cell takes one from
its last corner and the other from its first, and half their difference is the ramp at the cell's
centre. Bilinear upsampling keeps a ramp. So the scores are the ramp itself, at the pixel where each
prediction belongs.
"""

import numpy as np
import pytest

from fcn.net import model
from fcn.net.layers import Crop
from fcn.spec import BACKBONES, VARIANTS

SLOPE = np.array([2, 3])  # down, right: different, so that an exchange of rows and columns is seen
TOP = 2000  # of the falling ramp; everything stays positive for the ReLUs
MARGIN = 64  # pixels at the border that upsampling and the padding's zeros reach
SIZES = [(163, 177), (192, 161), (190, 208)]
SCORED = [("fcn32s", "fr"), ("fcn16s", "fr"), ("fcn16s", "pool4")]
SCORED += [("fcn8s", "fr"), ("fcn8s", "pool4"), ("fcn8s", "pool3"), ("fcn8s", "all")]


def error_of_a_ramp(spec, scored, size):
    """Largest error of the scores, in steps of the ramp, when `scored` alone of the score layers
    passes its input on.
    """
    net = model.build(spec)
    for layer in net.layers:
        if hasattr(layer, "kernel") and not layer.name.startswith("upscore"):
            kernel = np.zeros(layer.kernel.shape, np.float32)
            if not layer.name.startswith("score") or scored in (
                "all",
                layer.name.removeprefix("score_"),
            ):
                centre = kernel.shape[0] // 2
                for channel in range(min(3, *kernel.shape[2:])):
                    kernel[centre, centre, channel, channel] = 1
            layer.kernel.assign(kernel)
    ramp = np.tensordot(np.mgrid[: size[0], : size[1]], SLOPE, (0, 0))
    image = np.stack([0 * ramp, TOP - ramp, ramp], -1)  # the net sees BGR
    scores = np.asarray(net(image[None].astype(np.float32)))[0]
    assert scores.shape == (*size, 3)
    summed = len(VARIANTS[spec.variant].skips) + 1 if scored == "all" else 1
    measured = (scores[..., 0] / summed - scores[..., 1] / summed + TOP) / 2
    return np.abs(measured - ramp)[MARGIN:-MARGIN, MARGIN:-MARGIN].max()


@pytest.fixture
def passing(small):
    """Makes the spec of a net that is just wide enough for three channels."""
    return lambda variant, padding: small(
        variant, padding=padding, width=3 / 64, fc_units=3, mean_bgr=(0.0, 0.0, 0.0)
    )


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("padding", ["caffe", "same"])
@pytest.mark.parametrize(("variant", "scored"), SCORED)
def test_predictions_land_on_their_pixels(passing, variant, scored, padding, size):
    assert error_of_a_ramp(passing(variant, padding), scored, size) < 0.01


@pytest.mark.parametrize(("variant", "scored"), SCORED)
def test_cropping_the_centre_under_same_would_be_seen(passing, monkeypatch, variant, scored):
    """The mistake of several other implementations. Only the score map's crop is moved: the skips'
    crops are 0 or 1 wide.
    """

    def centre(self, source, like):
        top, left = ((a - b) // 2 for a, b in zip(source.shape[1:3], like.shape[1:3], strict=True))
        return source[:, top : top + like.shape[1], left : left + like.shape[2]]

    monkeypatch.setattr(Crop, "call", centre)
    assert error_of_a_ramp(passing(variant, "same"), scored, (163, 177)) > 1.9


@pytest.mark.parametrize("padding", ["caffe", "same"])
@pytest.mark.parametrize(
    ("variant", "layer"),
    [
        ("fcn32s", "score"),
        ("fcn16s", "score"),
        ("fcn8s", "score"),
        ("fcn16s", "pool4"),
        ("fcn8s", "pool4"),
        ("fcn8s", "pool3"),
    ],
)
def test_an_offset_that_is_off_by_one_would_be_seen(passing, monkeypatch, variant, layer, padding):
    offsets = BACKBONES["vgg16"].paddings[padding]
    stride = {"fcn32s": 32, "fcn16s": 16, "fcn8s": 8}[variant]
    if layer == "score":
        monkeypatch.setitem(offsets.score_offset, stride, offsets.score_offset[stride] + 1)
    else:
        monkeypatch.setitem(offsets.skip_offset, layer, offsets.skip_offset[layer] + 1)
    # Of 161 pixels every upsampled map is one cell larger than the skip under "same", where it is
    # this map that is cropped.
    scored = "fr" if layer == "score" or padding == "same" else layer
    assert error_of_a_ramp(passing(variant, padding), scored, (161, 161)) > 1.9


def grey_net(spec):
    """LeNet that passes on two channels: it is given one and has no ReLU after its convolutions, so
    conv1 makes both ramps. The 4x4 kernel has no middle and passes on the mean of its inner four.
    """
    net = model.build(spec)
    for name, low, high in (("conv1", 2, 3), ("conv2", 2, 3), ("ip1", 1, 3)):
        kernel = np.zeros(net.get_layer(name).kernel.shape, np.float32)
        for channel, sign in enumerate((1, -1) if name == "conv1" else (1, 1)):
            kernel[low:high, low:high, 0 if name == "conv1" else channel, channel] = (
                sign / (high - low) ** 2
            )
        net.get_layer(name).kernel.assign(kernel)
    net.get_layer("ip1").bias.assign([0, TOP])
    net.get_layer("score_fr").kernel.assign(np.eye(2, 3)[None, None])
    return net


def error_of_a_grey_ramp(net, size):
    """As `error_of_a_ramp`."""
    ramp = np.tensordot(np.mgrid[: size[0], : size[1]], SLOPE, (0, 0)).astype(np.float32)
    scores = np.asarray(net(256 * ramp[None, ..., None].repeat(3, -1)))[0]
    assert scores.shape == (*size, 3)
    measured = (scores[..., 0] - scores[..., 1] + TOP) / 2
    return np.abs(measured - ramp)[LENETS:-LENETS, LENETS:-LENETS].max()


LENETS = 12  # as MARGIN
GREY_SIDES = [*range(2 * LENETS + 1, 150)]


@pytest.fixture
def passing_grey(lenet):
    return lenet(width=0.1, fc_units=2)


def test_lenets_predictions_land_on_their_pixels_whatever_the_sides(passing_grey):
    net = grey_net(passing_grey)
    errors = {side: error_of_a_grey_ramp(net, (side, 174 - side)) for side in GREY_SIDES}
    assert max(errors.values()) < 0.01, errors


@pytest.mark.parametrize("step", [-1, 1])
def test_lenets_offset_off_by_one_would_be_seen(passing_grey, monkeypatch, step):
    table = BACKBONES["lenet"].paddings["caffe"].score_offset
    monkeypatch.setitem(table, 4, table[4] + step)
    assert error_of_a_grey_ramp(grey_net(passing_grey), (61, 70)) > 4.9  # the two slopes together
