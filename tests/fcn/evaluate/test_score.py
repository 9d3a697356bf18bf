import csv
import dataclasses
import hashlib
import json
import shutil

import keras
import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import jaccard_score
from tiny import CLASSES, SIZES

from fcn.errors import UserError
from fcn.evaluate import boundary, score, upper_bound, views
from fcn.hardware import devices
from fcn.input import records
from fcn.net import surgery
from fcn.score import evaluation, metrics
from fcn.spec import protocols
from fcn.spec.protocols import Evaluate

SCORES = ("pixel_accuracy", "mean_accuracy", "mean_iu", "frequency_weighted_iu")
TABLES = ("boundary.csv", "class_iu.csv", "confusion.csv", "images.csv")


@pytest.fixture(scope="module")
def model(spec, vgg, tmp_path_factory):
    """An FCN-8s, straight from the classifier, with score layers drawn at random: it predicts all
    classes, right or not.
    """
    folder = tmp_path_factory.mktemp("model") / "fcn8s"
    folder.mkdir()
    atonce = dataclasses.replace(spec, variant="fcn8s_atonce")
    net, _ = surgery.start(atonce, vgg)
    rng = np.random.default_rng(5)
    for name in ("score_fr", "score_pool4", "score_pool3"):
        layer = net.get_layer(name)
        layer.kernel.assign(rng.normal(0, 1, layer.kernel.shape))
    surgery.save(net, atonce, folder)
    return folder


@pytest.fixture(scope="module")
def scored(model, data, tmp_path_factory):
    """(folder, result, calls of `done`)."""
    folder, calls = tmp_path_factory.mktemp("scored"), []
    how = Evaluate(2, ("center513", "multiscale"))
    result = score.run(
        model,
        data,
        folder / "metrics.json",
        folder / "plots",
        how,
        lambda *values: calls.append(values),
    )
    return folder, result, calls


@pytest.fixture(scope="module")
def predicted(model, data):
    """(id, truth, prediction) of every image."""
    net, _ = surgery.load(model)
    return [
        (name, label, net(image[None]).numpy()[0].argmax(-1))
        for name, image, label in records.read(data, "val")
    ]


@pytest.fixture(scope="module")
def counted(predicted):
    """Pixels by (truth, prediction), counted one by one from the model's scores."""
    pairs = dict.fromkeys([(i, j) for i in range(3) for j in range(3)], 0)
    for _, label, labels in predicted:
        for truth, prediction in zip(label.ravel().tolist(), labels.ravel().tolist(), strict=True):
            if truth != 255:
                pairs[truth, prediction] += 1
    assert len({j for (_, j), n in pairs.items() if n}) >= 2, (
        "the model must not predict one class only"
    )
    return pairs


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def table(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_four_scores_by_the_paper_s_formulas(scored, counted):
    """n_ij: pixels of class i predicted as j; t_i: pixels of class i."""
    t = [sum(counted[i, j] for j in range(3)) for i in range(3)]
    p = [sum(counted[i, j] for i in range(3)) for j in range(3)]
    iu = [counted[i, i] / (t[i] + p[i] - counted[i, i]) for i in range(3)]
    wanted = {
        "pixel_accuracy": sum(counted[i, i] for i in range(3)) / sum(t),
        "mean_accuracy": sum(counted[i, i] / t[i] for i in range(3)) / 3,
        "mean_iu": sum(iu) / 3,
        "frequency_weighted_iu": sum(t[i] * iu[i] for i in range(3)) / sum(t),
    }
    folder, result, _ = scored
    stored = json.loads((folder / "metrics.json").read_text())
    assert {name: stored[name] for name in SCORES} == pytest.approx(wanted, abs=5.1e-7)
    assert result.content == stored
    assert result.scores == {name: stored[name] for name in SCORES}
    assert result.class_iu == pytest.approx(dict(zip(CLASSES, iu, strict=True)), abs=5.1e-7)
    rows = table(folder / "plots" / "class_iu.csv")
    assert {row["class"]: float(row["iu"]) for row in rows} == result.class_iu
    assert {row["class"]: float(row["accuracy"]) for row in rows} == result.class_accuracy
    recall = {name: counted[i, i] / t[i] for i, name in enumerate(CLASSES)}
    assert result.class_accuracy == pytest.approx(recall, abs=5.1e-7)


def test_the_metrics_file_says_where_the_scores_come_from(scored, model, data):
    stored = json.loads((scored[0] / "metrics.json").read_text())
    whole = hashlib.sha256((model / "weights.npz").read_bytes()).hexdigest()
    assert list(stored) == [*SCORES, "boundary_iu", "upper_bound", "protocols", "provenance"]
    assert stored["provenance"] == {
        "split": "val",
        "images": 3,
        "padding": "same",
        "checkpoint": "last",
        "dataset": json.loads((data / "index.json").read_text())["splits"]["val"]["digest"][:12],
        "model": whole[:12],
        "protocol": "fcn",
        "precision": "float32",
    }
    assert scored[1].provenance == stored["provenance"]


def test_the_confusion_table_is_the_count_and_its_rows_add_up(scored, counted, data):
    rows = table(scored[0] / "plots" / "confusion.csv")
    assert list(rows[0]) == ["truth", "prediction", "pixels", "share"]
    assert {
        (CLASSES.index(r["truth"]), CLASSES.index(r["prediction"])): int(r["pixels"]) for r in rows
    } == counted
    assert scored[1].classes == tuple(CLASSES)
    assert {(i, j): n for (i, j), n in np.ndenumerate(scored[1].confusion)} == counted
    shares = [float(row["share"]) for row in rows]
    assert scored[1].shares.ravel().tolist() == pytest.approx(shares, abs=5.1e-7)
    pixels = records.split_info(data, "val")["pixels"]
    for name in CLASSES:
        mine = [row for row in rows if row["truth"] == name]
        assert sum(int(row["pixels"]) for row in mine) == pixels[name]
        assert sum(float(row["share"]) for row in mine) == pytest.approx(1, abs=2e-6)
        for row in mine:
            assert float(row["share"]) == pytest.approx(
                int(row["pixels"]) / pixels[name], abs=5.1e-7
            )


def test_scores_at_the_boundary_are_those_of_the_bands(scored, predicted):
    bands = sum(boundary.confusion(truth, labels, 3) for _, truth, labels in predicted)
    rows = [
        [float(row[key]) for key in ("width", "mean_iu", "pixel_accuracy")]
        for row in table(scored[0] / "plots/boundary.csv")
    ]
    assert rows == [pytest.approx(row, abs=5.1e-7) for row in boundary.curve(bands)]
    assert [row[0] for row in rows] == list(range(1, 41))
    assert scored[1].content["boundary_iu"] == rows[4][1]
    assert [[*vars(band).values()] for band in scored[1].bands] == rows


def test_the_upper_bound_is_that_of_the_stride(scored, predicted):
    bound = sum(
        metrics.confusion(truth, upper_bound.reconstruct(truth, 8), 3) for _, truth, _ in predicted
    )
    assert scored[1].content["upper_bound"] == pytest.approx(
        metrics.scores(bound)["mean_iu"], abs=5.1e-7
    )
    assert 0.5 < scored[1].content["upper_bound"] < 1


def test_the_table_of_images_has_every_class_of_every_image_and_adds_up_to_the_set(
    scored, predicted, counted
):
    rows = table(scored[0] / "plots/images.csv")
    wanted = []
    for name, truth, labels in predicted:
        valid = truth != 255
        for number, label in enumerate(CLASSES):
            here, there = (truth == number) & valid, (labels == number) & valid
            counts = [(here & there).sum(), here.sum(), there.sum()]
            if counts[1] + counts[2]:
                wanted.append([name, label, *map(str, counts)])
    assert [list(row.values()) for row in rows] == wanted
    assert list(rows[0]) == ["image", "class", "both", "truth", "prediction"]
    for number, name in enumerate(CLASSES):
        assert (
            sum(int(row["both"]) for row in rows if row["class"] == name) == counted[number, number]
        )
    for image, iu in scored[1].mean_ius.items():
        ((truth, labels),) = [pair for name, *pair in predicted if name == image]
        valid = truth != 255
        assert iu == pytest.approx(jaccard_score(truth[valid], labels[valid], average="macro"))


def test_other_protocols_stand_beside_the_headline(scored, model, data, counted):
    """They score the same pixels here, and come to other numbers all the same: the net sees a
    border, or other scales.
    """
    found = scored[1].content["protocols"]
    assert list(found) == ["center513", "multiscale"]
    net, spec = surgery.load(model)
    mean = np.rint(spec.mean_bgr[::-1]).astype(np.uint8)
    examples = [
        {"image": image[None], "label": label[None]}
        for _, image, label in records.read(data, "val")
    ]
    padded = evaluation.evaluate(
        evaluation.labeler(net), views.views(examples, protocols.PROTOCOLS["center513"], mean), 3
    )
    several = evaluation.evaluate(evaluation.averaged(net, (0.75, 1.0, 1.25), True), examples, 3)
    assert found["center513"] == pytest.approx(metrics.scores(padded), abs=5.1e-7)
    assert found["multiscale"] == pytest.approx(metrics.scores(several), abs=5.1e-7)
    assert padded.sum() == several.sum() == sum(counted.values())
    assert (
        len(
            {
                scored[1].content["mean_iu"],
                found["center513"]["mean_iu"],
                found["multiscale"]["mean_iu"],
            }
        )
        == 3
    )


def test_progress_is_told_after_every_image_of_every_protocol(scored):
    assert scored[2] == [(n, 9) for n in range(1, 10)]


def test_overlays_are_drawn_of_images_spread_over_the_split(scored, data):
    picture = Image.open(scored[0] / "plots" / "overlays.png")
    ids = records.split_info(data, "val")["ids"]
    heights, widths = zip(*(SIZES[ids[n]] for n in (0, 2)), strict=True)
    scale = 200 // max(widths)
    # Three columns as wide as the widest picture and 6 pixels of gap; above the rows stands the
    # title, below the legend.
    assert picture.width == 3 * (max(widths) * scale + 6)
    rows = sum(height * scale + 6 for height in heights)
    assert 26 + rows < picture.height < 26 + rows + 100
    first = {identity: image for identity, image, _ in records.read(data, "val")}[ids[0]]
    shown = np.asarray(picture)[26 : 26 + heights[0] * scale : scale, : widths[0] * scale : scale]
    assert np.array_equal(shown, first), "the first panel is the first image, enlarged"


def test_the_same_model_and_records_give_the_same_bytes(scored, model, data, tmp_path):
    moved = shutil.copytree(data, tmp_path / "records")
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "old.png").write_bytes(b"old")
    how = Evaluate(2, ("center513", "multiscale"))
    with pytest.raises(
        UserError, match=r"plots: .* a folder that this program did not make .* is there"
    ):
        score.run(model, moved, tmp_path / "metrics.json", tmp_path / "plots", how, lambda *_: None)
    shutil.copy(scored[0] / "plots" / "confusion.csv", tmp_path / "plots")
    score.run(model, moved, tmp_path / "metrics.json", tmp_path / "plots", how, lambda *_: None)
    assert contents(tmp_path / "plots") == contents(scored[0] / "plots")
    assert (tmp_path / "metrics.json").read_bytes() == (scored[0] / "metrics.json").read_bytes()
    pictures = [f"predictions/{name}.png" for name in records.split_info(data, "val")["ids"]]
    assert sorted(contents(tmp_path / "plots")) == sorted(
        [*TABLES, "overlays.png", "explained.npz", *pictures]
    )


def test_the_predictions_of_all_images_are_palette_images(scored, predicted):
    for name, _, labels in predicted:
        with Image.open(scored[0] / "plots" / "predictions" / f"{name}.png") as picture:
            assert picture.mode == "P"
            assert np.array_equal(np.asarray(picture), labels)
            # VOC's colours of classes 1 and 2
            colours = picture.getpalette()
            assert colours
            assert colours[3:9] == [128, 0, 0, 0, 128, 0]


def test_no_overlays_are_no_file(model, data, tmp_path):
    result = score.run(
        model, data, tmp_path / "metrics.json", tmp_path / "plots", Evaluate(0), lambda *_: None
    )
    assert sorted(p.name for p in (tmp_path / "plots").iterdir()) == sorted(
        [*TABLES, "explained.npz", "predictions"]
    )
    assert result.content["protocols"] == {}


def test_weights_held_in_bfloat16_score_like_those_converted_every_time(model, data, tmp_path):
    """Mixed precision, as in training, and the net that holds its weights in half the bytes give
    the same labels.
    """
    how = Evaluate(0, precision="bfloat16")
    try:
        result = score.run(
            model, data, tmp_path / "metrics.json", tmp_path / "plots", how, lambda *_: None
        )
        held, _ = surgery.load(model)
        devices.prepare(0, "bfloat16")
        mixed, _ = surgery.load(model)
    finally:
        devices.prepare(0)
    assert [keras.backend.standardize_dtype(net.get_layer("fc6").kernel.dtype) for net in (held,
    mixed)] == [
        "bfloat16", "float32",
    ]  # fmt: skip
    assert keras.backend.standardize_dtype(held.get_layer("score_fr").kernel.dtype) == "float32"
    examples = [
        {"image": image[None], "label": label[None]}
        for _, image, label in records.read(data, "val")
    ]
    for batch in examples:
        np.testing.assert_array_equal(
            np.asarray(held(batch["image"])), np.asarray(mixed(batch["image"]))
        )
    wanted = metrics.scores(evaluation.evaluate(evaluation.labeler(mixed), examples, 3))
    assert result.scores == pytest.approx(wanted, abs=5.1e-7)
    assert result.provenance["precision"] == "bfloat16"


def test_records_of_other_classes_are_refused(model, data, tmp_path):
    folder = shutil.copytree(data, tmp_path / "records")
    index = (folder / "index.json").read_text()
    (folder / "index.json").write_text(index.replace('"green"', '"blue"'))
    with pytest.raises(UserError) as error:
        score.run(
            model,
            folder,
            tmp_path / "metrics.json",
            tmp_path / "plots",
            Evaluate(2),
            lambda *_: None,
        )
    assert (
        str(error.value) == f"{model}: trained for the classes background, red, green; the records "
        "have background, red, blue"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["records"]


def test_no_model_folder(data, tmp_path):
    with pytest.raises(UserError, match="expected a model folder"):
        score.run(
            tmp_path / "fcn8s",
            data,
            tmp_path / "metrics.json",
            tmp_path / "plots",
            Evaluate(2),
            lambda *_: None,
        )
    assert list(tmp_path.iterdir()) == []
