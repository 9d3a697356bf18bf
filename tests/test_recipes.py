"""docs/explanation/recipes.md: its numbers follow from profiles.yaml, and its formulas hold."""

import re
from pathlib import Path

import numpy as np
import pytest

from fcn.spec import BACKBONES, checking
from fcn.spec.recipe import TrainSpec
from tasks.settings import config, yamlfile

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/explanation/recipes.md").read_text(encoding="utf-8")
DATA = yamlfile.plain(ROOT / "profiles.yaml")
HEAD, *TABLE = [
    [cell.strip() for cell in line.split("|")[1:-1]]
    for line in PAGE.splitlines()
    if line.startswith("| ")
][:7]
ROWS = {row[0].strip("`"): dict(zip(HEAD, row, strict=True)) for row in TABLE}
PIXELS = 500 * 375


def recipe(name):
    own = {**yamlfile.plain(ROOT / "params.yaml"), "recipes": {"wanted": {"recipe": name}}}
    layers = config.Layers(own, DATA, "params.yaml")
    return checking.parse(TrainSpec, config.split(layers.recipe("wanted")).data, name)


def operations(backbone, padding, height=500, width=375, classes=21):
    """Multiplications and additions of the convolutions up to the scores, counted from the table of
    backbones.
    """
    net = BACKBONES[backbone]
    pad = net.paddings[padding]
    sides, channels, total = np.array([height, width]) + 2 * pad.border, 3, 0
    for number, block in enumerate(net.blocks):
        for place, (_, filters) in enumerate(block):
            if pad.rest == "valid" and number == place == 0:
                sides = sides - (net.side - 1)
            total += 2 * net.side**2 * channels * filters * int(sides.prod())
            channels = filters
        sides = -(-sides // 2)
    for dense in net.dense:
        if pad.rest == "valid":
            sides = sides - (dense.side - 1)
        total += 2 * dense.side**2 * channels * 4096 * int(sides.prod())
        channels = 4096
    return total + 2 * channels * classes * int(sides.prod())


def spelled(number, digits=2):
    """1.875e-05 -> 1.9e-5"""
    return re.sub(
        r"e([+-])0*(\d)", lambda m: f"e{m[1].strip('+')}{m[2]}", f"{number:.{digits - 1}e}"
    )


def test_the_page_has_every_recipe_and_no_other():
    assert set(ROWS) == {"heavy", "atonce", "cvpr", "adam", "sgd", "modern"}
    # The operations of `transfer` depend on what is held: it has no row, but a table of its keys.
    # The rest is for small images.
    assert {*DATA["recipes"]} == {*ROWS, "transfer", "sample", "sample_modern", "folder", "subset"}


def test_the_table_of_transfer_says_what_profiles_yaml_does():
    transfer = DATA["recipes"]["transfer"]
    for key in ("warmup", "clip_norm", "validate_images"):
        assert f"| `{key}: {transfer[key]}` |" in PAGE
    assert transfer["rates"] == {
        "conv1": 0.0,
        "conv2": 0.0,
        "conv3": 0.0,
        "conv4": 0.0,
        "conv5": 0.15,
    }
    assert "`rates: {conv1: 0.0, ..., conv5: 0.15}`" in PAGE
    train = DATA["profiles"]["voc2012_transfer"]["train"]
    assert train["fcn32s"]["new_layers"] == ["fc6", "fc7"]
    assert {train[name]["recipe"] for name in train if train[name]} == {"transfer"}
    said = re.search(
        r"The rate of 16s is ([\d.e-]+), that of 8s ([\d.e-]+); "
        r".*pool4 and pool3 have ([\d.]+) and ([\d.]+) of it",
        PAGE,
    )
    rates = train["fcn8s"]["rates"]
    found = (
        train["fcn16s"]["learning_rate"],
        train["fcn8s"]["learning_rate"],
        rates["score_pool4"],
        rates["score_pool3"],
    )
    assert said
    assert tuple(map(float, said.groups())) == found


@pytest.mark.parametrize("name", ROWS)
def test_a_row_says_what_profiles_yaml_does(name):
    row, found = ROWS[name], recipe(name)
    assert float(re.findall(r"^[\d.e-]+", row["rate of 32s, 16s, 8s"])[0]) == found.learning_rate
    assert float(row["momentum"]) == found.momentum
    assert (row["loss"], row["schedule"]) == (found.loss, found.schedule)
    assert int(row["batch"]) == found.batch
    assert int(row["steps a stage"].replace(" ", "")) == found.iterations
    count = 3 * operations(*row["net"].split(", ")) * found.batch * found.iterations
    assert row["operations a stage"] == spelled(count)
    assert int(row["hours at 1 TFLOP/s"]) == round(count / 1e12 / 3600)
    if found.optimizer == "sgd":
        pixels = PIXELS if found.loss == "sum" else 1
        path = (
            found.learning_rate
            * pixels
            / (1 - found.momentum)
            / (found.batch if found.loss == "mean" else 1)
        )
        assert row["path per image"] == spelled(path)


def test_the_numbers_in_the_text():
    heavy, cvpr, modern = recipe("heavy"), recipe("cvpr"), recipe("modern")
    forward = operations("vgg16", "caffe")
    on_the_mean = heavy.learning_rate * PIXELS
    path = on_the_mean / (1 - heavy.momentum)
    decays = [r.learning_rate * r.weight_decay / (1 - r.momentum) for r in (heavy, cvpr, modern)]
    said = [  # words, what they should say, what they say
        ("187 500 ln 21 = 570 848", round(PIXELS * np.log(21)), 570_848),
        ("where others print 3.04", round(np.log(21), 2), 3.04),
        ("187 500 = **1.9e-5**", spelled(on_the_mean), "1.9e-5"),
        ("by **1.9e-3** of", spelled(path), "1.9e-3"),
        ("0.9^(1/20) = 0.995", round(0.9 ** (1 / 20), 3), 0.995),
        (
            "37.5 times as far",
            round(path / (cvpr.learning_rate / (1 - cvpr.momentum) / cvpr.batch), 2),
            37.5,
        ),
        ("15 times as many images", round(cvpr.iterations * cvpr.batch / heavy.iterations), 15),
        ("to `heavy`'s 12)", round(heavy.iterations / 8498), 12),
        (
            "74 400 steps are the 175 epochs",
            round(cvpr.iterations / np.ceil(8498 / cvpr.batch), 1),
            175.1,
        ),
        ("would be 5.0 TFLOP/s", round(3 * forward * 8498 * 175 / (3 * 86400) / 1e12, 1), 5.0),
        ("= 5e-12 of a weight", spelled(decays[0]), "5.0e-12"),
        ("5e-7 in all 100 000", spelled(decays[0] * heavy.iterations), "5.0e-7"),
        ("In `cvpr` it takes 3.7 %", round(100 * decays[1] * cvpr.iterations, 1), 3.7),
        ("in `modern` 9.5 %", round(100 * decays[2] * modern.iterations / 1.9, 1), 9.5),
        (
            "which makes 81 h of `heavy`'s 24",
            round(3 * forward * heavy.iterations / 0.3e12 / 3600),
            81,
        ),
        ("0.293e12", round(forward / 1e12, 3), 0.293),
        ("0.162e12", round(operations("vgg16", "same") / 1e12, 3), 0.162),
        ("0.360e12", round(operations("vgg19", "caffe") / 1e12, 3), 0.360),
        (
            "= **1.5e-3**",
            spelled(on_the_mean * modern.batch * (1 - modern.momentum) / (1 - heavy.momentum)),
            "1.5e-3",
        ),
        ("= **1.5e-3**", spelled(modern.learning_rate), "1.5e-3"),
        (
            "1.9 / 8 = 24 000 steps",
            round(heavy.iterations * 1.9 / modern.batch, -3),
            modern.iterations,
        ),
        ("1e-8 x 15 247 x 8 = 1.2e-3", spelled(1e-8 * 15_247 * 8), "1.2e-3"),
    ]
    assert [words for words, _, _ in said if words not in PAGE] == []
    assert [(words, right) for words, right, stated in said if right != stated] == []


@pytest.mark.parametrize(("schedule", "mean"), [("fixed", 1), ("poly", 1 / 1.9), ("cosine", 0.5)])
def test_the_mean_of_a_schedule(schedule, mean):
    from fcn.train import optimizers

    rate = optimizers.rate(schedule, 1.0, 1000)
    rates = [float(rate(step)) if callable(rate) else rate for step in range(0, 1000, 10)]
    assert np.mean(rates) == pytest.approx(mean, abs=0.006)


def steps(loss, batches, rate, decay, accumulate=1, momentum=0.9, start="ones"):
    """The kernel of a net of one 1x1 convolution after an update for each of `batches`, whose
    images have 6 pixels.
    """
    import keras

    from fcn.train.losses import PixelLoss
    from tests.recipe import optimizer

    net = keras.Sequential(
        [keras.Input((2, 3, 4)), keras.layers.Conv2D(3, 1, kernel_initializer=start)]
    )
    net.compile(
        optimizer=optimizer("sgd", rate, momentum, decay, 2.0, accumulate=accumulate),
        loss=PixelLoss(loss),
    )
    for images, labels in batches:
        net.train_on_batch(images, labels)
    return net.layers[0].kernel.numpy()


@pytest.fixture
def images():
    rng = np.random.default_rng(5)
    return rng.normal(size=(12, 2, 3, 4)).astype(np.float32), rng.integers(0, 3, (12, 2, 3)).astype(
        np.uint8
    )


def cut(images, batch):
    return [tuple(array[n : n + batch] for array in images) for n in range(0, 12, batch)]


@pytest.mark.parametrize("batch", [1, 4])
def test_from_a_sum_to_a_mean_the_steps_are_the_same(images, batch):
    """Rate times P x B, decay divided by it; P is 6."""
    on_sum = steps("sum", cut(images, batch), 1e-3, 0.1)
    on_mean = steps("mean", cut(images, batch), 1e-3 * 6 * batch, 0.1 / (6 * batch))
    np.testing.assert_allclose(on_mean, on_sum, rtol=1e-5)
    assert not np.allclose(
        steps("mean", cut(images, batch), 1e-3 * 6 * batch, 0.1), on_sum, rtol=1e-3
    ), "without it they are not"


def test_accumulated_steps_at_as_many_times_the_rate_are_those_of_the_batch(images):
    whole = steps("sum", cut(images, 4), 1e-3, 0.0)
    np.testing.assert_allclose(
        steps("sum", cut(images, 1), 4e-3, 0.0, accumulate=4), whole, rtol=1e-5
    )
    assert np.abs(whole - 1).max() > 1e-2
    mean = steps("mean", cut(images, 4), 1e-2, 0.0)
    np.testing.assert_allclose(
        steps("mean", cut(images, 1), 1e-2, 0.0, accumulate=4), mean, rtol=1e-5
    )


def test_the_path_per_image_is_kept(images):
    """One image long ago: what it has moved in the end is the same for any momentum and batch, by
    the formula.
    """
    first = (images[0][:1], images[1][:1])
    void = (images[0][:1], np.full((1, 2, 3), 255, np.uint8))
    one = steps("sum", [first, *[void] * 400], 1e-5, 0.0, momentum=0.95, start="zeros")
    # Of two images a step one is void, so the mean is over 6 pixels of 12: half of what the formula
    # means by P x B.
    pair = tuple(np.concatenate(each) for each in zip(first, void, strict=True))
    rate = 1e-5 * 6 * 2 * (1 - 0.8) / (1 - 0.95) / 2
    two = steps("mean", [pair, *[void] * 100], rate, 0.0, momentum=0.8, start="zeros")
    np.testing.assert_allclose(two, one, rtol=1e-5)
    assert np.abs(one).min() > 1e-6
