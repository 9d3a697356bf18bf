import dataclasses
import math

import keras
import numpy as np
import pytest

from fcn.input import stream
from fcn.monitor import watches
from fcn.monitor.watches import NotFinite, Sample
from fcn.net import surgery
from fcn.spec.recipe import TrainSpec
from fcn.train import optimizers
from fcn.train.losses import PixelLoss

SGD = TrainSpec("sgd", 1e-2, 0.9, 5e-4, 2.0, "mean", 100, 10, 10, 3)
ADAM = dataclasses.replace(SGD, optimizer="adam", learning_rate=1e-3)


def compiled(spec, recipe, vgg, **options):
    keras.utils.set_random_seed(3)
    model, _ = surgery.start(spec, vgg)
    optimizer = optimizers.of(recipe)
    optimizer.build(model.trainable_variables)
    model.compile(optimizer=optimizer, loss=PixelLoss(recipe.loss), jit_compile=False, **options)
    return model


@pytest.fixture(scope="module")
def batches(data):
    return list(stream.Stream(data, "train", SGD).batches().take(5).as_numpy_iterator())


def step(model, batches, steps):
    """Trains; returns the mean loss."""
    if not steps:
        return None
    endless = (batches[n % len(batches)] for n in range(steps))
    return model.fit(endless, steps_per_epoch=steps, shuffle=False, verbose=0).history["loss"][0]


def looks(model, recipe, batches, *steps):
    """What is found between two looks, `steps[0]` and `steps[0] + steps[1]`
    steps after the start.
    """
    step(model, batches, steps[0])
    before = watches.sample(model)
    loss = step(model, batches, steps[1])
    return watches.from_updates(before, watches.sample(model), recipe, loss)


# Steps that are not finite


@pytest.mark.parametrize(
    ("bad", "first"), [((), None), ((3,), 3), ((5,), 5), ((2, 4), 2), ((1, 2, 3, 4, 5), 1)]
)
def test_the_first_step_that_is_not_finite(bad, first):
    metric = NotFinite(5)
    for number in range(1, 6):
        scores = np.full((1, 2, 2, 3), -1e30, np.float32)
        if number in bad:
            scores[0, 1, 0, 2] = np.nan if number % 2 else -np.inf
        metric.update_state(np.zeros((1, 2, 2)), scores)
    assert metric.first() == first
    assert float(metric.result()) == len(bad)
    metric.reset_state()
    assert metric.first() is None
    metric.update_state(np.zeros((1, 2, 2)), np.full((1, 2, 2, 3), np.nan))
    assert metric.first() == 1


def test_finite_scores_whose_summed_loss_is_not():
    """A pixel whose true class scores -1e38 where another scores 1e38 loses 2e38: two of them are
    beyond float32.
    """
    scores = np.zeros((1, 1, 2, 3), np.float32)
    scores[..., 0], scores[..., 1] = -1e38, 1e38
    labels = np.zeros((1, 1, 2), np.uint8)
    assert math.isinf(float(PixelLoss("sum")(labels, scores)))
    metric = NotFinite(2)
    metric.update_state(labels, scores / 4)
    metric.update_state(labels, scores)
    assert math.isfinite(float(PixelLoss("sum")(labels, scores / 4)))
    assert metric.first() == 2


def test_in_a_training_the_step_is_found_also_after_a_resume(spec, vgg, batches):
    """The rate is absurd. The stretch of six steps is broken off after the first, and gone on from
    in another net.
    """
    recipe = dataclasses.replace(SGD, learning_rate=1e12)
    stepwise = compiled(spec, recipe, vgg)
    losses = [float(stepwise.train_on_batch(*batch)) for batch in [*batches, batches[0]]]
    first = [math.isfinite(loss) for loss in losses].index(False) + 1
    assert 2 < first < 6
    metric = NotFinite(6)
    model = compiled(spec, recipe, vgg, metrics=[metric])
    step(model, batches, 1)
    assert metric.first() is None
    saved = [np.asarray(variable) for variable in metric.variables]

    class Resumed(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            assert metric.first() is None
            for variable, value in zip(metric.variables, saved, strict=True):
                variable.assign(value)

    rest = (batch for batch in [*batches[1:], batches[0]])
    model.fit(rest, steps_per_epoch=5, shuffle=False, verbose=0, callbacks=[Resumed()])
    assert metric.first() == first
    assert float(metric.result()) == 7 - first, "no step after it is finite again"
    (loss,) = [each for each in model.metrics if each.name == "loss"]
    assert not math.isfinite(float(loss.result()))


def test_watching_changes_nothing(spec, vgg, batches):
    plain, watched = compiled(spec, SGD, vgg), compiled(spec, SGD, vgg, metrics=[NotFinite(3)])
    for _ in range(2):
        before = watches.sample(watched)
        assert step(plain, batches, 3) == step(watched, batches, 3)
    assert np.any(before.weights["fc7/kernel"] != watches.sample(watched).weights["fc7/kernel"])
    for one, other in zip(plain.variables, watched.variables, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_metric_is_made_again_from_its_config():
    metric = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(NotFinite(7))
    )
    assert (metric.steps, metric.name, metric.marks.shape) == (7, "not_finite", (7,))


# Samples


@pytest.mark.parametrize("recipe", [SGD, ADAM])
def test_a_sample_is_of_every_trained_variable_and_its_velocity(spec, vgg, batches, recipe):
    model = compiled(spec, recipe, vgg)
    step(model, batches, 3)
    seen = watches.sample(model, 50)
    assert (seen.updates, seen.rate) == (3, pytest.approx(recipe.learning_rate))
    names = [
        f"{layer.name}/{kind}"
        for layer in model.layers
        if layer.weights
        for kind in ("kernel", "bias")
    ]
    assert list(seen.weights) == list(seen.slots) == names
    kernel = model.get_layer("conv3_1").kernel.numpy().ravel()  # 3 x 3 x 4 x 8
    np.testing.assert_array_equal(
        seen.weights["conv3_1/kernel"], kernel[[n * 288 // 50 for n in range(50)]]
    )
    np.testing.assert_array_equal(seen.weights["fc7/bias"], model.get_layer("fc7").bias.numpy())
    slots = model.optimizer.momentums if recipe is SGD else model.optimizer._momentums
    np.testing.assert_array_equal(seen.slots["score_fr/bias"], slots[-1].numpy())
    assert np.all(seen.slots["score_fr/bias"] != 0)


def test_sgd_without_momentum_has_no_velocity_to_look_at(spec, vgg, batches):
    recipe = dataclasses.replace(SGD, momentum=0.0)
    model = compiled(spec, recipe, vgg)
    assert watches.sample(model).slots == {}
    assert looks(model, recipe, batches, 2, 2) == []


# Updates


@pytest.mark.parametrize(
    "recipe",
    [SGD, ADAM, dataclasses.replace(SGD, accumulate=2), dataclasses.replace(SGD, momentum=0.99)],
)
def test_a_training_that_learns_is_silent(spec, vgg, batches, recipe):
    model = compiled(spec, recipe, vgg)
    assert looks(model, recipe, batches, 0, 4) == []
    assert looks(model, recipe, batches, 30 * recipe.accumulate, 4) == []


def test_the_first_update_moves_the_score_layer_alone(spec, vgg, batches):
    """Its kernel is zero, so no gradient passes it: that is how a stage begins."""
    model = compiled(spec, SGD, vgg)
    before = watches.sample(model)
    step(model, batches, 1)
    after = watches.sample(model)
    assert not after.slots["conv1_1/bias"].any()
    assert watches.from_updates(before, after, SGD, 1.0) == []


@pytest.mark.parametrize(("recipe", "begin"), [(SGD, 0), (SGD, 7), (ADAM, 7)])
def test_labels_of_nothing_but_void_give_no_gradient(spec, vgg, batches, recipe, begin):
    model = compiled(spec, recipe, vgg)
    void = [(image, np.full_like(label, 255)) for image, label in batches]
    step(model, batches, begin)
    (finding,) = looks(model, recipe, void, 1, 5)
    assert finding.kind == "no_gradient"
    assert finding.text.startswith(
        "all gradients were zero in 5 updates: nothing is learned. The loss is 0 as well: every "
        "pixel"
    )


def test_one_batch_with_labels_is_a_gradient(spec, vgg, batches):
    void = [(image, np.full_like(label, 255)) for image, label in batches]
    assert looks(compiled(spec, SGD, vgg), SGD, [*batches[:3], *void[3:]], 2, 5) == []


def test_dead_layers_are_named(spec, vgg, batches):
    """fc7 gives 0 for everything: nothing comes to it or to what lies below; the bias of score_fr
    still learns.
    """
    model = compiled(spec, SGD, vgg)
    model.get_layer("fc7").bias.assign(np.full(8, -1e6))
    (finding,) = looks(model, SGD, batches, 3, 3)
    assert finding.kind == "dead_layers"
    assert finding.text.startswith("no gradient reached conv1_1, conv1_2, conv2_1, ")
    assert ", fc6, fc7 in 3 updates: 15 of 16 layers do not learn. " in finding.text


def test_a_rate_below_the_resolution_of_the_weights(spec, vgg, batches):
    recipe = dataclasses.replace(SGD, learning_rate=1e-14)
    model = compiled(spec, recipe, vgg)
    (finding,) = looks(model, recipe, batches, 30, 2)
    assert finding.kind == "resolution"
    said = "stayed the same for 2 updates, though their velocity is not 0, and would move them, "
    assert said in finding.text
    said = "at a rate of 1e-14 an update is below the resolution of float32, 6e-08 of a weight."
    assert said in finding.text


def look(weights, slots, updates=30, rate=1e-2):
    names = ("a/kernel", "b/kernel")
    return Sample(
        updates,
        {name: np.array(each, np.float32) for name, each in zip(names, weights, strict=True)},
        {name: np.array(each, np.float32) for name, each in zip(names, slots, strict=True)},
        rate,
    )


def test_the_share_of_lost_updates_by_hand():
    """Of five that have a velocity three stay; the sixth has none, and stays."""
    slots = [[1e-9, 1e-9, 1e-9, 0], [1e-9, 1e-9]]
    before, after = (
        look([[1, 2, 3, 4], [0, 0]], slots),
        look([[1, 2, 3, 4], [1e-9, 1e-9]], slots, 40),
    )
    (finding,) = watches.from_updates(before, after, SGD, 1.0)
    assert finding.text.startswith(
        "60% of 5 sampled weights stayed the same for 10 updates, though their velocity is not 0, "
        "and would move them, typically by 1e-09 of themselves: "
    )
    assert "Variables that change: b/kernel. " in finding.text


@pytest.mark.parametrize(
    ("begin", "rate"),
    [
        (29, 1e-2),  # the velocity is still growing: 3 / (1 - 0.9) = 30 updates
        (30, 9e-4),  # the schedule has taken the rate down to 9 %
    ],
)
def test_lost_updates_are_not_looked_for_when_they_must_be_small(begin, rate):
    slots = [[1e-9] * 4, [1e-9] * 2]
    same = [[1, 2, 3, 4], [5, 6]]
    assert (
        watches.from_updates(look(same, slots, begin), look(same, slots, 40, rate), SGD, 1.0) == []
    )
    assert watches.from_updates(look(same, slots), look(same, slots, 40), SGD, 1.0) != []
