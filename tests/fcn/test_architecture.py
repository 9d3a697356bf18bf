import pytest

from fcn.architecture import BACKBONES, BLOCK_FILTERS, MEAN_BGR, VARIANTS

# Independent of the code: the authors' crop offsets, by what they crop.
SKIP_OFFSETS = {"fcn32s": (), "fcn16s": (5,), "fcn8s": (5, 9)}
SCORE_OFFSETS = {"fcn32s": (32, 19), "fcn16s": (16, 27), "fcn8s": (8, 31)}


def test_backbones_are_vgg_d_and_e():
    assert [len(block) for block in BACKBONES["vgg16"]] == [2, 2, 3, 3, 3]
    assert [len(block) for block in BACKBONES["vgg19"]] == [2, 2, 4, 4, 4]
    assert BACKBONES["vgg16"][2] == ("conv3_1", "conv3_2", "conv3_3")
    assert BLOCK_FILTERS == (64, 128, 256, 512, 512)


def test_mean_is_in_the_order_blue_green_red():
    assert MEAN_BGR == (104.00699, 116.66877, 122.67892)


def test_variants_are_the_authors():
    assert {name: (v.stride, v.skips, v.parent, v.scales) for name, v in VARIANTS.items()} == {
        "fcn32s": (32, (), None, {}),
        "fcn16s": (16, ("pool4",), "fcn32s", {}),
        "fcn8s": (8, ("pool4", "pool3"), "fcn16s", {}),
        "fcn8s_atonce": (8, ("pool4", "pool3"), None, {"pool4": 0.01, "pool3": 0.0001}),
    }


def test_layers_after_fc7_bear_the_authors_names():
    assert VARIANTS["fcn32s"].head() == ("score_fr", "upscore")
    assert VARIANTS["fcn16s"].head() == ("score_fr", "score_pool4", "upscore2", "upscore16")
    eight = ("score_fr", "score_pool4", "score_pool3", "upscore2", "upscore_pool4", "upscore8")
    assert VARIANTS["fcn8s"].head() == VARIANTS["fcn8s_atonce"].head() == eight
    assert VARIANTS["fcn32s"].upsamplings() == (("upscore", 32),)
    assert VARIANTS["fcn8s"].upsamplings() == (("upscore2", 2), ("upscore_pool4", 2), ("upscore8", 8))


@pytest.mark.parametrize("variant", SKIP_OFFSETS)
def test_the_crops_fit_every_side_from_1_to_2048(variant):
    """Sizes by arithmetic; tests/fcn/test_model.py holds real nets against the same offsets and sizes."""
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
