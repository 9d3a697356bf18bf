"""A version in MLflow's registry as a model folder of this project."""

import re
import tempfile
from pathlib import Path

from fcn.errors import UserError
from fcn.io import files
from fcn.spec import MARK
from tasks.tracking import kept, store

FOLDER = Path(".cache/models")


def model(uri: str) -> Path:
    """Brings the model folder of a registered version: arrays and JSON, no code.

    Args:
        uri: `models:/NAME@ALIAS` or `models:/NAME/VERSION`.

    Returns:
        The folder, in `.cache/models`.

    Raises:
        UserError: there is none, or MLflow does not answer.
    """
    from mlflow import artifacts

    store.prepare()
    out = FOLDER / re.sub(r"[^\w.-]+", "-", uri)
    with tempfile.TemporaryDirectory() as temporary:
        try:
            with store.asked():
                client = store.connect().client
                got = artifacts.download_artifacts(
                    artifact_uri=uri, dst_path=temporary, tracking_uri=client.tracking_uri
                )
        except store.Unavailable as error:
            raise UserError(
                f"{uri}: MLflow at {store.address()} has no such model, or does not answer: {error}"
            ) from error
        found = sorted(Path(got).glob("artifacts/*/model.json"))
        if not found:
            raise UserError(f"{uri}: expected a model that `fcn repro` registered, with model.json")
        files.check_folder(out, MARK, str(out))
        kept.copy(found[0].parent, out)
    return out
