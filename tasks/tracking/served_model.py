"""What `mlflow models serve` runs. MLflow copies this file into the model's folder and executes it
there ("models from code").

`fcn` comes from the folder, too. Saving executes this file as well, so that TensorFlow comes in
with the weights alone.
"""

import os
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd  # type: ignore[import-untyped]
from mlflow.exceptions import MlflowException

from fcn.errors import UserError
from fcn.predict import segmentation, serving


class Segmentation(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Pictures as base64 in, class maps and overlays as base64 out."""

    def load_context(self, context: Any) -> None:
        """Reads the net."""
        from fcn.predict import predictor

        self.net = predictor.load(Path(context.artifacts["model"]))
        # requests come on threads, and a net takes all cores and much memory
        self.turns = serving.Turns()
        # MLflow gives up on a request then, but not the thread that works for it.
        self.seconds = float(os.environ.get("MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT") or 60)

    # Of its annotations MLflow makes checks of its own, or a warning; this one it leaves alone.
    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """Answers the rows of `model_input`, see `fcn.predict.serving.answers`; what is wrong with
        them becomes an answer 400.
        """
        opacity = (params or {}).get("opacity")  # of the signature's type; null passes
        opacity = segmentation.OPACITY if opacity is None else float(opacity)
        try:
            predict = serving.within(self.net, self.turns, self.seconds)
            return serving.answers(list(model_input["image"]), predict, opacity, self.net.cost)
        except UserError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error


mlflow.models.set_model(Segmentation())
