import json
import os
from dataclasses import replace

import keras
import numpy as np
import pytest

from fcn.errors import UserError
from fcn.io import files
from fcn.net import surgery
from fcn.net.bilinear import bilinear_kernel
from fcn.net.model import build
from fcn.net.surgery import Transfer, named_weights

IMAGE = np.random.default_rng(8).integers(0, 256, (1, 61, 83, 3)).astype(np.float32)


def values(net):
    return {name: np.asarray(weight).copy() for name, weight in named_weights(net).items()}


def shuffled(net, seed=0):
    """Fills a net with numbers that keep activations in range."""
    random = np.random.default_rng(seed)
    for weight in named_weights(net).values():
        weight.assign(random.normal(size=weight.shape) * np.sqrt(2 / np.prod(weight.shape[:-1])))
    return net


def classifier(small, **changes):
    """The weights of a classifier: everything up to fc7, without its last layer."""
    return {
        n: a
        for n, a in values(shuffled(build(small(**changes)))).items()
        if not n.startswith("score")
    }


@pytest.fixture
def parent(small, tmp_path):
    """Makes the folder of a trained model of a variant: every weight random."""

    def make(variant, **changes):
        spec, folder = small(variant, **changes), tmp_path / variant
        net = shuffled(build(spec), seed=3)
        folder.mkdir()
        surgery.save(net, spec, folder)
        return folder

    return make


def test_names_are_layers_and_parts_without_seeds(small):
    assert list(named_weights(build(small())))[:3] == [
        "conv1_1/kernel",
        "conv1_1/bias",
        "conv1_2/kernel",
    ]
    assert list(named_weights(build(small())))[-2:] == ["score_fr/kernel", "score_fr/bias"]
    assert len(named_weights(build(small()))) == 2 * (13 + 2 + 1)


def test_transplant_copies_exactly_and_accounts_for_every_weight(small):
    net, source = build(small()), classifier(small)
    fresh = values(net)
    source |= {"fc8/kernel": np.zeros((1, 1, 8, 10)), "fc8/bias": np.zeros(10)}
    report = surgery.transplant(net, source, new=["score_fr"], dropped=["fc8"])
    found = values(net)
    for name in found:
        np.testing.assert_array_equal(found[name], source[name] if name in source else fresh[name])
    copied = [Transfer(n, a.shape, "copied") for n, a in source.items() if not n.startswith("fc8")]
    assert len(copied) == 30
    assert report == [
        *copied,
        Transfer("score_fr/kernel", (1, 1, 8, 3), "new"), Transfer("score_fr/bias", (3,), "new"),
        Transfer("fc8/kernel", (1, 1, 8, 10), "dropped"), Transfer("fc8/bias", (10,), "dropped"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s, k: s.pop("conv5_3/bias"), "conv5_3/bias is missing"),
        (lambda s, k: s.update({"fc8/bias": np.zeros(10)}), "fc8/bias has no place in fcn32s"),
        (
            lambda s, k: s.update({"fc7/bias": np.zeros(9)}),
            r"fc7/bias has shape \(9,\), the net wants \(8,\)",
        ),
        (lambda s, k: k["new"].append("score_pool9"), "there is no layer score_pool9 to be new"),
        (lambda s, k: k["dropped"].append("fc8"), "there is no layer fc8 to drop"),
        (lambda s, k: s.update({"score_fr/bias": np.zeros(3)}), "score_fr/bias has no place"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_copied(small, change, message):
    net, source, keys = build(small()), classifier(small), {"new": ["score_fr"], "dropped": []}
    change(source, keys)
    before = values(net)
    with pytest.raises(UserError, match=message):
        surgery.transplant(net, source, **keys)
    for name, array in values(net).items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize("variant", ["fcn32s", "fcn8s_atonce"])
def test_start_from_a_classifier(small, tmp_path, variant):
    source = classifier(small)
    files.save_arrays(tmp_path / "vgg.npz", source)
    net, report = surgery.start(small(variant), tmp_path / "vgg.npz")
    found = values(net)
    for name, array in source.items():
        np.testing.assert_array_equal(found[name], array)
    assert {row.name for row in report if row.action == "copied"} == set(source)
    assert {row.name for row in report if row.action == "new"} == set(found) - set(source)
    assert not any(found[name].any() for name in found if name.startswith("score"))
    assert not np.asarray(net(IMAGE)).any()


def without_top(small, tmp_path):
    source = {name: array for name, array in classifier(small).items() if not name.startswith("fc")}
    files.save_arrays(tmp_path / "vgg.npz", source)
    return source


def test_new_layers_follow_from_the_seed_alone_and_are_hes(small, tmp_path):
    source = without_top(small, tmp_path)
    nets = []
    for seed, others in ((5, 1), (5, 2), (6, 1)):
        # Prefect's and MLflow's threads draw from these numbers
        keras.utils.set_random_seed(others)
        net, report = surgery.start(small(fc_units=200), tmp_path / "vgg.npz", ("fc6", "fc7"), seed)
        nets.append(values(net))
    assert {row.name for row in report if row.action == "copied"} == set(source)
    assert {row.name.split("/")[0] for row in report if row.action == "new"} == {
        "fc6",
        "fc7",
        "score_fr",
    }
    for name in ("fc6/kernel", "fc7/kernel"):
        one, same, other = (net[name] for net in nets)
        assert one.tobytes() == same.tobytes() != other.tobytes()
        assert one.std() == pytest.approx(np.sqrt(2 / np.prod(one.shape[:-1])), rel=0.02)
        assert abs(one.mean()) < 0.02 * one.std()
    assert not nets[0]["fc6/bias"].any()
    assert (
        nets[0]["fc6/kernel"].ravel()[:4].tobytes() != nets[0]["fc7/kernel"].ravel()[:4].tobytes()
    )


def test_new_layers_take_the_place_of_those_in_the_file(small, tmp_path):
    source = classifier(small)
    files.save_arrays(tmp_path / "vgg.npz", source)
    net, report = surgery.start(small(), tmp_path / "vgg.npz", ("fc7",))
    assert [row.name for row in report if row.action == "dropped"] == ["fc7/kernel", "fc7/bias"]
    found = values(net)
    np.testing.assert_array_equal(found["fc6/kernel"], source["fc6/kernel"])
    assert np.abs(found["fc7/kernel"] - source["fc7/kernel"]).max() > 0.1


def test_the_convolutions_alone_are_refused_where_the_recipe_wants_more(small, tmp_path):
    without_top(small, tmp_path)
    for new, missing in (((), "fc6 and fc7"), (("fc7",), "fc6")):
        with pytest.raises(
            UserError, match=rf"vgg\.npz: .*alone, .* needs {missing} .*`new_layers: \[fc6, fc7\]`"
        ):
            surgery.start(small(), tmp_path / "vgg.npz", new)
    with pytest.raises(UserError, match="new_layers: expected some of fc6, fc7; got conv5_3"):
        surgery.start(small(), tmp_path / "vgg.npz", ("fc6", "fc7", "conv5_3"))


def test_start_of_4s_from_lenet(small, lenet, tmp_path):
    source = classifier(lenet)
    assert list(source) == [
        f"{layer}/{array}" for layer in ("conv1", "conv2", "ip1") for array in ("kernel", "bias")
    ]
    files.save_arrays(tmp_path / "vgg.npz", source)
    net, report = surgery.start(lenet(), tmp_path / "vgg.npz")
    found = values(net)
    for name, array in source.items():
        np.testing.assert_array_equal(found[name], array)
    new = {row.name for row in report if row.action == "new"}
    assert new == {"score_fr/kernel", "score_fr/bias"}
    assert not np.asarray(net(IMAGE)).any()
    with pytest.raises(
        UserError,
        match=r"do not fit fcn32s: conv1_1/kernel is missing; .*ip1/kernel has no place in fcn32s",
    ):
        surgery.start(small(), tmp_path / "vgg.npz")


def test_a_model_of_lenet_is_saved_and_loaded(lenet, tmp_path):
    net = shuffled(build(lenet()))
    surgery.save(net, lenet(), tmp_path)
    again, spec = surgery.load(tmp_path)
    assert spec == lenet()
    np.testing.assert_array_equal(again(IMAGE, training=False), net(IMAGE, training=False))


def finer(scores, factor):
    """Bilinear upsampling of (H, W, C) by definition: pixel q lies on cell (q + 0.5) / factor - 1;
    outside is 0.
    """
    for _ in range(2):  # rows, then columns
        places = (np.arange(factor * (len(scores) + 1)) + 0.5) / factor - 1
        share = np.maximum(0, 1 - np.abs(places[:, None] - np.arange(len(scores))))
        scores = np.tensordot(share, scores, 1).swapaxes(0, 1)
    return scores


def test_start_of_16s_scores_like_its_parent_but_for_the_finer_upsampling(small, parent):
    """Both interpolate the same score_fr, whose cells are centred on the pixels 32 j + 12.5: 32s
    directly, 16s at first at the points 16 k + 4.5 and then between these. Where no cell's centre
    lies between two such points, on the pixels 32 j + 21 ... 32 j + 36, both are the same straight
    line; elsewhere 16s cuts the corner.
    """
    folder = parent("fcn32s")
    before, spec = surgery.load(folder)
    after, report = surgery.start(replace(spec, variant="fcn16s"), folder)
    assert [row.name for row in report if row.action == "new"] == [
        "score_pool4/kernel",
        "score_pool4/bias",
    ]
    assert not [row for row in report if row.action == "dropped"]
    old, new = np.asarray(before(IMAGE))[0], np.asarray(after(IMAGE))[0]
    size, (height, width) = np.abs(old).max(), old.shape[:2]
    coarse = np.asarray(keras.Model(before.input, before.get_layer("score_fr").output)(IMAGE))[0]
    np.testing.assert_allclose(
        old, finer(coarse, 32)[19 : 19 + height, 19 : 19 + width], atol=1e-5 * size
    )
    np.testing.assert_allclose(
        new, finer(finer(coarse, 2), 16)[27 : 27 + height, 27 : 27 + width], atol=1e-5 * size
    )

    rows, columns = ((np.arange(n) - 5) % 32 >= 16 for n in (height, width))
    straight = np.ix_(rows, columns)
    np.testing.assert_allclose(new[straight], old[straight], atol=1e-5 * size)
    assert np.abs(new - old).max() > 1e-3 * size  # the corners
    assert np.mean(new.argmax(-1) == old.argmax(-1)) > 0.9


@pytest.mark.parametrize("upsampling", ["fixed", "learned"])
def test_start_of_8s_keeps_all_that_16s_knows(small, parent, upsampling):
    folder = parent("fcn16s", upsampling=upsampling)
    stored = files.load_arrays(folder / "weights.npz")
    net, report = surgery.start(small("fcn8s", upsampling=upsampling), folder)
    found = values(net)
    for name in stored:
        np.testing.assert_array_equal(found[name], stored[name])
    assert not found["score_pool3/kernel"].any()
    assert not found["score_pool3/bias"].any()
    new = {row.name for row in report if row.action == "new"} - {
        "score_pool3/kernel",
        "score_pool3/bias",
    }
    if upsampling == "fixed":
        assert new == set()
        assert not any(name.startswith("upscore") for name in found)
    else:
        assert new == {"upscore_pool4/kernel"}
        np.testing.assert_array_equal(found["upscore_pool4/kernel"][:, :, 1, 1], bilinear_kernel(2))
        assert not np.allclose(found["upscore2/kernel"][:, :, 0, 0], bilinear_kernel(2))


def test_a_trained_net_goes_on_with_other_classes(small, parent):
    """Scores of the classes that have the same name in both nets are taken over, wherever they
    stand; all else is copied.
    """
    folder = parent("fcn8s")
    stored, old = files.load_arrays(folder / "weights.npz"), surgery.read_spec(folder).classes
    classes = (old[0], "lamp", old[2], "chair", "desk")
    net, report = surgery.start(small("fcn8s", classes=classes), folder)
    found = values(net)
    for layer in ("score_fr", "score_pool4", "score_pool3"):
        for kind in ("kernel", "bias"):
            got, was = found[f"{layer}/{kind}"], stored[f"{layer}/{kind}"]
            np.testing.assert_array_equal(got[..., [0, 2]], was[..., [0, 2]])
            assert not got[..., [1, 3, 4]].any()
    for name, array in stored.items():
        if not name.startswith("score"):
            np.testing.assert_array_equal(found[name], array)
    assert {row.name.split("/")[0] for row in report if row.action == "by class"} == {
        "score_fr",
        "score_pool4",
        "score_pool3",
    }
    assert sum(row.action == "copied" for row in report) == 30
    assert len(report) == 36


def test_a_trained_net_goes_on_with_its_own_classes_and_scores_the_same(small, parent):
    folder = parent("fcn16s")
    net, report = surgery.start(small("fcn16s"), folder)
    assert {row.action for row in report} == {"copied"}
    np.testing.assert_array_equal(net(IMAGE), surgery.load(folder)[0](IMAGE))
    with pytest.raises(
        UserError,
        match=r"new_layers: fcn16s starts from a model here .*fcn16s\), whose layers it has",
    ):
        surgery.start(small("fcn16s"), folder, ("fc6",))


def test_learned_upsampling_begins_anew_with_other_classes(small, parent):
    folder = parent("fcn8s", upsampling="learned")
    net, report = surgery.start(
        small("fcn8s", upsampling="learned", classes=("background", "lamp")), folder
    )
    assert {row.name for row in report if row.action == "new"} == {
        "upscore2/kernel",
        "upscore_pool4/kernel",
    }
    np.testing.assert_array_equal(
        net.get_layer("upscore2").kernel, bilinear_kernel(2)[:, :, None, None] * np.eye(2)
    )


def test_fixed_upsampling_is_bilinear_even_if_the_parent_has_learned_its_own(small, parent):
    folder = parent("fcn16s", upsampling="learned")
    assert not np.allclose(
        files.load_arrays(folder / "weights.npz")["upscore2/kernel"][:, :, 0, 0], bilinear_kernel(2)
    )
    net, report = surgery.start(small("fcn8s"), folder)
    assert [row.action for row in report if row.name == "upscore2/kernel"] == ["dropped"]
    scores = np.random.default_rng(0).normal(size=(4, 5, 3)).astype(np.float32)
    np.testing.assert_allclose(
        net.get_layer("upscore2")(scores[None])[0], finer(scores, 2), atol=1e-6
    )


def test_learned_upsampling_begins_bilinear_where_the_parents_was_fixed(small, parent):
    net, report = surgery.start(small("fcn8s", upsampling="learned"), parent("fcn16s"))
    new = {row.name for row in report if row.action == "new"}
    assert new == {
        "upscore2/kernel",
        "upscore_pool4/kernel",
        "score_pool3/kernel",
        "score_pool3/bias",
    }
    np.testing.assert_array_equal(
        net.get_layer("upscore2").kernel, bilinear_kernel(2)[:, :, None, None] * np.eye(3)
    )


@pytest.mark.parametrize("upsampling", ["fixed", "learned"])
def test_a_folder_of_an_earlier_version_with_the_kernels_of_fixed_upsampling_is_read(
    small, parent, upsampling
):
    folder = parent("fcn16s", upsampling=upsampling)
    before = np.asarray(surgery.load(folder)[0](IMAGE))
    arrays = files.load_arrays(folder / "weights.npz")
    assert ("upscore2/kernel" in arrays) == (upsampling == "learned")
    fixed = {"upscore16": 16} if upsampling == "learned" else {"upscore2": 2, "upscore16": 16}
    arrays |= {
        f"{name}/kernel": bilinear_kernel(factor)[:, :, None, None] * np.eye(3)
        for name, factor in fixed.items()
    }
    files.save_arrays(folder / "weights.npz", arrays)
    np.testing.assert_array_equal(surgery.load(folder)[0](IMAGE), before)
    _, report = surgery.start(small("fcn8s", upsampling=upsampling), folder)
    assert not [row for row in report if row.action == "dropped"]


def test_start_refuses_what_it_cannot_start_from(small, parent, tmp_path):
    folder = parent("fcn32s")
    with pytest.raises(
        UserError, match=r"fcn8s starts from fcn16s or from fcn8s, but this folder holds fcn32s"
    ):
        surgery.start(small("fcn8s"), folder)
    with pytest.raises(
        UserError, match=r"starts from a classifier or from fcn8s_atonce, but this .* holds fcn32s"
    ):
        surgery.start(small("fcn8s_atonce"), folder)
    with pytest.raises(UserError, match=r"expected a model folder .* found no .*model\.json"):
        surgery.start(small("fcn16s"), tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"nowhere\.npz"):
        surgery.start(small("fcn32s"), tmp_path / "nowhere.npz")
    with pytest.raises(
        UserError, match=r"fcn16s wants fc_units 7, its parent has 8: train the parent again"
    ):
        surgery.start(small("fcn16s", fc_units=7), folder)
    with pytest.raises(UserError, match=r"fcn16s wants padding 'same', its parent has 'caffe'"):
        surgery.start(small("fcn16s", padding="same"), folder)


@pytest.mark.parametrize(("variant", "upsampling"), [("fcn32s", "fixed"), ("fcn8s", "learned")])
def test_what_is_saved_and_loaded_is_the_same_net_and_the_same_bytes(
    small, tmp_path, variant, upsampling
):
    spec = small(variant, upsampling=upsampling, dropout=0.25, mean_bgr=(1.5, 2.25, 3.0))
    net = shuffled(build(spec))
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
    surgery.save(net, spec, tmp_path / "one")
    surgery.save(net, spec, tmp_path / "two")
    again, found = surgery.load(tmp_path / "one")
    surgery.save(again, found, tmp_path / "three")
    assert found == spec
    for name in ("weights.npz", "model.json"):
        written = {(tmp_path / folder / name).read_bytes() for folder in ("one", "two", "three")}
        assert len(written) == 1
    np.testing.assert_array_equal(again(IMAGE, training=False), net(IMAGE, training=False))
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == [
        "model.json",
        "weights.npz",
    ]


WRONG = [
    ({"colour": "blue"}, "colour: unknown key"),
    ({"padding": None}, "padding: expected a valid string, got None"),
    (
        {"padding": "valid"},
        "padding: expected one of caffe, same with the backbone vgg16; got 'valid'",
    ),
    ({"variant": "fcn9s"}, "variant: expected one of fcn32s, fcn16s, "),
    ({"classes": ["sky"]}, r"classes: expected at least 2 items"),
    ({"classes": ["sky", "sky"]}, "classes: expected names that are all different, got "),
    (
        {"classes": ["sky", "\x1b[31mred"]},
        r"classes\[1\]: expected a name without control characters, got '\\x1b\[31mred'",
    ),
    (
        {"classes": ["sky", "a" * 100_000]},
        r"classes\[1\]: expected at most 200 characters, got 'a{30,100}\.\.\.a*'",
    ),
    (
        {"width": 1e9},
        r"width, fc_units: expected a net of at most 2147483648 weights; with width 1000000000\.0 ",
    ),
    ({"width": "x"}, "width: expected a valid number, got 'x'"),
    ({"fc_units": 0}, "fc_units: expected greater than or equal to 1, got 0"),
    ({"fc_units": 10**12}, "width, fc_units: expected a net of at most"),
    ({"fc_units": True}, "fc_units: expected a valid integer, got True"),
    ({"dropout": 1}, "dropout: expected less than 1, got 1"),
    ({"mean_bgr": [1, float("nan"), 3]}, r"mean_bgr\[1\]: expected a finite number, got nan"),
    ({"mean_bgr": [1, 2]}, r"mean_bgr\[2\]: missing"),
    ({"knows": "a" * 301}, "knows: expected at most 300 characters"),
]


@pytest.mark.parametrize(("change", "words"), WRONG, ids=[str(change)[:40] for change, _ in WRONG])
def test_a_description_with_a_wrong_field_is_refused_by_file_and_field(parent, change, words):
    path = parent("fcn32s") / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(UserError, match=rf"^{path}: {words}") as error:
        surgery.read_spec(path.parent)
    said = str(error.value)
    assert said.endswith("; it describes no model of this version: train the model again")
    assert len(said) < 600
    assert said.isprintable()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"variant": ', "expected JSON, but: Expecting value: line 1 column 13"),
        ("[1]", "expected keys with values, got "),
        ("null", "expected keys with values, got None"),
        (
            '{"variant": "fcn32s", "variant": "fcn8s"}',
            "expected JSON, but: the key 'variant' stands there twice",
        ),
        ("[" * 100_000, "expected JSON, but: maximum recursion depth exceeded"),
        ("9" * 5000, "expected JSON, but: Exceeds the limit"),
        (" " * 2**20 + "{}", "more than 1048576 bytes"),
        ('{"variant": "fcn32s"}', "backbone: missing"),
    ],
)
def test_a_description_that_is_none_is_refused(tmp_path, text, words):
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(
        UserError, match=rf"^{tmp_path}/model\.json: {words}.*; it describes no model"
    ):
        surgery.read_spec(tmp_path)


def test_what_is_no_regular_file_is_no_description(tmp_path):
    os.mkfifo(tmp_path / "model.json")
    with pytest.raises(
        UserError, match=r"model\.json: expected a file, but it is not a regular file"
    ):
        surgery.read_spec(tmp_path)


def test_weights_are_refused_before_a_net_is_built_that_they_cannot_fill(parent, monkeypatch):
    path = parent("fcn32s") / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "width": 1.0}))
    monkeypatch.setattr(surgery, "build", None)
    with pytest.raises(
        UserError,
        match=r"weights\.npz: holds \d+ weights, but a net of the width 1\.0 .* at least 149",
    ):
        surgery.load(path.parent)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (np.int32, "score_fr/bias: expected weights, numbers with a point, got int32"),
        (bool, "score_fr/bias.npy holds bool, and no real numbers"),
        (np.complex64, "score_fr/bias.npy holds complex64, and no real numbers"),
        ("U3", "score_fr/bias.npy holds <U3, and no real numbers"),
        ("M8[s]", r"score_fr/bias.npy holds datetime64\[s\], and no real numbers"),
        ([("x", "f4")], "and no real numbers"),
        (None, "score_fr/bias holds NaN or infinity"),
    ],
)
def test_weights_that_are_no_finite_numbers_are_refused(parent, kind, words):
    path = parent("fcn32s") / "weights.npz"
    arrays = dict(np.load(path))
    wrong = np.full(3, np.nan, np.float32) if kind is None else np.zeros(3, kind)
    np.savez(path, **{**arrays, "score_fr/bias": wrong})
    with pytest.raises(UserError, match=rf"^{path}: .*{words}"):
        surgery.load(path.parent)


def test_what_a_net_knows_is_words_that_an_older_description_lacks_and_a_start_does_not_compare(
    small, parent
):
    path = parent("fcn32s", knows="Digits alone.") / "model.json"
    assert surgery.read_spec(path.parent).knows == "Digits alone."
    _, report = surgery.start(small("fcn16s", knows="Cats and dogs."), path.parent)
    assert {row.action for row in report} == {"copied", "new"}
    path.write_text(
        json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "knows"})
    )
    assert surgery.load(path.parent)[1].knows == ""


def test_weights_of_another_net_are_refused(small, parent):
    path = parent("fcn32s") / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "variant": "fcn16s"}))
    with pytest.raises(
        UserError,
        match=r"weights\.npz: these weights do not fit fcn16s: score_pool4/kernel is missing",
    ):
        surgery.load(path.parent)
