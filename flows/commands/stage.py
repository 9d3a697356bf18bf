"""`fcn stage NAME`: one stage, as the lines of dvc.yaml start it."""

import importlib
import os
from typing import Annotated, Literal

from cyclopts import Parameter

Name = Literal["settings", "download", "convert_vgg", "records", "train", "evaluate", "report"]


def stage(name: Name, /, *flags: Annotated[str, Parameter(allow_leading_hyphen=True)]) -> int:
    """Run one stage by itself, with the flags that it has in dvc.yaml; DVC does not record it.

    Example: `fcn stage train --help`

    Args:
        name: The stage.
        flags: Its own flags.

    Returns:
        0; 1: it failed; 130: interrupted.
    """
    module = importlib.import_module(f"flows.{name}")
    if name == "settings":
        return int(module.main(flags))
    from flows.runner import processes, stage

    if os.environ.get("KERAS_DISTRIBUTION_PROCESS_ID", "0") != "0":
        # of several processes that train together, Prefect hears of the first one
        os.environ[processes.PARENT_RUN] = ""
    return stage.main(getattr(module, name), flags)
