"""`fcn env`: what is installed, and what this machine has."""

import os
import platform
import shutil
import sys
from importlib import metadata

from fcn.cli import workspace
from fcn.errors import shown

LIBRARIES = ("tensorflow", "keras", "numpy", "dvc", "prefect", "mlflow", "onnx", "jax")


def env() -> None:
    """Say what is installed here, for a report of a fault.

    Example: `fcn env`
    """
    root = workspace.find()
    why = workspace.missing(root)
    rows = {
        "fcn": shown(workspace.CHECKOUT),
        "workspace": f"none: {why}" if why else shown(root),
        "python": f"{platform.python_version()}, {shown(sys.executable)}",
        "machine": f"{platform.platform()}, {os.cpu_count()} cores",
        "GPU": "nvidia-smi is there"
        if shutil.which("nvidia-smi")
        else "none that nvidia-smi knows",
    }
    for name, value in (rows | {library: _version(library) for library in LIBRARIES}).items():
        print(f"{name:12}{value}")


def _version(library: str) -> str:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return "not installed"
