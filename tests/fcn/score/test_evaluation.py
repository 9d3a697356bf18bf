import threading
import time

import numpy as np
import pytest
import tensorflow as tf
from tiny import echo

from fcn.score import evaluation
from fcn.score.metrics import confusion


def test_labels_are_the_highest_scores_and_the_lower_index_of_equal_ones():
    image = np.array(
        [[[[1, 2, 3], [9, 2, 3], [1, 5, 1], [4, 4, 4], [1, 7, 7], [-3, -1, -2]]]], np.float32
    )
    found = evaluation.labeler(echo())(image)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, [[[2, 0, 1, 0, 1, 1]]])


def test_a_labeler_follows_the_weights_of_its_net():
    net = echo()
    label = evaluation.labeler(net)
    image = np.array([[[[1, 2, 3]]]], np.float32)
    assert label(image).item() == 2
    net.layers[-1].set_weights([-np.eye(3)[None, None]])
    assert label(image).item() == 0


def test_labels_of_many_classes_fit():
    net = echo(200)
    net.layers[-1].set_weights([np.pad(np.ones((3, 1)), ((0, 0), (199, 0)))[None, None]])
    assert evaluation.labeler(net)(np.ones((1, 1, 1, 3), np.uint8)).item() == 199


def test_the_confusion_of_a_set_of_images_of_many_sizes():
    random = np.random.default_rng(4)
    batches = [
        {
            "image": random.integers(0, 256, (*shape, 3)).astype(np.uint8),
            "label": random.choice([0, 1, 2, 255], shape),
        }
        for shape in [(1, 5, 7), (1, 9, 2), (2, 4, 4), (1, 1, 1)]
    ]
    expected = np.zeros((3, 3), int)
    for batch in batches:
        for truth, pixel in zip(batch["label"].ravel(), batch["image"].reshape(-1, 3), strict=True):
            if truth != 255:
                expected[truth, pixel.argmax()] += 1
    seen = []
    found = evaluation.evaluate(
        evaluation.labeler(echo()),
        ({"image": tf.constant(b["image"]), "label": tf.constant(b["label"])} for b in batches),
        3,
        lambda batch, predicted: seen.append((batch["image"].shape, predicted)),
    )
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, expected)
    assert [shape for shape, _ in seen] == [b["image"].shape for b in batches]
    for (_, predicted), batch in zip(seen, batches, strict=True):
        np.testing.assert_array_equal(predicted, batch["image"].argmax(-1))


def test_scoring_at_another_size_than_the_images_own_is_refused():
    batch = {"image": np.zeros((1, 4, 6, 3), np.uint8), "label": np.zeros((1, 6, 4), np.uint8)}
    with pytest.raises(ValueError, match="score at the image's own size"):
        evaluation.evaluate(evaluation.labeler(echo()), [batch], 3)


def test_a_net_at_native_size_is_counted_like_its_own_scores(small):
    """The whole way once, with a real net of odd size."""
    from fcn.net.model import build

    net = build(small("fcn8s", padding="same"))
    random = np.random.default_rng(6)
    for weight in net.weights:
        if "seed" not in weight.path:
            weight.assign(
                random.normal(size=weight.shape) * np.sqrt(2 / max(1, np.prod(weight.shape[:-1])))
            )
    image, label = (
        random.integers(0, 256, (1, 45, 51, 3)).astype(np.uint8),
        random.choice([0, 1, 2, 255], (1, 45, 51)),
    )
    scores = np.asarray(net(image, training=False))
    found = evaluation.evaluate(evaluation.labeler(net), [{"image": image, "label": label}], 3)
    np.testing.assert_array_equal(found, confusion(label, scores.argmax(-1), 3))
    assert (found.sum(0) > 0).sum() > 1  # not one class everywhere


def test_work_goes_on_beside_the_predictions_and_comes_back_in_their_order():
    """The work on the first image cannot end before the second has been predicted."""
    second = threading.Event()
    predicted = []

    def label(images):
        predicted.append(images)
        if images == 1:
            second.set()
        return images * 10

    def work(batch, labels):
        assert labels == batch["image"] * 10
        if batch["image"] == 0:
            assert second.wait(20), "nothing was predicted meanwhile"
            time.sleep(0.05)
        return batch["image"]

    assert list(evaluation.each(label, ({"image": n} for n in range(50)), work)) == list(range(50))
    assert predicted == list(range(50))


def test_however_many_examples_only_a_few_are_held():
    alive, most, lock = 0, 0, threading.Lock()

    def examples():
        nonlocal alive, most
        for n in range(200):
            with lock:
                alive += 1
                most = max(most, alive)
            yield {"image": n}

    for _ in evaluation.each(lambda images: images, examples(), lambda *_: time.sleep(0.0005)):
        with lock:
            alive -= 1
    assert most <= 2 * evaluation._THREADS + 2


def test_what_goes_wrong_in_the_work_stops_the_evaluation():
    def work(batch, _):
        if batch["image"] == 3:
            raise ValueError("image 3")
        return batch["image"]

    found: list[int] = []
    with pytest.raises(ValueError, match="image 3"):
        found.extend(
            evaluation.each(lambda images: images, ({"image": n} for n in range(1000)), work)
        )
    assert found in ([], [0, 1, 2])
