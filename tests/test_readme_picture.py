"""The script behind the README's first picture, with a small net."""

import numpy as np
from PIL import Image

from docs.images import segmentation
from fcn.net import surgery
from fcn.net.model import build


def test_the_photograph_stands_beside_its_segmentation(small, tmp_path, capsys):
    spec = small("fcn32s", padding="same")
    model = build(spec)
    # its kernels are zero: all is cat
    surgery.named_weights(model)["score_fr/bias"].assign([0.0, 2.0, 1.0])
    (tmp_path / "net").mkdir()
    surgery.save(model, spec, tmp_path / "net")
    segmentation.main(["--model", str(tmp_path / "net"), "--out", str(tmp_path / "made.jpg")])
    assert "made.jpg: cat 100 %" in capsys.readouterr().out
    with (
        Image.open(segmentation.HERE / "chelsea.jpg") as photo,
        Image.open(tmp_path / "made.jpg") as made,
    ):
        left, found = np.asarray(photo), np.asarray(made).astype(int)
    assert left.shape == (300, 451, 3)
    assert found.shape[1] == 2 * 451 + segmentation.GAP
    assert np.abs(found[:300, :451] - left).mean() < 3  # saved as a JPEG again
    cat = np.round(0.4 * left + 0.6 * np.array([128, 0, 0]))  # VOC's first colour
    assert np.abs(found[:300, 451 + segmentation.GAP :] - cat).mean() < 3
