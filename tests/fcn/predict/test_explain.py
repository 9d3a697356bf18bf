import numpy as np
import pytest
from PIL import Image

from fcn.cli.app import main
from fcn.net import surgery
from fcn.net.bilinear import bilinear_kernel
from fcn.net.model import build
from fcn.predict import explain, explained_page
from fcn.score import evaluation

IMAGE = np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8)


def drawn(spec):
    """A net whose weights all matter."""
    model, draw = build(spec), np.random.default_rng(3)
    for name, weight in surgery.named_weights(model).items():
        if name.endswith("kernel") and not name.startswith("upscore"):
            weight.assign(draw.normal(0, 1.4 / np.sqrt(np.prod(weight.shape[:-1])), weight.shape))
    [coarsest, *_] = explain.explain(model, spec, IMAGE)
    # so that no class wins everywhere
    surgery.named_weights(model)["score_fr/bias"].assign(-coarsest.scores.mean((0, 1)))
    return model


@pytest.mark.parametrize("padding", ["caffe", "same"])
def test_every_stage_is_what_the_net_of_its_stride_says(small, padding):
    spec = small("fcn8s", padding=padding)
    model = drawn(spec)
    stages = explain.explain(model, spec, IMAGE)
    assert [(stage.layer, stage.stride) for stage in stages] == [
        ("score_fr", 32),
        ("fuse_pool4", 16),
        ("fuse_pool3", 8),
    ]
    np.testing.assert_array_equal(stages[-1].labels, evaluation.labeler(model)(IMAGE[None])[0])
    weights = surgery.named_weights(model)
    for stage, variant in zip(stages, ("fcn32s", "fcn16s"), strict=False):
        coarser = build(small(variant, padding=padding))
        for name, weight in surgery.named_weights(coarser).items():
            weight.assign(weights[name])
        np.testing.assert_array_equal(stage.labels, evaluation.labeler(coarser)(IMAGE[None])[0])
        assert len(np.unique(stage.labels)) > 1
    assert stages[0].skip is None
    assert stages[1].skip.shape == stages[1].scores.shape
    assert [stage.offset for stage in stages] == ([19, 27, 31] if padding == "caffe" else [0, 0, 0])


def test_learned_kernels_are_the_mean_over_the_classes(small):
    spec = small("fcn16s", upsampling="learned")
    model = build(spec)
    weight = surgery.named_weights(model)["upscore2/kernel"]
    changed = weight.numpy().copy()
    changed[0, 0, 1, 1] += 0.3
    weight.assign(changed)
    found = explain.kernels(model, spec)
    wanted = bilinear_kernel(2)
    wanted[0, 0] += 0.1  # of three classes
    np.testing.assert_allclose(found["upscore2"][1], wanted, atol=1e-6)
    assert found["upscore16"] == (16, None)


def test_the_command_writes_a_page_that_needs_nothing_else(small, tmp_path, capsys):
    spec = small(
        "fcn16s",
        classes=("background", "<b>cat", "dog"),
        upsampling="learned",
        knows="Only <i>cats</i>.",
    )
    (tmp_path / "net").mkdir()
    surgery.save(drawn(spec), spec, tmp_path / "net")
    Image.fromarray(IMAGE).resize((900, 700)).save(tmp_path / "photo&1.png")
    assert main(["explain", str(tmp_path / "photo&1.png"), "--model", str(tmp_path / "net")]) == 0
    assert "photo&1-explained.html: open it in a browser" in capsys.readouterr().out
    page = (tmp_path / "photo&1-explained.html").read_text()
    for words in (
        "<h1>photo&amp;1.png, seen by fcn16s</h1><p>500 x 389 pixels. Only "
        "&lt;i&gt;cats&lt;/i&gt;.</p>",
        "What the skip to stride 16 changes: ",
        "<code>upscore2</code> as learned; it differs by 0.0000 at most.",
        "the window of 500 x 389 begins at (27, 27).",
    ):
        assert words in page
    assert "<b>" not in page
    assert page.count("<img ") == page.count('<img src="data:image/png;base64,')
    assert "<script" not in page


def test_misuse_is_said_before_the_net_is_read(tmp_path, capsys):
    (tmp_path / "a.jpg").write_text("letter")
    for arguments, words in (
        ([tmp_path / "b.jpg"], "b.jpg"),
        ([tmp_path / "a.jpg"], "a.jpg: expected a picture"),
    ):
        assert main(["explain", *map(str, arguments)]) == 2
        assert words in capsys.readouterr().err
    assert main(["explain", str(tmp_path / "a.jpg"), "--out", str(tmp_path)]) == 2
    assert "--out" in capsys.readouterr().err
    assert explained_page.reduced(IMAGE).shape == IMAGE.shape
