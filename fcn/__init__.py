"""Fully convolutional networks for semantic segmentation, as a library.

    import fcn

    model = fcn.load()  # the net in the box; or a name, or a model folder
    found = model.predict("photo.jpg")
    found.labels  # uint8 (H, W), the class of every pixel
    found.overlay().save("overlay.png")

    data = fcn.datasets.open("voc2012", "VOCdevkit/VOC2012")
    fcn.score.evaluate(model, data.examples("val")).mean_iu

Nothing is imported before it is asked for: TensorFlow comes with the first net.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fcn import datasets, score
    from fcn.errors import UserError
    from fcn.predict import models, predictor, segmentation

    Predictor, Segmentation = predictor.Predictor, segmentation.Segmentation
    load = models.load

__all__ = ["Predictor", "Segmentation", "UserError", "datasets", "load", "score"]

_ROOMS = ("datasets", "score")
_HOMES = {
    "Predictor": "fcn.predict.predictor",
    "Segmentation": "fcn.predict.segmentation",
    "UserError": "fcn.errors",
    "load": "fcn.predict.models",
}


def __getattr__(name: str) -> Any:
    """A public name, imported when it is first asked for (PEP 562)."""
    if name in _ROOMS:
        return import_module(f"fcn.{name}")
    if name in _HOMES:
        value = globals()[name] = getattr(import_module(_HOMES[name]), name)
        return value
    raise AttributeError(f"module 'fcn' has no attribute {name!r}")


def __dir__() -> list[str]:
    """The public names, for completion."""
    return sorted({*globals(), *__all__})
