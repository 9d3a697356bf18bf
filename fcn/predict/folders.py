"""A net by its name, or by the place of its folder."""

import glob
import os
from pathlib import Path

from fcn import pretrained


def find(given: str) -> Path | None:
    """The folder of a model.

    Args:
        given: a net in the box, "voc20"; a folder with `model.json` and `weights.npz`, or one of
            MLflow's around it; or one of the authors' nets, "voc-fcn8s", "voc-fcn16s" or
            "voc-fcn32s": it is fetched to `.cache/models` the first time.

    Returns:
        The folder; None if it is none of these.

    Raises:
        UserError: one of the authors' nets, which cannot be had.
    """
    artifacts = sorted(glob.glob(f"{glob.escape(given)}/artifacts/*"))
    for folder in (pretrained.folders().get(given, Path(given)), *map(Path, artifacts)):
        if os.path.isfile(folder / "model.json"):  # also of a name that no disk takes
            return folder

    from fcn.published import nets as published_nets  # only now: what lies here needs no HTTP

    return published_nets.model_folder(given) if given in published_nets.names() else None


def names() -> list[str]:
    """The nets in the box and those of the authors."""
    from fcn.published import nets as published_nets

    return [*pretrained.folders(), *published_nets.names()]
