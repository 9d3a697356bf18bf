"""Trainings in processes of their own that stop at a chosen point and are killed there: `python
kill_driver.py PLAN.json`.

TensorFlow is imported once and not initialised; each training is a fork from there. It stops itself
(SIGSTOP), the driver notes what lies in its folder, kills it (SIGKILL) and prints that as one line
of JSON.
"""

import functools
import io
import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from unittest import mock

import numpy as np

from fcn.io import files
from fcn.spec import ModelSpec
from fcn.spec.checking import parse
from fcn.spec.recipe import TrainSpec
from fcn.train import fit, training


def stop():
    os.kill(os.getpid(), signal.SIGSTOP)


class Points:
    """What a training calls on its way; it stops at `kind`, of the step `step` where there are
    several of the kind.
    """

    def __init__(self, kind, step, out):
        self.kind, self.at, self.out, self.told = kind, step, out, 0
        here = {
            "step": self.patch_step,
            "half a checkpoint": self.patch_arrays,
            "half a model": self.patch_arrays,
        }
        here |= {"between two renames": self.patch_rename}
        here.get(kind, lambda: None)()

    def report(self, step, values):
        self.told = step

    def watch(self, examples):
        for number, example in enumerate(examples):
            if (self.kind, self.at, 1) == ("validation", self.told, number):
                stop()
            yield example

    def patch_step(self):
        def on_train_batch_end(loop, batch, logs=None):
            if loop.step == self.at:
                stop()

        training._Loop.on_train_batch_end = on_train_batch_end

    def patch_arrays(self):
        savez = np.savez

        def half(file, **arrays):
            buffer = io.BytesIO()
            savez(buffer, **arrays)
            content = buffer.getvalue()
            file.write(content[: len(content) // 2])
            file.flush()
            kind = "half a checkpoint" if "progress" in arrays else "half a model"
            if kind == self.kind and self.at in (
                None,
                int(np.asarray(arrays.get("optimizer/0", 0))),
            ):
                stop()
            file.write(content[len(content) // 2 :])

        mock.patch.object(np, "savez", half).start()

    def patch_rename(self):
        replace = os.replace

        def replacing(source, target):
            if Path(target) == self.out:
                stop()
            replace(source, target)

        mock.patch.object(os, "replace", replacing).start()


def train(plan, run):
    out, checkpoint = Path(run["folder"], "model"), Path(run["folder"], "checkpoint.npz")
    points = Points(run["kind"], run["step"], out)
    if run["checkpoints"]:  # one after every report
        time.monotonic = lambda: 0.0
        training.train = functools.partial(training.train, seconds=0)
    spec, recipe = (
        parse(ModelSpec, plan["spec"], "spec"),
        parse(TrainSpec, plan["recipe"], "recipe"),
    )
    data, parent = Path(plan["data"]), Path(plan["parent"])
    fit.run(
        spec,
        recipe,
        data,
        parent,
        out,
        checkpoint,
        training.Listener(report=points.report, watch=points.watch),
    )


def killed(plan, run):
    """How the process ended, what its folder held when it stopped, and the step of the checkpoint
    then.
    """
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            train(plan, run)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, os.WUNTRACED)
    folder = Path(run["folder"])
    found = {
        path.relative_to(folder).as_posix(): path.stat().st_size
        for path in folder.rglob("*")
        if path.is_file()
    }
    if os.WIFSTOPPED(status):
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
    kept = folder / "checkpoint.npz"
    step = int(files.load_arrays(kept)["optimizer/0"]) if kept.exists() else None
    return {"code": os.waitstatus_to_exitcode(status), "files": found, "checkpoint": step}


if __name__ == "__main__":
    plan = json.loads(Path(sys.argv[1]).read_text())
    for run in plan["runs"]:
        print(json.dumps(killed(plan, run)), flush=True)
