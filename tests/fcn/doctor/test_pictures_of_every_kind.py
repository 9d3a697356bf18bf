"""A folder of 22 files as people have them: each is read, or named with what to do about it."""

import numpy as np
import pytest
from label_folders import HEIGHT, NAMES, WIDTH, photograph, truth, voc
from PIL import Image

from fcn import doctor
from fcn.datasets import DatasetSpec, catalog
from fcn.errors import UserError
from fcn.records import writing

KINDS = (
    "a.png", "b.BMP", "c.tif", "d.TIFF", "e.gif", "f.ppm", "g.jpg", "h.JPEG", "i.webp", "j.avif",
    "k.heic", "l.HEIF", "m.jp2",
)  # fmt: skip
ALL = "abcdefghijklmnopqrst"


def turned(picture, path):
    """A photograph whose EXIF data turn it by 90 degrees."""
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(path, exif=exif)


def write(root):
    """20 pictures and their masks, a video and a raw photograph."""
    images = root / "images"
    images.mkdir(parents=True)
    (root / "masks").mkdir()
    (root / "classes.txt").write_text("\n".join(NAMES))
    for number, name in enumerate(KINDS):
        photograph(number).save(images / name)
    photograph(20).save(images / "n.jfif", "JPEG")
    photograph(21).convert("CMYK").save(images / "o.jpg")
    photograph(22).convert("RGBA").save(images / "p.png")
    Image.fromarray(np.asarray(photograph(23).convert("L")).astype(np.uint16) << 8).save(
        images / "q.png"
    )
    photograph(24).save(images / "r.gif", save_all=True, append_images=[photograph(25)])
    turned(photograph(26).resize((HEIGHT, WIDTH)), images / "s.jpg")  # its mask is upright
    turned(photograph(27), images / "t.jpg")  # its mask is not
    for name in ALL:
        voc(truth(ord(name))).save(root / "masks" / f"{name}.png")
    for name in ("u.mp4", "v.CR2"):
        (images / name).write_bytes(b"x")
    assert len(list(images.iterdir())) == 22
    return root


def load(root):
    listing = catalog.load("folder", DatasetSpec({"folder": root}, (), "80%", "20%", 1))
    lists = {"train": "80%", "val": "20%"}
    return writing.write(listing, lists, root / "records", 1, 1, "stop", lambda *_: None)


def test_all_22_are_accounted_for_by_both(tmp_path):
    root = write(tmp_path / "own")
    diagnosis = doctor.examine(root)
    assert [item.id for item in diagnosis.items] == list(ALL)
    first, second, _ = doctor.summary(diagnosis).splitlines()
    assert first.endswith("20 images, 20 labels, 2 other files left out")
    assert second == (
        "Wrong: the label fits the image only as it lies in the file, not as EXIF turns it"
    )
    told = {finding.file.removeprefix(f"{root}/"): finding.kind for finding in diagnosis.findings}
    assert told == {
        "masks/t.png": "size_turned", "images/t.jpg": "image_turned",
        "images/s.jpg": "image_turned", "images/o.jpg": "image_inks",
        "images/q.png": "image_deep", "images/p.png": "image_transparent",
        "images/u.mp4": "left_out", "images/v.CR2": "left_out",
    }  # fmt: skip
    [video] = [finding for finding in diagnosis.findings if finding.file.endswith("u.mp4")]
    assert video.what == "a video: take pictures out of it"
    with pytest.raises(UserError) as error:
        load(root)
    assert "1 of 20 pairs of image and label cannot be used" in str(error.value)
    assert "t.png: the label is 80x60 pixels, its image 60x80. EXIF data turn" in str(error.value)

    for place in ("images/t.jpg", "masks/t.png"):
        (root / place).unlink()
    assert not doctor.examine(root).stops
    splits = load(root)["splits"]
    assert sorted(splits["train"]["ids"] + splits["val"]["ids"]) == list(ALL[:-1])
