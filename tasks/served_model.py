"""What `mlflow models serve` runs. MLflow copies this file into the model's folder and executes it there ("models from code").

`fcn` comes from the folder, too. Saving executes this file as well, so that TensorFlow comes in with the weights alone.
"""

import threading
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd  # type: ignore[import-untyped]
from mlflow.exceptions import MlflowException

from fcn import serving
from fcn.errors import UserError


class Segmentation(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Pictures as base64 in, class maps and overlays as base64 out."""

    def load_context(self, context: Any) -> None:
        """Reads the net."""
        from fcn import predict

        self.net = predict.load(Path(context.artifacts["model"]))
        self.one_at_a_time = threading.Lock()  # requests come on threads, and a net takes all cores and much memory

    # Of its annotations MLflow makes checks of its own, or a warning; this one it leaves alone.
    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """Answers the rows of `model_input`, see `fcn.serving.answers`; what is wrong with them becomes an answer 400."""
        try:
            with self.one_at_a_time:
                opacity = (params or {}).get("opacity")  # of the signature's type; null passes
                opacity = serving.OPACITY if opacity is None else float(opacity)
                return serving.answers(list(model_input["image"]), self._labels, self.net.spec.classes, opacity)
        except UserError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error

    def _labels(self, image: Any) -> Any:
        return self.net(image).labels


mlflow.models.set_model(Segmentation())
