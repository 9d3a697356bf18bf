"""VOC, SBD, ADE20K and a user's own folders become checked pairs of image and label."""

from fcn.datasets.annotations import formats
from fcn.datasets.annotations.tree import Annotated
from fcn.datasets.catalog import DATASETS, open
from fcn.datasets.pairs import DatasetSpec, Listing, Pair, leaks, read_ids
from fcn.datasets.stems import IMAGES
from fcn.datasets.voc import CLASSES

__all__ = [
    "CLASSES",
    "DATASETS",
    "IMAGES",
    "Annotated",
    "DatasetSpec",
    "Listing",
    "Pair",
    "formats",
    "leaks",
    "open",
    "read_ids",
]
