"""What computes a net for the predictor: Keras, or OpenVINO, which is faster on some CPUs."""

import sys
import tempfile
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np
from keras import ops

from fcn.errors import UserError
from fcn.predict.export import needed
from fcn.predict.graph import Wanted
from fcn.score import evaluation
from fcn.spec import BACKBONES, ModelSpec


class Runtime(Protocol):
    """A net as two functions of an image, uint8 RGB (1, H, W, 3)."""

    def labels(self, image: np.ndarray) -> np.ndarray:
        """Its classes, uint8 (H, W)."""

    def both(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Its classes, and their probabilities, float32 (H, W, C)."""


class Keras:
    """The net itself, on any device."""

    def __init__(self, model: keras.Model) -> None:
        """Takes a net of `model.build`; its weights are shared, not copied."""
        self._labels = evaluation.labeler(model)
        both = [
            ops.cast(ops.argmax(model.output, axis=-1), "uint8"),
            ops.softmax(model.output, axis=-1),
        ]
        self._both = keras.Model(model.input, both)
        self._both.compile(jit_compile=evaluation.COMPILED)

    def labels(self, image: np.ndarray) -> np.ndarray:
        """See `Runtime`."""
        found: np.ndarray = self._labels(image)[0]
        return found

    def both(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `Runtime`."""
        labels, probabilities = self._both.predict_on_batch(image)
        return labels[0], probabilities[0]


class OpenVino:
    """The net's ONNX graph, on this machine's CPU. OpenVINO pools no map of a single cell, so
    images that come down to one are left to Keras.
    """

    def __init__(self, model: keras.Model, spec: ModelSpec, precision: str) -> None:
        """Compiles nothing yet.

        Args:
            model: see `model.build`.
            spec: that it was built from.
            precision: "float32" or "bfloat16"; a CPU without bfloat16 computes in float32.

        Raises:
            UserError: OpenVINO or ONNX is not installed, or Keras runs on JAX.
        """
        # OpenVINO would tell Google of its import, from a process of its own. It does without.
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
        for library in ("onnx", "openvino"):
            needed(library)
        if keras.backend.backend() != "tensorflow":
            raise UserError(
                f"openvino reads the net from Keras on TensorFlow; this is "
                f"{keras.backend.backend()}: unset KERAS_BACKEND"
            )
        self._model, self._spec, self._keras = model, spec, Keras(model)
        self._least = 2 ** len(BACKBONES[spec.backbone].blocks)
        self._precision = {"float32": "f32", "bfloat16": "bf16"}[precision]

    @cached_property
    def _labels(self) -> Callable[[np.ndarray], np.ndarray]:
        return self._compiled(Wanted(labels=True))

    @cached_property
    def _scores(self) -> Callable[[np.ndarray], np.ndarray]:
        return self._compiled(Wanted())

    def _compiled(self, wanted: Wanted) -> Callable[[np.ndarray], np.ndarray]:
        import openvino

        from fcn.predict import onnx_graph

        hints = {"INFERENCE_PRECISION_HINT": self._precision, "PERFORMANCE_HINT": "LATENCY"}
        with tempfile.TemporaryDirectory() as name:  # it has read all weights once it has compiled
            onnx_graph.save(self._model, self._spec, Path(name), wanted)
            net: Any = openvino.Core().compile_model(Path(name) / "model.onnx", "CPU", hints)
        return lambda image: np.asarray(net([image.astype(np.float32)])[0][0])

    def labels(self, image: np.ndarray) -> np.ndarray:
        """See `Runtime`."""
        return self._labels(image) if self._takes(image) else self._keras.labels(image)

    def both(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `Runtime`."""
        if not self._takes(image):
            return self._keras.both(image)
        scores = self._scores(image)
        odds = np.exp(scores - scores.max(-1, keepdims=True))
        return scores.argmax(-1).astype(np.uint8), odds / odds.sum(-1, keepdims=True)

    def _takes(self, image: np.ndarray) -> bool:
        return bool(min(image.shape[1:3]) >= self._least)


NAMES = ("keras", "openvino")


def make(name: str, model: keras.Model, spec: ModelSpec, precision: str) -> Runtime:
    """One of `NAMES`.

    Args:
        name: which one.
        model: see `model.build`.
        spec: that it was built from.
        precision: in which it computes; of Keras the model has it already.

    Raises:
        UserError: no such runtime, or its library is not installed.
    """
    if name not in NAMES:
        raise UserError(f"runtime: expected {' or '.join(NAMES)}, got {name!r}")
    return OpenVino(model, spec, precision) if name == "openvino" else Keras(model)
