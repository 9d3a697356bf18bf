"""What can be chosen, as plain data: nets and their offsets, recipes, augmentation, protocols, palette and void."""

from fcn.spec.architecture import (
    BACKBONES,
    MARK,
    MEAN_BGR,
    VARIANTS,
    ModelSpec,
    Variant,
    check,
    check_dense,
    filters,
    parameters,
)
from fcn.spec.augment import OFF, Augment, moves
from fcn.spec.bounds import CHECKED, Seed
from fcn.spec.colours import VOID, VOID_COLOUR, Colour, palette
from fcn.spec.protocols import HEADLINE, PROTOCOLS, Evaluate
from fcn.spec.recipe import TrainSpec

__all__ = [
    "BACKBONES",
    "CHECKED",
    "HEADLINE",
    "MARK",
    "MEAN_BGR",
    "OFF",
    "PROTOCOLS",
    "VARIANTS",
    "VOID",
    "VOID_COLOUR",
    "Augment",
    "Colour",
    "Evaluate",
    "ModelSpec",
    "Seed",
    "TrainSpec",
    "Variant",
    "check",
    "check_dense",
    "filters",
    "moves",
    "palette",
    "parameters",
]
