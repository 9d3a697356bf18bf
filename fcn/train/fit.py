"""One stage of training from files to files: the weights of the parent and the records in, a model
folder out.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import keras

from fcn.errors import UserError
from fcn.hardware import devices, distribution
from fcn.input import records, stream
from fcn.io import files
from fcn.monitor import health
from fcn.net import surgery
from fcn.spec import MARK, ModelSpec, TrainSpec
from fcn.train import training

ROOMS = ("hardware", "input", "net", "score", "spec", "train")
"""The folders of fcn/ whose code decides the bytes of a training; dvc.yaml names the same ones."""
REPORTING = ("log_every", "validate_every", "validate_images")
"""Keys of a recipe that decide what is told of a training, and no weight."""


def facts(spec: ModelSpec, recipe: TrainSpec, data: Path, parent: Path) -> dict[str, Any]:
    """What decides the result of a training: parameters, records, parent and code.

    `spec.knows` is words: a training goes on under others.

    Args:
        spec: the net.
        recipe: the training.
        data: folder of the records.
        parent: weight file or model folder.

    Returns:
        A value for every fact, by a name as in params.yaml; of files and code a digest.
    """
    weights = parent / "weights.npz" if parent.is_dir() else parent
    return {
        **{f"model.{key}": value for key, value in asdict(replace(spec, knows="")).items()},
        **{f"train.{key}": value for key, value in asdict(recipe).items()},
        **{
            f"the {split} records": records.split_info(data, split)["digest"]
            for split in ("train", "val")
        },
        "the parent's weights": files.digest(weights),
        **{f"the code in fcn/{room}": _code(Path(__file__).parents[1] / room) for room in ROOMS},
    }


def resumable(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Those of `facts` that a checkpoint cannot go on without.

    A recipe's keys that only report are none of them, unless validations decide what is kept, nor
    is the number of iterations where the rate does not depend on it.
    """
    decide = facts["train.keep"] == "best" or facts["train.patience"]
    free = {f"train.{key}" for key in REPORTING[: 1 if decide else None]}
    if facts["train.schedule"] == "fixed":
        free.add("train.iterations")
    return {name: fact for name, fact in facts.items() if name not in free}


def fingerprint(facts: Mapping[str, Any]) -> str:
    """Facts as 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def _code(room: Path) -> str:
    listed = [
        (path.relative_to(room).as_posix(), files.digest(path))
        for path in sorted(room.rglob("*.py"))
    ]
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()[:16]


def run(
    spec: ModelSpec,
    recipe: TrainSpec,
    data: Path,
    parent: Path,
    out: Path,
    checkpoint: Path,
    told: training.Listener = training.NOBODY,
) -> None:
    """Trains one variant and writes its model folder. Of several processes, see `distribution`, the
    first one writes.

    Args:
        spec: the net.
        recipe: the training.
        data: folder of the records, with the splits "train" and "val".
        parent: the classifier's weight file, or the parent variant's model folder.
        out: folder to make or replace: `weights.npz`, `model.json`, `history.csv` (step, loss) and
            `validation.csv` (step and the four scores).
        checkpoint: see `training.train`; removed at the end.
        told: hears of it.

    Raises:
        UserError: the model cannot be written, for want of room above all; the checkpoint is kept.
            And see `surgery.start`, `training.train` and `records.split_info`.
    """
    files.check_folder(out, MARK)
    device = devices.prepare(recipe.seed, recipe.precision, deterministic=recipe.deterministic)
    share = distribution.share(recipe.batch, recipe.accumulate)
    with share.scope():
        model, transfers = surgery.start(spec, parent, recipe.new_layers, recipe.seed)
    if share.devices > 1:
        device = f"{device} ({share.devices} devices share each batch)"
    told.begins(device, transfers)
    splits = {split: records.split_info(data, split) for split in ("train", "val")}
    health.once(told.note)([*health.from_labels(splits), *health.from_little(splits)])
    with records.explained(data):
        history = training.train(
            model,
            stream.Stream(data, "train", recipe, spec.mean_bgr, share),
            lambda: told.watch(stream.validation(data, "val", recipe.validate_images)),
            checkpoint,
            told,
        )
    if share.first:
        try:
            _write(out, model, spec, history)
        except OSError as error:
            said = f"the trained model could not be written: {health.unwritten(error, out)}"
            if checkpoint.is_file():
                said += f" The checkpoint {checkpoint} is kept: the next run goes on from there."
            raise UserError(said) from error
        checkpoint.unlink(missing_ok=True)


def _write(out: Path, model: keras.Model, spec: ModelSpec, history: list[dict[str, float]]) -> None:
    with files.replacing_folder(out, MARK) as folder:
        folder.mkdir()
        surgery.save(model, spec, folder)
        _write_rows(folder / "history.csv", [row for row in history if "loss" in row])
        _write_rows(folder / "validation.csv", [row for row in history if "loss" not in row])


def _write_rows(path: Path, rows: list[dict[str, float]]) -> None:
    header = [key.removeprefix("val_") for key in rows[0]]
    files.write_csv(path, header, ([f"{row[key]:.9g}" for key in rows[0]] for row in rows))
