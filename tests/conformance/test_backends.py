"""The same trainings under TensorFlow and JAX, on one device, on two of one process, and in two
processes: the same results.

TensorFlow on one device, in this process, is what the others are compared with: TensorFlow on two
devices, JAX on two devices (of which a batch of one image takes one), and two processes of JAX with
a device each.
"""

import dataclasses
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import backend_training
import numpy as np
import pytest
from backend_training import LONG, ONE, RECIPES, TWO
from PIL import Image
from tiny_voc import truth, write_images, write_records

from fcn.io import files
from fcn.net import model, surgery
from fcn.pixels import labels

ROOT = Path(__file__).parents[2]


def started(what, folder, out, **environment):
    """A process of `backend_training`."""
    environment = {
        **os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": str(folder.parent / "jax"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        **environment,
    }  # fmt: skip
    return subprocess.Popen(
        [sys.executable, backend_training.__file__, what, folder, out],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def ended(process):
    output, _ = process.communicate(timeout=900)
    return process.returncode, output


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder with records and a classifier. Images of one size, since JAX compiles for each; five
    to train on, so that batches of two leave one over; two thirds of one are void, so that halves
    of a batch differ.
    """
    folder = tmp_path_factory.mktemp("backends")
    root = write_images(
        folder / "world", {"train": "abcde", "val": "vw"}, dict.fromkeys("abcdevw", (36, 44))
    )
    random = np.random.default_rng(7)
    for name in "abcdevw":
        noise = random.integers(90, 130, (36, 44, 3), np.uint8)
        label = truth(36, 44)
        noise[label == 1, 0] = noise[label == 2, 1] = 220
        label[:, 14 if name == "c" else 44 :] = 255
        Image.fromarray(noise).save(root / f"JPEGImages/{name}.jpg", quality=90)
        labels.to_image(label).save(root / f"SegmentationClass/{name}.png")
    write_records(root, folder / "records")
    kernels = {"conv1": (5, 5, 1, 4), "conv2": (5, 5, 4, 10), "ip1": (4, 4, 10, 8)}
    arrays = {
        f"{name}/kernel": random.normal(0, np.sqrt(2 / np.prod(shape[:3])), shape)
        for name, shape in kernels.items()
    }
    arrays |= {f"{name}/bias": random.normal(0, 0.1, shape[3]) for name, shape in kernels.items()}
    files.save_arrays(
        folder / "classifier.npz",
        {name: array.astype(np.float32) for name, array in arrays.items()},
    )
    net = model.build(backend_training.SPEC)
    for weight in net.weights:
        if weight.path.endswith("kernel") and "upscore" not in weight.path:
            weight.assign(random.normal(0, np.sqrt(2 / np.prod(weight.shape[:-1])), weight.shape))
    (folder / "net").mkdir()
    surgery.save(net, backend_training.SPEC, folder / "net")
    return folder


@pytest.fixture(scope="module")
def alone(world):
    """TensorFlow's results on one device, and its checkpoints after half of the way for the others
    to go on from.
    """
    results = {
        name: backend_training.train(world, recipe, name) for name, recipe in RECIPES.items()
    }
    backend_training.stopped(world, ONE, "tensorflow's", 4)
    backend_training.stopped(world, TWO, "one's", 4)
    results["wild"] = backend_training.error(world, dataclasses.replace(ONE, learning_rate=1e30))
    results["still"] = backend_training.notes(
        world, dataclasses.replace(ONE, learning_rate=1e-13, momentum=0.2)
    )
    results["scored"] = backend_training.scored(world, LONG)
    results["divided"] = backend_training.divided(world)
    return results


@pytest.fixture(scope="module")
def jax(world, alone):
    code, output = ended(
        started(
            "jax",
            world,
            world / "jax.npz",
            KERAS_BACKEND="jax",
            XLA_FLAGS="--xla_force_host_platform_device_count=2",
        )
    )
    assert code == 0, output[-3000:]
    return backend_training.load(world / "jax.npz")


@pytest.fixture(scope="module")
def two_devices(world, alone):
    code, output = ended(
        started("tensorflow", world, world / "two.npz", KERAS_BACKEND="tensorflow")
    )
    assert code == 0, output[-3000:]
    return backend_training.load(world / "two.npz")


def assert_same(found, wanted, tolerance=1e-5):
    losses = [name for name in wanted if name.startswith("loss/")]
    assert len(losses) >= 2
    np.testing.assert_allclose(
        [found[n] for n in losses], [wanted[n] for n in losses], rtol=tolerance
    )
    for name in [name for name in wanted if name.startswith("weights/")]:
        atol = tolerance * np.abs(wanted[name]).max()
        np.testing.assert_allclose(found[name], wanted[name], rtol=0, atol=atol, err_msg=name)
    np.testing.assert_allclose(found["scores"], wanted["scores"], atol=0.01)


def test_the_trainings_differ_and_learn(world, alone):
    start = files.load_arrays(world / "classifier.npz")
    for name in ("one", "two", "summed"):
        assert np.abs(alone[name]["weights/ip1/kernel"] - start["ip1/kernel"]).max() > 1e-3, name
    assert abs(alone["one"]["loss/8"] / alone["two"]["loss/8"] - 1) > 1e-4
    assert abs(alone["accumulated"]["loss/8"] / alone["summed"]["loss/8"] - 1) > 1e-4


@pytest.mark.parametrize("name", ["one", "two", "accumulated", "best"])
def test_jax_trains_as_tensorflow_does(jax, alone, name):
    """Of these `two` and `accumulated` on two devices."""
    assert_same(jax[name], alone[name])


def test_tensorflow_on_two_devices_trains_as_on_one(two_devices, alone):
    """The loss is that of the whole batch, be it a sum or the mean over pixels of which one half
    has few.
    """
    assert_same(two_devices["two"], alone["two"])
    assert_same(two_devices["summed"], alone["summed"])


def test_bfloat16_is_near(jax, two_devices, alone):
    """8 bits of mantissa: sums in another order differ by 1 %."""
    for results in (jax, two_devices):
        assert_same(results["bfloat16"], alone["bfloat16"], 0.02)


def test_ctrl_c_amid_a_step_loses_none(jax, two_devices):
    """The checkpoint is of the step that was being computed, and what goes on from there ends with
    the same bits.
    """
    for results, steps in ((jax, [2, 3, 7]), (two_devices, [3])):
        assert results["interrupted"].pop("checkpoints").tolist() == steps
        assert results["interrupted"].keys() == results["two"].keys()
        for name, value in results["two"].items():
            assert np.array_equal(results["interrupted"][name], value), name


def test_a_checkpoint_goes_on_under_the_other_backend(world, jax, two_devices, alone):
    assert_same(jax["handed over"], alone["one"])
    assert_same(two_devices["handed over"], alone["two"])
    assert int(files.load_arrays(world / "jax's.npz")["optimizer/0"]) == 4
    assert_same(backend_training.train(world, ONE, "jax's"), alone["one"])


def test_jax_scores_and_predicts_as_tensorflow_does(jax, alone):
    found, wanted = jax["scored"], alone["scored"]
    assert set(found) == set(wanted)
    assert len(np.unique(wanted["labels"])) > 1
    np.testing.assert_allclose(
        found.pop("probabilities"), wanted.pop("probabilities"), rtol=0, atol=1e-4
    )
    # where two classes score the same to 5 digits
    assert (found.pop("labels") != wanted.pop("labels")).mean() < 1e-3
    assert {"mean_iu", "upper_bound", "multiscale mean_iu"} < set(wanted)
    for name, value in wanted.items():
        assert found[name] == pytest.approx(value, abs=5e-3), name


def test_a_loss_that_is_not_finite_and_weights_that_stand_still_are_told_alike(jax, alone):
    assert "The scores of step 2 are the first that are not finite; its images: " in alone["wild"]
    assert str(jax["wild"][""]) == alone["wild"]
    assert list(alone["still"]) == ["few_images", "resolution", "background"]
    assert {kind: str(text) for kind, text in jax["still"].items()} == alone["still"]


def test_a_batch_that_cannot_be_shared_is_refused(jax, two_devices):
    for results in (jax, two_devices):
        assert str(results["odd"][""]).startswith(
            "batch: expected a multiple of the 2 devices that share it ("
        )
        assert ", got 3. " in str(results["odd"][""])
    assert str(two_devices["accumulated"][""]).startswith(
        "accumulate: on 2 devices TensorFlow cannot average"
    )


@pytest.fixture(scope="module")
def processes(world, jax):
    """Two processes, as on two machines: each has records and weights of its own, and sees nothing
    of the other's files.

    The second one is killed after step 6 (exit codes of both, and what the first wrote by then);
    then both start again.
    """
    runs = []
    for what in ("dying", "processes"):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{probe.getsockname()[1]}"
        cluster = {
            "KERAS_DISTRIBUTION_JOB_ADDRESSES": address,
            "KERAS_DISTRIBUTION_NUM_PROCESSES": "2",
        }
        both = []
        for n in (0, 1):
            folder = world / f"machine {n}"
            folder.mkdir(exist_ok=True)
            for name in ("records", "classifier.npz", "net"):
                if not (folder / name).exists():
                    (folder / name).symlink_to(world / name)
            rank = {"KERAS_DISTRIBUTION_PROCESS_ID": str(n), "KERAS_BACKEND": "jax"}
            both.append(started(what, folder, folder / "results.npz", **cluster, **rank))
        if what == "dying":
            both[1].wait(timeout=900)
        ends = [ended(process) for process in reversed(both)][::-1]
        runs.append((ends, sorted(path.name for path in (world / "machine 1").iterdir())))
    return runs


def test_a_worker_that_dies_leaves_a_state_to_go_on_from(processes):
    (((code, output), (killed, _)), written), _ = processes
    assert killed == -signal.SIGKILL
    assert code != 0
    assert "process 0 of 2 could not go on with the others: " in output
    assert written == ["classifier.npz", "net", "records"]


def test_two_processes_train_as_one_and_the_first_alone_writes(world, processes, alone):
    _, (ends, written) = processes
    for code, output in ends:
        assert code == 0, output[-3000:]
    first, second = (backend_training.load(world / f"machine {n}" / "results.npz") for n in (0, 1))
    assert int(first["began"][""]) == 6
    assert_same(first["two"], alone["two"])
    assert "two" not in second
    assert written == ["classifier.npz", "net", "records", "results.npz"]


def test_two_processes_validate_different_images_and_count_what_one_counts(world, processes):
    """Of two images each has one; val_* of the history are of the sum."""
    first, second = (
        backend_training.load(world / f"machine {n}" / "results.npz")["validated"]["counts"]
        for n in (0, 1)
    )
    assert first.shape[0] >= 1
    for (one, total, whole), (other, same, _) in zip(first, second, strict=True):
        assert min(one.sum(), other.sum()) > 0
        np.testing.assert_array_equal(one + other, whole)
        np.testing.assert_array_equal(total, whole)
        np.testing.assert_array_equal(same, whole)


def test_devices_divide_an_evaluation_and_its_scores_are_the_same(world, alone, two_devices, jax):
    """Of five images, so that the last round leaves a device without one."""
    runs = [two_devices, jax]
    assert [int(run["divided"]["devices"]) for run in runs] == [2] * 2
    assert alone["divided"]["devices"] == 1
    for run, wanted in zip(runs, (alone, jax), strict=True):
        assert (run["divided"]["all"].sum(0) > 0).sum() > 1  # it predicts several classes
        for name in ("all", "one"):
            np.testing.assert_array_equal(run["divided"][name], wanted["divided"]["one"])
    for run, wanted in zip(runs, (alone, jax), strict=True):
        for name in ("mean_iu", "pixel_accuracy", "boundary_iu", "upper_bound"):
            assert run["divided"][name] == wanted["divided"][name], name
