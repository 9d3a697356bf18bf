"""The family of VGG, whose members differ in the depths of their five blocks only.

Simonyan and Zisserman, arXiv:1409.1556, table 1.
"""

from fcn.spec.backbone import Backbone, Dense, Padding

# Where the offsets come from. Measure in pixels of the image, x = 0 being its first pixel's centre.
# Upsampling by f, kernel 2f, VALID, puts output q on input cell (q - (2f - 1)/2) / f.
#
# With the border of 100 and conv1_1 VALID, cell r of pool<n> (stride s = 2^n) is centred on
# s*r + (s - 1)/2 - 99. fc6 (7x7 VALID) shifts by 3 cells of 32, so score_fr[j] sits on
# 32*j + 96 + 15.5 - 99.
#   32s: upscore[q]       on 32*(q - 31.5)/32 + 12.5 = q - 19        -> image pixel 0 is upscore[19]
#   16s: upscore2[q]      on 32*(q - 1.5)/2 + 12.5   = 16*q - 11.5,
#        and pool4[r] on 16*r - 91.5                                 -> r = q + 5
#        upscore16[q]     on 16*(q - 15.5)/16 - 11.5 = q - 27
#   8s:  upscore_pool4[q] on 16*(q - 1.5)/2 - 11.5   = 8*q - 23.5,
#        and pool3[r] on 8*r - 95.5                                  -> r = q + 9
#        upscore8[q]      on 8*(q - 7.5)/8 - 23.5    = q - 31
# With SAME everything is anchored at the top left: every offset is 0, and it is the upsampled map
# that is cropped.
_PADDINGS = {
    "caffe": Padding(100, "valid", {"pool4": 5, "pool3": 9}, {32: 19, 16: 27, 8: 31}),
    "same": Padding(0, "same", {"pool4": 0, "pool3": 0}, {32: 0, 16: 0, 8: 0}),
}


def vgg(*depths: int) -> Backbone:
    """A VGG.

    Args:
        depths: how many 3x3 convolutions each of the five blocks has.

    Example:
        >>> [len(block) for block in vgg(2, 2, 3, 3, 3).blocks]
        [2, 2, 3, 3, 3]
    """
    sizes = enumerate(zip(depths, (64, 128, 256, 512, 512), strict=True), 1)
    blocks = tuple(
        tuple((f"conv{block}_{n}", filters) for n in range(1, depth + 1))
        for block, (depth, filters) in sizes
    )
    return Backbone(
        input="bgr", blocks=blocks, side=3, padding="same", activation="relu",
        dense=(Dense("fc6", 7, "drop6"), Dense("fc7", 1, "drop7")), dropped="fc8",
        paddings=_PADDINGS,
    )  # fmt: skip
