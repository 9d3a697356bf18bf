"""The files of fcn/spec/backbones/: each by itself, and what holds for all of them."""

from pathlib import Path

import pytest

from fcn.spec import BACKBONES, VARIANTS, ModelSpec, backbones, parameters

FC8 = 4096 * 1000 + 1000
PUBLISHED = {"vgg13": 133_047_848, "vgg16": 138_357_544, "vgg19": 143_667_240}
"""Parameters that torchvision's documentation states, the 1000 classes included."""


def spec(backbone):
    variant = next(name for name, row in VARIANTS.items() if backbone in row.backbones)
    return ModelSpec(variant, backbone, ("a", "b"), 1.0, 4096, "caffe", "fixed", 0, (0, 0, 0))


def test_a_file_is_a_backbone():
    files = Path(backbones.__file__).parent.glob("[!_]*.py")
    assert list(BACKBONES) == sorted(path.stem for path in files)
    assert list(BACKBONES) == ["lenet", "vgg13", "vgg16", "vgg19"]


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_vgg_has_the_published_number_of_parameters(name):
    assert parameters(spec(name)) + FC8 == PUBLISHED[name]


def test_vgg13_is_column_b():
    assert BACKBONES["vgg13"].blocks == (
        (("conv1_1", 64), ("conv1_2", 64)),
        (("conv2_1", 128), ("conv2_2", 128)),
        (("conv3_1", 256), ("conv3_2", 256)),
        (("conv4_1", 512), ("conv4_2", 512)),
        (("conv5_1", 512), ("conv5_2", 512)),
    )


@pytest.mark.parametrize("name", BACKBONES)
def test_some_variant_can_be_built_on_it(name):
    assert any(name in row.backbones for row in VARIANTS.values())


def valid(net, padding):
    """Where cells sit, (spacing, position of cell 0) in pixels, by block and after the dense
    layers: every unpadded kernel of side k moves the first cell by (k - 1)/2 of the cells that it
    sees.
    """
    step, first, pools = 1, -float(padding.border), []
    for number, block in enumerate(net.blocks):
        for place, _ in enumerate(block):
            if net.padding == "valid" or (number, place) == (0, 0):
                first += (net.side - 1) / 2 * step
        first, step = first + step / 2, 2 * step
        pools.append((step, first))
    for dense in net.dense:
        first += (dense.side - 1) / 2 * step
    return pools, (step, first)


@pytest.mark.parametrize(
    ("name", "variant"),
    [(name, key) for key, row in VARIANTS.items() for name in row.backbones],
)
def test_the_offsets_of_an_unpadded_net_follow_from_its_rows(name, variant):
    """Computed from the kernels' sides alone; tests/fcn/net/test_alignment.py measures them."""
    net, row = BACKBONES[name], VARIANTS[variant]
    padding = net.paddings["caffe"]
    pools, (step, first) = valid(net, padding)
    for skip, (_, factor) in zip(row.skips, row.upsamplings(), strict=False):
        step, first = step / factor, first - (2 * factor - 1) / 2 * step / factor
        spacing, start = pools[int(skip.removeprefix("pool")) - 1]
        assert (spacing, (first - start) / spacing) == (step, padding.skip_offset[skip])
    first -= (2 * row.stride - 1) / 2 * step / row.stride
    assert -first == padding.score_offset[row.stride]
