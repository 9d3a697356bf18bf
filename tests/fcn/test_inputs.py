import itertools

import numpy as np
import pytest
from tiny import CLASSES, SIZES, scene, write_world

from fcn import inputs, records
from fcn.errors import UserError

HEIGHT_WIDTH = {scene(name)[1].tobytes(): name for name in SIZES}


def names(dataset, count):
    """Ids of the first images of a stream, told by their labels."""
    return "".join(HEIGHT_WIDTH[label[0].tobytes()] for _, label in itertools.islice(dataset.as_numpy_iterator(), count))


def epochs(data, seed, count):
    text = names(inputs.training(data, "train", seed), 5 * count)
    return [text[5 * n : 5 * n + 5] for n in range(count)]


def test_every_epoch_has_each_image_once_and_in_another_order(data):
    found = epochs(data, 3, 8)
    assert [sorted(epoch) for epoch in found] == [["a", "b", "c", "d", "e"]] * 8
    assert len(set(found)) >= 6


def test_the_same_seed_gives_the_same_order_and_another_seed_another(data):
    assert epochs(data, 3, 4) == epochs(data, 3, 4)
    assert len({tuple(epochs(data, seed, 4)) for seed in (0, 1, 2, 2**31 - 1)}) == 4


def test_over_many_epochs_every_image_comes_first_now_and_then(data):
    first = [epoch[0] for epoch in epochs(data, 1, 100)]
    # 100 draws of 5 are 20 each, give or take 4 (one standard deviation).
    assert all(6 <= first.count(name) <= 34 for name in "abcde")


@pytest.mark.parametrize("start", [0, 1, 4, 5, 7, 10, 13])
def test_a_stream_from_a_later_step_is_the_rest_of_the_whole_one(data, start):
    whole = names(inputs.training(data, "train", 9), 20)
    assert names(inputs.training(data, "train", 9, start), 20 - start) == whole[start:]


def test_training_batches_are_one_whole_image_and_its_label(data):
    read = {identity: (image, label) for identity, image, label in records.read(data, "train")}
    for image, label in itertools.islice(inputs.training(data, "train", 0).as_numpy_iterator(), 5):
        wanted = read[HEIGHT_WIDTH[label[0].tobytes()]]
        assert (image.dtype, label.dtype) == (np.uint8, np.uint8)
        assert np.array_equal(image, wanted[0][None])
        assert np.array_equal(label, wanted[1][None])


def test_validation_has_every_image_once_in_stored_order_at_its_own_size(data):
    for _ in range(2):
        batches = list(inputs.validation(data, "val").as_numpy_iterator())
        assert [batch["id"].tolist() for batch in batches] == [
            [name.encode()] for name in records.split_info(data, "val")["ids"]
        ]
        for batch in batches:
            name = batch["id"][0].decode()
            assert batch["image"].shape == (1, *SIZES[name], 3)
            assert np.array_equal(batch["label"][0], scene(name)[1])


def test_a_single_image_is_an_epoch_too(tmp_path):
    root = write_world(tmp_path / "world")
    (root / "ImageSets/Segmentation/one.txt").write_text("b\n")
    records.write(root, tmp_path / "out", {"train": "one", "val": "val"}, CLASSES, 2, 1, lambda *_: None)
    assert names(inputs.training(tmp_path / "out", "train", 0, 1), 3) == "bbb"


@pytest.mark.parametrize("make", [lambda path: inputs.training(path, "train", 1), lambda path: inputs.validation(path, "val")])
def test_without_records(tmp_path, make):
    with pytest.raises(UserError, match="run the stage `records` first"):
        make(tmp_path)
