"""A net as a model of MLflow's: a folder that `mlflow models serve` runs, here or elsewhere."""

import os
import shutil
import tempfile
import warnings
from importlib import metadata
from pathlib import Path

from fcn.errors import UserError
from fcn.io import files
from fcn.predict import segmentation

ROOT = Path(__file__).parents[2]
REQUIREMENTS = (
    "annotated-types",
    "mlflow",
    "tensorflow",
    "keras",
    "numpy",
    "pandas",
    "pillow",
    "pillow-heif",
    "pydantic",
)
"""What the folder needs besides what is in it; a test reads the imports. MLflow would look for them
for 15 s.
"""


def save(model_dir: Path, out: Path) -> None:
    """Writes a net as an MLflow model.

    In it: the code of `fcn/` without the net that it brings along, the model folder,
    `served_model.py`, and the versions of the libraries of this environment. No pickle: what is
    executed is source.

    Args:
        model_dir: with `model.json` and `weights.npz`.
        out: folder to make or replace.

    Raises:
        UserError: no model folder.
    """
    if not (model_dir / "model.json").is_file():  # before anything is copied
        wanted = "expected a model folder with model.json and weights.npz"
        raise UserError(f"{model_dir}: {wanted}, found no {model_dir / 'model.json'}")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    marks = ("MLmodel", "python_function")
    with (
        files.replacing_folder(out, marks) as folder,
        warnings.catch_warnings(),
        tempfile.TemporaryDirectory() as temporary,
    ):
        code = Path(temporary, "fcn")
        shutil.copytree(
            ROOT / "fcn", code, ignore=shutil.ignore_patterns("pretrained", "__pycache__")
        )
        # Of MLflow's own annotations, when it is imported; and of a signature without an example,
        # which is written out below.
        warnings.filterwarnings(
            "ignore", ".*(Any type hint|input example was not provided)", UserWarning
        )
        import mlflow.pyfunc  # seconds

        mlflow.pyfunc.save_model(
            path=folder,
            python_model=ROOT / "tasks" / "tracking" / "served_model.py",
            artifacts={"model": str(model_dir.resolve())},
            code_paths=[str(code)],
            pip_requirements=[f"{name}=={metadata.version(name)}" for name in REQUIREMENTS],
            signature=signature(),
        )


def signature() -> "mlflow.models.ModelSignature":  # type: ignore[name-defined] # noqa: F821
    """What goes in and what comes out, for MLflow's checks and its UI."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import Array, Object, Property

    share = Object(
        [
            Property("value", DataType.long),
            Property("name", DataType.string),
            Property("share", DataType.double),
            Property("colour", DataType.string),
        ]
    )
    return ModelSignature(
        inputs=Schema([ColSpec(DataType.string, "image")]),
        outputs=Schema(
            [
                ColSpec(DataType.long, "width"),
                ColSpec(DataType.long, "height"),
                ColSpec(DataType.string, "labels"),
                ColSpec(DataType.string, "overlay"),
                ColSpec(Array(share), "classes"),
            ]
        ),
        params=ParamSchema([ParamSpec("opacity", DataType.double, segmentation.OPACITY)]),
    )
