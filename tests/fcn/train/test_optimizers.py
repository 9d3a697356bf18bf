import keras
import numpy as np
import pytest
import tensorflow as tf

from fcn.errors import UserError
from fcn.hardware import cpu
from fcn.train import optimizers
from fcn.train.optimizers import CaffeSGD
from tests.recipe import optimizer

RANDOM = np.random.default_rng(2)
KERNEL, BIAS = RANDOM.normal(size=(1, 1, 3, 2)), RANDOM.normal(size=2)
GRADIENTS = [(RANDOM.normal(size=KERNEL.shape), RANDOM.normal(size=BIAS.shape)) for _ in range(6)]
RATE, MOMENTUM, DECAY = 0.01, 0.99, 0.05


def layer():
    """A convolution named as in the nets, with known weights."""
    conv = keras.layers.Conv2D(2, 1, name="score_fr")
    conv.build((None, None, None, 3))
    conv.set_weights([KERNEL, BIAS])
    return conv


def steps(optimizer):
    """Kernel and bias after the known gradients."""
    conv = layer()
    optimizer.build(conv.trainable_variables)
    for kernel, bias in GRADIENTS:
        optimizer.apply([tf.constant(kernel, tf.float32), tf.constant(bias, tf.float32)])
    return np.asarray(conv.kernel), np.asarray(conv.bias)


def caffe(w, gradients, rate, decay):
    """Caffe's SGDSolver in float64: Regularize, then ComputeUpdateValue, then subtract."""
    history = np.zeros_like(w)
    for gradient in gradients:
        history = rate * (gradient + decay * w) + MOMENTUM * history
        w = w - history
    return w


def test_sgd_is_caffes_rule_with_twice_the_rate_and_no_decay_on_biases():
    kernel, bias = steps(optimizer("sgd", RATE, MOMENTUM, DECAY, 2.0))
    np.testing.assert_allclose(
        kernel, caffe(KERNEL, [g for g, _ in GRADIENTS], RATE, DECAY), rtol=1e-5
    )
    np.testing.assert_allclose(bias, caffe(BIAS, [g for _, g in GRADIENTS], 2 * RATE, 0), rtol=1e-5)


def test_one_step_of_sgd_by_hand():
    """Rate .5, decay .1, bias rate 2, gradient 1: w = 2 - .5 (1 + .2) = 1.4; b = 2 - 2 * .5 = 1."""
    conv = keras.layers.Conv2D(1, 1)
    conv.build((None, None, None, 1))
    conv.set_weights([np.full((1, 1, 1, 1), 2.0), np.full(1, 2.0)])
    optimizer = CaffeSGD(0.5, decay=0.1, bias_rate=2.0, momentum=0.9)
    optimizer.build(conv.trainable_variables)
    for kernel, bias in [(1.4, 1.0), (1.4 - 0.9 * 0.6 - 0.5 * 1.14, 1 - 0.9 - 1)]:
        optimizer.apply([tf.ones((1, 1, 1, 1)), tf.ones(1)])
        assert float(conv.kernel[0, 0, 0, 0]) == pytest.approx(kernel, rel=1e-6)
        assert float(conv.bias[0]) == pytest.approx(bias, rel=1e-6)


def test_keras_own_decay_is_another_rule():
    """Decoupled: it bypasses the momentum, so at 0.99 the decay is far weaker than Caffe's."""
    start = np.ones((1, 1, 1, 1), np.float32)

    def decayed(optimizer):
        conv = keras.layers.Conv2D(1, 1, use_bias=False)
        conv.build((None, None, None, 1))
        conv.set_weights([start])
        optimizer.build(conv.trainable_variables)
        for _ in range(300):
            optimizer.apply([tf.zeros((1, 1, 1, 1))])
        return 1 - float(conv.kernel[0, 0, 0, 0])

    ours = decayed(CaffeSGD(1e-3, decay=1e-3, momentum=0.99))
    theirs = decayed(keras.optimizers.SGD(1e-3, momentum=0.99, weight_decay=1e-3))
    assert ours == pytest.approx(
        1 - caffe(start.astype(np.float64), [0.0] * 300, 1e-3, 1e-3).item(), rel=1e-2
    )
    assert ours > 50 * theirs > 0


def test_adam_takes_the_decay_into_the_gradient():
    beta_1, beta_2, epsilon = 0.9, 0.999, 1e-7

    def adam(w, gradients, rate, decay):
        m, v = np.zeros_like(w), np.zeros_like(w)
        for t, gradient in enumerate(gradients, 1):
            gradient = gradient + decay * w
            m, v = beta_1 * m + (1 - beta_1) * gradient, beta_2 * v + (1 - beta_2) * gradient**2
            w = w - rate * np.sqrt(1 - beta_2**t) / (1 - beta_1**t) * m / (np.sqrt(v) + epsilon)
        return w

    kernel, bias = steps(optimizer("adam", RATE, beta_1, DECAY, 2.0))
    np.testing.assert_allclose(
        kernel, adam(KERNEL, [g for g, _ in GRADIENTS], RATE, DECAY), rtol=1e-4
    )
    np.testing.assert_allclose(bias, adam(BIAS, [g for _, g in GRADIENTS], 2 * RATE, 0), rtol=1e-4)


def test_adamw_decays_kernels_beside_the_gradient():
    beta_1, beta_2, epsilon, rate, decay = 0.9, 0.999, 1e-7, 0.01, 0.05

    def adamw(w, gradients, rate, decay):
        m, v = np.zeros_like(w), np.zeros_like(w)
        for t, gradient in enumerate(gradients, 1):
            m, v = beta_1 * m + (1 - beta_1) * gradient, beta_2 * v + (1 - beta_2) * gradient**2
            w = w - rate * decay * w
            w = w - rate * np.sqrt(1 - beta_2**t) / (1 - beta_1**t) * m / (np.sqrt(v) + epsilon)
        return w

    kernel, bias = steps(optimizer("adamw", rate, beta_1, decay, 2.0))
    np.testing.assert_allclose(
        kernel, adamw(KERNEL, [g for g, _ in GRADIENTS], rate, decay), rtol=1e-5
    )
    np.testing.assert_allclose(bias, adamw(BIAS, [g for _, g in GRADIENTS], 2 * rate, 0), rtol=1e-5)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_a_layers_rate_is_a_factor_on_its_kernel_and_bias(name):
    of_a_third = steps(
        optimizer(name, RATE, MOMENTUM, DECAY, 2.0, rates={"score": 1 / 3, "conv": 0.0})
    )
    for one, other in zip(
        of_a_third, steps(optimizer(name, RATE / 3, MOMENTUM, DECAY, 2.0)), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-6)


@pytest.mark.parametrize(
    ("path", "factor"),
    [
        ("conv5_3/bias", 0.1),
        ("conv4_1/kernel", 0.0),
        ("conv5_1", 0.5),
        ("fc6/kernel", 1.0),
        ("score_fr", 1.0),
    ],
)
def test_the_longest_prefix_counts(path, factor):
    assert optimizers.layer_rate(path, {"conv": 0.0, "conv5": 0.1, "conv5_1": 0.5}) == factor


def test_the_gradients_norm_is_limited_over_all_variables_before_the_decay():
    """Gradients (3, 0) and 4 have the norm 5: with a limit of 1 they are (0.6, 0) and 0.8."""
    conv = keras.layers.Conv2D(1, 1)
    conv.build((None, None, None, 2))
    conv.set_weights([np.full((1, 1, 2, 1), 2.0), np.full(1, 2.0)])
    made = optimizer("sgd", 0.5, 0.0, 0.1, 1.0, clip_norm=1.0)
    made.build(conv.trainable_variables)
    made.apply([tf.constant([3.0, 0.0], shape=(1, 1, 2, 1)), tf.constant([4.0])])
    # w - 0.5 (g + 0.1 w)
    np.testing.assert_allclose(
        np.ravel(conv.kernel), [2 - 0.5 * (0.6 + 0.2), 2 - 0.5 * 0.2], rtol=1e-6
    )
    np.testing.assert_allclose(conv.bias, [2 - 0.5 * 0.8], rtol=1e-6)
    # And a gradient below the limit stays as it is.
    made.apply([tf.constant([0.0, 0.5], shape=(1, 1, 2, 1)), tf.constant([0.0])])
    assert float(conv.kernel[0, 0, 1, 0]) == pytest.approx(1.9 - 0.5 * (0.5 + 0.19), rel=1e-6)


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        ("fixed", [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]),
        ("poly", [0.25, 0.5 * 0.9**0.9, 0.75 * 0.8**0.9, 0.7**0.9, 0.6**0.9, 0.5**0.9]),
        ("cosine", [0.25 * 1.0, 0.5 * (1 + np.cos(0.1 * np.pi)) / 2]),
    ],
)
def test_the_rate_warms_up_to_its_schedule(schedule, rates):
    rate = optimizers.rate(schedule, 2.0, 10, warmup=4)
    np.testing.assert_allclose(
        [float(rate(step)) for step in range(len(rates))], 2 * np.array(rates), rtol=1e-6
    )
    made = optimizer("adam", 2.0, 0.9, 0.0, 1.0, schedule=schedule, steps=10, warmup=4)
    assert float(made.learning_rate) == pytest.approx(0.5, rel=1e-6)


def test_through_compile_and_fit_it_is_the_same_rule():
    image = keras.Input((None, None, 3))
    conv = keras.layers.Conv2D(2, 1, name="score_fr")
    net = keras.Model(image, conv(image))
    conv.set_weights([KERNEL, BIAS])
    net.compile(
        optimizer=optimizer("sgd", RATE, MOMENTUM, DECAY, 2.0),
        # gradient by hand: sums of y_true
        loss=lambda y_true, y_pred: tf.reduce_sum(y_true * y_pred),
        jit_compile=False,
    )
    images, weights = RANDOM.normal(size=(5, 1, 4, 4, 3)), RANDOM.normal(size=(5, 1, 4, 4, 2))
    net.fit(tf.data.Dataset.from_tensor_slices((images, weights)), shuffle=False, verbose=0)
    kernels = [
        np.einsum("nhwi,nhwo->io", x, y)[None, None] for x, y in zip(images, weights, strict=True)
    ]
    np.testing.assert_allclose(conv.kernel, caffe(KERNEL, kernels, RATE, DECAY), rtol=1e-4)
    np.testing.assert_allclose(
        conv.bias, caffe(BIAS, [y.sum((0, 1, 2)) for y in weights], 2 * RATE, 0), rtol=1e-4
    )


@pytest.mark.parametrize("rate", [1e-10, 1e-12, 1e-14])
def test_the_heavy_recipes_rates_are_kept(rate):
    made = optimizer("sgd", rate, 0.99, 5e-4, 2.0)
    assert float(made.learning_rate) == pytest.approx(rate, rel=1e-6)
    conv = keras.layers.Conv2D(1, 1)
    conv.build((None, None, None, 1))
    conv.set_weights([np.zeros((1, 1, 1, 1)), np.zeros(1)])
    made.build(conv.trainable_variables)
    made.apply([tf.fill((1, 1, 1, 1), 3.0), tf.fill((1,), 3.0)])
    assert float(conv.kernel[0, 0, 0, 0]) == pytest.approx(-3 * rate, rel=1e-6)
    assert float(conv.bias[0]) == pytest.approx(-6 * rate, rel=1e-6)


def test_upsampling_kernels_count_as_kernels(small):
    from fcn.net.model import build

    net = build(small("fcn8s", upsampling="learned"))
    made = optimizer("sgd", RATE, MOMENTUM, DECAY, 2.0)
    made.build(net.trainable_variables)
    paths = [variable.path for variable in net.trainable_variables]
    assert [p for p, is_bias in zip(paths, made.is_bias, strict=True) if is_bias] == [
        p for p in paths if "bias" in p
    ]
    assert "upscore2/kernel" in paths


def test_an_unknown_optimizer_is_refused():
    with pytest.raises(UserError, match="expected sgd, adam or adamw, got 'sdg'"):
        optimizer("sdg", 0.1, 0.9, 0.0, 1.0)


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_configuration_restores_it(name):
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(optimizer(name, 0.25, 0.5, 0.125, 3.0))
    )
    config = again.get_config()
    assert (config["learning_rate"], config["decay"], config["bias_rate"]) == (0.25, 0.125, 3.0)
    assert config["momentum" if name == "sgd" else "beta_1"] == 0.5


def test_accumulated_gradients_are_averaged_into_one_update():
    """Caffe's iter_size: six gradients in pairs are three updates, momentum and decay included."""
    kernel, bias = steps(optimizer("sgd", RATE, MOMENTUM, DECAY, 2.0, accumulate=2))
    pairs = [[(GRADIENTS[n][k] + GRADIENTS[n + 1][k]) / 2 for n in (0, 2, 4)] for k in (0, 1)]
    np.testing.assert_allclose(kernel, caffe(KERNEL, pairs[0], RATE, DECAY), rtol=1e-5)
    np.testing.assert_allclose(bias, caffe(BIAS, pairs[1], 2 * RATE, 0), rtol=1e-5)


@pytest.mark.parametrize(
    ("schedule", "wanted"),
    [
        ("fixed", [0.5, 0.5, 0.5]),
        ("poly", [0.5, 0.5 * 0.5**0.9, 0.0]),  # (1 - t/T)^0.9
        ("cosine", [0.5, 0.25, 0.0]),  # half of a cosine
    ],
)
def test_schedules_by_hand(schedule, wanted):
    made = optimizer("sgd", 0.5, 0.0, 0.0, 1.0, schedule=schedule, steps=4)
    found = []
    for t in (0, 2, 4):
        made.iterations.assign(t)
        found.append(float(made.learning_rate))
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-8)


def test_a_schedule_counts_steps_also_where_two_of_them_make_an_update():
    """Four updates in eight steps, each at the rate of the step that completes it."""
    made = optimizer("sgd", 1.0, 0.0, 0.0, 1.0, schedule="cosine", steps=8, accumulate=2)
    conv = keras.layers.Conv2D(1, 1)
    conv.build((None, None, None, 1))
    conv.set_weights([np.zeros((1, 1, 1, 1)), np.zeros(1)])
    made.build(conv.trainable_variables)
    values = []
    for _ in range(8):
        made.apply([tf.ones((1, 1, 1, 1)), tf.ones(1)])
        values.append(float(conv.kernel[0, 0, 0, 0]))
    rates = [(1 + np.cos(np.pi * step / 8)) / 2 for step in (1, 3, 5, 7)]
    np.testing.assert_allclose(values[1::2], -np.cumsum(rates), rtol=1e-6)
    np.testing.assert_allclose(values[::2], [0, *-np.cumsum(rates)[:-1]], rtol=1e-6)


def test_an_unknown_schedule_is_refused():
    with pytest.raises(UserError, match="expected fixed, poly or cosine, got 'step'"):
        optimizers.rate("step", 0.1, 10)


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_a_compiled_update_is_the_update(name, accumulate, monkeypatch):
    """Kernels and biases alike, in the graph of Keras' own training step."""
    compiled, results = [], []

    def counting(update, variable, real=cpu.compiled):
        compiled.append(variable)
        return real(update, variable)

    monkeypatch.setattr(cpu, "compiled", counting)
    for large in (1, 10**9):
        monkeypatch.setattr(optimizers, "LARGE", large)
        net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(1)])
        random = np.random.default_rng(4)
        net.set_weights([random.normal(size=weight.shape) for weight in net.weights])
        made = optimizer(name, 1e-2, 0.9, 5e-2, 2.0, accumulate=accumulate)
        made.build(net.trainable_variables)
        net.compile(optimizer=made, loss="mse", jit_compile=False)
        for _ in range(4):
            net.train_on_batch(random.normal(size=(2, 4)), random.normal(size=(2, 1)))
        results.append([*net.get_weights(), *(np.asarray(variable) for variable in made.variables)])
    assert len(compiled) >= 4
    assert not np.array_equal(results[0][0], np.random.default_rng(4).normal(size=(4, 3)))
    for ours, plain in zip(*results, strict=True):
        np.testing.assert_allclose(ours, plain, rtol=1e-5, atol=1e-7)


def test_only_what_a_graph_updates_is_compiled():
    variable = tf.Variable([1.0])
    assert cpu.compiled(print, variable) is print  # eagerly it would be compiled anew every time
    found = []

    @tf.function
    def update():
        found.append(cpu.compiled(print, variable))
        return 0

    update()
    assert found[0] is not print
