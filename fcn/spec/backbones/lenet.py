"""LeNet, as Caffe trains it on handwritten digits: BVLC/caffe, examples/mnist/lenet.prototxt."""

from fcn.spec.backbone import Backbone, Dense, Padding

# Where the offset comes from; for the way of counting see fcn/spec/vgg.py. All VALID: conv1 (5x5)
# shifts by 2 pixels, pool1 by 0.5, conv2 by 2 cells of 2, pool2 by half a cell of 2, ip1 (4x4) by
# 1.5 cells of 4: score_fr[j] sits on 4*j + 2 + 0.5 + 4 + 1 + 6 - border = 4*j + 1.5 with a border
# of 12, and sees the 28 pixels from 4*j - 12 on. So score_fr[3] sees a digit of 28 pixels whole, as
# LeNet does.
#   4s:  upscore4[q] on 4*(q - 3.5)/4 + 1.5 = q - 2                  -> image pixel 0 is upscore4[2]
# There is no "same": it pads the 4x4 kernel, which has no middle, on one side more than on the
# other, and upscore4[q] lands on q + 2, where no crop can help.
_PADDINGS = {"caffe": Padding(12, "valid", {}, {4: 2})}

BACKBONE = Backbone(
    input="grey",
    blocks=((("conv1", 20),), (("conv2", 50),)),
    side=5,
    padding="valid",
    activation=None,
    dense=(Dense("ip1", 4),),
    dropped="ip2",
    paddings=_PADDINGS,
)
