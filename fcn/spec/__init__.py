"""What can be chosen, as plain data: nets and their offsets, recipes, augmentation, protocols,
palette and void.
"""

from fcn.spec.architecture import (
    MARK,
    MEAN_BGR,
    VARIANTS,
    ModelSpec,
    Variant,
    check,
    check_dense,
    filters,
    operations,
    parameters,
)
from fcn.spec.augment import Augment, moves
from fcn.spec.backbone import Backbone, Padding
from fcn.spec.backbones import BACKBONES
from fcn.spec.bounds import CHECKED, Seed
from fcn.spec.checking import Place, allowed, came, checked, dotted, nearest, one_of, that, type_at
from fcn.spec.colours import VOID, VOID_COLOUR, Colour, palette
from fcn.spec.protocols import HEADLINE, PROTOCOLS, Evaluate, Protocol
from fcn.spec.recipe import TrainSpec
from fcn.spec.source import Source, Text

__all__ = [
    "BACKBONES",
    "CHECKED",
    "HEADLINE",
    "MARK",
    "MEAN_BGR",
    "PROTOCOLS",
    "VARIANTS",
    "VOID",
    "VOID_COLOUR",
    "Augment",
    "Backbone",
    "Colour",
    "Evaluate",
    "ModelSpec",
    "Padding",
    "Place",
    "Protocol",
    "Seed",
    "Source",
    "Text",
    "TrainSpec",
    "Variant",
    "allowed",
    "came",
    "check",
    "check_dense",
    "checked",
    "dotted",
    "filters",
    "moves",
    "nearest",
    "one_of",
    "operations",
    "palette",
    "parameters",
    "that",
    "type_at",
]
