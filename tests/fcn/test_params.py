import dataclasses
from pathlib import Path

import pytest
import yaml

from fcn import params
from fcn.architecture import ModelSpec
from fcn.augment import Augment
from fcn.errors import UserError
from fcn.protocols import Evaluate
from fcn.recipe import TrainSpec

TEXT = """
profile: small
variants:
  fcn32s: vgg.npz
profiles:
  small:
    download:
      archives:
        voc: {urls: ["https://example.org/a/world.tar?version=2", "file:sample/world.tar"], checksums: ["md5:0123"]}
      weights: {urls: ["file:sample/vgg.caffemodel"], checksums: []}
      cross_check: []
    records:
      {dataset: voc, roots: {voc: VOCdevkit/World}, classes: [background, disc], train: train, val: val, on_bad: stop,
       shards: 2, seed: 1}
    model:
      {backbone: vgg16, width: 0.125, fc_units: 128, padding: same, upsampling: fixed, dropout: 0.5,
       mean_bgr: [104, 116.5, 122]}
    train:
      fcn32s:
        {optimizer: sgd, learning_rate: 1.0e-10, momentum: 0.99, weight_decay: 0, bias_rate: 2, loss: sum,
         iterations: 100, log_every: 10, validate_every: 50, seed: 3, schedule: poly, batch: 4, accumulate: 2,
         precision: bfloat16, augment: {scale: [0.5, 2], mirror: true, jitter: 32, crop: 0}, deterministic: false}
    evaluate: {overlays: 6, protocols: [resize520], precision: float32}
  voc2012: {}
"""


RECIPE = ("sgd", 1e-10, 0.99, 0.0, 2.0, "sum", 100, 10, 50, 3)
NAMES = [f"c{n}" for n in range(255)]


def text_with(old, new):
    assert TEXT.count(old) == 1, "the text to change must stand there once"
    return TEXT.replace(old, new)


def message(text, where="params.yaml"):
    with pytest.raises(UserError) as error:
        params.select(yaml.safe_load(text), where)
    return str(error.value)


def test_a_valid_profile_gives_exactly_these_values():
    assert params.select(yaml.safe_load(TEXT)) == (
        "small",
        params.Profile(
            download=params.Download(
                archives={
                    "voc": params.Source(("https://example.org/a/world.tar?version=2", "file:sample/world.tar"), ("md5:0123",))
                },
                weights=params.Source(("file:sample/vgg.caffemodel",), ()),
                cross_check=(),
            ),
            records=params.Records("voc", {"voc": "VOCdevkit/World"}, ("background", "disc"), "train", "val", "stop", 2, 1),
            model=params.Model("vgg16", 0.125, 128, "same", "fixed", 0.5, (104.0, 116.5, 122.0)),
            train={"fcn32s": TrainSpec(*RECIPE, "poly", 4, 2, "bfloat16", Augment((0.5, 2.0), True, 32, 0), False)},
            evaluate=Evaluate(6, ("resize520",), "float32"),
        ),
        ("fcn32s",),
    )


def test_a_whole_number_is_taken_where_a_number_is_wanted():
    _, profile, _ = params.select(yaml.safe_load(TEXT))
    recipe = profile.train["fcn32s"]
    assert (recipe.bias_rate, recipe.weight_decay, profile.model.mean_bgr[0]) == (2.0, 0.0, 104.0)
    assert {type(recipe.bias_rate), type(recipe.weight_decay), type(profile.model.mean_bgr[0])} == {float}


def test_the_name_of_a_source_is_that_of_its_first_url():
    _, profile, _ = params.select(yaml.safe_load(TEXT))
    assert (profile.download.archives["voc"].name, profile.download.weights.name) == ("world.tar", "vgg.caffemodel")


def test_model_holds_the_fields_of_the_model_spec():
    assert {field.name for field in dataclasses.fields(ModelSpec)} == {
        field.name for field in dataclasses.fields(params.Model)
    } | {
        "variant",
        "classes",
    }


@pytest.mark.parametrize(("name", "shown"), [("smal", "'smal'"), ("2012", "2012"), ("[small]", "['small']"), ("", "None")])
def test_an_unknown_profile_is_answered_with_the_known_ones(name, shown):
    text = message(text_with("profile: small\n", f"profile: {name}\n"), "p.yaml")
    assert text == f"p.yaml: profile: expected one of small, voc2012; got {shown}"


@pytest.mark.parametrize(
    "text", ["", "[1, 2]", "profile: small", "profiles: {small: {}}", "{profile: small, profiles: {small: {}}}"]
)
def test_a_file_of_another_shape(text):
    assert message(text) == "params.yaml: expected the keys `profile`, `variants` and `profiles`"


def test_profiles_of_another_shape():
    text = message("{profile: small, variants: {}, profiles: [small]}")
    assert text == "params.yaml: profiles: expected keys with values, got ['small']"


RECIPES = TEXT.replace("fcn32s:\n        {", "fcn32s: &recipe\n        {").replace(
    "    evaluate:", "      fcn16s: *recipe\n      fcn8s_atonce: *recipe\n    evaluate:"
)


def with_variants(*lines):
    return RECIPES.replace("  fcn32s: vgg.npz\n", "".join(f"  {line}\n" for line in lines), 1)


def test_the_variants_come_in_their_order():
    text = with_variants("fcn8s_atonce: vgg.npz", "fcn32s: vgg.npz", "fcn16s: fcn32s")
    assert params.select(yaml.safe_load(text))[2] == ("fcn8s_atonce", "fcn32s", "fcn16s")


@pytest.mark.parametrize(
    ("lines", "wrong"),
    [
        (["fcn32s: vgg.npz", "fcn8s: fcn16s"], "fcn8s: fcn16s"),  # no recipe
        (["fcn32s: vgg.npz", "fcn16s: vgg.npz"], "fcn16s: vgg.npz"),  # another parent
        (["fcn16s: fcn32s", "fcn32s: vgg.npz"], "fcn16s: fcn32s"),  # before its parent
        (["fcn16s: fcn32s"], "fcn16s: fcn32s"),  # without its parent
        (["fcn64s: vgg.npz"], "fcn64s: vgg.npz"),  # unheard of
    ],
)
def test_a_variant_that_cannot_be_trained_is_answered_with_those_that_can(lines, wrong):
    text = message(with_variants(*lines))
    assert text.startswith(f"params.yaml: variants: `{wrong}` does not fit the profile small, which can train, in this order:")
    assert "\n  fcn32s: vgg.npz\n  fcn16s: fcn32s\n  fcn8s_atonce: vgg.npz\n" in text


def test_no_variant_at_all():
    assert message(TEXT.replace("variants:\n  fcn32s: vgg.npz\n", "variants: {}\n")) == (
        "params.yaml: variants: expected at least one line such as `fcn32s: vgg.npz`"
    )


PATH = "params.yaml: profiles.small"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "shards: 2,",
            "shard: 2, shards: 2,",
            ".records: unknown key 'shard'; the keys here are dataset, roots, classes, train, val, on_bad, shards, seed",
        ),
        ("on_bad: stop,", "", ".records.on_bad: missing"),
        ("overlays: 6, ", "", ".evaluate.overlays: missing"),
        (", checksums: []", "", ".download.weights.checksums: missing"),
        ("{overlays: 6, protocols: [resize520], precision: float32}", "6", ".evaluate: expected keys with values, got 6"),
        ("shards: 2,", "shards: true,", ".records.shards: expected a whole number, got True"),
        ("shards: 2,", "shards: 2.0,", ".records.shards: expected a whole number, got 2.0"),
        ("shards: 2,", "shards: two,", ".records.shards: expected a whole number, got 'two'"),
        ("momentum: 0.99", "momentum: false", ".train.fcn32s.momentum: expected a number, got False"),
        ("momentum: 0.99", "momentum: high", ".train.fcn32s.momentum: expected a number, got 'high'"),
        ("train: train", "train: 2012", ".records.train: expected a text, got 2012"),
        ("[background, disc]", "background", ".records.classes: expected a list, got 'background'"),
        ("[background, disc]", "[background, 7]", ".records.classes[1]: expected a text, got 7"),
        ("[104, 116.5, 122]", "[104, 116.5, x]", ".model.mean_bgr[2]: expected a number, got 'x'"),
        ('["file:sample/vgg.caffemodel"]', "file:sample", ".download.weights.urls: expected a list, got 'file:sample'"),
        ("learning_rate: 1.0e-10", "learning_rate: .inf", ".train.fcn32s.learning_rate: expected a finite number, got inf"),
        ("learning_rate: 1.0e-10", "learning_rate: .nan", ".train.fcn32s.learning_rate: expected a finite number, got nan"),
    ],
)
def test_a_wrong_key_or_type_is_named_with_its_full_path(old, new, expected):
    assert message(text_with(old, new)) == PATH + expected


def test_an_exponent_that_yaml_takes_for_a_text_is_explained():
    assert yaml.safe_load("1e-10") == "1e-10", "YAML 1.1 as PyYAML reads it"
    text = message(text_with("learning_rate: 1.0e-10", "learning_rate: 1e-10"))
    assert text.startswith(f"{PATH}.train.fcn32s.learning_rate: expected a number, got '1e-10' as a text")
    assert "write 1.0e-10" in text
    assert yaml.safe_load("1.0e-10") == 1e-10


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('["file:sample/vgg.caffemodel"]', "[]", ".download.weights.urls: expected at least one URL; got []"),
        ("[background, disc]", "[background]", ".records.classes: expected 2 to 255 different names, or none: []"),
        ("[background, disc]", "[disc, disc]", ".records.classes: expected 2 to 255 different names, or none: []"),
        (
            "[background, disc]",
            str([f"c{n}" for n in range(256)]),
            ".records.classes: expected 2 to 255 different names, or none: []",
        ),
        ("shards: 2,", "shards: 0,", ".records.shards: expected at least 1; got 0"),
        (
            "roots: {voc: ",
            "roots: {sbd: ",
            ".records.roots: expected one for each of download.archives (voc); got sbd",
        ),
        ("dataset: voc,", "dataset: coco,", ".records.dataset: expected one of voc, voc2011, voc2012, "),
        ("on_bad: stop", "on_bad: ignore", ".records.on_bad: expected stop or skip; got 'ignore'"),
        ("seed: 1}", "seed: -1}", ".records.seed: expected 0 to 2147483647; got -1"),
        ("seed: 3,", "seed: 2147483648,", ".train.fcn32s.seed: expected 0 to 2147483647; got 2147483648"),
        ("backbone: vgg16", "backbone: resnet", ".model.backbone: expected one of vgg16, vgg19, lenet; got 'resnet'"),
        ("padding: same", "padding: valid", ".model.padding: expected caffe or same; got 'valid'"),
        ("upsampling: fixed", "upsampling: none", ".model.upsampling: expected fixed or learned; got 'none'"),
        ("width: 0.125", "width: 0", ".model.width: expected above 0; got 0"),
        ("fc_units: 128", "fc_units: 0", ".model.fc_units: expected at least 1; got 0"),
        ("dropout: 0.5", "dropout: 1", ".model.dropout: expected at least 0 and below 1; got 1"),
        ("dropout: 0.5", "dropout: -0.1", ".model.dropout: expected at least 0 and below 1; got -0.1"),
        ("[104, 116.5, 122]", "[104, 116.5]", ".model.mean_bgr: expected three numbers: blue, green, red; got [104, 116.5]"),
        (
            "[104, 116.5, 122]}",
            '[104, 116.5, 122], knows: "a\\e[31m"}',
            ".model.knows: expected one line of at most 300 letters",
        ),
        ("optimizer: sgd", "optimizer: adagrad", ".train.fcn32s.optimizer: expected sgd, adam or adamw; got 'adagrad'"),
        ("loss: sum", "loss: max", ".train.fcn32s.loss: expected sum or mean; got 'max'"),
        ("learning_rate: 1.0e-10", "learning_rate: 0", ".train.fcn32s.learning_rate: expected above 0; got 0"),
        ("momentum: 0.99", "momentum: 1", ".train.fcn32s.momentum: expected at least 0 and below 1; got 1"),
        ("momentum: 0.99", "momentum: -0.5", ".train.fcn32s.momentum: expected at least 0 and below 1; got -0.5"),
        ("weight_decay: 0", "weight_decay: -1", ".train.fcn32s.weight_decay: expected at least 0; got -1"),
        ("bias_rate: 2", "bias_rate: -2", ".train.fcn32s.bias_rate: expected at least 0; got -2"),
        ("iterations: 100", "iterations: 0", ".train.fcn32s.iterations: expected at least 1; got 0"),
        ("log_every: 10", "log_every: 0", ".train.fcn32s.log_every: expected at least 1; got 0"),
        ("validate_every: 50", "validate_every: 0", ".train.fcn32s.validate_every: expected at least 1; got 0"),
        ("schedule: poly", "schedule: step", ".train.fcn32s.schedule: expected one of fixed, poly, cosine; got 'step'"),
        ("batch: 4", "batch: 0", ".train.fcn32s.batch: expected at least 1; got 0"),
        ("accumulate: 2", "accumulate: 0", ".train.fcn32s.accumulate: expected at least 1; got 0"),
        ("accumulate: 2", "accumulate: 3", ".train.fcn32s.accumulate: expected a divisor of log_every = 10, got 3"),
        ("bfloat16", "float16", ".train.fcn32s.precision: expected one of float32, bfloat16; got 'float16'"),
        ("scale: [0.5, 2]", "scale: [2, 0.5]", ".train.fcn32s.augment.scale: expected the least and the greatest factor"),
        ("jitter: 32", "jitter: -1", ".train.fcn32s.augment.jitter: expected a number of pixels, at least 0; got -1"),
        (
            "[resize520]",
            "[resize500]",
            ".evaluate.protocols: expected any of resize520, center513, resize513_center, multiscale",
        ),
        ("overlays: 6", "overlays: 0", ".evaluate.overlays: expected at least 1; got 0"),
        (
            "      fcn32s:",
            "      fcn64s:",
            ".train: expected recipes for fcn32s, fcn16s, fcn8s, fcn8s_atonce, fcn4s; got fcn64s",
        ),
    ],
)
def test_a_value_out_of_range_is_named_with_what_is_allowed(old, new, expected):
    assert message(text_with(old, new)).startswith(PATH + expected)


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
    _, profile, _ = params.select(yaml.safe_load(text_with(old, new)))
    block = profile.train["fcn32s"] if part == "train" else getattr(profile, part)
    assert getattr(block, field) == value


def test_every_field_with_a_bound_exists():
    """A renamed field would lose its check without a word."""
    kinds = (params.Source, params.Download, params.Records, params.Model, Evaluate, params.Profile, TrainSpec)
    names = {field.name for kind in kinds for field in dataclasses.fields(kind)}
    assert set(params._RANGES) <= names


def test_the_library_does_not_open_the_parameter_file():
    source = Path(params.__file__).read_text(encoding="utf-8")
    assert [word for word in ("open(", "read_text", "yaml.") if word in source.replace("params.yaml", "")] == []
