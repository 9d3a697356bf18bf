"""The chain with several seeds and on parts of the data; its stages only note that they ran."""

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml

from fcn.errors import UserError
from flows import folds, pipeline, repeats, seeds, settings
from flows.runner import children, workspace
from tasks.settings import config, yamlfile

ROOT = Path(__file__).parents[3]


def test_the_jobs_are_the_stages_of_dvc_yaml_in_another_place(tmp_path):
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())
    params = yamlfile.plain(ROOT / "settings.json")
    seven = repeats.Repeat("seed 7", ("--seed", "7"), Path("x/7"))
    jobs = list(repeats.jobs(stages["stages"], params, seven, seeds.CHAIN))
    assert [job.name for job in jobs] == [
        f"{s}@{v}" for v in ("fcn32s", "fcn16s", "fcn8s") for s in ("train", "evaluate")
    ]
    train, evaluate = jobs[2:4]
    assert " ".join(train.command) == (
        "fcn stage train --settings settings.json --variant fcn16s --records data/records --look "
        "plots/data --init x/7/models/fcn32s --out x/7/models/fcn16s --seed 7"
    )
    assert {Path("data/records"), Path("x/7/models/fcn32s"), Path("fcn/train")} <= set(train.deps)
    assert train.outs == (Path("x/7/models/fcn16s"),)
    assert train.scores is None
    recipe = train.params["train.fcn16s"]
    assert "seed" not in recipe
    assert recipe["iterations"] == 1600
    assert evaluate.command[:3] == ("fcn", "stage", "evaluate")
    assert evaluate.command[-2:] == ("--seed", "7")
    assert {"x/7/models/fcn16s", "x/7/metrics/fcn16s.json", "x/7/plots/fcn16s"} <= set(
        evaluate.command
    )
    assert evaluate.scores == Path("x/7/metrics/fcn16s.json")
    assert set(evaluate.outs) == {evaluate.scores, Path("x/7/plots/fcn16s")}
    assert "models/vgg.npz" in jobs[0].command


def change(own):
    """Writes params.yaml and, as the stage `settings` does, what comes out of it."""
    if Path("params.yaml").exists():
        own = yamlfile.plain(config.PARAMS) | own
    Path("params.yaml").write_text(yaml.safe_dump(own, sort_keys=False))
    assert settings.main(["--out", "settings.json"]) == 0


class Stages:
    """Stand-ins for the stages: a training leaves its seed, an evaluation makes a score of it."""

    def __init__(self):
        self.ran, self.fails = [], None

    def __call__(self, command, extra, say):
        assert extra["FCN_PARENT_RUN"] == ""
        assert command[:2] == ("fcn", "stage")
        name, variant, seed = command[2], command[6], int(command[-1])
        if self.fails == (name, variant, seed):
            raise KeyboardInterrupt
        self.ran.append((name, variant, seed))
        value = dict(zip(command[3::2], command[4::2], strict=True))
        if name == "train":
            Path(value["--out"]).mkdir(parents=True, exist_ok=True)
            Path(value["--out"], "weights.npz").write_text(f"{variant} {seed}")
        else:
            Path(value["--plots"]).mkdir(parents=True, exist_ok=True)
            Path(value["--metrics"]).parent.mkdir(parents=True, exist_ok=True)
            scores = dict.fromkeys(
                ("pixel_accuracy", "mean_accuracy", "frequency_weighted_iu"), 0.5
            )
            mean_iu = {"fcn32s": 0.1, "fcn16s": 0.3}[variant] * seed
            Path(value["--metrics"]).write_text(
                json.dumps({**scores, "mean_iu": mean_iu, "provenance": {}})
            )
        return 0


@pytest.fixture
def stages(tmp_path, monkeypatch):
    """A workspace with records, weights and two variants, DVC and stages replaced."""
    monkeypatch.chdir(tmp_path)
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    for stage in ("train", "evaluate"):
        stages[stage]["do"]["deps"] = [
            d for d in stages[stage]["do"]["deps"] if not d.startswith("fcn/")
        ] + ["code.py"]
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    Path("code.py").write_text("")
    shutil.copy(ROOT / "profiles.yaml", "profiles.yaml")
    change(
        {"variants": {"fcn32s": "models/vgg.npz", "fcn16s": "models/fcn32s"}, "profile": "sample"}
    )
    for file in ("data/records/index.json", "models/vgg.npz"):
        Path(file).parent.mkdir(parents=True)
        Path(file).write_text("{}")
    outs = {"records": ["data/records"], "convert_vgg": ["models/vgg.npz"]}
    lock = {
        stage: {"outs": [{"path": path, "md5": "0"} for path in paths]}
        for stage, paths in outs.items()
    }
    Path("dvc.lock").write_text(yaml.safe_dump({"stages": lock}))
    monkeypatch.setattr(pipeline, "dvc", lambda command, extra, record: None)
    stand_in = Stages()
    monkeypatch.setattr(children, "follow", stand_in)
    return stand_in


def test_mean_and_deviation_and_what_is_done_stays_done(stages, capsys):
    stages.fails = ("train", "fcn16s", 2)
    with pytest.raises(KeyboardInterrupt):
        seeds.seeds(3)
    first = [
        (stage, variant) for variant in ("fcn32s", "fcn16s") for stage in ("train", "evaluate")
    ]
    assert stages.ran == [*((*each, 1) for each in first), *((*each, 2) for each in first[:2])]
    assert not Path("reports/seeds.json").exists()

    stages.fails, stages.ran = None, []
    seeds.seeds(3)
    assert stages.ran == [*((*each, 2) for each in first[2:]), *((*each, 3) for each in first)], (
        "it goes on"
    )
    report = json.loads(Path("reports/seeds.json").read_text())
    assert (report["profile"], report["seeds"]) == ("sample", [1, 2, 3])
    # 0.1, 0.2, 0.3 and 0.3, 0.6, 0.9; the gains are 0.2, 0.4, 0.6.
    for variant, step in (("fcn32s", 0.1), ("fcn16s", 0.3)):
        found = report["variants"][variant]["mean_iu"]
        assert found["values"] == pytest.approx([step, 2 * step, 3 * step])
        assert (found["mean"], found["sd"]) == pytest.approx((2 * step, step))
    assert report["words"][0] == (
        "fcn16s against fcn32s, seed by seed: mean IU +0.4000 ± 0.2000, above it with 3 of 3 seeds."
    )
    assert "0.2000 ± 0.1000 | 0.6000 ± 0.3000 |" in capsys.readouterr().out
    assert sorted(path.name for path in Path("models").iterdir()) == ["vgg.npz"], (
        "DVC's outputs stay as they are"
    )

    stages.ran = []
    seeds.seeds(3)
    assert stages.ran == []
    (unchanged,) = re.findall(r"^unchanged: (.*)$", capsys.readouterr().out, re.MULTILINE)
    assert len(unchanged.split(", ")) == 12


def test_two_at_once_are_refused_and_so_is_a_pipeline_beside_them(stages, monkeypatch):
    Path(".dvc").mkdir()
    Path(".dvc/config").touch()
    with (
        workspace.held("dvc repro"),
        pytest.raises(UserError, match=r"busy, nothing was done\. At work in it:\n  `dvc repro`"),
    ):
        seeds.seeds(1)
    assert stages.ran == []

    def ask(*_):
        with pytest.raises(UserError, match=r"`fcn seeds --n 1`"), workspace.held("dvc repro"):
            pass
        raise KeyboardInterrupt

    monkeypatch.setattr(children, "follow", ask)
    with pytest.raises(KeyboardInterrupt):
        seeds.seeds(1)


def change_rate():
    change({"profiles": {"sample": {"train": {"fcn16s": {"learning_rate": 0.5}}}}})


def change_seed():
    change({"profiles": {"sample": {"train": {"fcn32s": {"seed": 99}}}}})


def change_records():
    lock = yaml.safe_load(Path("dvc.lock").read_text())
    lock["stages"]["records"]["outs"][0]["md5"] = "1"
    Path("dvc.lock").write_text(yaml.safe_dump(lock))


def change_model():
    Path(".cache/seeds/sample/1/models/fcn32s/weights.npz").write_text("other")


EVERYTHING = [
    (stage, variant) for variant in ("fcn32s", "fcn16s") for stage in ("train", "evaluate")
]


@pytest.mark.parametrize(
    ("changed", "again"),
    [
        # to the same bytes here, so that its evaluation need not be made again
        (change_rate, [("train", "fcn16s")]),
        (change_seed, []),
        (change_records, EVERYTHING),
        (lambda: Path("code.py").write_text("1"), EVERYTHING),
        (change_model, EVERYTHING[1:3]),
    ],
)
def test_only_what_changed_is_run_again(stages, changed, again):
    seeds.seeds(1)
    stages.ran = []
    changed()
    seeds.seeds(1)
    assert stages.ran == [(*each, 1) for each in again]


def test_a_stage_that_fails_is_named(stages, monkeypatch):
    monkeypatch.setattr(children, "follow", lambda command, extra, say: 1)
    with pytest.raises(UserError, match="train@fcn32s seed 1: its process ended with 1"):
        seeds.seeds(2)
    with pytest.raises(UserError, match="--n: expected at least 1 seed, got 0"):
        seeds.seeds(0)


def test_the_records_come_first_and_all_lies_apart():
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())
    params = yamlfile.plain(ROOT / "settings.json")
    repeat = repeats.Repeat("fold 2 of 5", ("--fold", "2/5"), Path("x"))
    records, train, evaluate = list(repeats.jobs(stages["stages"], params, repeat, folds.CHAIN))[:3]
    assert [job.name for job in (records, train, evaluate)] == [
        "records", "train@fcn32s", "evaluate@fcn32s",
    ]  # fmt: skip
    assert " ".join(records.command) == (
        "fcn stage records --settings settings.json --raw data/raw/sample --out x/data/records "
        "--plots x/plots/data --images 24 --fold 2/5"
    )
    assert Path("data/raw/sample/images") in records.deps
    assert " ".join(train.command) == (
        "fcn stage train --settings settings.json --variant fcn32s --records x/data/records "
        "--look x/plots/data --init models/vgg.npz --out x/models/fcn32s --fold 2/5"
    )
    assert Path("x/data/records") in train.deps
    assert train.params["train.fcn32s"]["seed"] == 1, "which is the recipe's here"


class Folds:
    """Stand-ins: the net of fold n finds n of 4 pixels of its cat, in one image for each fold."""

    def __init__(self):
        self.ran = []

    def __call__(self, command, extra, say):
        name, fold = command[2], command[-1]
        self.ran.append((name, fold))
        value = dict(zip(command[3::2], command[4::2], strict=True))
        for out in (value[key] for key in ("--out", "--plots") if key in value):
            Path(out).mkdir(parents=True, exist_ok=True)
        if name == "evaluate":
            n = int(fold[0])
            rows = [f"image{n},background,6,6,{10 - n}", f"image{n},cat,{n},4,{n}"]
            table = Path(value["--plots"], "images.csv")
            table.write_text("\n".join(["image,class,both,truth,prediction", *rows, ""]))
            Path(value["--metrics"]).parent.mkdir(parents=True, exist_ok=True)
            scores = dict.fromkeys(
                ("pixel_accuracy", "mean_accuracy", "frequency_weighted_iu", "mean_iu"), n / 10
            )
            Path(value["--metrics"]).write_text(json.dumps({**scores, "provenance": {}}))
        return 0


@pytest.fixture
def folded(stages, monkeypatch):
    """A workspace with the images of a download, and one variant."""
    change({"variants": {"fcn32s": "models/vgg.npz"}})
    written = yaml.safe_load(Path("dvc.yaml").read_text())
    deps = written["stages"]["records"]["deps"]
    written["stages"]["records"]["deps"] = [dep for dep in deps if not dep.startswith("fcn/")]
    Path("dvc.yaml").write_text(yaml.safe_dump(written))
    Path("data/raw/sample/images").mkdir(parents=True)
    stand_in = Folds()
    monkeypatch.setattr(children, "follow", stand_in)
    return stand_in


def test_all_folds_are_scored_together(folded, capsys):
    folds.folds(3)
    chain = ("records", "train", "evaluate")
    assert folded.ran == [(stage, f"{n}/3") for n in (1, 2, 3) for stage in chain]
    report = json.loads(Path("reports/folds.json").read_text())
    assert report["variants"]["fcn32s"]["mean_iu"]["values"] == [0.1, 0.2, 0.3]
    # All pixels together: 6 of 12 cats found, background 18 of 18 + 6 taken for it.
    pooled = report["pooled"]["fcn32s"]
    assert pooled["images"] == 3
    assert pooled["class_iu"] == pytest.approx({"background": 18 / 24, "cat": 6 / 12})
    assert pooled["mean_iu"]["value"] == pytest.approx((18 / 24 + 6 / 12) / 2)
    assert pooled["pixel_accuracy"]["value"] == pytest.approx(24 / 30)
    assert pooled["mean_iu"]["low"] < pooled["mean_iu"]["value"] < pooled["mean_iu"]["high"]
    said = capsys.readouterr().out
    assert "fcn32s: mean IU 0.6250 (" in said
    assert "on all 3 images together, each by the net of the 3 that has not seen it" in said

    folded.ran = []
    folds.folds(3)
    assert folded.ran == []


def test_one_fold_is_none():
    with pytest.raises(UserError, match="--k: expected at least 2 folds, got 1"):
        folds.folds(1)
