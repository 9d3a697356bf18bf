import pytest

from fcn.spec import BACKBONES, MEAN_BGR, VARIANTS
from fcn.spec.backbone import Dense

# Independent of the code: the authors' crop offsets, by what they crop.
SKIP_OFFSETS = {"fcn32s": (), "fcn16s": (5,), "fcn8s": (5, 9)}
SCORE_OFFSETS = {"fcn32s": (32, 19), "fcn16s": (16, 27), "fcn8s": (8, 31)}


def test_backbones_are_vgg_d_and_e():
    assert [len(block) for block in BACKBONES["vgg16"].blocks] == [2, 2, 3, 3, 3]
    assert [len(block) for block in BACKBONES["vgg19"].blocks] == [2, 2, 4, 4, 4]
    assert BACKBONES["vgg16"].blocks[2] == (("conv3_1", 256), ("conv3_2", 256), ("conv3_3", 256))
    for vgg in (BACKBONES["vgg16"], BACKBONES["vgg19"]):
        assert [{filters for _, filters in block} for block in vgg.blocks] == [
            {64},
            {128},
            {256},
            {512},
            {512},
        ]
        assert (vgg.dense, vgg.dropped) == (
            (Dense("fc6", 7, "drop6"), Dense("fc7", 1, "drop7")),
            "fc8",
        )
        assert (vgg.input, vgg.channels, vgg.side, vgg.padding, vgg.activation) == (
            "bgr",
            3,
            3,
            "same",
            "relu",
        )


def test_lenet_is_caffes():
    """examples/mnist/lenet.prototxt of BVLC/caffe: no ReLU after the
    convolutions, nothing padded.
    """
    lenet = BACKBONES["lenet"]
    assert lenet.blocks == ((("conv1", 20),), (("conv2", 50),))
    assert (lenet.dense, lenet.dropped) == ((Dense("ip1", 4),), "ip2")
    assert (lenet.input, lenet.channels, lenet.side, lenet.padding, lenet.activation) == (
        "grey",
        1,
        5,
        "valid",
        None,
    )


def test_layers_with_weights_and_their_kernels():
    assert BACKBONES["lenet"].layers() == {"conv1": 5, "conv2": 5, "ip1": 4}
    vgg = BACKBONES["vgg16"].layers()
    assert [*vgg][:2] == ["conv1_1", "conv1_2"]
    assert [*vgg.items()][-3:] == [("conv5_3", 3), ("fc6", 7), ("fc7", 1)]
    assert len(vgg) == 15


def test_mean_is_in_the_order_blue_green_red():
    assert MEAN_BGR == (104.00699, 116.66877, 122.67892)


def test_variants_are_the_authors():
    assert {name: (v.stride, v.skips, v.parent, v.scales) for name, v in VARIANTS.items()} == {
        "fcn32s": (32, (), None, {}),
        "fcn16s": (16, ("pool4",), "fcn32s", {}),
        "fcn8s": (8, ("pool4", "pool3"), "fcn16s", {}),
        "fcn8s_atonce": (8, ("pool4", "pool3"), None, {"pool4": 0.01, "pool3": 0.0001}),
        "fcn4s": (4, (), None, {}),
    }


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_variant_fits_its_backbones(variant):
    """The strides meet: scores of the backbone's last map, doubled by each skip, come to the
    variant's; the skips are there.
    """
    row = VARIANTS[variant]
    wanted = ("lenet",) if variant == "fcn4s" else ("vgg13", "vgg16", "vgg19")
    assert row.backbones == wanted
    for backbone in row.backbones:
        pools = len(BACKBONES[backbone].blocks)
        assert 2**pools == row.stride * 2 ** len(row.skips)
        assert [int(pool.removeprefix("pool")) for pool in row.skips] == [pools - 1, pools - 2][
            : len(row.skips)
        ]
        for padding in BACKBONES[backbone].paddings.values():
            assert row.stride in padding.score_offset
            assert set(row.skips) <= set(padding.skip_offset)


def test_layers_after_fc7_bear_the_authors_names():
    assert VARIANTS["fcn32s"].head("fixed") == VARIANTS["fcn32s"].head("learned") == ("score_fr",)
    assert VARIANTS["fcn16s"].head("fixed") == ("score_fr", "score_pool4")
    assert VARIANTS["fcn16s"].head("learned") == ("score_fr", "score_pool4", "upscore2")
    eight = ("score_fr", "score_pool4", "score_pool3")
    assert VARIANTS["fcn8s"].head("fixed") == VARIANTS["fcn8s_atonce"].head("fixed") == eight
    assert VARIANTS["fcn8s"].head("learned") == (*eight, "upscore2", "upscore_pool4")
    assert VARIANTS["fcn4s"].head("fixed") == VARIANTS["fcn4s"].head("learned") == ("score_fr",)
    assert VARIANTS["fcn4s"].upsamplings() == (("upscore4", 4),)
    assert VARIANTS["fcn32s"].upsamplings() == (("upscore", 32),)
    assert VARIANTS["fcn8s"].upsamplings() == (
        ("upscore2", 2),
        ("upscore_pool4", 2),
        ("upscore8", 8),
    )


@pytest.mark.parametrize("variant", SKIP_OFFSETS)
def test_the_crops_fit_every_side_from_1_to_2048(variant):
    """Sizes by arithmetic; tests/fcn/net/test_model.py holds real nets against the same offsets and
    sizes.
    """
    for side in range(1, 2049):
        pools = [side + 198]  # 100 on either side, less the unpadded conv1_1
        for _ in range(5):
            pools.append(-(-pools[-1] // 2))
        size = pools[5] - 6
        for pool, offset in zip((4, 3), SKIP_OFFSETS[variant], strict=False):
            size = (size - 1) * 2 + 4
            assert offset + size <= pools[pool], side
        stride, offset = SCORE_OFFSETS[variant]
        assert offset + side <= (size - 1) * stride + 2 * stride, side


def test_lenets_crop_fits_every_side_from_1_to_2048():
    for side in range(1, 2049):
        size = side + 24  # 12 on either side
        for _ in range(2):
            size = -(-(size - 4) // 2)  # 5x5, then pooling
        size -= 3
        assert 2 + side <= 4 * (size - 1) + 8, side
