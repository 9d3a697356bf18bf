import dataclasses
import itertools
import json
import tracemalloc
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from fcn.errors import UserError
from fcn.hardware import devices, distribution
from fcn.input import stream
from fcn.io import files
from fcn.net import masking, surgery
from fcn.score import metrics
from fcn.spec.augment import Augment
from fcn.spec.recipe import TrainSpec
from fcn.train import checkpoint as resume
from fcn.train import optimizers, training
from tests.recipe import optimizer

SGD = TrainSpec("sgd", 3e-2, 0.9, 5e-4, 2.0, "mean", 12, 2, 6, 3)


@pytest.fixture
def always(monkeypatch):
    """A clock that stands still: with `seconds=0` there is a checkpoint after every report of a
    loss.
    """
    monkeypatch.setattr(training, "time", types.SimpleNamespace(monotonic=lambda: 0.0))


def train(spec, recipe, data, vgg, checkpoint, report=lambda *_: None, seed=None):
    """As `fit.run` trains; returns the weights and the history."""
    devices.prepare(recipe.seed if seed is None else seed)
    model, _ = surgery.start(spec, vgg)
    history = training.train(
        model,
        stream.Stream(data, "train", recipe),
        lambda: stream.validation(data, "val"),
        checkpoint,
        training.Listener(report=report),
        seconds=0,
    )
    return {
        name: np.asarray(weight) for name, weight in surgery.named_weights(model).items()
    }, history


def assert_same(one, other):
    (weights, history), (other_weights, other_history) = one, other
    assert history == other_history
    assert list(weights) == list(other_weights)
    assert [
        name for name in weights if weights[name].tobytes() != other_weights[name].tobytes()
    ] == []


@pytest.fixture(scope="module")
def whole(spec, data, vgg, tmp_path_factory):
    """An uninterrupted training with dropout and momentum."""
    return train(spec, SGD, data, vgg, tmp_path_factory.mktemp("whole") / "checkpoint.npz")


def by_hand(spec, recipe, data, vgg):
    """The same training without Keras' loop, loss and optimizer: losses of all steps, and the
    weights.
    """
    model, _ = surgery.start(spec, vgg)
    variables = model.trainable_variables
    values = [variable.numpy() for variable in variables]
    velocity = [np.zeros_like(value) for value in values]
    losses = []
    for image, label in stream.Stream(data, "train", recipe).batches().take(recipe.iterations):
        valid = label != 255
        with tf.GradientTape() as tape:
            scores = tf.boolean_mask(model(image, training=True), valid)
            truth = tf.cast(tf.boolean_mask(label, valid), tf.int32)
            each = tf.nn.sparse_softmax_cross_entropy_with_logits(truth, scores)
            weights = tf.gather(
                [recipe.class_weights.get(name, 1.0) for name in spec.classes], truth
            )
            loss = tf.reduce_sum(weights * each) / (
                1 if recipe.loss == "sum" else tf.reduce_sum(weights)
            )
        losses.append(float(loss))
        for n, gradient in enumerate(
            tape.gradient(loss, [variable.value for variable in variables])
        ):
            bias = variables[n].path.endswith("/bias")
            rate, decay = (recipe.bias_rate, 0.0) if bias else (1.0, recipe.weight_decay)
            velocity[n] = recipe.momentum * velocity[n] - rate * recipe.learning_rate * (
                gradient.numpy() + decay * values[n]
            )
            values[n] = values[n] + velocity[n]
            variables[n].assign(values[n])
    return losses, {
        name: np.asarray(weight) for name, weight in surgery.named_weights(model).items()
    }


@pytest.mark.parametrize(
    ("loss", "rate", "heavier"),
    [("mean", 3e-2, {}), ("sum", 2e-5, {}), ("mean", 3e-2, {1: 5.0, 2: 0.5})],
)
def test_the_curve_and_the_weights_are_those_of_a_loop_written_by_hand(
    spec, data, vgg, tmp_path, loss, rate, heavier
):
    spec = dataclasses.replace(spec, dropout=0.0)
    factors = {spec.classes[index]: factor for index, factor in heavier.items()}
    recipe = dataclasses.replace(
        SGD, loss=loss, learning_rate=rate, weight_decay=0.05, class_weights=factors
    )
    weights, history = train(spec, recipe, data, vgg, tmp_path / "checkpoint.npz")
    losses, wanted = by_hand(spec, recipe, data, vgg)
    curve = [row["loss"] for row in history if "loss" in row]
    # Score layers begin at zero, so every class is as likely: ln 3 for a pixel.
    label = next(stream.Stream(data, "train", recipe).batches().as_numpy_iterator())[1]
    assert losses[0] == pytest.approx(
        np.log(3) * ((label != 255).sum() if loss == "sum" else 1), rel=1e-6
    )
    # One point is the mean of two steps.
    np.testing.assert_allclose(curve, np.reshape(losses, (6, 2)).mean(1), rtol=1e-4)
    assert abs(curve[-1] - curve[0]) > 1e-3 * curve[0], (
        "nothing was learned: the comparison would be of constants"
    )
    start = files.load_arrays(vgg)
    for name in wanted:
        np.testing.assert_allclose(weights[name], wanted[name], rtol=1e-3, atol=1e-5, err_msg=name)
    assert np.abs(weights["fc7/kernel"] - start["fc7/kernel"]).max() > 1e-3


TRANSFER = dataclasses.replace(
    SGD, optimizer="adamw", learning_rate=1e-2, weight_decay=0.1, batch=2, schedule="poly",
    warmup=4, clip_norm=1.0,
    rates={"conv1": 0.0, "conv2": 0.0, "conv3": 0.0, "conv4": 0.0, "conv5": 0.1, "fc6": 0.5},
    validate_images=2,
)  # fmt: skip


def test_held_layers_stay_and_cost_no_backward_pass_and_no_slots(spec, data, vgg, tmp_path):
    start = files.load_arrays(vgg)
    weights, _ = train(spec, TRANSFER, data, vgg, tmp_path / "checkpoint.npz")
    moved = {
        name.split("/")[0] for name in start if weights[name].tobytes() != start[name].tobytes()
    }
    assert moved == {"conv5_1", "conv5_2", "conv5_3", "fc6", "fc7"}
    net, _ = surgery.start(spec, vgg)
    optimizers.hold(net, TRANSFER.rates)
    made = optimizer("adam", 1.0, 0.9, 0.0, 1.0, rates=TRANSFER.rates)
    made.build(net.trainable_variables)
    assert {variable.path.split("/")[0] for variable in net.trainable_variables} == {
        *moved,
        "score_fr",
    }
    # the counter, the rate, two moments
    assert len(made.variables) == 2 + 2 * len(net.trainable_variables)

    @tf.function
    def gradients(image):
        with tf.GradientTape() as tape:
            score = tf.reduce_sum(net(image))
        return tape.gradient(score, [variable.value for variable in net.trainable_variables])

    graph = gradients.get_concrete_function(tf.TensorSpec((1, 32, 32, 3))).graph
    needed = tf.compat.v1.graph_util.extract_sub_graph(
        graph.as_graph_def(), [output.op.name for output in graph.outputs]
    )
    back = [
        node.name
        for node in needed.node
        if node.op in ("Conv2DBackpropInput", "Conv2DBackpropFilter")
    ]
    # Kernels of conv5_1 to conv5_3 and of the scores; maps below conv5_2, conv5_3 and the scores.
    assert len(back) == 4 + 3, back


def test_a_transfer_that_was_interrupted_goes_on_with_the_same_bytes(
    spec, data, vgg, tmp_path, always
):
    def stop(step, values):
        if step == 6 and "loss" in values:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(spec, TRANSFER, data, vgg, tmp_path / "stopped.npz", stop)
    whole = train(spec, TRANSFER, data, vgg, tmp_path / "whole.npz")
    assert_same(train(spec, TRANSFER, data, vgg, tmp_path / "stopped.npz", seed=8), whole)


def test_a_weight_for_no_class_and_dice_on_several_devices_are_refused(spec, data, vgg, tmp_path):
    wrong = dataclasses.replace(SGD, class_weights={"unicorn": 2.0})
    with pytest.raises(
        UserError,
        match=f"class_weights: unicorn: expected names of the classes, .*{spec.classes[1]}",
    ):
        train(spec, wrong, data, vgg, tmp_path / "checkpoint.npz")
    dice = dataclasses.replace(SGD, loss="dice")
    share = types.SimpleNamespace(devices=2)
    two = types.SimpleNamespace(share=share, recipe=dice, classes=spec.classes)
    with pytest.raises(UserError, match="loss: dice is computed on one device, there are 2"):
        training.train(None, two, None, None)


def test_dice_is_learned(spec, data, vgg, tmp_path):
    dice = dataclasses.replace(SGD, loss="dice", learning_rate=0.1)
    _, history = train(
        dataclasses.replace(spec, dropout=0.0), dice, data, vgg, tmp_path / "checkpoint.npz"
    )
    curve = [row["loss"] for row in history if "loss" in row]
    assert 0 <= min(curve) < curve[0] <= 1


def test_a_rate_for_no_layer_and_nothing_to_train_are_refused(spec, data, vgg, tmp_path):
    for rates, words in (
        (
            {"fc8": 0.1},
            r"rates: fc8: no layer's name begins with it; the layers are conv1_1, .*score_fr",
        ),
        ({"conv": 0.0, "fc": 0.0, "score": 0.0}, "rates: every layer has the rate 0"),
    ):
        with pytest.raises(UserError, match=words):
            train(
                spec, dataclasses.replace(SGD, rates=rates), data, vgg, tmp_path / "checkpoint.npz"
            )


def test_validation_while_training_can_look_at_fewer_images(data):
    whole = [example["id"][0] for example in stream.validation(data, "val").as_numpy_iterator()]
    assert len(whole) == stream.count(data, "val") > 2
    for most in (1, 2, len(whole), 99):
        every = -(-len(whole) // most)
        fewer = [
            example["id"][0] for example in stream.validation(data, "val", most).as_numpy_iterator()
        ]
        assert fewer == whole[::every]
        assert len(fewer) == stream.count(data, "val", most) <= most


def test_the_random_numbers_of_the_process_have_no_say(whole, spec, data, vgg, tmp_path):
    """Threads of Prefect and MLflow draw from these too, between any two lines; dropout has the
    recipe's seed alone.
    """
    assert_same(train(spec, SGD, data, vgg, tmp_path / "checkpoint.npz", seed=99), whole)
    other = train(
        spec,
        dataclasses.replace(SGD, seed=4),
        data,
        vgg,
        tmp_path / "checkpoint.npz",
        seed=SGD.seed,
    )
    assert other[1] != whole[1]


def test_the_dropouts_of_a_net_differ(spec, vgg):
    devices.prepare(SGD.seed)
    model, _ = surgery.start(spec, vgg)
    training.seed_dropout(model, 3)
    states = [
        layer.seed_generator.state.numpy().tolist()
        for layer in model.layers
        if "drop" in layer.name
    ]
    assert len(states) == 2
    assert states[0] != states[1]


def test_reports_come_at_their_steps(whole, spec, data, vgg, tmp_path):
    _, history = whole
    reports = []
    recipe = dataclasses.replace(SGD, validate_every=8)
    returned = train(
        spec,
        recipe,
        data,
        vgg,
        tmp_path / "c.npz",
        lambda step, values: reports.append({"step": step, **values}),
    )
    assert reports == returned[1]
    told = [(row["step"], sorted(set(row) - {"step"})) for row in reports]
    scores = sorted(
        f"val_{name}"
        for name in ("pixel_accuracy", "mean_accuracy", "mean_iu", "frequency_weighted_iu")
    )
    # A loss at every second step; a validation at 0, at every eighth, and at the end.
    wanted = [(0, scores)]
    for step in (2, 4, 6, 8, 10, 12):
        wanted += [(step, ["loss"])] + ([(step, scores)] if step in (8, 12) else [])
    assert told == wanted
    assert [row["step"] for row in history] == [0, 2, 4, 6, 6, 8, 10, 12, 12]


def test_validation_before_the_first_step_is_that_of_scores_all_zero(whole, data):
    """Where all classes score the same the first one wins: everything is background."""
    labels = np.concatenate(
        [batch["label"].ravel() for batch in stream.validation(data, "val").as_numpy_iterator()]
    )
    counts = np.bincount(labels[labels != 255], minlength=3)
    background = counts[0] / counts.sum()
    assert whole[1][0] == {
        "step": 0,
        "val_pixel_accuracy": pytest.approx(background),
        "val_mean_accuracy": pytest.approx(1 / 3),
        "val_mean_iu": pytest.approx(background / 3),
        "val_frequency_weighted_iu": pytest.approx(background**2),
    }


def test_the_last_validation_is_that_of_the_weights_returned(spec, recipe, data, vgg, tmp_path):
    weights, history = train(
        dataclasses.replace(spec, dropout=0.0), recipe, data, vgg, tmp_path / "checkpoint.npz"
    )
    model, _ = surgery.start(spec, vgg)
    surgery.transplant(model, weights)
    histogram = np.zeros((3, 3), np.int64)
    for batch in stream.validation(data, "val").as_numpy_iterator():
        histogram += metrics.confusion(
            batch["label"], np.argmax(model(batch["image"]).numpy(), -1), 3
        )
    assert {
        name.removeprefix("val_"): value for name, value in history[-1].items() if name != "step"
    } == metrics.scores(histogram)
    assert histogram[:, 1:].any(), "something else than background was predicted"


@pytest.mark.parametrize("stops", [[4, 12]])
@pytest.mark.usefixtures("always")
def test_an_interrupted_training_ends_with_the_same_bits(whole, spec, data, vgg, tmp_path, stops):
    checkpoint = tmp_path / "checkpoint.npz"
    for stop in stops:

        def interrupt(step, values, stop=stop):
            if step == stop and "loss" in values:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            train(spec, SGD, data, vgg, checkpoint, interrupt)
        assert list(tmp_path.iterdir()) == [checkpoint]
    told = []
    # Other random numbers than at the start: the dropout's come from the checkpoint.
    resumed = train(
        spec, SGD, data, vgg, checkpoint, lambda step, values: told.append(step), seed=99
    )
    assert_same(resumed, whole)
    # The checkpoint was made after the report before; what came until then is not told again.
    assert told == [row["step"] for row in whole[1] if row["step"] >= stops[-1]]


def interrupting(model, stop):
    """Makes `model` as if Ctrl-C came right after its `stop`-th step."""
    make, steps = model.make_train_function, itertools.count(1)

    def make_train_function(force=False):
        if model.train_function:
            return
        make(force)
        function = model.train_function

        def step(batches):
            logs = function(batches)
            if next(steps) == stop:
                raise KeyboardInterrupt
            return logs

        model.train_function = step

    model.make_train_function = make_train_function


@pytest.mark.parametrize("stops", [[1], [3, 4], [6, 5]])
def test_ctrl_c_between_any_two_steps_loses_none_of_them(
    whole, spec, data, vgg, tmp_path, monkeypatch, stops
):
    """The clock runs backwards, so there is no other checkpoint than that of Ctrl-C, also amid a
    stretch of two steps.
    """
    monkeypatch.setattr(
        training, "time", types.SimpleNamespace(monotonic=itertools.count(0.0, -1.0).__next__)
    )
    checkpoint, start = tmp_path / "checkpoint.npz", surgery.start
    for n, stop in enumerate(stops, 1):

        def interrupted_start(spec, parent, stop=stop):
            model, transfers = start(spec, parent)
            interrupting(model, stop)
            return model, transfers

        monkeypatch.setattr(surgery, "start", interrupted_start)
        with pytest.raises(KeyboardInterrupt):
            train(spec, SGD, data, vgg, checkpoint, seed=SGD.seed if n == 1 else 99)
        assert files.load_arrays(checkpoint)["optimizer/0"] == sum(stops[:n]), "steps"
    monkeypatch.setattr(surgery, "start", start)
    assert_same(train(spec, SGD, data, vgg, checkpoint, seed=99), whole)


MODERN = dataclasses.replace(
    SGD,
    schedule="poly",
    batch=2,
    accumulate=2,
    precision="bfloat16",
    augment=Augment((0.7, 1.3), True, 3, 32),
)


def test_batches_in_bfloat16_with_everything_resume_to_the_same_bits_too(
    spec, data, vgg, tmp_path, monkeypatch
):
    monkeypatch.setattr(
        training, "time", types.SimpleNamespace(monotonic=itertools.count(0.0, -1.0).__next__)
    )
    checkpoint = tmp_path / "checkpoint.npz"

    def interrupted_masked(model):
        net = masking.masked(model)
        interrupting(net, 5)
        return net

    whole = train(spec, MODERN, data, vgg, tmp_path / "whole.npz")
    monkeypatch.setattr(training, "masked", interrupted_masked)
    with pytest.raises(KeyboardInterrupt):
        train(spec, MODERN, data, vgg, checkpoint)
    monkeypatch.setattr(training, "masked", masking.masked)
    arrays = files.load_arrays(checkpoint)
    assert arrays["optimizer/0"] == 5
    assert {array.dtype for name, array in arrays.items() if name.startswith("weights/")} == {
        np.dtype("float32")
    }
    assert_same(train(spec, MODERN, data, vgg, checkpoint, seed=99), whole)
    start = files.load_arrays(vgg)
    assert any((whole[0][name] != start[name]).any() for name in start), "nothing was trained"


def test_bfloat16_is_the_backbone_s_alone_and_near_float32(spec, data, vgg):
    scores = {}
    image = next(iter(stream.validation(data, "val")))["image"]
    for precision in ("float32", "bfloat16"):
        devices.prepare(1, precision)
        model, _ = surgery.start(dataclasses.replace(spec, variant="fcn8s_atonce"), vgg)
        for name in ("score_fr", "score_pool4", "score_pool3"):
            layer = model.get_layer(name)
            layer.kernel.assign(np.random.default_rng(0).normal(0, 0.01, layer.kernel.shape))
        scores[precision] = np.asarray(model(image))
        computed = {
            layer.name: layer.compute_dtype for layer in model.layers if layer.name != "image"
        }
        head = {
            name
            for name in computed
            if name.startswith(("data", "score", "upscore", "fuse", "scale"))
        }
        assert {computed[name] for name in head} == {"float32"}
        assert {computed[name] for name in set(computed) - head} == {precision}
    devices.prepare(1)
    assert scores["bfloat16"].dtype == np.float32
    error = np.abs(scores["bfloat16"] - scores["float32"]).max() / np.abs(scores["float32"]).max()
    assert 0 < error < 0.03  # 8 bits of mantissa, 15 layers


@pytest.mark.usefixtures("always")
def test_a_checkpoint_of_another_net_is_refused(spec, data, vgg, tmp_path):
    checkpoint = tmp_path / "checkpoint.npz"
    files.save_arrays(checkpoint, {"weights/conv1_1/kernel": np.zeros(3)})
    with pytest.raises(UserError) as error:
        train(spec, SGD, data, vgg, checkpoint)
    assert str(error.value).startswith(
        f"{checkpoint}: a checkpoint of another net or version; remove it"
    )


def test_a_damaged_checkpoint_is_named(spec, data, vgg, tmp_path):
    checkpoint = tmp_path / "checkpoint.npz"
    files.save_arrays(checkpoint, {"weights/conv1_1/kernel": np.zeros(300)})
    checkpoint.write_bytes(checkpoint.read_bytes()[:500])
    with pytest.raises(UserError, match="truncated") as error:
        train(spec, SGD, data, vgg, checkpoint)
    assert str(error.value).startswith(f"{checkpoint}: ")


PROGRESS = {"told": 10, "history": [{"step": 10, "loss": 0.5}]}
VALIDATED = {
    f"val_{name}": 0.5
    for name in ("pixel_accuracy", "mean_accuracy", "mean_iu", "frequency_weighted_iu")
}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, None),
        (
            {
                "progress": {
                    "told": 10,
                    "history": [{"step": 10, **VALIDATED, "val_mean_iu": float("nan")}],
                }
            },
            None,
        ),
        ({"progress": b"junk"}, "progress: expected JSON, but: Expecting value"),
        ({"progress": b"\xe9"}, "progress: expected JSON, but: 'utf-8' codec can't decode"),
        ({"progress": []}, "progress: expected keys with values, got []"),
        ({"progress": {"history": []}}, "progress: told: missing"),
        (
            {"progress": PROGRESS | {"told": -1}},
            "progress: told: expected greater than or equal to 0, got -1",
        ),
        (
            {"progress": {"told": 1, "history": [{"loss": 1}]}},
            "progress: history[0]._Loss.step: missing",
        ),
        (
            {"weights/x": np.zeros(3, np.float32)},
            "weights/x: expected (2,) of float32, got (3,) of float32",
        ),
        (
            {"weights/x": np.zeros(2, np.int64)},
            "weights/x: expected (2,) of float32, got (2,) of int64",
        ),
    ],
)
def test_what_a_checkpoint_holds_is_checked_before_anything_is_assigned(tmp_path, change, words):
    kept = {"weights/x": np.ones(2, np.float32), "progress": PROGRESS} | change
    if not isinstance(kept["progress"], bytes):
        kept["progress"] = json.dumps(kept["progress"]).encode()
    files.save_arrays(
        tmp_path / "c.npz", kept | {"progress": np.frombuffer(kept["progress"], np.uint8)}
    )
    variable = keras.Variable(np.zeros(2, np.float32))
    if words is None:
        told, history = resume.load(tmp_path / "c.npz", {"weights/x": variable}, distribution.ONE)
        again = json.dumps({"told": told, "history": history}).encode()
        assert again == kept["progress"]  # whole numbers stay whole, and names in their order
        return
    with pytest.raises(UserError) as error:
        resume.load(tmp_path / "c.npz", {"weights/x": variable}, distribution.ONE)
    assert str(error.value).startswith(f"{tmp_path / 'c.npz'}: {words}")
    assert str(error.value).endswith("; remove it to start this stage anew")
    assert not np.asarray(variable).any()


def test_a_checkpoint_is_read_one_array_at_a_time(tmp_path):
    class Taken:
        shape, dtype = (1_000_000,), np.float32

        def assign(self, value):
            assert value.sum() == 1_000_000

    names = [f"weights/{n}" for n in range(5)]
    arrays = {name: np.ones(Taken.shape, np.float32) for name in names}
    resume.save(tmp_path / "c.npz", arrays, 0, [])
    size = arrays[names[0]].nbytes
    del arrays
    tracemalloc.start()
    resume.load(tmp_path / "c.npz", dict.fromkeys(names, Taken()), distribution.ONE)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2.5 * size


@pytest.mark.usefixtures("always")
def test_a_loss_that_is_no_number_names_the_rate_and_keeps_the_checkpoint(
    spec, data, vgg, tmp_path
):
    checkpoint = tmp_path / "checkpoint.npz"
    devices.prepare(3)
    model, _ = surgery.start(spec, vgg)

    def report(step, _):
        if step == 6:
            model.get_layer("score_fr").bias.assign([np.nan, 0, 0])

    with pytest.raises(UserError) as error:
        training.train(
            model,
            stream.Stream(data, "train", SGD),
            lambda: stream.validation(data, "val"),
            checkpoint,
            training.Listener(report=report),
            seconds=0,
        )
    assert ("the loss is nan after step 8: the rate 0.03 is too high for `loss: mean`") in str(
        error.value
    )
    # The weights were spoilt at step 6, before its checkpoint.
    assert files.load_arrays(checkpoint)["optimizer/0"] == 4
    assert "The checkpoint of step 4 is kept." in str(error.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"iterations": 13}, "iterations: expected a multiple of log_every = 2, got 13"),
        ({"validate_every": 5}, "validate_every: expected a multiple of log_every = 2, got 5"),
        ({"log_every": 24}, "iterations: expected a multiple of log_every = 24, got 12"),
    ],
)
def test_numbers_that_do_not_fit_together(spec, data, vgg, tmp_path, changes, words):
    with pytest.raises(UserError) as error:
        train(spec, dataclasses.replace(SGD, **changes), data, vgg, tmp_path / "checkpoint.npz")
    assert str(error.value).splitlines()[0] == words


def test_checkpoints_are_whole_and_take_no_more_than_a_twentieth_of_the_time(
    spec, data, vgg, tmp_path, monkeypatch
):
    """A clock that goes 1 s at every look: a save takes 1 s (two looks), the next one comes 20 s
    after it at the soonest.
    """
    clock = iter(range(10_000))
    monkeypatch.setattr(
        training, "time", types.SimpleNamespace(monotonic=lambda: float(next(clock)))
    )
    saved = []
    write = files.save_arrays

    def counting(path, arrays):
        saved.append(1)
        write(path, arrays)

    monkeypatch.setattr(files, "save_arrays", counting)
    train(
        spec,
        dataclasses.replace(SGD, iterations=24, log_every=1, validate_every=24),
        data,
        vgg,
        tmp_path / "c.npz",
    )
    # Looks: 0 at the start, 1 at step 1 (saved: looks 2 and 3, so the next at 23), then one a step:
    # 4 at step 2, 23 at step 21.
    assert len(saved) == 2
    arrays = files.load_arrays(tmp_path / "c.npz")
    assert arrays["optimizer/0"] == json.loads(arrays["progress"].tobytes())["told"] == 21
    # And a checkpoint holds all that the next step depends on: 13 convolutions, fc6, fc7 and
    # score_fr with biases; a velocity for each, the step and the rate; the two dropouts' seeds.
    kinds = [name.partition("/")[0] for name in arrays]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "weights": 32,
        "optimizer": 34,
        "seeds": 2,
        "loss": 4,
        "progress": 1,
    }
    assert np.any(arrays["optimizer/2"] != 0), "the velocity of conv1_1"


def test_between_two_reports_nothing_is_asked_of_the_device():
    """A hook after every step would be Python between two steps, and whatever it read would have to
    be waited for.
    """
    assert [
        name for name in dir(training._Loop) if "batch" in name and name in vars(training._Loop)
    ] == []


@pytest.fixture(scope="module")
def best(spec, recipe):
    """A net, and a recipe under which it gets better for a while and then worse."""
    changes = {"learning_rate": 2e-2, "validate_every": 2, "keep": "best", "patience": 4}
    return dataclasses.replace(spec, dropout=0.0), dataclasses.replace(recipe, **changes)


def scores(history):
    return {row["step"]: row["val_mean_iu"] for row in history if "val_mean_iu" in row}


@pytest.fixture(scope="module")
def stopped(best, data, vgg, tmp_path_factory):
    """Weights and history of that training."""
    spec, recipe = best
    return train(spec, recipe, data, vgg, tmp_path_factory.mktemp("best") / "checkpoint.npz")


def test_the_best_weights_are_those_of_a_training_that_ended_there(
    best, stopped, data, vgg, tmp_path
):
    """Which step that is, and where the training ends, is told by one that goes on to the end."""
    spec, recipe = best
    on = dataclasses.replace(recipe, keep="last", patience=0)
    told = scores(train(spec, on, data, vgg, tmp_path / "on.npz")[1])
    assert list(told) == list(range(0, 21, 2))
    best_step, waited = 0, 0
    for step, score in list(told.items())[1:]:
        best_step, waited = (step, 0) if score > told[best_step] else (best_step, waited + 1)
        if waited == 4:
            break
    assert 0 < best_step < step < 20, "a recipe that shows nothing"
    weights, history = stopped
    assert scores(history) == {n: score for n, score in told.items() if n <= step}
    assert history[-1]["step"] == step
    short = dataclasses.replace(on, iterations=best_step)
    wanted, _ = train(spec, short, data, vgg, tmp_path / "short.npz")
    assert [name for name in wanted if wanted[name].tobytes() != weights[name].tobytes()] == []


@pytest.mark.parametrize("at", [10, 18])
def test_a_training_that_keeps_the_best_goes_on_with_the_same_bytes(
    best, stopped, data, vgg, tmp_path, always, at
):
    """Interrupted in the best validation, and in the one that ends it."""

    def stop(step, values):
        if step == at and "val_mean_iu" in values:
            raise KeyboardInterrupt

    spec, recipe = best
    assert stopped[1][-1]["step"] == 18
    with pytest.raises(KeyboardInterrupt):
        train(spec, recipe, data, vgg, tmp_path / "c.npz", stop)
    assert_same(train(spec, recipe, data, vgg, tmp_path / "c.npz", seed=8), stopped)


def test_patience_alone_keeps_the_last_weights(best, stopped, data, vgg, tmp_path):
    spec, recipe = best
    last = dataclasses.replace(recipe, keep="last")
    weights, history = train(spec, last, data, vgg, tmp_path / "c.npz")
    assert history == stopped[1]
    on = dataclasses.replace(last, patience=0, iterations=history[-1]["step"])
    assert_same(train(spec, on, data, vgg, tmp_path / "on.npz"), (weights, history))
