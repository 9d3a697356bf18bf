import csv
import dataclasses
import hashlib
import json
import re
import shutil
import types
from pathlib import Path

import numpy as np
import pytest

from fcn.errors import UserError
from fcn.input import records, stream
from fcn.net import surgery
from fcn.spec.augment import Augment
from fcn.train import fit, training


def digests(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def dry(spec):
    """Without dropout, so that a few steps teach it something."""
    return dataclasses.replace(spec, dropout=0.0)


@pytest.fixture(scope="module")
def trained(dry, recipe, data, vgg, tmp_path_factory):
    """(model folder, reports, what `begins` was told) of FCN-32s."""
    folder = tmp_path_factory.mktemp("chain")
    reports, begun = [], []
    fit.run(
        dry, recipe, data, vgg, folder / "fcn32s", folder / "checkpoint.npz",
        training.Listener(lambda *said: begun.append(said), lambda *said: reports.append(said)),
    )  # fmt: skip
    return folder / "fcn32s", reports, begun


def test_the_model_folder(trained, dry):
    folder, reports, _ = trained
    assert sorted(digests(folder)) == ["history.csv", "model.json", "validation.csv", "weights.npz"]
    assert sorted(path.name for path in folder.parent.iterdir()) == ["fcn32s"], (
        "no checkpoint and nothing temporary is left"
    )
    spec = json.loads((folder / "model.json").read_text())
    assert spec == {
        **dataclasses.asdict(dry),
        "classes": list(dry.classes),
        "mean_bgr": list(dry.mean_bgr),
    }
    curve = [(str(step), values["loss"]) for step, values in reports if "loss" in values]
    assert (
        [row["step"] for row in rows(folder / "history.csv")]
        == [step for step, _ in curve]
        == [str(n) for n in range(2, 21, 2)]
    )
    np.testing.assert_allclose(
        [float(row["loss"]) for row in rows(folder / "history.csv")],
        [loss for _, loss in curve],
        rtol=1e-8,
    )
    table = rows(folder / "validation.csv")
    assert list(table[0]) == [
        "step",
        "pixel_accuracy",
        "mean_accuracy",
        "mean_iu",
        "frequency_weighted_iu",
    ]
    assert [row["step"] for row in table] == ["0", "10", "20"]
    for row, (_, values) in zip(
        table, [each for each in reports if "loss" not in each[1]], strict=True
    ):
        np.testing.assert_allclose(
            [float(row[key[4:]]) for key in values], list(values.values()), rtol=1e-8
        )
    assert b"\r" not in (folder / "history.csv").read_bytes()


def test_begins_is_told_once_the_device_and_every_weight(trained):
    _, _, begun = trained
    ((device, transfers),) = begun
    assert device == "CPU" or device.startswith("GPU: ")
    found = {
        action: sorted({t.name.split("/")[0] for t in transfers if t.action == action})
        for action in ("copied", "new", "dropped")
    }
    assert found["new"] == ["score_fr"]
    assert found["dropped"] == []
    assert len(found["copied"]) == 15


def test_the_folder_holds_the_net_that_was_validated_last(trained, data):
    model, _ = surgery.load(trained[0])
    right = valid = 0
    for batch in stream.validation(data, "val").as_numpy_iterator():
        seen = batch["label"] != 255
        right += int((model(batch["image"]).numpy().argmax(-1) == batch["label"])[seen].sum())
        valid += int(seen.sum())
    assert float(rows(trained[0] / "validation.csv")[-1]["pixel_accuracy"]) == pytest.approx(
        right / valid, rel=1e-8
    )


@pytest.fixture(scope="module")
def next_stage(trained, dry, recipe, data, tmp_path_factory):
    """FCN-16s from FCN-32s, with a checkpoint on its way, over what a killed process left."""
    folder = tmp_path_factory.mktemp("next")
    spec = dataclasses.replace(dry, variant="fcn16s", dropout=0.5)
    out, checkpoint = folder / "fcn16s", folder / "checkpoint.npz"
    for name in ("fcn16s", ".fcn-part-fcn16s"):
        (folder / name).mkdir()
        (folder / name / "half").write_text("")
        (folder / name / "model.json").write_text('{"variant": "fcn16s"}')
    clock = iter(range(0, 10**9, 60))
    existed = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "time", types.SimpleNamespace(monotonic=lambda: float(next(clock))))
        fit.run(
            spec, dataclasses.replace(recipe, iterations=24), data, trained[0], out, checkpoint,
            training.Listener(report=lambda step, _: existed.append(checkpoint.exists())),
        )  # fmt: skip
    return spec, out, existed


def test_the_checkpoint_is_gone_when_the_model_is_there(next_stage):
    _, out, existed = next_stage
    assert existed[0] is False
    assert existed[-1] is True
    assert [path.name for path in out.parent.iterdir()] == ["fcn16s"]
    assert "half" not in digests(out)


def test_the_same_inputs_give_the_same_bytes(next_stage, trained, recipe, data, tmp_path):
    """Another place, no checkpoint on the way, dropout: the folder is the same to the byte."""
    spec, out, _ = next_stage
    parent = shutil.copytree(trained[0], tmp_path / "parent")
    moved = shutil.copytree(data, tmp_path / "records")
    checkpoint = tmp_path / "c.npz"
    fit.run(
        spec,
        dataclasses.replace(recipe, iterations=24),
        moved,
        parent,
        tmp_path / "again",
        checkpoint,
    )
    assert digests(tmp_path / "again") == digests(out)


def test_a_new_stage_begins_near_where_its_parent_ended(next_stage, trained):
    """Near, not at: on images this small nearly every pixel lies by the border or by a score's own
    place, where the two ways to enlarge differ most; see the next test for where they do not."""
    last, first = rows(trained[0] / "validation.csv")[-1], rows(next_stage[1] / "validation.csv")[0]
    assert first["step"] == "0"
    for name in ("pixel_accuracy", "mean_accuracy", "mean_iu", "frequency_weighted_iu"):
        assert float(first[name]) == pytest.approx(float(last[name]), abs=0.06)
    background = float(rows(trained[0] / "validation.csv")[0]["mean_iu"])
    assert float(first["mean_iu"]) > background + 0.15, "it starts from something learned"


def test_the_parent_s_scores_are_the_child_s(trained, dry, data):
    """FCN-16s begins with its parent's scores, doubled and then enlarged by 16 instead of enlarged
    by 32 at once.

    With SAME padding score k sits on pixel 15.5 + 32 k, and the doubled ones 8 pixels to either
    side of it. Between two doubled ones inside a cell, pixels 23.5 to 39.5, both ways interpolate
    the same line. Around a score's own place the second way cuts the corner: its weight there is
    0.75 by 0.75, so at most 0.4375 of the scores' range is lost.
    """
    parent, _ = surgery.load(trained[0])
    child, _ = surgery.start(dataclasses.replace(dry, variant="fcn16s"), trained[0])
    for _, image, _ in records.read(data, "val"):
        one, other = (model(image[None]).numpy()[0] for model in (parent, child))
        extent = max(np.ptp(one), np.abs(one).max())
        inside = np.s_[24:40, 24:40]
        np.testing.assert_allclose(other[inside], one[inside], atol=1e-5 * extent)
        assert np.ptp(one[inside]) > 0.05 * extent, "there is something to compare"
        assert np.abs(one - other).max() <= 0.4375 * extent
        assert (one.argmax(-1) == other.argmax(-1)).mean() > 0.8


def test_the_wrong_parent_is_named_and_nothing_is_written(
    trained, dry, recipe, data, vgg, tmp_path
):
    for variant, parent, words in (
        (
            "fcn8s",
            trained[0],
            "fcn8s starts from fcn16s or from fcn8s, but this folder holds fcn32s",
        ),
        (
            "fcn8s_atonce",
            trained[0],
            "starts from a classifier or from fcn8s_atonce, but this folder holds fcn32s",
        ),
        ("fcn16s", vgg, "expected a model folder"),
    ):
        with pytest.raises(UserError, match=words):
            fit.run(
                dataclasses.replace(dry, variant=variant),
                recipe,
                data,
                parent,
                tmp_path / "out",
                tmp_path / "c.npz",
            )
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_the_user_s_is_left_alone_and_that_is_said_before_the_training(
    dry, recipe, data, tmp_path
):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "model.json").write_text("the user's own")
    with pytest.raises(
        UserError, match=r"out: .* a folder that this program did not make .*model\.json"
    ):
        fit.run(
            dry,
            recipe,
            data,
            tmp_path / "no parent",
            tmp_path / "out",
            tmp_path / "c.npz",
        )
    assert (tmp_path / "out" / "model.json").read_text() == "the user's own"


def test_the_facts_are_the_same_in_another_place(dry, recipe, data, trained, tmp_path):
    wanted = fit.facts(dry, recipe, data, trained[0])
    assert re.fullmatch("[0-9a-f]{16}", fit.fingerprint(wanted))
    moved, parent = (
        shutil.copytree(data, tmp_path / "records"),
        shutil.copytree(trained[0], tmp_path / "parent"),
    )
    # Neither the validation curve of the parent nor a note beside it decides anything.
    (parent / "validation.csv").write_text("")
    (parent / "note.txt").write_text("")
    assert fit.facts(dry, recipe, moved, parent) == wanted
    assert fit.facts(dry, recipe, moved, parent / "weights.npz") == wanted
    assert fit.fingerprint(json.loads(json.dumps(wanted))) == fit.fingerprint(wanted)


def test_the_fingerprint_changes_with_all_that_decides_the_result(dry, recipe, data, vgg, tmp_path):
    seen = [fit.facts(dry, recipe, data, vgg)]
    other = {
        "variant": "fcn16s", "backbone": "vgg19", "classes": ("a", "b", "c"), "width": 0.5,
        "fc_units": 9, "padding": "caffe", "upsampling": "learned", "dropout": 0.25,
        "mean_bgr": (1.0, 2.0, 3.0),
    }  # fmt: skip
    assert set(other) == {field.name for field in dataclasses.fields(dry)} - {"knows"}
    assert fit.facts(dataclasses.replace(dry, knows="Digits alone."), recipe, data, vgg) == seen[0]
    seen += [
        fit.facts(dataclasses.replace(dry, **{key: value}), recipe, data, vgg)
        for key, value in other.items()
    ]
    # Values that fit together.
    others = {
        "iterations": 30,
        "log_every": 1,
        "validate_every": 20,
        "augment": Augment(mirror=True),
    }
    others |= {
        "rates": {"conv1": 0.5},
        "new_layers": ("fc6",),
        "class_weights": {"background": 0.5},
    }
    reporting = []
    for field in dataclasses.fields(recipe):
        value = getattr(recipe, field.name)
        another = (
            "other"
            if isinstance(value, str)
            else others[field.name]
            if field.name in others
            else value + 1
        )
        changed = fit.facts(dry, dataclasses.replace(recipe, **{field.name: another}), data, vgg)
        if fit.resumable(changed) == fit.resumable(seen[0]):
            reporting.append(field.name)
        seen.append(changed)
    assert recipe.schedule == "fixed"
    assert reporting == ["iterations", "log_every", "validate_every", "validate_images"]
    with_end = dataclasses.replace(recipe, schedule="poly")
    longer = dataclasses.replace(with_end, iterations=30)
    assert fit.resumable(fit.facts(dry, with_end, data, vgg)) != fit.resumable(
        fit.facts(dry, longer, data, vgg)
    )
    for split in ("train", "val"):
        folder = shutil.copytree(data, tmp_path / split)
        index = json.loads((folder / "index.json").read_text())
        index["splits"][split]["digest"] = "0"
        (folder / "index.json").write_text(json.dumps(index))
        seen.append(fit.facts(dry, recipe, folder, vgg))
    parent = tmp_path / "vgg.npz"
    parent.write_bytes(vgg.read_bytes() + b"\0")
    seen.append(fit.facts(dry, recipe, data, parent))
    keys = [fit.fingerprint(facts) for facts in seen]
    assert len(keys) == 1 + 9 + 24 + 2 + 1
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    ("file", "same"),
    [
        ("monitor/health.py", True), ("io/files.py", True), ("doctor/rules.py", True),
        ("train/losses.py", False), ("net/model.py", False), ("input/records.py", False),
    ],
)  # fmt: skip
def test_the_code_that_decides_no_weight_changes_no_fingerprint(
    dry, recipe, data, vgg, tmp_path, monkeypatch, file, same
):
    """A comma in a message throws no day of training away; a change of the loss is never gone on
    from.
    """
    wanted = fit.facts(dry, recipe, data, vgg)
    copied = shutil.copytree(
        Path(fit.__file__).parents[1], tmp_path / "fcn", ignore=shutil.ignore_patterns("pretrained")
    )
    monkeypatch.setattr(fit, "__file__", str(copied / "train" / "fit.py"))
    assert fit.facts(dry, recipe, data, vgg) == wanted
    (copied / file).write_text((copied / file).read_text() + "# another comment\n")
    found = fit.facts(dry, recipe, data, vgg)
    assert (found == wanted) == same
    assert [key for key in wanted if found[key] != wanted[key]] == (
        [] if same else [f"the code in fcn/{file.split('/')[0]}"]
    )


def test_more_iterations_and_other_reports_go_on_from_a_checkpoint(
    spec, recipe, data, vgg, tmp_path
):
    """Stopped at step 8 of 20 with reports every 4 steps; gone on with to 22, every 11: the weights
    of an unbroken training.
    """
    recipe = dataclasses.replace(recipe, iterations=20, log_every=4, validate_every=20)
    checkpoint, steps = tmp_path / "c.npz", []

    def stop(step, values):
        if step == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit.run(
            spec, recipe, data, vgg, tmp_path / "out", checkpoint, training.Listener(report=stop)
        )
    longer = dataclasses.replace(recipe, iterations=22, log_every=11, validate_every=22)
    fit.run(
        spec,
        longer,
        data,
        vgg,
        tmp_path / "out",
        checkpoint,
        training.Listener(report=lambda step, values: steps.append((step, *values))),
    )
    assert [step for step, name, *_ in steps if name == "loss"] == [11, 22]
    fit.run(spec, longer, data, vgg, tmp_path / "whole", tmp_path / "d.npz")
    assert (tmp_path / "out" / "weights.npz").read_bytes() == (
        tmp_path / "whole" / "weights.npz"
    ).read_bytes()


def test_a_checkpoint_beyond_the_last_iteration_is_refused(spec, recipe, data, vgg, tmp_path):
    recipe = dataclasses.replace(recipe, iterations=20, log_every=4, validate_every=20)
    checkpoint = tmp_path / "c.npz"

    def stop(step, values):
        if step == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit.run(
            spec, recipe, data, vgg, tmp_path / "out", checkpoint, training.Listener(report=stop)
        )
    shorter = dataclasses.replace(recipe, iterations=4, validate_every=4)
    with pytest.raises(
        UserError,
        match=r"c\.npz is at step 8, and `iterations` is 4: set it to 8 or more to go on, or "
        r"remove",
    ):
        fit.run(spec, shorter, data, vgg, tmp_path / "out", checkpoint)
    assert checkpoint.is_file()


def test_a_loss_that_is_not_finite_names_the_images_of_its_step(spec, recipe, data, vgg, tmp_path):
    noted = {}
    wild = dataclasses.replace(recipe, optimizer="sgd", learning_rate=1e30)
    with pytest.raises(UserError) as error:
        fit.run(
            spec, wild, data, vgg, tmp_path / "out", tmp_path / "c.npz",
            training.Listener(note=lambda kind, text: noted.update({kind: text})),
        )  # fmt: skip
    first, second = (stream.Stream(data, "train", wild).ids(step)[0] for step in (0, 1))
    assert (f"The scores of step 2 are the first that are not finite; its images: {second}") in str(
        error.value
    )
    assert f"those of step 1, whose update led there: {first}." in str(error.value)
    assert noted["not_finite"] == str(error.value)
    assert not (tmp_path / "out").exists()
