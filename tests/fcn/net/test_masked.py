"""A padded batch through the masked net, against the images one by one through the net itself."""

import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from fcn.net import model, surgery
from fcn.net.layers import Crop
from fcn.net.masking import Inside, masked
from fcn.train.losses import PixelLoss

SIZES = [(45, 61), (33, 70), (57, 39)]
CANVAS = (64, 72)
VGG = ["fcn32s", "fcn16s", "fcn8s", "fcn8s_atonce"]
NETS = [(variant, padding) for variant in VGG for padding in ("same", "caffe")] + [
    ("fcn4s", "caffe")
]


def in_doubles(net):
    """The same net in float64, its scores too, so that a difference is none of rounding."""
    twin = keras.Model.from_config(
        json.loads(json.dumps(net.get_config()).replace("float32", "float64"))
    )
    twin.set_weights(net.get_weights())
    assert {layer.compute_dtype for layer in twin.layers[1:]} == {"float64"}
    return twin


@pytest.fixture
def make(small, lenet):
    """Makes a net of random weights, none of them 0, so that every map has something to leak."""

    def net(variant, padding):
        spec = (
            lenet() if variant == "fcn4s" else small(variant, padding=padding, upsampling="learned")
        )
        net, random = model.build(dataclasses.replace(spec, dropout=0.0)), np.random.default_rng(7)
        for name, weight in surgery.named_weights(net).items():
            if not name.startswith("upscore"):
                scale = 0.5 if name.endswith("bias") else np.sqrt(2 / np.prod(weight.shape[:-1]))
                weight.assign(random.normal(size=weight.shape) * scale)
        return net

    return net


def examples(sizes=SIZES):
    """Images and labels with void."""
    random = np.random.default_rng(12)
    images = [random.integers(0, 256, (*size, 3)).astype(np.uint8) for size in sizes]
    return images, [random.choice([0, 1, 2, 255], size).astype(np.uint8) for size in sizes]


def padded(images, labels, canvas=CANVAS):
    """What `inputs.Stream` makes of them, with noise where it has one colour."""
    random = np.random.default_rng(13)
    batch = random.integers(0, 256, (len(images), *canvas, 4)).astype(np.uint8)
    truth = np.full((len(images), *canvas), 255, np.uint8)
    batch[..., 3] = 0
    for n, (image, label) in enumerate(zip(images, labels, strict=True)):
        height, width = label.shape
        batch[n, :height, :width, :3], batch[n, :height, :width, 3], truth[n, :height, :width] = (
            image,
            255,
            label,
        )
    return batch, truth


def loss_and_gradients(net, image, label, reduction="sum"):
    with tf.GradientTape() as tape:
        loss = PixelLoss(reduction)(label, net(image, training=True))
    gradients = tape.gradient(loss, [variable.value for variable in net.trainable_variables])
    return float(loss), {
        v.path: g.numpy() for v, g in zip(net.trainable_variables, gradients, strict=True)
    }


def one_by_one(net, images, labels):
    """Loss and gradient, summed over the images."""
    parts = [
        loss_and_gradients(net, image[None], label[None])
        for image, label in zip(images, labels, strict=True)
    ]
    return sum(loss for loss, _ in parts), {
        name: sum(part[1][name] for part in parts) for name in parts[0][1]
    }


def worst(found, wanted):
    """The largest difference of any gradient, relative to its largest number."""
    return max(
        np.abs(found[name] - wanted[name]).max() / np.abs(wanted[name]).max() for name in wanted
    )


@pytest.mark.parametrize(("variant", "padding"), NETS)
def test_loss_and_gradient_of_a_padded_batch_are_those_of_its_images(make, variant, padding):
    net, (images, labels) = in_doubles(make(variant, padding)), examples()
    batch, truth = padded(images, labels)
    wanted_loss, wanted = one_by_one(net, images, labels)
    loss, found = loss_and_gradients(masked(net), batch, truth)
    assert loss == pytest.approx(wanted_loss, rel=1e-6)
    assert list(found) == list(wanted)
    assert worst(found, wanted) < 1e-7
    # Without the mask they are others, even with the mean around the images.
    plain = np.where(
        batch[..., 3:],
        batch[..., :3],
        np.rint(net.get_layer("data").mean_bgr[::-1]) if variant != "fcn4s" else 0,
    )
    loss, found = loss_and_gradients(net, plain, truth)
    assert abs(loss / wanted_loss - 1) > 1e-5
    assert worst(found, wanted) > 0.01


@pytest.mark.parametrize("variant", ["fcn32s", "fcn8s"])
def test_so_they_are_in_single_precision(make, variant):
    net, (images, labels) = make(variant, "same"), examples()
    wanted_loss, wanted = one_by_one(net, images, labels)
    loss, found = loss_and_gradients(masked(net), *padded(images, labels))
    assert loss == pytest.approx(wanted_loss, rel=1e-6)
    assert worst(found, wanted) < 1e-5


@pytest.mark.parametrize(("variant", "padding"), NETS)
def test_where_nothing_is_padded_the_scores_are_the_nets_to_the_bit(make, variant, padding):
    net, (images, labels) = make(variant, padding), examples([(45, 61)] * 3)
    batch, _ = padded(images, labels, (45, 61))
    scores = np.asarray(net(batch[..., :3]))
    assert np.abs(scores).max() > 0
    assert np.array_equal(np.asarray(masked(net)(batch)), scores)


@pytest.mark.parametrize(
    ("variant", "padding"), [("fcn8s", "same"), ("fcn8s", "caffe"), ("fcn4s", "caffe")]
)
def test_scores_of_an_image_are_the_same_on_any_canvas(make, variant, padding):
    net, (images, labels) = make(variant, padding), examples()
    twin = masked(net)
    for canvas in ((57, 70), (58, 71), (100, 130)):
        scores = np.asarray(twin(padded(images, labels, canvas)[0]))
        for n, image in enumerate(images):
            height, width = image.shape[:2]
            wanted = np.asarray(net(image[None]))[0]
            assert np.isfinite(scores).all()
            np.testing.assert_allclose(
                scores[n, :height, :width], wanted, atol=2e-5 * np.abs(wanted).max(), rtol=0
            )


def test_a_step_of_training_as_keras_runs_it_changes_the_nets_own_weights(make):
    """In a compiled graph, with the loss that is reported."""
    net, (images, labels) = make("fcn16s", "same"), examples()
    wanted_loss, gradients = one_by_one(net, images, labels)
    before = {variable.path: variable.numpy() for variable in net.trainable_variables}
    twin = masked(net)
    twin.compile(keras.optimizers.SGD(1e-6), PixelLoss("sum"), jit_compile=False)
    batch = tf.data.Dataset.from_tensors(padded(images, labels))
    history = twin.fit(batch, verbose=0, shuffle=False)
    assert history.history["loss"][0] == pytest.approx(wanted_loss, rel=1e-6)
    change = {
        variable.path: (before[variable.path] - variable.numpy()) * 1e6
        for variable in net.trainable_variables
    }
    assert worst(change, gradients) < 0.02  # of weights that were rounded after a small step


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_the_loss_of_a_batch_is_over_all_its_valid_pixels(make, reduction):
    """The mean is one over the pixels of the batch, in which an image counts by its area, not a
    mean of the images' means.
    """
    net, (images, labels) = make("fcn32s", "same"), examples([(50, 60), (20, 30)])
    parts = [
        loss_and_gradients(net, image[None], label[None])[0]
        for image, label in zip(images, labels, strict=True)
    ]
    pixels = [(label != 255).sum() for label in labels]
    batch, truth = padded(images, labels)
    loss, _ = loss_and_gradients(masked(net), batch, truth, reduction)
    assert loss == pytest.approx(sum(parts) / (sum(pixels) if reduction == "mean" else 1), rel=1e-5)
    assert abs(sum(parts) / sum(pixels) / np.mean(np.divide(parts, pixels)) - 1) > 0.01


def test_weights_and_their_names_are_shared_and_the_net_stays_as_it_was(make):
    net, image = make("fcn8s", "caffe"), np.full((1, 20, 30, 3), 99, np.uint8)
    before, layers = np.asarray(net(image)), [layer.name for layer in net.layers]
    twin, again = masked(net), masked(net)
    for other in (twin, again):
        found = surgery.named_weights(other)
        assert list(found) == list(surgery.named_weights(net))
        assert all(found[name] is weight for name, weight in surgery.named_weights(net).items())
        assert [v.path for v in other.trainable_variables] == [
            v.path for v in net.trainable_variables
        ]
    assert [layer.name for layer in net.layers] == layers
    assert np.array_equal(np.asarray(net(image)), before)
    names = {layer.name for layer in twin.layers if isinstance(layer, Inside)}
    assert {
        "border_inside",
        "conv1_1_inside",
        "pool5_inside",
        "pool5_clear",
        "upscore2_inside",
        "upscore8_inside",
    } <= names
    assert (
        not {"conv2_1_inside", "fc6_inside", "fc7_inside", "score_fr_inside", "fuse_pool4_inside"}
        & names
    )  # clear, or every cell for itself


def test_dropout_is_the_nets_own_and_only_in_training(small):
    net = model.build(small(padding="same", dropout=0.5))
    net.get_layer("score_fr").set_weights([np.ones((1, 1, 8, 3)), np.zeros(3)])
    twin, (batch, _) = masked(net), padded(*examples())
    resting = np.asarray(twin(batch))
    assert np.array_equal(np.asarray(twin(batch)), resting)
    state = [np.asarray(v) for v in net.non_trainable_variables if "seed" in v.path]
    assert not np.array_equal(np.asarray(twin(batch, training=True)), resting)
    assert [v.path for v in net.non_trainable_variables if "seed" in v.path]
    assert not np.array_equal(
        [np.asarray(v) for v in net.non_trainable_variables if "seed" in v.path], state
    )


def test_inside_by_hand():
    maps = np.arange(1, 25, dtype=np.float32).reshape(2, 3, 2, 2)
    found = np.asarray(Inside()(maps, np.array([[2, 1], [3, 2]])))
    assert found[0].tolist() == [[[1, 2], [0, 0]], [[5, 6], [0, 0]], [[0, 0], [0, 0]]]
    assert np.array_equal(found[1], maps[1])
    assert np.asarray(Inside(float("-inf"))(maps, np.array([[0, 2], [3, 1]])))[:, :, :,
    0].tolist() == [
        [[-np.inf, -np.inf]] * 3, [[13, -np.inf], [17, -np.inf], [21, -np.inf]],
    ]  # fmt: skip


def test_inside_keeps_its_shape_and_is_restored_from_its_configuration():
    assert Inside()(keras.Input((None, None, 5)), keras.Input((2,), dtype="int32")).shape == (
        None,
        None,
        None,
        5,
    )
    layer = Inside(float("-inf"), name="pool1_inside")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.get_config() == layer.get_config()


def test_a_layer_of_which_nothing_is_known_is_refused():
    image = keras.Input((None, None, 3))
    net = keras.Model(image, Crop(0)(keras.layers.AveragePooling2D(2, name="mean")(image), image))
    with pytest.raises(
        TypeError, match="mean: nothing is known of how a AveragePooling2D changes sizes"
    ):
        masked(net)
