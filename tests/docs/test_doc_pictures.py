"""The tutorial's picture of a score map: the classifier names what stands in every corner."""

import numpy as np

from docs.images import heat_map
from sample import world


def test_the_classifier_names_five_objects_in_their_places():
    picture, labels = heat_map.heat_map()
    assert picture.width > 2 * 384
    found = {
        place: world.CLASSES[labels[y, x]]
        for place, (x, y) in {
            "top left": (70, 70), "middle": (190, 160), "top right": (315, 60),
            "bottom left": (70, 190), "bottom right": (310, 195),
        }.items()
    }  # fmt: skip
    assert found == {
        "top left": "key", "middle": "comb", "top right": "moon", "bottom left": "ring",
        "bottom right": "cross",
    }  # fmt: skip
    assert np.bincount(labels.ravel(), minlength=7)[0] > labels.size / 2
