"""The command `fcn explain` and its page."""

import numpy as np
from PIL import Image

from fcn.cli.app import main
from fcn.net import surgery
from fcn.net.model import build

IMAGE = np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8)


def test_the_command_writes_a_page_that_needs_nothing_else(small, tmp_path, capsys):
    spec = small(
        "fcn16s",
        classes=("background", "<b>cat", "dog"),
        upsampling="learned",
        knows="Only <i>cats</i>.",
    )
    (tmp_path / "net").mkdir()
    net = build(spec)
    surgery.named_weights(net)["score_fr/bias"].assign([0.0, 1.0, 0.5])
    surgery.save(net, spec, tmp_path / "net")
    Image.fromarray(IMAGE).resize((900, 700)).save(tmp_path / "photo&1.png")
    arguments = ["explain", str(tmp_path / "photo&1.png"), "--model", str(tmp_path / "net")]
    assert main(arguments) == 0
    assert "photo&1-explained.html: open it in a browser" in capsys.readouterr().out
    text = (tmp_path / "photo&1-explained.html").read_text()
    for words in (
        "<h1>photo&amp;1.png, seen by fcn16s</h1>\n<p>500 x 389 pixels; fcn16s on vgg16",
        "Only &lt;i&gt;cats&lt;/i&gt;.</p>",
        "<code>score_pool4</code> adds to ",
        "<code>upscore2</code> as trained, the mean over the classes; it differs by 0.0000 at",
        "<code>upscore16</code>, for a factor of 16: bilinear, 32 x 32, and so it stays",
        "the window of 500 x 389 begins at (27, 27), which lies on the photograph's first",
    ):
        assert words in text
    assert "<b>" not in text
    assert text.count(' src="') == text.count(' src="data:image/')
    assert "<script" not in text
    first = text
    assert main(arguments) == 0
    assert (tmp_path / "photo&1-explained.html").read_text() == first


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
