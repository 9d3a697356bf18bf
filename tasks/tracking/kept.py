"""What a training leaves outside of DVC: a checkpoint, and the finished model until DVC has it.

    .cache/checkpoints/<profile>-<variant>-<fingerprint>.npz    the checkpoint
    .cache/checkpoints/<profile>-<variant>-<fingerprint>.json   what it may be gone on from with,
    see `fit.resumable` .cache/checkpoints/<profile>-<variant>-<fingerprint>/       the model, as
    hard links; its fingerprint is of all facts

Much can break between the end of a training and the copy in DVC's cache: a full disk, `kill -9` of
dvc. So the model stays here until `dvc.lock` names it and DVC's cache holds it. Until then the next
run takes it from here and does not train again.
"""

import contextlib
import glob
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, JsonValue

from fcn import reading
from fcn.errors import UserError
from fcn.io import disk, files
from fcn.spec import MARK
from tasks.tracking import dvcfiles, provenance

CHECKPOINTS = Path(".cache/checkpoints")
"""Outside of DVC: a checkpoint is no result.

When a training ends well, what earlier trainings of the same profile and variant left under other
parameters, data or code is removed; until then any of them can be gone back to. Trainings with a
seed of their own (`fcn seeds`) have `-seed<n>` in the name and touch no others.
"""
KEY = "[0-9a-f]" * 16
"""The pattern of a fingerprint in a name."""


class _Listed(BaseModel):
    """A file of a folder in DVC's cache, as far as it is looked at."""

    md5: str


def note(checkpoint: Path, facts: Mapping[str, Any]) -> None:
    """Writes beside a checkpoint what it may be gone on from with: `fit.resumable`."""
    with files.replacing_file(checkpoint.with_suffix(".json")) as path:
        path.write_text(json.dumps(facts), encoding="utf-8")


def others(name: str, checkpoint: Path, facts: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each checkpoint of this name that cannot be gone on
    from: which, and why not.
    """
    now = json.loads(json.dumps(facts))  # lists for tuples, as they are read
    for path in CHECKPOINTS.glob(f"{glob.escape(name)}-{KEY}.npz"):
        if path == checkpoint:
            continue
        try:
            before = reading.read_json(path.with_suffix(".json"), dict[str, JsonValue], "")
            keys = [key for key in sorted({*now, *before}) if now.get(key) != before.get(key)]
            why = "; ".join(_difference(key, before.get(key), now.get(key)) for key in keys)
        except UserError:
            why = "what it was made with is not known"
        yield (
            f"There is a checkpoint that this training cannot go on from, {path}: {why}. It is "
            "kept until this training ends."
        )


def _difference(key: str, before: Any, now: Any) -> str:
    return (
        (f"{key} was {before}, is {now}")
        if key.startswith(("model.", "train."))
        else f"{key} changed"
    )


def remove_others(name: str, made: Path) -> None:
    """Removes what trainings of this name left that nobody will go on with; see `CHECKPOINTS`."""
    for start in ("", files.PART):
        for path in CHECKPOINTS.glob(f"{start}{glob.escape(name)}-{KEY}*"):
            if path.is_dir() and path != made:
                shutil.rmtree(path)
            elif path.is_file():
                path.unlink(missing_ok=True)


def copy(model: Path, out: Path) -> None:
    """Makes the model folder `model` also appear as `out`: by hard links, or by copies."""
    with files.replacing_folder(out, MARK) as folder:
        folder.mkdir()
        for file in sorted(model.iterdir()):
            disk.link_or_copy(file, folder / file.name)


def forget() -> list[Path]:
    """Removes the models that DVC has by now, and returns their folders.

    DVC has a model when `dvc.lock` names it and the cache holds it.
    """
    waiting = [path for path in CHECKPOINTS.glob(f"*-{KEY}") if path.is_dir()]
    held = set(_held()) if waiting else set()
    known = [
        path
        for path in waiting
        if all(files.digest(file, "md5") in held for file in path.iterdir())
    ]
    for path in known:
        shutil.rmtree(path, ignore_errors=True)  # a stage beside this one may do the same
    return known


def _held() -> Iterator[str]:
    """DVC's digests of the files in the folders that dvc.lock names and the cache holds."""
    cache = Path(dvcfiles.asked("cache", "dir"), "files", "md5")
    for digest in provenance.outputs().values():
        listing = cache / digest[:2] / digest[2:]  # DVC writes it after all files that it lists
        if digest.endswith(".dir") and listing.is_file():
            # One that is damaged holds nothing for us: the model is kept.
            with contextlib.suppress(UserError):
                listed = reading.read_json(
                    listing, list[_Listed], "run the stage again", reading.LARGE
                )
                yield from (entry.md5 for entry in listed)
