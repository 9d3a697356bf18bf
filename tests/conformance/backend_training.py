"""Trainings of one small net, from files to files, under whatever backend and devices there are;
run by `test_backends.py`.
"""

import contextlib
import dataclasses
import functools
import json
import os
import signal
import sys
import types
from pathlib import Path
from unittest import mock

import numpy as np

from fcn.errors import UserError
from fcn.evaluate import score
from fcn.hardware import distribution
from fcn.input import stream
from fcn.io import files
from fcn.net import masking, surgery
from fcn.predict import predictor
from fcn.score import evaluation
from fcn.spec import ModelSpec
from fcn.spec.protocols import Evaluate
from fcn.spec.recipe import TrainSpec
from fcn.train import fit, training

# A LeNet, since JAX compiles for a minute what is deeper.
SPEC = ModelSpec(
    "fcn4s", "lenet", ("background", "cat", "dog"), 1 / 5, 8, "caffe", "fixed", 0.0, (0.0, 0.0, 0.0)
)
ONE = TrainSpec("sgd", 5e-2, 0.9, 5e-4, 2.0, "mean", 8, 2, 4, 3)
# so that it predicts more than background
LONG = dataclasses.replace(ONE, iterations=80, validate_every=80)
TWO = dataclasses.replace(ONE, batch=2)
SUMMED = dataclasses.replace(TWO, loss="sum", learning_rate=3e-5, schedule="poly")
RECIPES = {
    "one": ONE,
    "two": TWO,
    "summed": SUMMED,
    "accumulated": dataclasses.replace(SUMMED, accumulate=2),
    "transfer": dataclasses.replace(
        TWO,
        optimizer="adamw",
        learning_rate=1e-2,
        weight_decay=0.1,
        schedule="poly",
        warmup=3,
        clip_norm=0.5,
        rates={"conv1": 0.0, "conv2": 0.3},
    ),
    "best": dataclasses.replace(ONE, validate_every=2, keep="best", patience=2),
    "bfloat16": dataclasses.replace(TWO, precision="bfloat16", iterations=4),
}


def train(folder, recipe, name, report=lambda *_: None, note=lambda *_: None):
    """By name, the loss at each report, the last validation's scores and the weights; `name` is
    that of the checkpoint.
    """
    out, checkpoint = folder / f"model {os.getpid()}", folder / f"{name}.npz"
    fit.run(
        SPEC,
        recipe,
        folder / "records",
        folder / "classifier.npz",
        out,
        checkpoint,
        training.Listener(report=report, note=note),
    )
    if not out.exists():  # not the first process
        return {}
    rows = [line.split(",") for line in (out / "history.csv").read_text().split()[1:]]
    scores = (out / "validation.csv").read_text().split()[-1].split(",")[1:]
    numbers = {f"loss/{step}": float(loss) for step, loss in rows} | {
        "scores": np.array(scores, float)
    }
    return numbers | {
        f"weights/{name}": array for name, array in files.load_arrays(out / "weights.npz").items()
    }


def interrupted(folder, recipe, name, *steps):
    """Trains and gets SIGINT amid each of these steps; returns the steps of the checkpoints, and
    the end.
    """
    found = []
    for step in steps:

        def interrupted_masked(model, step=step):
            return sending(masking.masked(model), step)

        with (
            mock.patch.object(training, "masked", interrupted_masked),
            contextlib.suppress(KeyboardInterrupt),
        ):
            train(folder, recipe, name)
            raise AssertionError("it was not interrupted")
        found.append(int(files.load_arrays(folder / f"{name}.npz")["optimizer/0"]))
    return {"checkpoints": found, **train(folder, recipe, name)}


def sending(net, stop):
    """The net, whose training sends this process SIGINT when step `stop` is computed, and before
    anybody knows.
    """
    make = net.make_train_function

    def make_train_function(force=False):
        if not net.train_function:
            make(force)
            function = net.train_function

            def step(*args):
                result = function(*args)
                if (
                    np.asarray(result[1][2][0] if len(args) > 1 else net.optimizer.iterations)
                    == stop
                ):
                    os.kill(os.getpid(), signal.SIGINT)
                return result

            net.train_function = step

    net.make_train_function = make_train_function
    return net


def stopped(folder, recipe, name, step):
    """Trains until the report of a step, and leaves its checkpoint."""

    def stop(number, values):
        if number == step and "loss" in values:
            raise KeyboardInterrupt

    with contextlib.suppress(KeyboardInterrupt):
        train(folder, recipe, name, stop)


def error(folder, recipe):
    """What the user is told instead of a result."""
    try:
        train(folder, recipe, "error")
    except UserError as error:
        return str(error)


def notes(folder, recipe):
    """What the health watches note."""
    found = {}
    train(folder, recipe, "notes", note=lambda kind, text: found.update({kind: text}))
    return found


def scored(folder, recipe):
    """The scores of a trained net by two protocols, and its labels and probabilities of an image in
    tiles.
    """
    train(folder, recipe, "scored")
    out, metrics = folder / f"model {os.getpid()}", folder / f"metrics {os.getpid()}.json"
    how = Evaluate(1, ("multiscale",))
    score.run(
        out, folder / "records", metrics, folder / f"plots {os.getpid()}", how, lambda *_: None
    )
    found = json.loads(metrics.read_text())
    image = np.random.default_rng(5).integers(90, 130, (36, 100, 3)).astype(np.uint8)
    image[:, 20:60, 0] = image[:, 50:, 1] = 220
    tiled = predictor.load(out, tile=60).predict(image, probabilities=True)
    numbers = {name: value for name, value in found.items() if isinstance(value, float)}
    numbers |= {
        f"multiscale {name}": value for name, value in found["protocols"]["multiscale"].items()
    }
    return numbers | {"labels": tiled.labels, "probabilities": tiled.probabilities}


def divided(folder):
    """The counts of the net in `folder/net` by one device and by all, and its evaluation."""
    metrics = folder / f"metrics {os.getpid()}.json"
    plots = folder / f"plots {os.getpid()}"
    score.run(folder / "net", folder / "records", metrics, plots, Evaluate(1), lambda *_: None)
    found = json.loads(metrics.read_text()) if metrics.exists() else {}
    share = distribution.everywhere()
    with share.scope():
        net, _ = surgery.load(folder / "net")
    kinds = {"one": evaluation.labeler(net), "all": evaluation.divided(net, share)}
    counts = {
        kind: evaluation.evaluate(label, stream.validation(folder / "records", "train"), 3)
        for kind, label in kinds.items()
    }
    numbers = {name: value for name, value in found.items() if isinstance(value, float)}
    return {**counts, **numbers, "devices": share.devices, "wrote": metrics.exists()}


def save(path, results):
    """Results by name, each a dictionary of numbers and arrays, a text, or None."""
    flat: dict[str, np.ndarray] = {}
    for name, result in results.items():
        parts = result if isinstance(result, dict) else {"": result or ""}
        flat |= {f"{name}//{part}": np.asarray(value) for part, value in parts.items()}
    files.save_arrays(path, flat)


def load(path):
    """What `save` wrote, by name and part."""
    results: dict[str, dict[str, np.ndarray]] = {}
    for name, value in np.load(path, allow_pickle=False).items():
        name, _, part = name.partition("//")
        results.setdefault(name, {})[part] = value
    return results


if __name__ == "__main__":
    # else a shell's background has it ignored
    signal.signal(signal.SIGINT, signal.default_int_handler)
    what, folder, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    if what == "jax":  # sees two devices, of which one image takes one
        results = {
            name: train(folder, recipe, name)
            for name, recipe in RECIPES.items()
            if name != "summed"
        }
        results["interrupted"] = interrupted(folder, TWO, "interrupted", 2, 3, 7)
        results["handed over"] = train(folder, ONE, "tensorflow's")
        results["scored"] = scored(folder, LONG)
        results["divided"] = divided(folder)
        stopped(folder, ONE, "jax's", 4)
        results["wild"] = error(folder, dataclasses.replace(ONE, learning_rate=1e30))
        results["odd"] = error(folder, dataclasses.replace(ONE, batch=3))
        results["still"] = notes(
            folder, dataclasses.replace(ONE, learning_rate=1e-13, momentum=0.2)
        )
    if what == "tensorflow":  # two devices
        import tensorflow as tf

        (cpu,) = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * 2
        )
        results = {
            name: train(folder, recipe, name)
            for name, recipe in RECIPES.items()
            if name != "accumulated"
        }
        results["divided"] = divided(folder)
        results["interrupted"] = interrupted(folder, TWO, "interrupted", 3)
        results["handed over"] = train(folder, TWO, "one's")
        results["odd"] = error(folder, dataclasses.replace(ONE, batch=3))
        results["accumulated"] = error(folder, RECIPES["accumulated"])
    if what in ("dying", "processes"):
        me = distribution.join(os.environ)
        checkpoint = folder / "c.npz"
        results = (
            {"began": {"": int(files.load_arrays(checkpoint)["optimizer/0"])}}
            if checkpoint.exists()
            else {}
        )

        def die(step, values):
            if what == "dying" and me.process == 1 and step == 6:
                os.kill(os.getpid(), signal.SIGKILL)

        seen: list[list[np.ndarray]] = []
        labels: list[evaluation.Divided] = []
        summed = distribution.Share.sum

        def add(share, counts):
            """Each process's share of the pixels, the sum, and what one process counts alone."""
            examples = stream.validation(folder / "records", "val")
            whole = evaluation.evaluate(labels[0], examples, 3)
            seen.append([counts, total := summed(share, counts), whole])
            return total

        def divided_once(*args, made=evaluation.divided):
            labels[:] = [made(*args)]
            return labels[0]

        # A clock that stands still: there is a checkpoint after every report.
        clock = types.SimpleNamespace(monotonic=lambda: 0.0)
        always = functools.partial(training.train, seconds=0)
        with (
            mock.patch.multiple(training, time=clock, train=always),
            mock.patch.object(distribution.Share, "sum", add),
            mock.patch.object(evaluation, "divided", divided_once),
        ):
            results |= {"two": train(folder, TWO, "c", die)}
        results["validated"] = {"counts": np.stack(seen)}
    save(out, results)
