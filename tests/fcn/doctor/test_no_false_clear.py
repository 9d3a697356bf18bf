"""What people's folders hold and nobody saw: the doctor says the right word, and `records` stops
where the doctor does.
"""

import io
import os
import shutil
import tarfile

import numpy as np
import pytest
from label_folders import (
    HEIGHT,
    NAMES,
    OWN_LINES,
    WIDTH,
    coloured,
    grey,
    photograph,
    smoothed,
    truth,
    voc,
    write_folder,
)
from PIL import Image, ImageFilter

from fcn import doctor
from fcn.datasets import DatasetSpec, folder
from fcn.doctor import near, turned
from fcn.errors import UserError
from fcn.records import writing


def records(root, out, train="50%", val="50%"):
    lists = {"train": train, "val": val}
    listing = folder.load(DatasetSpec({"folder": root}, (), train, val, 0))
    return writing.write(listing, lists, out, 1, 0, "stop", lambda *_: None)


def refusal(root, out, *lists):
    with pytest.raises(UserError) as error:
        records(root, out, *lists)
    assert not out.exists()
    return str(error.value)


def stops(root):
    diagnosis = doctor.examine(root)
    assert doctor.table(diagnosis).endswith("to be put right first.") is diagnosis.stops
    return list(dict.fromkeys(finding.kind for finding in diagnosis.findings if finding.stops))


def scene(number):
    """A picture with shapes and soft edges, as a photograph has."""
    rough = Image.fromarray(np.random.default_rng(number).integers(0, 256, (6, 8, 3), np.uint8))
    return rough.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)


@pytest.fixture
def own(tmp_path):
    """Six pairs that are well."""
    return write_folder(tmp_path / "own", voc, count=6, classes=NAMES)


def test_a_good_folder_is_well_and_written(own, tmp_path):
    assert stops(own) == []
    assert records(own, tmp_path / "out")["splits"]["train"]["images"] == 3


@pytest.mark.parametrize("classes", [3, 6])
@pytest.mark.parametrize("size", [(60, 45), (113, 77), (120, 90)])
def test_masks_resized_like_pictures_with_few_classes(tmp_path, classes, size):
    """Between 0 and 5 lie 1 to 4, each of which is a class: no value is
    wrong, and every edge is.
    """

    def resized(label):
        return grey(label * (classes - 1) // 3).resize(size, Image.Resampling.BILINEAR)

    root = write_folder(
        tmp_path / "own", resized, void=False, classes=[f"c{n}" for n in range(classes)]
    )
    for number, path in enumerate(sorted((root / "images").iterdir())):
        photograph(number).resize(size).save(path)
    assert stops(root) == ["smeared"]
    assert ("of the edge pixels lie between their neighbours in value") in refusal(
        root, tmp_path / "out"
    )


def test_masks_resized_with_the_nearest_neighbour_are_well(tmp_path):
    root = write_folder(
        tmp_path / "own",
        lambda label: grey(label).resize((55, 41), Image.Resampling.NEAREST),
        void=False,
        classes=NAMES,
    )
    for number, path in enumerate(sorted((root / "images").iterdir())):
        photograph(number).resize((55, 41)).save(path)
    assert stops(root) == []
    records(root, tmp_path / "out")


def reordered(order):
    """VOC's labels with index n under the colour of class `order[n]`."""

    def mask(label):
        index = np.full(256, 255, np.uint8)
        index[list(order)] = np.arange(len(order))
        image = voc(index[label])
        table = np.array(voc(label).getpalette(), np.uint8).reshape(-1, 3)
        table[: len(order)] = table[list(order)]
        image.putpalette(table.reshape(-1).tolist())
        return image

    return mask


def test_one_palette_in_another_order_in_all_files(tmp_path):
    root = write_folder(tmp_path / "own", reordered((0, 2, 1, 3)), classes=NAMES)
    [finding] = [finding for finding in doctor.examine(root).findings if finding.stops]
    assert (finding.kind, finding.what) == ("palette_reordered", "1 is #008000, 2 is #800000")
    assert "1 is #008000, 2 is #800000. If the colours are right" in refusal(root, tmp_path / "out")


def test_what_quantize_makes_of_vocs_colours(tmp_path):
    root = write_folder(
        tmp_path / "own",
        lambda label: voc(label).convert("RGB").quantize(8),
        classes=[*NAMES, "more"],
    )
    assert set(stops(root)) & {"palette_reordered", "palettes_differ", "voc_colours"}
    refusal(root, tmp_path / "out")


def test_a_palette_of_its_own_in_every_file(tmp_path):
    seen = []

    def adapted(label):
        seen.append(label)
        return coloured(np.where(label == 1 + len(seen) % 3, 0, label)).quantize(8)

    root = write_folder(tmp_path / "own", adapted, void=False, classes=NAMES)
    assert stops(root) == ["own_colours"]
    assert "colours of no known table" in refusal(root, tmp_path / "out")
    (root / "classes.txt").write_text("\n".join(OWN_LINES))  # whose colours say which class it is
    assert stops(root) == []
    records(root, tmp_path / "out")


def test_the_same_index_in_two_colours_is_no_note(tmp_path):
    """One class in each file, which a palette of its own calls 1."""
    seen = []

    def adapted(label):
        seen.append(label)
        image = grey(label == 1)
        image.putpalette([0, 0, 0, 200, 0, 0] if len(seen) % 2 else [0, 0, 0, 0, 0, 200])
        return image

    root = write_folder(tmp_path / "own", adapted, classes=NAMES[:2])
    assert stops(root) == ["palettes_differ"]
    assert ("masks/p02.png: index 1 is #c80000 here and #0000c8 in p0") in refusal(
        root, tmp_path / "out"
    )


def test_photographs_and_masks_in_one_folder(tmp_path):
    (tmp_path / "all").mkdir()
    for number in range(4):
        photograph(number).save(tmp_path / "all" / f"x{number}.jpg")
        voc(truth(number)).save(tmp_path / "all" / f"x{number}_mask.png")
    assert stops(tmp_path / "all") == ["classes_missing"]
    (tmp_path / "all" / "classes.txt").write_text("\n".join(NAMES))
    diagnosis = doctor.examine(tmp_path / "all")
    assert (diagnosis.kind, [row.raw for row in diagnosis.rows]) == (
        "indices",
        ["0", "1", "2", "3"],
    )
    assert [
        (item.id, item.image and item.image.name, item.label and item.label.name)
        for item in diagnosis.items[:1]
    ] == [("x0", "x0.jpg", "x0_mask.png")]
    assert stops(tmp_path / "all") == []
    assert records(tmp_path / "all", tmp_path / "out")["splits"]["train"]["images"] == 2


def test_folders_that_are_links_are_followed_and_said(own, tmp_path):
    for part in ("images", "masks"):
        shutil.move(own / part, tmp_path / "disk" / part)
        (own / part).mkdir()
        (own / part / "a").symlink_to(tmp_path / "disk" / part)
    diagnosis = doctor.examine(own)
    assert [(finding.kind, finding.file) for finding in diagnosis.findings] == [
        ("link", str(own / "images/a")),
        ("link", str(own / "masks/a")),
    ]
    assert diagnosis.findings[0].what == f"leads to {tmp_path / 'disk/images'}"
    assert len(diagnosis.items) == 6
    records(own, tmp_path / "first")
    for part in ("images", "masks"):
        shutil.rmtree(own / part)
        (own / part).symlink_to(tmp_path / "disk" / part)
    assert [finding.kind for finding in doctor.examine(own).findings] == ["link", "link"]
    records(own, tmp_path / "second")


@pytest.mark.parametrize("empty", ["images", "masks", "both"])
def test_no_images_are_never_well(own, empty):
    for part in ("images", "masks"):
        if empty in (part, "both"):
            shutil.rmtree(own / part)
            (own / part).mkdir()
    assert stops(own)
    assert ("no_images" in stops(own)) is (empty != "masks")


def test_labels_alone_are_not_said_to_be_enough(own):
    shutil.rmtree(own / "images")
    diagnosis = doctor.examine(own / "masks")
    assert not diagnosis.stops
    end = "The labels are fine. `records` needs an image for each, and there are none here."
    assert doctor.table(diagnosis).endswith(end)


def test_a_latin_1_name_is_said_by_both(own, tmp_path):
    for part, suffix in (("images", b".jpg"), ("masks", b".png")):
        place = os.fsencode(own / part)
        os.rename(place + b"/p01" + suffix, place + b"/caf\xe9" + suffix)
    found = [finding for finding in doctor.examine(own).findings if finding.stops]
    assert [finding.kind for finding in found] == ["name_bytes", "name_bytes"]
    assert found[0].file == f"{own}/images/caf\\udce9.jpg"
    doctor.table(doctor.examine(own)).encode()
    assert "images: names that are no UTF-8: " in refusal(own, tmp_path / "out")


def test_a_latin_1_name_beside_its_mask_in_one_folder(own, tmp_path):
    for part, end in (("images", ""), ("masks", "_mask")):
        for path in (own / part).iterdir():
            path.rename(own / f"{path.stem}{end}{path.suffix}")
        (own / part).rmdir()
    records(own, tmp_path / "out")
    for ending in (b".jpg", b"_mask.png"):
        os.rename(os.fsencode(own) + b"/p01" + ending, os.fsencode(own) + b"/caf\xe9" + ending)
    words = r"names that are no UTF-8: caf\\udce9.jpg, caf\\udce9_mask.png"
    with pytest.raises(UserError, match=words):
        doctor.examine(own)
    assert "names that are no UTF-8: " in refusal(own, tmp_path / "second")


def with_mark(image, path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(path, "JPEG", quality=95, exif=exif)


SEEN = np.stack([truth(1, void=False) * 60 + 30] * 3, -1).astype(np.uint8)
"""A picture whose edges are the label's."""


@pytest.mark.parametrize("orientation", [2, 3, 4])
def test_a_turned_photograph_whose_label_was_drawn_on_the_stored_pixels(own, tmp_path, orientation):
    # the label is p01's, of the stored pixels
    with_mark(Image.fromarray(SEEN), own / "images" / "p01.jpg", orientation)
    [finding] = [finding for finding in doctor.examine(own).findings if finding.stops]
    words = (
        f"EXIF orientation {orientation} keeps the size, and the label's edges follow the "
        "pixels as they lie in the file"
    )
    assert (finding.kind, finding.what) == ("turned_unclear", words)
    assert words in refusal(own, tmp_path / "out")
    voc(turned.UPRIGHT[orientation](truth(1))).save(own / "masks" / "p01.png")
    assert stops(own) == []
    records(own, tmp_path / "out")


def test_where_the_picture_does_not_tell_it_the_user_is_asked(own, tmp_path):
    with_mark(Image.new("RGB", (WIDTH, HEIGHT), "green"), own / "images" / "p01.jpg", 3)
    assert stops(own) == ["turned_unclear"]
    assert "the label's edges fit either way" in refusal(own, tmp_path / "out")
    voc(np.zeros((HEIGHT, WIDTH), np.uint8)).save(own / "masks" / "p01.png")  # the same either way
    assert stops(own) == []


def test_a_mask_that_exif_turns_is_not_left_unturned(own, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 3
    voc(truth(1)).save(own / "masks" / "p01.png", exif=exif)
    assert stops(own) == ["label_unreadable"]
    assert ("p01.png: expected a label without an EXIF mark, got orientation 3") in refusal(
        own, tmp_path / "out"
    )


def split(root):
    for name, numbers in (("train", (0, 1, 2, 3)), ("val", (4, 5))):
        (root / f"{name}.txt").write_text("".join(f"p{number:02}\n" for number in numbers))


@pytest.mark.parametrize("name", ["train", "val"])
def test_a_list_without_a_labelled_pixel(own, tmp_path, name):
    split(own)
    ids = (own / f"{name}.txt").read_text().split()
    for each in ids:
        grey(np.full((HEIGHT, WIDTH), 255)).save(own / "masks" / f"{each}.png")
    found = [finding for finding in doctor.examine(own).findings if finding.stops]
    [finding] = [finding for finding in found if finding.kind == "all_void"]
    assert (finding.file, finding.what) == (
        str(own / f"{name}.txt"),
        f"every pixel of its {len(ids)} labels is void",
    )
    assert (f"{name}: every pixel of its {len(ids)} labels is void") in refusal(
        own, tmp_path / "out", "train", "val"
    )


COPIES = {
    "another quality": lambda image, path: image.save(path, quality=50),
    "another format": lambda image, path: image.save(path.with_suffix(".png")),
    "softened": lambda image, path: image.filter(ImageFilter.GaussianBlur(0.7)).save(
        path, quality=90
    ),
}


@pytest.mark.parametrize("copy", COPIES.values(), ids=COPIES)
def test_a_near_duplicate_in_the_other_split(tmp_path, copy):
    root = write_folder(tmp_path / "own", voc, count=6, classes=NAMES)
    for number in range(6):
        (root / "images" / f"p{number:02}.jpg").unlink()
        scene(number).save(root / "images" / f"p{number:02}.jpg", quality=95)
    assert [finding.kind for finding in doctor.examine(root).findings] == []
    (root / "images" / "p04.jpg").unlink()
    copy(scene(1), root / "images" / "p04.jpg")
    assert [(f.kind, f.what, f.stops) for f in doctor.examine(root).findings] == [
        ("near_duplicates_anywhere", "1: p01 = p04", False)
    ]
    split(root)
    assert stops(root) == ["near_duplicates"]
    assert "share 1 images" in refusal(root, tmp_path / "out", "train", "val")
    assert "p01 = p04" in refusal(root, tmp_path / "out", "train", "val")


def test_roboflows_copies_are_known_by_their_names(own, tmp_path):
    """Which it makes lighter, darker or turned: their pixels say nothing."""
    split(own)
    for old, new in (
        ("p01", "cat_jpg.rf.0123456789abcdef"),
        ("p04", "cat_jpg.rf.fedcba9876543210"),
    ):
        (own / "images" / f"{old}.jpg").rename(own / "images" / f"{new}.jpg")
        (own / "masks" / f"{old}.png").rename(own / "masks" / f"{new}.png")
        for name in ("train", "val"):
            path = own / f"{name}.txt"
            path.write_text(path.read_text().replace(old, new))
    assert stops(own) == ["near_duplicates"]
    assert ("cat_jpg.rf.0123456789abcdef = cat_jpg.rf.fedcba9876543210") in refusal(
        own, tmp_path / "out", "train", "val"
    )


def test_blank_pictures_and_small_differences_are_no_duplicates():
    blank = near.thumbnail(Image.new("RGB", (80, 60), "white"))
    assert list(near.pairs([("a", blank)], [("b", blank)])) == []
    first = scene(0)
    other = first.copy()
    other.paste((255, 0, 0), (40, 30, 46, 35))  # an object of 6 x 5 pixels
    thumbnails = [("a", near.thumbnail(first))], [("b", near.thumbnail(other))]
    assert list(near.pairs(*thumbnails)) == []
    assert list(near.pairs(thumbnails[0], [("c", near.thumbnail(first.resize((400, 300))))])) == [
        ("a", "c")
    ]


@pytest.mark.parametrize(
    "name", ["unlabeled", "Unlabelled", "void", "ignore", "ignore_label", "don't care"]
)
def test_a_class_that_is_called_like_void(own, tmp_path, name):
    (own / "classes.txt").write_text("\n".join([name, *NAMES[1:]]))
    assert stops(own) == ["void_class"]
    assert (
        f"class 0 is called {name!r}, but would be trained and averaged as any other"
    ) in refusal(own, tmp_path / "out")
    (own / "classes.txt").write_text("\n".join(NAMES[1:]))  # as the advice says
    diagnosis = doctor.examine(own)
    assert diagnosis.kind == "one_more"
    doctor.convert(diagnosis, tmp_path / "converted")
    expected = np.array([255, 0, 1, 2] + [255] * 252, np.uint8)[truth(0)]
    np.testing.assert_array_equal(
        np.asarray(Image.open(tmp_path / "converted" / "p00.png")), expected
    )


def test_colours_of_classes_txt_may_be_stored_in_several_ways(tmp_path):
    """An optimiser of PNGs makes a palette of few colours, and grey of black alone."""
    root = write_folder(tmp_path / "own", coloured, void=False, classes=OWN_LINES)
    coloured(truth(1, void=False)).quantize(8).save(root / "masks" / "p01.png")
    grey(np.zeros((HEIGHT, WIDTH))).save(root / "masks" / "p02.png")
    assert stops(root) == []
    records(root, tmp_path / "out")


def test_voids_namesakes_are_classes():
    assert folder.like_void(("background", "avoid", "label", "bg", "unlabeled road")) == ""


@pytest.mark.realdata
def test_real_images_are_near_to_none_but_their_copies(realdata):
    with tarfile.open(realdata / "VOC2012-subset.tar") as tar:
        names = [name for name in tar.getnames() if name.endswith(".jpg")][:60]
        members = [tar.extractfile(name) for name in names]
        images = [
            Image.open(io.BytesIO(member.read())).convert("RGB") for member in members if member
        ]
    first = [(name, near.thumbnail(image)) for name, image in zip(names, images, strict=True)]
    copies = []
    for name, image in zip(names, images, strict=True):
        buffer = io.BytesIO()
        image.resize((image.width * 3 // 4, image.height * 3 // 4)).save(buffer, "JPEG", quality=30)
        copies.append((name, near.thumbnail(Image.open(buffer))))
    assert list(near.pairs(first, copies)) == [(name, name) for name in names]


def test_smoothing_is_still_found_in_any_number_of_classes(tmp_path):
    root = write_folder(
        tmp_path / "own",
        lambda label: smoothed(grey(label * 5)),
        void=False,
        classes=[f"n{n}" for n in range(21)],
    )
    assert stops(root) == ["smeared"]
