"""What `mlflow models serve` runs. MLflow copies this file into the model's folder and executes it there ("models from code").

`fcn` comes from the folder, too. Saving executes this file as well, so that TensorFlow comes in with the weights alone.
"""

import threading
from pathlib import Path
from typing import Any

import mlflow
from fcn import serving
from fcn.errors import UserError
from mlflow.exceptions import MlflowException


class Segmentation(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Pictures as base64 in, class maps and overlays as base64 out."""

    def load_context(self, context: Any) -> None:
        """Reads the net."""
        from fcn import predict

        self.net = predict.load(Path(context.artifacts["model"]))
        self.one_at_a_time = threading.Lock()  # requests come on threads, and a net takes all cores and much memory

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def] # MLflow would act on annotations
        """Answers the rows of `model_input`, see `fcn.serving.answers`; what is wrong with them becomes an answer 400."""
        try:
            with self.one_at_a_time:
                opacity = float((params or {}).get("opacity", 0.6))
                return serving.answers(list(model_input["image"]), self._labels, self.net.spec.classes, opacity)
        except UserError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error

    def _labels(self, image: Any) -> Any:
        return self.net(image).labels


mlflow.models.set_model(Segmentation())
