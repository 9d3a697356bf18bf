"""kill -9 at any point, and again, and a full disk: the training that goes on ends in the bytes of
one that was let be.
"""

import dataclasses
import functools
import hashlib
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import types
from pathlib import Path

import pytest

from fcn.errors import UserError
from fcn.io import files
from fcn.spec.augment import Augment
from fcn.spec.recipe import TrainSpec
from fcn.train import fit, training

RECIPE = TrainSpec(
    "sgd", 3e-2, 0.9, 5e-4, 2.0, "mean", 12, 2, 6, 3, augment=Augment((0.7, 1.3), True, 3, 32)
)
POINTS = (
    # Where it is killed, and the step of the checkpoint that is there then. There is one after
    # every second step but the last.
    ("step", 1, None),
    ("step", 3, 2),
    ("validation", 6, 4),
    ("half a checkpoint", 8, 6),
    ("half a model", None, 10),
    ("between two renames", None, 10),
)
HALF = {
    "half a checkpoint": ".fcn-part-checkpoint.npz",
    "half a model": ".fcn-part-model/.fcn-part-weights.npz",
}


@pytest.fixture(scope="module")
def ends(spec, data, vgg, tmp_path_factory):
    """Folder and ends of the training that was let be, and of the one that was killed at all points
    in turn.
    """
    folder = tmp_path_factory.mktemp("killed")
    for name in ("whole", "killed"):
        (folder / name / "model").mkdir(parents=True)
        (folder / name / "model" / "former").write_text("what an earlier training left")
        (folder / name / "model" / "model.json").write_text('{"variant": "fcn32s"}')
    runs: list[dict[str, object]] = [
        {"folder": str(folder / "whole"), "kind": None, "step": None, "checkpoints": False}
    ]
    for kind, step in (*(point[:2] for point in POINTS), (None, None)):
        runs.append(
            {"folder": str(folder / "killed"), "kind": kind, "step": step, "checkpoints": True}
        )
    plan = {
        "spec": dataclasses.asdict(spec),
        "recipe": dataclasses.asdict(RECIPE),
        "data": str(data),
        "parent": str(vgg),
    }
    (folder / "plan.json").write_text(json.dumps({**plan, "runs": runs}))
    command = [
        sys.executable,
        str(Path(__file__).with_name("kill_driver.py")),
        str(folder / "plan.json"),
    ]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == len(runs), done.stderr
    return folder, found, done.stderr


def digests(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


@pytest.mark.parametrize(
    "number", range(len(POINTS)), ids=[f"{kind} {step or ''}".strip() for kind, step, _ in POINTS]
)
def test_it_was_killed_there_and_the_checkpoint_before_is_whole(ends, number):
    _, found, said = ends
    kind, _, checkpoint = POINTS[number]
    end = found[1 + number]
    assert end["code"] == -signal.SIGKILL, said
    assert end["checkpoint"] == checkpoint
    if kind in HALF:
        whole = {"half a checkpoint": "checkpoint.npz", "half a model": "model/weights.npz"}[kind]
        sizes = [each["files"].get(whole, 0) for each in found]
        assert 0 < end["files"][HALF[kind]] < 0.6 * max(sizes)
    else:
        assert not set(HALF.values()) & set(end["files"]), "what was left half is gone"
    former = ".fcn-former-model/former" if kind == "between two renames" else "model/former"
    assert former in end["files"], "the model before stays until there is a new one"


def test_the_last_one_ends_in_the_same_bytes(ends):
    folder, found, said = ends
    assert [found[0]["code"], found[-1]["code"]] == [0, 0], said
    whole = digests(folder / "whole/model")
    assert digests(folder / "killed/model") == whole
    assert sorted(whole) == ["history.csv", "model.json", "validation.csv", "weights.npz"]
    for name in ("whole", "killed"):
        assert [path.name for path in (folder / name).iterdir()] == ["model"], (
            "nothing temporary is left"
        )
    curve = (folder / "whole/model/history.csv").read_text().splitlines()
    assert len(set(curve)) == 7, "it was a training, not a row of equal numbers"


class Tmpfs:
    """A file system of its own in memory, full at will."""

    strerror = "No space left on device"

    def __init__(self, folder):
        self.folder = folder
        command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
        self.works = (
            os.geteuid() == 0 and subprocess.run(command, capture_output=True).returncode == 0
        )

    def fill(self):
        free = 1
        while free:  # to the last block
            with open(self.folder / "full", "ab") as file:
                file.write(bytes(4096))
            free = shutil.disk_usage(self.folder).free

    def free(self):
        (self.folder / "full").unlink(missing_ok=True)

    def end(self):
        subprocess.run(
            ["umount", str(self.folder)], check=self.works, capture_output=not self.works
        )


class Limit:
    """No process may write a file of more than 32 kB: the same for whom no file system can be made.
    Less than a checkpoint.
    """

    strerror, works = "File too large", True

    def __init__(self, folder):
        self.folder, self.limit = folder, resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(self):
        resource.setrlimit(resource.RLIMIT_FSIZE, (32_000, self.limit[1]))

    def free(self):
        resource.setrlimit(resource.RLIMIT_FSIZE, self.limit)

    end = free


@pytest.fixture
def disk(tmp_path, request):
    memory = Tmpfs(tmp_path)
    made = memory if memory.works else Limit(tmp_path)
    yield made
    made.end()


def test_a_full_disk_costs_neither_the_checkpoint_before_nor_the_training(
    ends, disk, spec, data, vgg, monkeypatch
):
    out, checkpoint = disk.folder / "model", disk.folder / "checkpoint.npz"
    monkeypatch.setattr(training, "time", types.SimpleNamespace(monotonic=lambda: 0.0))
    monkeypatch.setattr(training, "train", functools.partial(training.train, seconds=0))

    def train(report=lambda step: None):
        noted, told = [], []

        def at(step, values):
            if "loss" in values:
                told.append(
                    (
                        step,
                        files.load_arrays(checkpoint)["optimizer/0"].item()
                        if checkpoint.exists()
                        else None,
                    )
                )
                report(step)

        def note(kind, text):
            if kind in ("checkpoint", "interrupted"):
                noted.append((kind, text))

        told_to = training.Listener(report=at, note=note)
        try:
            fit.run(spec, RECIPE, data, vgg, out, checkpoint, told_to)
        except (KeyboardInterrupt, UserError) as error:
            return told, noted, error
        return told, noted, None

    def report(step):
        {4: disk.fill, 8: disk.free, 10: disk.fill}.get(step, lambda: None)()
        if step == 10:
            raise KeyboardInterrupt

    told, noted, error = train(report)
    assert isinstance(error, KeyboardInterrupt)
    # Those of the steps 4 and 6 could not be written, that of 8 could, that upon Ctrl-C at 10 could
    # not.
    assert told == [(2, None), (4, 2), (6, 2), (8, 2), (10, 8)]
    why = (
        rf"{checkpoint}: {disk.strerror}\. The disk of {disk.folder} has [\d,]+\.\d MB free\. "
        r"Make room, "
    )
    (first, text), (last, end) = noted
    assert (first, last) == ("checkpoint", "interrupted")
    assert "The training goes on and tries again later" in text
    assert re.match(f"the checkpoint of step 4 could not be written: {why}", text)
    assert text.endswith("the next run goes on from the checkpoint of step 2, which is kept.")
    assert re.match(f"the checkpoint of step 10 could not be written: {why}", end)
    assert end.endswith("the next run goes on from the checkpoint of step 8, which is kept.")

    told, _, error = train()
    assert told == [(10, 8), (12, 8)]
    assert re.match(
        rf"the trained model could not be written: {why.replace('checkpoint.npz', 'model')}",
        str(error),
    )
    assert str(error).endswith(
        f"The checkpoint {checkpoint} is kept: the next run goes on from there."
    )
    assert not out.exists()
    assert "full" in {path.name for path in disk.folder.iterdir()} or isinstance(disk, Limit)

    disk.free()
    told, noted, error = train()
    assert (told[0], noted, error) == ((10, 8), [], None)
    assert digests(out) == digests(ends[0] / "whole/model")
    assert not checkpoint.exists()
