"""Three lines: what a folder is, what is wrong, the next command; and converting loses no index."""

import numpy as np
import pytest
from label_folders import NAMES, coloured, grey, mask_255, photograph, smoothed, voc, write_folder
from PIL import Image

from fcn import doctor
from fcn.spec.colours import palette

REPRO = 'make repro ARGS="--set profile=folder", with these files in data/own'
WHOLE = "images/ and masks/, 4 images, 4 labels"
# mask, classes.txt, what is wrong, what comes next
FOLDERS = {
    "well": (voc, NAMES, "Nothing wrong", REPRO),
    "a note": (voc, (*NAMES, "tree"), "Nothing wrong, but: classes that never occur", REPRO),
    "colours": (
        coloured, (), "Wrong: the labels are colours of no known table",
        "write classes.txt as proposed below, then fcn doctor {root}",
    ),
    "masks and void": (
        lambda label: grey(label + 1), NAMES, "Wrong: the labels count from 1",
        "fcn doctor {root} --convert OUT",
    ),
    "smoothed": (
        lambda label: smoothed(grey(label * 5)), [f"n{n}" for n in range(21)],
        "Wrong: labels with mixed values along the edges: smoothed, or resized like pictures",
        "put it right as said below, then fcn doctor {root}",
    ),
    "photographs": (
        lambda label: photograph(int(label[20, 20])), NAMES,
        "Wrong: the labels have too many colours to be labels",
        "put it right as said below, then fcn doctor {root}",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("mask", "lines", "wrong", "step"), FOLDERS.values(), ids=FOLDERS)
def test_three_lines(tmp_path, mask, lines, wrong, step):
    root = write_folder(tmp_path / "own", mask, void=False, classes=lines)
    said = doctor.summary(doctor.examine(root)).splitlines()
    assert said == [f"{root}: {WHOLE}", wrong, f"Next: {step.format(root=root)}"]


def test_labels_alone_are_asked_for_their_images(tmp_path):
    root = write_folder(tmp_path / "my own", mask_255, void=False) / "masks"
    (root.parent / "images").rename(tmp_path / "elsewhere")
    first, _, step = doctor.summary(doctor.examine(root)).splitlines()
    assert first == f"{root}: labels alone, 0 images, 4 labels"
    assert step.endswith(f"then fcn doctor '{root}'"), "a name with a blank is quoted"


def test_converting_index_images_keeps_every_value_and_every_byte(tmp_path):
    """All 256 values, in a palette and in grey; what was converted is converted to itself."""
    values = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16), 4, axis=0).repeat(4, axis=1)
    (tmp_path / "in").mkdir()
    voc(values).save(tmp_path / "in" / "a.png")
    grey(values[::-1]).save(tmp_path / "in" / "b.png")
    doctor.convert(doctor.examine(tmp_path / "in"), tmp_path / "once")
    doctor.convert(doctor.examine(tmp_path / "once"), tmp_path / "twice")
    for name, expected in (("a", values), ("b", values[::-1])):
        with Image.open(tmp_path / "once" / f"{name}.png") as image:
            np.testing.assert_array_equal(np.asarray(image), expected)
            assert image.getpalette() == palette().reshape(-1).tolist()
        once, twice = ((tmp_path / part / f"{name}.png").read_bytes() for part in ("once", "twice"))
        assert once == twice
