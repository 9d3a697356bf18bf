import dataclasses
import typing
from pathlib import Path

import annotated_types as at
import pytest
import yaml

from fcn.errors import UserError
from fcn.spec import ModelSpec, checking
from fcn.spec.augment import Augment
from fcn.spec.protocols import Evaluate
from fcn.spec.recipe import TrainSpec
from fcn.spec.source import Source
from tasks.settings import params

TEXT = """
profile: small
variants:
  fcn32s: models/vgg.npz
download:
  archives:
    voc: {urls: ["https://example.org/a/world.tar?version=2", "file:sample/world.tar"],
          checksums: ["md5:0123"]}
  weights: {urls: ["file:sample/vgg.caffemodel"], checksums: []}
  cross_check: []
records:
  {dataset: voc, roots: {voc: VOCdevkit/World}, classes: [background, disc],
   train: train, val: val, on_bad: stop,
   shards: 2, seed: 1}
model:
  {backbone: vgg16, width: 0.125, fc_units: 128, padding: same, upsampling: fixed, dropout: 0.5,
   mean_bgr: [104, 116.5, 122]}
train:
  fcn32s:
    {optimizer: sgd, learning_rate: 1.0e-10, momentum: 0.99, weight_decay: 0, bias_rate: 2,
     loss: sum,
     iterations: 100, log_every: 10, validate_every: 50, seed: 3, schedule: poly,
     batch: 4, accumulate: 2,
     precision: bfloat16, augment: {scale: [0.5, 2], mirror: true, jitter: 32, crop: 0},
     deterministic: false}
evaluate: {overlays: 6, protocols: [resize520], precision: float32}
"""


RECIPE = ("sgd", 1e-10, 0.99, 0.0, 2.0, "sum", 100, 10, 50, 3)
NAMES = [f"c{n}" for n in range(255)]


def text_with(old, new):
    assert TEXT.count(old) == 1, "the text to change must stand there once"
    return TEXT.replace(old, new)


def settings(text=TEXT):
    return checking.parse(params.Settings, yaml.safe_load(text), "p")


def message(text):
    with pytest.raises(UserError) as error:
        settings(text)
    return str(error.value)


def test_valid_settings_give_exactly_these_values():
    assert settings() == params.Settings(
        download=params.Download(
            archives={
                "voc": Source(
                    ("https://example.org/a/world.tar?version=2", "file:sample/world.tar"),
                    ("md5:0123",),
                )
            },
            weights=Source(("file:sample/vgg.caffemodel",), ()),
            cross_check=(),
        ),
        records=params.Records(
            "voc", {"voc": "VOCdevkit/World"}, ("background", "disc"), "train", "val", "stop", 2, 1
        ),
        model=params.Model("vgg16", 0.125, 128, "same", "fixed", 0.5, (104.0, 116.5, 122.0)),
        train={
            "fcn32s": TrainSpec(
                *RECIPE, "poly", 4, 2, "bfloat16", Augment((0.5, 2.0), True, 32, 0), False
            )
        },
        evaluate=Evaluate(6, ("resize520",), "float32"),
        profile="small",
        variants={"fcn32s": "models/vgg.npz"},
    )


def test_a_whole_number_is_taken_where_a_number_is_wanted():
    found = settings()
    recipe = found.train["fcn32s"]
    assert (recipe.bias_rate, recipe.weight_decay, found.model.mean_bgr[0]) == (2.0, 0.0, 104.0)
    assert {type(recipe.bias_rate), type(recipe.weight_decay), type(found.model.mean_bgr[0])} == {
        float
    }


def test_the_name_of_a_source_is_that_of_its_first_url():
    download = settings().download
    assert (download.archives["voc"].name, download.weights.name) == ("world.tar", "vgg.caffemodel")


def test_model_holds_the_fields_of_the_model_spec():
    assert {field.name for field in dataclasses.fields(ModelSpec)} == {
        field.name for field in dataclasses.fields(params.Model)
    } | {
        "variant",
        "classes",
    }


RECIPES = TEXT.replace("fcn32s:\n    {", "fcn32s: &recipe\n    {").replace(
    "evaluate:", "  fcn16s: *recipe\n  fcn8s_atonce: *recipe\nevaluate:"
)


def with_variants(*lines):
    return RECIPES.replace(
        "  fcn32s: models/vgg.npz\n", "".join(f"  {line}\n" for line in lines), 1
    )


def test_the_variants_come_in_their_order():
    text = with_variants(
        "fcn8s_atonce: models/vgg.npz", "fcn32s: models/vgg.npz", "fcn16s: models/fcn32s"
    )
    assert [*settings(text).variants] == ["fcn8s_atonce", "fcn32s", "fcn16s"]


@pytest.mark.parametrize(
    ("lines", "wrong"),
    [
        (["fcn32s: models/vgg.npz", "fcn8s: models/fcn16s"], "fcn8s: models/fcn16s"),  # no recipe
        # another parent
        (["fcn32s: models/vgg.npz", "fcn16s: models/vgg.npz"], "fcn16s: models/vgg.npz"),
        # before its parent
        (["fcn16s: models/fcn32s", "fcn32s: models/vgg.npz"], "fcn16s: models/fcn32s"),
        (["fcn16s: models/fcn32s"], "fcn16s: models/fcn32s"),  # without its parent
        (["fcn64s: models/vgg.npz"], "fcn64s: models/vgg.npz"),  # unheard of
    ],
)
def test_a_variant_that_cannot_be_trained_is_answered_with_those_that_can(lines, wrong):
    assert message(with_variants(*lines)) == (
        f"p.variants: `{wrong}` does not fit the profile small, which can train, in this order, "
        "`fcn32s: models/vgg.npz`, `fcn16s: models/fcn32s`, `fcn8s_atonce: models/vgg.npz`; each "
        "needs the one that it starts from. `--set profile=small` writes them"
    )


def test_no_variant_at_all():
    assert message(TEXT.replace("variants:\n  fcn32s: models/vgg.npz\n", "variants: {}\n")) == (
        "p.variants: expected at least one line of `fcn32s: models/vgg.npz`; got none"
    )


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "shards: 2,",
            "shard: 2, shards: 2,",
            ".records.shard: unknown key, did you mean `shards`? The keys here are "
            "dataset, roots, classes, train, val, on_bad, shards, seed",
        ),
        ("on_bad: stop,", "", ".records.on_bad: missing"),
        ("overlays: 6, ", "", ".evaluate.overlays: missing"),
        (", checksums: []", "", ".download.weights.checksums: missing"),
        (
            "{overlays: 6, protocols: [resize520], precision: float32}",
            "6",
            ".evaluate: expected keys with values; got 6",
        ),
        (
            "shards: 2,",
            "shards: true,",
            ".records.shards: expected a whole number, at least 1 and at most 10000; got True",
        ),
        (
            "shards: 2,",
            "shards: 2.0,",
            ".records.shards: expected a whole number, at least 1 and at most 10000; got 2.0",
        ),
        (
            "shards: 2,",
            "shards: two,",
            ".records.shards: expected a whole number, at least 1 and at most 10000; got 'two'",
        ),
        (
            "momentum: 0.99",
            "momentum: false",
            ".train.fcn32s.momentum: expected a number, at least 0 and below 1; got False",
        ),
        (
            "momentum: 0.99",
            "momentum: high",
            ".train.fcn32s.momentum: expected a number, at least 0 and below 1; got 'high'",
        ),
        (
            "train: train",
            "train: 2012",
            ".records.train: expected a text, 1000 characters at most; got 2012",
        ),
        ("[background, disc]", "background", ".records.classes: expected a list; got 'background'"),
        (
            "[background, disc]",
            "[background, 7]",
            ".records.classes[1]: expected a text, 1000 characters at most; got 7",
        ),
        (
            "[104, 116.5, 122]",
            "[104, 116.5, x]",
            ".model.mean_bgr[2]: expected a number, at least 0 and at most 255; got 'x'",
        ),
        (
            '["file:sample/vgg.caffemodel"]',
            "file:sample",
            ".download.weights.urls: expected a list; got 'file:sample'",
        ),
        (
            "learning_rate: 1.0e-10",
            "learning_rate: .inf",
            ".train.fcn32s.learning_rate: expected a number, above 0 and at most 1000; got inf",
        ),
        (
            "learning_rate: 1.0e-10",
            "learning_rate: .nan",
            ".train.fcn32s.learning_rate: expected a number, above 0 and at most 1000; got nan",
        ),
        (
            '["file:sample/vgg.caffemodel"]',
            "[]",
            ".download.weights.urls: expected at least one URL, and at most 100; got []",
        ),
        (
            "[background, disc]",
            "[background]",
            ".records.classes: expected 2 to 255 different names, or none: []; got ['background']",
        ),
        (
            "[background, disc]",
            "[disc, disc]",
            ".records.classes: expected 2 to 255 different names, or none: []; got ['disc', "
            "'disc']",
        ),
        (
            "[background, disc]",
            str([*NAMES, "one more"]),
            ".records.classes: expected 2 to 255 different names, or none: []; got ['c0', 'c1', "
            "'c2', 'c3', 'c4', 'c5', ...]",
        ),
        (
            "shards: 2,",
            "shards: 0,",
            ".records.shards: expected a whole number, at least 1 and at most 10000; got 0",
        ),
        (
            "roots: {voc: ",
            "roots: {sbd: ",
            ".records.roots: expected one for each of download.archives (voc); got sbd",
        ),
        (
            "dataset: voc,",
            "dataset: coco,",
            ".records.dataset: expected one of voc, voc2011, voc2012, ade20k, folder, "
            "camvid; got 'coco'",
        ),
        ("on_bad: stop", "on_bad: ignore", ".records.on_bad: expected stop or skip; got 'ignore'"),
        (
            "seed: 1}",
            "seed: -1}",
            ".records.seed: expected a whole number, at least 0 and at most 2147483647; got -1",
        ),
        (
            "seed: 3,",
            "seed: 2147483648,",
            ".train.fcn32s.seed: expected a whole number, at least 0 and at most 2147483647; got "
            "2147483648",
        ),
        (
            "backbone: vgg16",
            "backbone: resnet",
            ".model.backbone: expected one of lenet, vgg13, vgg16, vgg19; got 'resnet'",
        ),
        ("padding: same", "padding: valid", ".model.padding: expected caffe or same; got 'valid'"),
        (
            "upsampling: fixed",
            "upsampling: none",
            ".model.upsampling: expected fixed or learned; got 'none'",
        ),
        (
            "width: 0.125",
            "width: 0",
            ".model.width: expected a number, above 0 and at most 4; got 0",
        ),
        (
            "fc_units: 128",
            "fc_units: 0",
            ".model.fc_units: expected a whole number, at least 1 and at most 16384; got 0",
        ),
        (
            "dropout: 0.5",
            "dropout: 1",
            ".model.dropout: expected a number, at least 0 and below 1; got 1",
        ),
        (
            "dropout: 0.5",
            "dropout: -0.1",
            ".model.dropout: expected a number, at least 0 and below 1; got -0.1",
        ),
        (
            "[104, 116.5, 122]",
            "[104, 116.5]",
            ".model.mean_bgr: expected three numbers: blue, green, red; got [104, 116.5]",
        ),
        (
            "[104, 116.5, 122]}",
            '[104, 116.5, 122], knows: "a\\e[31m"}',
            ".model.knows: expected one line of at most 300 letters; got 'a\\x1b[31m'",
        ),
        (
            "optimizer: sgd",
            "optimizer: adagrad",
            ".train.fcn32s.optimizer: expected sgd, adam or adamw; got 'adagrad'",
        ),
        ("loss: sum", "loss: max", ".train.fcn32s.loss: expected sum, mean or dice; got 'max'"),
        (
            "learning_rate: 1.0e-10",
            "learning_rate: 0",
            ".train.fcn32s.learning_rate: expected a number, above 0 and at most 1000; got 0",
        ),
        (
            "momentum: 0.99",
            "momentum: 1",
            ".train.fcn32s.momentum: expected a number, at least 0 and below 1; got 1",
        ),
        (
            "momentum: 0.99",
            "momentum: -0.5",
            ".train.fcn32s.momentum: expected a number, at least 0 and below 1; got -0.5",
        ),
        (
            "weight_decay: 0",
            "weight_decay: -1",
            ".train.fcn32s.weight_decay: expected a number, at least 0 and at most 1; got -1",
        ),
        (
            "bias_rate: 2",
            "bias_rate: -2",
            ".train.fcn32s.bias_rate: expected a number, at least 0 and at most 1000; got -2",
        ),
        (
            "iterations: 100",
            "iterations: 0",
            ".train.fcn32s.iterations: expected a whole number, at least 1 and at most 1000000000; "
            "got 0",
        ),
        (
            "log_every: 10",
            "log_every: 0",
            ".train.fcn32s.log_every: expected a whole number, at least 1 and at most 1000000000; "
            "got 0",
        ),
        (
            "validate_every: 50",
            "validate_every: 0",
            ".train.fcn32s.validate_every: expected a whole number, at least 1 and at most "
            "1000000000; got 0",
        ),
        (
            "schedule: poly",
            "schedule: step",
            ".train.fcn32s.schedule: expected fixed, poly or cosine; got 'step'",
        ),
        (
            "batch: 4",
            "batch: 0",
            ".train.fcn32s.batch: expected a whole number, at least 1 and at most 1024; got 0",
        ),
        (
            "accumulate: 2",
            "accumulate: 0",
            ".train.fcn32s.accumulate: expected a whole number, at least 1 and at most 10000; got "
            "0",
        ),
        (
            "accumulate: 2",
            "accumulate: 3",
            ".train.fcn32s.accumulate: expected a divisor of log_every = 10, got 3",
        ),
        (
            "bfloat16",
            "float16",
            ".train.fcn32s.precision: expected float32 or bfloat16; got 'float16'",
        ),
        (
            "scale: [0.5, 2]",
            "scale: [2, 0.5]",
            ".train.fcn32s.augment.scale: expected the least and the greatest factor, above 0; got "
            "[2.0, 0.5]",
        ),
        (
            "jitter: 32",
            "jitter: -1",
            ".train.fcn32s.augment.jitter: expected a whole number, at least 0 and at most 4096; "
            "got -1",
        ),
        (
            "[resize520]",
            "[resize500]",
            ".evaluate.protocols: expected any of resize520, center513, resize513_center, "
            "multiscale, each once; got 'resize500'",
        ),
        (
            "crop: 0",
            "crop: -3",
            ".train.fcn32s.augment.crop: expected a whole number, at least 0 "
            "and at most 16384; got -3",
        ),
        ("float32}\n", "half}\n", ".evaluate.precision: expected float32 or bfloat16; got 'half'"),
        (
            "overlays: 6",
            "overlays: 0",
            ".evaluate.overlays: expected a whole number, at least 1 and at most 10000; got 0",
        ),
        (
            "  fcn32s:\n    {",
            "  fcn64s:\n    {",
            ".train.fcn64s: expected one of fcn32s, fcn16s, fcn8s, fcn8s_atonce, fcn4s; got "
            "'fcn64s'",
        ),
        (
            "shards: 2,",
            "shards: 10001,",
            ".records.shards: expected a whole number, at least 1 and at most 10000; got 10001",
        ),
        (
            "width: 0.125",
            "width: 1.0e+9",
            ".model.width: expected a number, above 0 and at most 4; got 1000000000.0",
        ),
        (
            "fc_units: 128",
            "fc_units: 99999",
            ".model.fc_units: expected a whole number, at least 1 and at most 16384; got 99999",
        ),
        (
            "batch: 4",
            "batch: 999999999999",
            ".train.fcn32s.batch: expected a whole number, at least 1 and at most 1024; got "
            "999999999999",
        ),
        (
            "iterations: 100",
            "iterations: 10000000000",
            ".train.fcn32s.iterations: expected a whole number, at least 1 and at most 1000000000; "
            "got 10000000000",
        ),
        (
            "seed: 3,",
            "seed: 3, rates: {conv1: -1},",
            ".train.fcn32s.rates.conv1: expected a number, at least 0 and at most 1000; got -1",
        ),
        (
            "seed: 3,",
            "seed: 3, warmup: 0.5,",
            ".train.fcn32s.warmup: expected a whole number, at least 0 and at most 1000000000; got "
            "0.5",
        ),
        (
            "seed: 3,",
            "seed: 3, new_layers: fc6,",
            ".train.fcn32s.new_layers: expected a list; got 'fc6'",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_full_path_what_is_allowed_and_what_came(
    old, new, expected
):
    assert message(text_with(old, new)) == f"p{expected}"


def test_all_that_is_wrong_comes_at_once():
    text = (
        text_with("shards: 2,", "shards: 0,")
        .replace("every: 50", "every: 55")
        .replace("batch: 4", "batch: -1")
    )
    assert message(text).splitlines() == [
        "p.records.shards: expected a whole number, at least 1 and at most 10000; got 0",
        "p.train.fcn32s.batch: expected a whole number, at least 1 and at most 1024; got -1",
    ], "steps are compared once they are numbers"
    text = text_with("iterations: 100", "iterations: 101").replace(
        "validate_every: 50", "validate_every: 5"
    )
    assert message(text).splitlines() == [
        "p.train.fcn32s.iterations: expected a multiple of log_every = 10, got 101",
        "p.train.fcn32s.validate_every: expected a multiple of log_every = 10, got 5",
    ]


@pytest.mark.parametrize(
    ("old", "new", "part", "field", "value"),
    [
        ("dropout: 0.5", "dropout: 0", "model", "dropout", 0.0),
        ("momentum: 0.99", "momentum: 0", "train", "momentum", 0.0),
        ("bias_rate: 2", "bias_rate: 0", "train", "bias_rate", 0.0),
        ("shards: 2,", "shards: 1,", "records", "shards", 1),
        ("overlays: 6", "overlays: 1", "evaluate", "overlays", 1),
        ("seed: 3,", "seed: 2147483647,", "train", "seed", 2147483647),
        ("[background, disc]", str(NAMES), "records", "classes", tuple(NAMES)),
        ("[background, disc]", "[]", "records", "classes", ()),
    ],
)
def test_the_bounds_themselves_are_allowed(old, new, part, field, value):
    found = settings(text_with(old, new))
    block = found.train["fcn32s"] if part == "train" else getattr(found, part)
    assert getattr(block, field) == value


def test_every_number_has_a_bound_above_that_memory_and_time_can_bear():
    """Or else it is known here that a great one costs nothing: of a norm, of
    images that are there.
    """
    found = [field for kind in KINDS for field in bounded(kind)]
    assert {name for name, extra in found
            if not any(isinstance(each, at.Le | at.Lt) for each in extra)} == {
        "clip_norm", "validate_images",
    }  # fmt: skip
    assert len(found) > 20


KINDS = (
    Source,
    params.Download,
    params.Records,
    params.Model,
    Evaluate,
    params.Profile,
    TrainSpec,
    Augment,
)


def bounded(kind):
    """Fields that are numbers, or have numbers in them, and what is said of these."""
    for name, hint in typing.get_type_hints(kind, include_extras=True).items():
        while typing.get_origin(hint) in (tuple, dict) or (
            typing.get_origin(hint) is typing.Annotated
            and typing.get_origin(typing.get_args(hint)[0]) in (tuple, dict)
        ):
            hint = typing.get_args(hint)[0] if typing.get_origin(hint) is typing.Annotated else hint
            hint = typing.get_args(hint)[typing.get_origin(hint) is dict]
        plain, *extra = (
            typing.get_args(hint) if typing.get_origin(hint) is typing.Annotated else (hint,)
        )
        if plain in (int, float):
            yield name, extra


def test_the_library_does_not_open_the_parameter_file():
    source = Path(params.__file__).read_text(encoding="utf-8")
    assert [
        word
        for word in ("open(", "read_text", "yaml.")
        if word in source.replace("params.yaml", "")
    ] == []
