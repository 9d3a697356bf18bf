"""The classifiers that an FCN can be made of: one file each.

A file's name is what `model.backbone` calls it; the file holds one `BACKBONE`. A new file is found
by itself: see docs/how-to/add-a-backbone.md.
"""

from importlib import import_module
from pkgutil import iter_modules

from fcn.spec.backbone import Backbone

BACKBONES: dict[str, Backbone] = {
    found.name: import_module(f"{__name__}.{found.name}").BACKBONE
    for found in iter_modules(__path__)
}
"""By name."""
