import shutil

import numpy as np
import pytest
import tensorflow as tf
from tiny import stream

from fcn.errors import UserError
from fcn.input import records
from fcn.input.examples import Examples


@pytest.fixture
def copied(data, tmp_path):
    """Records of the tiny world, to be spoilt at will."""
    return shutil.copytree(data, tmp_path / "records")


@pytest.mark.parametrize("split", ["train", "val"])
def test_every_example_is_the_one_that_tensorflow_reads_in_its_place(data, split):
    examples = Examples(data, split)
    wanted = list(tf.data.TFRecordDataset(records.shard_paths(data, split)).as_numpy_iterator())
    for number in (*range(len(wanted)), 0):
        assert examples(number) == wanted[number]
    assert len(examples.places) == len(wanted)


def test_a_training_goes_on_when_its_records_are_removed(copied):
    whole, batches = (stream(copied, 3).batches().take(15) for _ in range(2))
    wanted = [label for _, label in whole.as_numpy_iterator()]
    read = batches.as_numpy_iterator()
    seen = [next(read)[1]]
    shutil.rmtree(copied)
    seen += [label for _, label in read]
    assert all(np.array_equal(one, other) for one, other in zip(seen, wanted, strict=True))


def test_an_example_that_changes_while_a_training_runs_is_named(copied):
    batches = stream(copied, 3, batch=2).batches()
    shard = copied / "train-00000-of-00002.tfrecord"
    content = bytearray(shard.read_bytes())
    content[200] ^= 1
    with open(shard, "r+b") as file:  # in its place, as a bad disk does
        file.write(content)
    with (
        pytest.raises(UserError, match=rf"{shard}: record 1 of 3, at byte 0, is damaged"),
        records.explained(copied),
    ):
        list(batches.take(6))
