import itertools

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tiny import SIZES, scene, stream, write_records, write_world

from fcn.errors import UserError
from fcn.hardware import devices
from fcn.hardware.distribution import Share
from fcn.input import records
from fcn.input import stream as inputs
from fcn.spec.augment import OFF, Augment, moves

HEIGHT_WIDTH = {scene(name)[1].tobytes(): name for name in SIZES}


def names(dataset, count):
    """Ids of the first images of a stream, told by their labels."""
    return "".join(
        HEIGHT_WIDTH[label[0].tobytes()]
        for _, label in itertools.islice(dataset.as_numpy_iterator(), count)
    )


def epochs(data, seed, count):
    text = names(stream(data, seed).batches(), 5 * count)
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
    whole = names(stream(data, 9).batches(), 20)
    assert names(stream(data, 9).batches(start), 20 - start) == whole[start:]


def test_training_batches_are_one_whole_image_and_its_label(data):
    read = {identity: (image, label) for identity, image, label in records.read(data, "train")}
    for image, label in itertools.islice(stream(data, 0).batches().as_numpy_iterator(), 5):
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


@pytest.mark.parametrize("batch", [1, 2])
def test_the_ids_of_a_step_are_those_of_the_images_that_it_gets(data, batch):
    read = {identity: label for identity, _, label in records.read(data, "train")}
    seen = stream(data, 3, batch)
    for step, (_, labels) in enumerate(itertools.islice(seen.batches().as_numpy_iterator(), 8)):
        ids = seen.ids(step)
        assert len(labels) == batch
        assert (labels[len(ids) :] == 255).all()
        for name, label in zip(ids, labels[: len(ids)], strict=True):
            height, width = read[name].shape
            assert np.array_equal(label[:height, :width], read[name])
            assert (label[height:] == 255).all()
            assert (label[:, width:] == 255).all()


def test_a_single_image_is_an_epoch_too(tmp_path):
    root = write_world(tmp_path / "world")
    (root / "ImageSets/Segmentation/one.txt").write_text("b\n")
    write_records(root, tmp_path / "out", "one")
    assert names(stream(tmp_path / "out", 0).batches(1), 3) == "bbb"


@pytest.mark.parametrize(
    "make", [lambda path: stream(path, 1).batches(), lambda path: inputs.validation(path, "val")]
)
def test_without_records(tmp_path, make):
    with pytest.raises(UserError, match="run the stage `records` again"):
        make(tmp_path)


def pairs(data):
    """Images and labels of the training split, in stored order, as `records.read` gives them."""
    return [(image, label) for _, image, label in records.read(data, "train")]


def stored_sizes(data):
    return np.array([label.shape for _, label in pairs(data)])


def taken(dataset, count):
    return list(itertools.islice(dataset.as_numpy_iterator(), count))


def unpadded(image, label):
    """The images of a padded batch as they were, by what its fourth channel says, without those
    that fill it up.
    """
    real = (label != 255).any((1, 2))
    for colours, alpha, truth in zip(
        image[real, ..., :3], image[real, ..., 3], label[real], strict=True
    ):
        height, width = (alpha[:, 0] > 0).sum(), (alpha[0] > 0).sum()
        assert np.array_equal(alpha[:height, :width], np.full((height, width), 255))
        assert alpha.astype(int).sum() == 255 * height * width
        yield colours[:height, :width], truth[:height, :width]


def test_padded_batches_are_the_images_on_the_mean_colour_and_void(data, monkeypatch):
    monkeypatch.setattr(inputs, "BUCKETS", 2)
    read = {label.tobytes(): image for image, label in pairs(data)}
    batches = taken(stream(data, 3, 2).batches(), 6)
    # 40x56, 33x47, 37x37 and 40x56 share a canvas, 48x40 stands alone: two pairs and a single in
    # each of two epochs.
    assert [image.shape for image, _ in batches] == [
        (2, 40, 56, 4),
        (2, 40, 56, 4),
        (2, 48, 40, 4),
    ] * 2
    for image, label in batches:
        assert (image.dtype, label.dtype) == (np.uint8, np.uint8)
        assert label.shape == image.shape[:3]
        around = image[..., 3] == 0
        assert (image[around] == [123, 117, 104, 0]).all()
        assert (label[around] == 255).all()
        for whole, truth in unpadded(image, label):
            assert np.array_equal(whole, read[truth.tobytes()])


def test_the_last_batch_of_an_epoch_is_filled_up_with_void(data):
    whole = taken(stream(data, 3, 4).batches(), 2)
    image, label = whole[1]
    assert (label[1:] == 255).all()
    assert all(np.array_equal(image[n], image[0]) for n in (1, 2, 3))
    assert [len(list(unpadded(*pair))) for pair in whole] == [4, 1]


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_read_the_parts_of_each_batch(data, processes):
    whole = taken(stream(data, 3, 4).batches(), 4)
    parts = [
        taken(stream(data, 3, 4, share=Share(4, n, processes)).batches(), 4)
        for n in range(processes)
    ]
    for batch, *shares in zip(whole, *parts, strict=True):
        for wanted, *found in zip(batch, *shares, strict=True):
            assert {len(part) for part in found} == {4 // processes}
            assert np.array_equal(np.concatenate(found), wanted)


def test_the_colour_around_is_the_nets_mean(data):
    image, _ = taken(stream(data, 3, 5, mean_bgr=(1.4, 0.0, 200.6)).batches(), 1)[0]
    assert image.shape == (5, 48, 56, 4)
    assert (image[image[..., 3] == 0] == [201, 0, 1, 0]).all()


@pytest.mark.parametrize(("batch", "steps"), [(2, 3), (3, 2), (5, 1), (8, 1)])
def test_every_epoch_of_batches_has_each_image_once(data, batch, steps):
    found = taken(stream(data, 1, batch).batches(), 4 * steps)
    names = [
        "".join(HEIGHT_WIDTH[label.tobytes()] for _, label in unpadded(*pair)) for pair in found
    ]
    epochs = ["".join(names[n : n + steps]) for n in range(0, len(names), steps)]
    assert [sorted(epoch) for epoch in epochs] == [["a", "b", "c", "d", "e"]] * 4
    assert len(set(epochs)) > 1  # in other batches, or if there is only one, in another order


EVERYTHING = Augment((0.5, 1.5), True, 5, 30)


@pytest.mark.parametrize("augment", [OFF, EVERYTHING])
@pytest.mark.parametrize(("batch", "steps"), [(1, 5), (3, 2)])
def test_batches_from_any_step_are_the_rest_of_the_whole_stream(
    data, batch, steps, augment, monkeypatch
):
    monkeypatch.setattr(inputs, "BUCKETS", 2)

    def rest(start):
        return taken(stream(data, 9, batch, augment).batches(start), 2 * steps + 1 - start)

    whole = rest(0)
    for start in range(1, 2 * steps + 1):
        for (image, label), (wanted_image, wanted_label) in zip(
            rest(start), whole[start:], strict=True
        ):
            assert np.array_equal(image, wanted_image)
            assert np.array_equal(label, wanted_label)


def of_the_first_epoch(data, augment, seed=6):
    """By the number of the image: its size's row of the dice, the original pair, and the changed
    one.
    """
    order = [
        next(n for n, (_, label) in enumerate(pairs(data)) if np.array_equal(label, truth[0]))
        for _, truth in taken(stream(data, seed).batches(), 5)
    ]
    changed = [
        (image[0], label[0])
        for image, label in taken(stream(data, seed, augment=augment).batches(), 5)
    ]
    dice = moves(augment, stored_sizes(data), seed, 0)
    return {n: (dice[n], pairs(data)[n], pair) for n, pair in zip(order, changed, strict=True)}


def test_images_are_mirrored_exactly_together_with_their_labels(data):
    seen = set()
    for dice, before, after in of_the_first_epoch(data, Augment(mirror=True)).values():
        seen.add(int(dice[2]))
        for one, other in zip(before, after, strict=True):
            assert np.array_equal(other, one[:, ::-1] if dice[2] else one)
    assert seen == {0, 1}


def test_jitter_moves_image_and_label_and_fills_with_the_mean_and_void(data):
    places = set()
    for dice, (image, label), (moved_image, moved_label) in of_the_first_epoch(
        data, Augment(jitter=7)
    ).values():
        down, right = 7 - dice[3:5]  # by how much the content moved
        places |= {down, right}
        assert moved_label.shape == label.shape
        for place in np.ndindex(label.shape):
            source = place[0] - down, place[1] - right
            inside = 0 <= source[0] < label.shape[0] and 0 <= source[1] < label.shape[1]
            assert moved_label[place] == (label[source] if inside else 255)
            assert moved_image[place].tolist() == (
                image[source].tolist() if inside else [123, 117, 104]
            )
    assert min(places) < 0 < max(places)


def test_a_crop_takes_the_same_window_of_image_and_label(data):
    for dice, (image, label), (cut_image, cut_label) in of_the_first_epoch(
        data, Augment(crop=35)
    ).values():
        top, left = dice[3:5]
        height, width = min(35, label.shape[0]), min(35, label.shape[1])
        assert np.array_equal(cut_image, image[top : top + height, left : left + width])
        assert np.array_equal(cut_label, label[top : top + height, left : left + width])
        assert cut_label.shape == (height, width)


def nearest(values, count, place):
    """Which of `values` lie nearest to a place of as many as `count` on the same line: one, or two
    as near.
    """
    whole, rest = divmod((2 * place + 1) * len(values), 2 * count)
    return values[whole - (rest == 0) : whole + 1]


@pytest.mark.parametrize("scale", [(0.4, 0.9), (1.1, 2.5)])
def test_scaled_images_are_pillows_bilinear_and_labels_take_the_nearest_pixel(data, scale):
    for dice, (image, label), (scaled_image, scaled_label) in of_the_first_epoch(
        data, Augment(scale)
    ).values():
        height, width = dice[:2].tolist()
        wanted = np.asarray(
            Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
        )
        assert np.abs(scaled_image.astype(int) - wanted).max() <= 1
        assert scaled_label.shape == (height, width)
        for row, column in np.ndindex(height, width):
            assert scaled_label[row, column] in np.array(
                [nearest(line, width, column) for line in nearest(label, height, row)]
            )
        assert set(np.unique(scaled_label)) <= set(np.unique(label))


def test_what_is_done_to_an_image_does_not_depend_on_the_batch(data):
    alone = {
        label.tobytes(): image for _, _, (image, label) in of_the_first_epoch(data,
        EVERYTHING).values()
    }  # fmt: skip
    assert len(alone) == 5
    for batch in (2, 3, 5):
        found = taken(stream(data, 6, batch, EVERYTHING).batches(), -(-5 // batch))
        together = {label.tobytes(): image for pair in found for image, label in unpadded(*pair)}
        assert together.keys() == alone.keys()
        assert all(np.array_equal(together[key], alone[key]) for key in alone)


def test_epochs_and_seeds_change_the_images_differently(data):
    def epoch(seed, number):
        return {
            image.tobytes()
            for image, _ in taken(stream(data, seed, augment=EVERYTHING).batches(5 * number), 5)
        }

    assert not epoch(6, 0) & epoch(6, 1)
    assert not epoch(6, 0) & epoch(7, 0)


def test_batches_of_one_are_those_of_the_first_version(data):
    """The order was once drawn by this code; results that are published rest on it."""
    encoded = list(tf.data.TFRecordDataset(records.shard_paths(data, "train")))

    def order(epoch):
        return tf.random.experimental.index_shuffle(
            tf.range(5), tf.constant([21, epoch], tf.int32), 4
        ).numpy()

    wanted = [records.parse(encoded[n]) for epoch in range(3) for n in order(epoch)]
    for (image, label), example in zip(taken(stream(data, 21).batches(), 15), wanted, strict=True):
        assert np.array_equal(image[0], example["image"])
        assert np.array_equal(label[0], example["label"])


@pytest.mark.parametrize(("batch", "augment"), [(1, OFF), (3, EVERYTHING)])
def test_images_are_read_in_parallel_although_all_is_deterministic(data, batch, augment):
    """TensorFlow takes the parallelism out of a stream in which it suspects an order that might
    change.
    """
    devices.prepare(1)
    seen = tf.data.Options()
    seen.autotune.enabled = True  # else there is no account of what it is made of
    iterator = iter(stream(data, 1, batch, augment).batches().with_options(seen))
    next(iterator)
    stages = {
        node.name.partition("(")[0]
        for node in tf.data.experimental.get_model_proto(iterator).nodes.values()
    }
    assert "FlatMap" in stages
    assert {"ParallelMapV2", "Map"} & stages == {"ParallelMapV2"}


def test_the_pixels_of_a_step_and_the_classes(data):
    shapes = [np.shape(example["label"])[1:] for example in inputs.validation(data, "train")]
    mean = sum(height * width for height, width in shapes) / len(shapes)
    two = stream(data, 3, batch=2)
    assert two.pixels == pytest.approx(2 * mean)
    assert stream(data, 3, batch=2, augment=Augment(crop=5)).pixels == 2 * 25 < two.pixels
    assert list(two.classes) == records.read_index(data)["classes"]
