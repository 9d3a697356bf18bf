"""How fast exported nets are: `python -m tests.benchmarks.export models/fcn8s` times one image in
Keras, SavedModel and ONNX.

Rounds of the three are interleaved, so that whatever else the machine does falls on all of them;
the medians are compared.
"""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import onnxruntime

from fcn.net import surgery
from fcn.predict import export

SIZE, ROUNDS = (1, 375, 500), 15


def main(model_dir: Path) -> None:
    model, spec = surgery.load(model_dir)
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        nets = {"Keras predict_on_batch": model.predict_on_batch}
        for form, kind in export.FORMATS.items():
            print(
                f"{form}: {export.write(model, spec, Path(folder) / form, form):.1e} of the "
                "largest score off"
            )
            nets[form] = kind.load(Path(folder) / form)
        # `load` is for a comparison in little memory.
        session = onnxruntime.InferenceSession(
            Path(folder) / "onnx" / "model.onnx", providers=["CPUExecutionProvider"]
        )
        nets["onnx"] = lambda pixels: session.run(None, {"image": pixels})
        seconds: dict[str, list[float]] = {name: [] for name in nets}
        for number in range(ROUNDS + 2):
            for name, net in nets.items():
                start = time.perf_counter()
                net(image)
                if number >= 2:  # the first ones trace and allocate
                    seconds[name].append(time.perf_counter() - start)
    first = statistics.median(seconds["Keras predict_on_batch"])
    for name, each in seconds.items():
        middle = statistics.median(each)
        print(f"{name:24s} {middle:.3f} s   {middle / first:.2f}   fastest {min(each):.3f} s")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
