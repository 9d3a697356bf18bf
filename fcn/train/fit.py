"""One stage of training from files to files: the weights of the parent and the records in, a model folder out."""

import hashlib
import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from fcn.errors import UserError
from fcn.hardware import devices, distribution
from fcn.input import records, stream
from fcn.io import files
from fcn.monitor import health
from fcn.net import surgery
from fcn.spec import MARK, ModelSpec, TrainSpec
from fcn.train import training


def fingerprint(spec: ModelSpec, recipe: TrainSpec, data: Path, parent: Path) -> str:
    """What decides the result of a training, as 16 hexadecimal digits: parameters, records, parent and this code.

    A checkpoint bears it in its name, so one of other parameters, data or code is never gone on from. `spec.knows` is words:
    a training goes on under others.

    Args:
        spec: the net.
        recipe: the training.
        data: folder of the records.
        parent: weight file or model folder.
    """
    code = sorted(m.__file__ for name, m in sys.modules.items() if name.split(".")[0] == "fcn" and m.__file__)
    weights = parent / "weights.npz" if parent.is_dir() else parent
    facts = {
        "model": asdict(replace(spec, knows="")),
        "recipe": asdict(recipe),
        "data": [records.split_info(data, split)["digest"] for split in ("train", "val")],
        "parent": files.digest(weights),
        "code": [files.digest(path) for path in code],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def run(
    spec: ModelSpec,
    recipe: TrainSpec,
    data: Path,
    parent: Path,
    out: Path,
    checkpoint: Path,
    begins: Callable[[str, list[surgery.Transfer]], None],
    report: training.Report,
    watch: Callable[[Iterable[Any]], Iterable[Any]] = lambda examples: examples,
    note: Callable[[str, str], None] = lambda kind, text: None,
) -> None:
    """Trains one variant and writes its model folder. Of several processes, see `distribution`, the first one writes.

    Args:
        spec: the net.
        recipe: the training.
        data: folder of the records, with the splits "train" and "val".
        parent: the classifier's weight file, or the parent variant's model folder.
        out: folder to make or replace: `weights.npz`, `model.json`, `history.csv` (step, loss) and `validation.csv`
            (step and the four scores).
        checkpoint: see `training.train`; removed at the end.
        begins: called once with the device in words and the account of the parent's weights.
        report: see `training.train`.
        watch: is handed each validation's examples and yields them on, to see how far it is.
        note: gets what looks wrong, as (kind, text), each kind once; see `fcn.monitor.health`.

    Raises:
        UserError: the model cannot be written, for want of room above all; the checkpoint is kept. And see `surgery.start`,
            `training.train` and `records.split_info`.
    """
    files.check_folder(out, MARK)
    device = devices.prepare(recipe.seed, recipe.precision, deterministic=recipe.deterministic)
    share = distribution.share(recipe.batch, recipe.accumulate)
    with share.scope():
        model, transfers = surgery.start(spec, parent, recipe.new_layers, recipe.seed)
    begins(device if share.devices == 1 else f"{device} ({share.devices} devices share each batch)", transfers)
    health.once(note)(health.from_labels({split: records.split_info(data, split) for split in ("train", "val")}))
    with records.explained(data):
        history = training.train(
            model,
            recipe,
            stream.Stream(data, "train", recipe, spec.mean_bgr, share),
            lambda: watch(stream.validation(data, "val", recipe.validate_images)),
            checkpoint,
            report,
            note=note,
            classes=spec.classes,
        )
    if not share.first:
        return
    try:
        with files.replacing_folder(out, MARK) as folder:
            folder.mkdir()
            surgery.save(model, spec, folder)
            _write_rows(folder / "history.csv", [row for row in history if "loss" in row])
            _write_rows(folder / "validation.csv", [row for row in history if "loss" not in row])
    except OSError as error:
        kept = f"The checkpoint {checkpoint} is kept: the next run goes on from there." if checkpoint.is_file() else ""
        raise UserError(f"the trained model could not be written: {health.unwritten(error, out)} {kept}".rstrip()) from error
    checkpoint.unlink(missing_ok=True)


def _write_rows(path: Path, rows: list[dict[str, float]]) -> None:
    header = [key.removeprefix("val_") for key in rows[0]]
    files.write_csv(path, header, ([f"{row[key]:.9g}" for key in rows[0]] for row in rows))
