"""Files, pairs and layouts: what is missing, unreadable or does not fit; and the real data sets."""

import tarfile

import numpy as np
import pytest
from label_folders import (
    HEIGHT,
    NAMES,
    OWN,
    OWN_LINES,
    WIDTH,
    coloured,
    grey,
    paletted,
    photograph,
    smoothed,
    truth,
    voc,
    voc_rgb,
    write_folder,
)
from PIL import Image
from tiny import write_world

from fcn import doctor
from fcn.datasets.pairs import Pair
from fcn.errors import UserError
from fcn.pixels import images, labels

COLOURS = tuple(OWN[value] for value in range(4))


def turned(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.fixture
def own(tmp_path):
    """A folder in which nothing is wrong, to be spoilt."""
    return write_folder(tmp_path / "own", voc, classes=NAMES)


def found(root, stops=True):
    """Kind, file and what was found, of what stops or does not."""
    findings = doctor.examine(root).findings
    return [(f.kind, f.file.removeprefix(f"{root}/"), f.what) for f in findings if f.stops is stops]


def test_the_folder_is_well_before_it_is_spoilt(own):
    assert doctor.examine(own).findings == ()


def test_missing_partners_are_named_both_ways(own):
    (own / "images" / "p01.jpg").unlink()
    (own / "masks" / "p02.png").unlink()
    assert found(own) == [
        ("image_missing", "masks/p01.png", f"no image of this name in {own / 'images'}"),
        ("label_missing", "images/p02.jpg", f"no label of this name in {own / 'masks'}"),
    ]


def test_labels_whose_names_have_a_word_more_are_paired(own):
    for path in sorted((own / "masks").iterdir()):
        path.rename(path.with_name(f"{path.stem}_mask.png"))
    assert found(own) == []


def test_labels_that_are_called_otherwise_are_still_looked_at(own):
    for path in sorted((own / "masks").iterdir()):
        path.rename(path.with_name(f"{path.stem}_drawn.png"))
    what = "the labels' names end in '_drawn', the images' do not, e.g. p00_drawn.png"
    assert found(own) == [("names_differ", "", what)]


def test_two_files_of_one_name(own):
    photograph(9).save(own / "images" / "p01.png")
    assert found(own) == [
        ("name_twice", "images/p01.png", f"the same name as {own / 'images' / 'p01.jpg'}")
    ]


def test_broken_files_are_named_and_the_others_still_counted(own):
    image, label = own / "images" / "p01.jpg", own / "masks" / "p02.png"
    image.write_bytes(image.read_bytes()[:1500])
    label.write_text("<html>404</html>")
    diagnosis = doctor.examine(own)
    assert [(finding.kind, finding.file) for finding in diagnosis.findings] == [
        ("image_unreadable", str(image)), ("label_unreadable", str(label)),
    ]  # fmt: skip
    assert diagnosis.findings[0].what.startswith(
        "expected a picture, but it cannot be read: it is a JPEG image (image file is trunc"
    )
    assert "it is an HTML page" in diagnosis.findings[1].what
    assert sum(row.pixels for row in diagnosis.rows) + diagnosis.void == 3 * HEIGHT * WIDTH


def test_sizes_that_differ(own):
    voc(truth(0)[:, :-8]).save(own / "masks" / "p00.png")
    voc(truth(1).T).save(own / "masks" / "p01.png")
    assert found(own) == [
        ("size_mismatch", "masks/p00.png", "the label is 72x60 pixels, its image 80x60"),
        (
            "size_mismatch",
            "masks/p01.png",
            "the label is 60x80 pixels, its image 80x60 (turned by 90 degrees?)",
        ),
    ]


def test_a_turned_photograph_whose_label_was_drawn_upright(own):
    photograph(1).save(own / "images" / "p01.jpg", exif=turned(6))
    voc(truth(1).T).save(own / "masks" / "p01.png")
    assert found(own) == []
    assert found(own, stops=False) == [("image_turned", "images/p01.jpg", "EXIF orientation 6")]


def test_a_turned_photograph_whose_label_was_not(own):
    photograph(1).save(own / "images" / "p01.jpg", exif=turned(8))
    what = "the label is 80x60 pixels, its image 60x80 (turned by EXIF orientation 8)"
    assert found(own) == [("size_turned", "masks/p01.png", what)]


def test_images_of_other_kinds_are_mentioned(own):
    folder = own / "images"
    photograph(0).convert("CMYK").save(folder / "p00.jpg")
    photograph(1).convert("L").save(folder / "p01.jpg")
    (folder / "p02.jpg").unlink()
    Image.fromarray(np.zeros((HEIGHT, WIDTH), np.uint16)).save(folder / "p02.png")
    (folder / "p03.jpg").unlink()
    photograph(3).convert("RGBA").save(folder / "p03.png")
    assert found(own) == []
    assert found(own, stops=False) == [
        ("image_inks", "images/p00.jpg", "mode CMYK"),
        ("image_grey", "images/p01.jpg", "mode L"),
        ("image_deep", "images/p02.png", "mode I;16"),
        ("image_transparent", "images/p03.png", "mode RGBA"),
    ]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (("sky", "sky"), "the same name for more than one class: sky"),
        (("sky #000000", "sea"), "expected `name` on every line, or `name #rrggbb` on every line"),
    ],
)
def test_a_classes_txt_that_cannot_be_used(own, lines, words):
    (own / "classes.txt").write_text("\n".join(lines))
    [(kind, file, what)] = found(own)
    assert (kind, file) == ("classes_broken", "classes.txt")
    assert words in what


@pytest.fixture
def world(tmp_path):
    return write_world(tmp_path / "VOCdevkit" / "World")


def test_vocs_layout_is_found_from_above_and_from_within(world):
    whole = doctor.examine(world.parents[1], classes=3)
    assert (whole.layout, len(whole.items), whole.kind, whole.stops) == ("voc", 8, "indices", False)
    assert (whole.height, whole.width) == ((33, 50), (35, 56))
    expected = np.sum(
        [
            np.bincount(labels.read(item.label, 3).reshape(-1), minlength=256)
            for item in whole.items
        ],
        axis=0,
    )
    assert [row.pixels for row in whole.rows] == expected[:3].tolist()
    one = doctor.examine(world / "JPEGImages" / "v.jpg", classes=3)
    assert [(item.id, item.label and item.label.name) for item in one.items] == [("v", "v.png")]
    assert doctor.examine(world / "SegmentationClass", classes=3).items == whole.items


def test_of_voc_only_listed_images_need_a_label(world):
    image = Image.new("RGB", (40, 30))
    image.save(world / "JPEGImages" / "unlisted.jpg")
    assert found(world) == []
    (world / "ImageSets/Segmentation/val.txt").write_text("x\nv\nw\nlost\nunlisted\n")
    assert [(kind, file) for kind, file, _ in found(world)] == [
        ("image_missing", "lost"), ("label_missing", "lost"), ("label_missing",
        "JPEGImages/unlisted.jpg"),
    ]  # fmt: skip


def test_a_list_that_cannot_be_used(world):
    (world / "ImageSets/Segmentation/val.txt").write_text("x\nv\nx\n")
    assert found(world)[0] == (
        "list_broken",
        "ImageSets/Segmentation/val.txt",
        "listed more than once: x",
    )


def test_images_that_vocs_layout_does_not_have(world):
    (world / "JPEGImages" / "v.jpg").rename(world / "JPEGImages" / "v.jpeg")
    assert found(world) == [("ending", "JPEGImages/v.jpeg", "an image that does not end in .jpg")]


def test_images_beside_their_labels(own):
    for path in sorted((own / "images").iterdir()):
        path.rename(own / "masks" / path.name)
    (own / "images").rmdir()
    voc(truth(0)[:-1]).save(own / "masks" / "p00.png")
    diagnosis = doctor.examine(own / "masks")
    assert [(finding.kind, finding.file, finding.what) for finding in diagnosis.findings] == [
        (
            "size_mismatch",
            str(own / "masks" / "p00.png"),
            "the label is 80x59 pixels, its image 80x60",
        ),
        ("classes_missing", str(own / "masks" / "classes.txt"), "there is no such file"),
    ]


def test_paths_that_are_no_data_set(tmp_path, own):
    with pytest.raises(UserError, match="nowhere: no such file or folder"):
        doctor.examine(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty: expected images that are labels .* found none"):
        doctor.examine(tmp_path / "empty")
    write_folder(tmp_path / "other", voc)
    with pytest.raises(UserError, match=r"several data sets: .*other, .*own\. Name one of them"):
        doctor.examine(tmp_path)


def test_progress_is_reported(own):
    seen = []
    doctor.examine(own, done=lambda number, total: seen.append((number, total)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


# encoding, label as the truth is stored, whether `labels.read` takes it, what stops otherwise
PAIRS = {
    "indices": ("indices", voc, None),
    "grey": ("indices", grey, None),
    "only background and void": ("indices", lambda label: grey(np.where(label, 255, 0)), None),
    "colours for indices": ("indices", voc_rgb, "voc_colours"),
    "own colours for indices": ("indices", coloured, "own_colours"),
    "transparent": ("indices", lambda label: grey(label).convert("LA"), "storage"),
    "one bit": ("indices", lambda label: Image.fromarray(label > 0), None),
    "16 bits": ("indices", lambda label: Image.fromarray(label.astype(np.uint16)), "storage"),
    "RGB": ("indices", lambda label: grey(label).convert("RGB"), "greys_as_colours"),
    "spread": ("indices", lambda label: grey(np.where(label == 255, 0, label) * 85), "scaled"),
    "only background and void as RGB": (
        "indices",
        lambda label: grey(np.where(label, 255, 0)).convert("RGB"),
        "greys_as_colours",
    ),
    "a smoothed mask": (
        "indices",
        lambda label: smoothed(grey(np.where(label, 255, 0))),
        "smeared",
    ),
    "from 1": ("indices", lambda label: grey(np.where(label == 255, 255, label + 1)), "shifted"),
    "one more": ("indices", lambda label: grey(np.where(label == 3, 4, label)), "one_more"),
    "beyond": ("indices", lambda label: grey(np.where(label == 3, 77, label)), "out_of_range"),
    "ade20k": ("ade20k", lambda label: grey(np.where(label == 255, 0, label + 1)), None),
    "ade20k with 255": ("ade20k", grey, "already_indices"),
    "ade20k beyond": (
        "ade20k",
        lambda label: grey(np.where(label == 255, 9, label)),
        "out_of_range",
    ),
    "colours": ("colours", coloured, None),
    "palette of colours": ("colours", paletted, None),
    "opaque colours": ("colours", lambda label: coloured(label).convert("RGBA"), None),
    "indices for colours": ("colours", grey, "unknown_colours"),
    "a colour more": (
        "colours",
        lambda label: coloured(label, {**OWN, 3: (1, 2, 3)}),
        "unknown_colours",
    ),
    "16 bits for colours": (
        "colours",
        lambda label: Image.fromarray(label.astype(np.uint16)),
        "storage",
    ),
    "colours in inks": ("colours", lambda label: coloured(label).convert("CMYK"), "storage"),
}


@pytest.mark.parametrize(("encoding", "mask", "kind"), PAIRS.values(), ids=PAIRS.keys())
def test_a_pair_is_stopped_just_where_reading_it_fails(tmp_path, encoding, mask, kind):
    picture = mask(truth(0))
    image, label = tmp_path / "p.jpg", tmp_path / ("p.tif" if picture.mode == "CMYK" else "p.png")
    photograph(0).save(image)
    picture.save(label)
    findings = [
        finding
        for finding in doctor.check(Pair("p", image, label, encoding), 4, COLOURS)
        if finding.stops
    ]
    try:
        labels.read(label, 4, (WIDTH, HEIGHT), encoding, COLOURS)
        read = True
    except UserError:
        read = False
    assert read is (kind is None)
    assert (kind in [finding.kind for finding in findings]) is (kind is not None)
    assert bool(findings) is not read
    for finding in findings:
        assert str(finding).startswith(f"{label}: ")
        assert str(finding).endswith(finding.advice)


def test_a_pair_whose_files_are_broken_or_do_not_fit(own):
    image, label = own / "images" / "p00.jpg", own / "masks" / "p00.png"
    pair = Pair("p00", image, label)
    assert doctor.check(pair, 4) == []
    voc(truth(0)[:-1]).save(label)
    assert [str(finding) for finding in doctor.check(pair, 4)] == [
        f"{label}: the label is 80x59 pixels, its image 80x60. Find out whether they belong "
        "together; if so, resize the label to the image's size, with nearest neighbour only."
    ]
    image.write_bytes(b"\xff\xd8\xff")
    label.unlink()
    assert [(f.kind, f.file) for f in doctor.check(pair, 4)] == [
        ("image_unreadable", str(image)), ("label_unreadable", str(label)),
    ]  # fmt: skip


def test_counts_of_a_whole_split():
    pixels = np.zeros(256, np.int64)
    pixels[[0, 255]] = 70, 30
    assert [(f.kind, f.what) for f in doctor.check_counts(pixels, NAMES) if f.stops] == [
        ("mask_255", "the only values are 0 (70 pixels) and 255 (30)"),
        ("one_class", "background is all there is"),
    ]  # fmt: skip
    pixels[[1, 2, 3]] = 1
    assert doctor.check_counts(pixels, NAMES) == []
    pixels[2] = 0
    assert [(f.kind, f.what) for f in doctor.check_counts(pixels, NAMES)] == [
        ("class_absent", "1 of 4: green")
    ]


@pytest.fixture(scope="session")
def pascal(realdata, tmp_path_factory):
    """The 193 real pairs of VOC2012."""
    place = tmp_path_factory.mktemp("pascal")
    with tarfile.open(realdata / "VOC2012-subset.tar") as tar:
        tar.extractall(place, filter="data")
    return place / "VOCdevkit" / "VOC2012"


@pytest.mark.realdata
def test_real_voc_is_well(pascal):
    diagnosis = doctor.examine(pascal)
    assert (diagnosis.layout, diagnosis.kind, diagnosis.words) == (
        "voc",
        "indices",
        "class indices: 0..20, 255",
    )
    assert diagnosis.findings == ()
    counts = np.zeros(256, np.int64)
    for path in sorted((pascal / "SegmentationClass").iterdir()):
        with Image.open(path) as image:
            counts += np.bincount(np.asarray(image).reshape(-1), minlength=256)
    assert [row.pixels for row in diagnosis.rows] == counts[:21].tolist()
    assert diagnosis.void == counts[255]
    assert (diagnosis.rows[4].name, diagnosis.rows[4].files) == ("boat", 1)


@pytest.mark.realdata
def test_real_voc_in_colours_comes_back_as_indices(pascal, tmp_path):
    paths = sorted((pascal / "SegmentationClass").iterdir())[:25]
    (tmp_path / "rgb").mkdir()
    for path in paths:
        with Image.open(path) as image:
            image.convert("RGB").save(tmp_path / "rgb" / path.name)
    diagnosis = doctor.examine(tmp_path / "rgb")
    assert (diagnosis.kind, diagnosis.stops) == ("voc_colours", True)
    doctor.convert(diagnosis, tmp_path / "out")
    for path in paths:
        np.testing.assert_array_equal(
            labels.read(tmp_path / "out" / path.name, 21), labels.read(path, 21)
        )


@pytest.mark.realdata
def test_real_voc_in_colours_as_jpeg_comes_back_nearly(pascal, tmp_path):
    paths = sorted((pascal / "SegmentationClass").iterdir())[:12]
    (tmp_path / "rgb").mkdir()
    for path in paths:
        with Image.open(path) as image:
            image.convert("RGB").save(tmp_path / "rgb" / f"{path.stem}.jpg", quality=90)
    diagnosis = doctor.examine(tmp_path / "rgb")
    assert [f.kind for f in diagnosis.findings if f.stops and not f.file] == ["voc_colours"]
    doctor.convert(diagnosis, tmp_path / "out")
    wrong = lost = pixels = 0
    for path in paths:
        ours, theirs = labels.read(tmp_path / "out" / path.name, 21), labels.read(path, 21)
        solid = theirs != 255
        wrong += int(np.count_nonzero(solid & (ours != 255) & (ours != theirs)))
        lost += int(np.count_nonzero(solid & (ours == 255)))
        pixels += int(np.count_nonzero(solid))
    assert wrong < 0.003 * pixels
    assert lost < 0.006 * pixels


@pytest.mark.realdata
def test_real_voc_resized_like_pictures_is_found(pascal, tmp_path):
    paths = sorted((pascal / "SegmentationClass").iterdir())[:12]
    (tmp_path / "small").mkdir()
    for path in paths:
        with Image.open(path) as image:
            small = Image.fromarray(np.asarray(image)).resize(
                (image.width * 2 // 3, image.height * 2 // 3), Image.Resampling.BILINEAR
            )
            small.save(tmp_path / "small" / path.name)
    findings = doctor.examine(tmp_path / "small", classes=256).findings
    assert sum(finding.kind == "smeared" for finding in findings) == 12


@pytest.mark.realdata
def test_photographs_are_no_labels(pascal, tmp_path):
    (pascal / "JPEGImages").rename(tmp_path / "photographs")
    try:
        diagnosis = doctor.examine(tmp_path / "photographs")
    finally:
        (tmp_path / "photographs").rename(pascal / "JPEGImages")
    assert [finding.kind for finding in diagnosis.findings] == ["photographs"]


@pytest.mark.realdata
def test_real_ade20k_is_well(realdata):
    diagnosis = doctor.examine(realdata / "ade20k")
    assert (diagnosis.layout, diagnosis.kind, len(diagnosis.items), diagnosis.stops) == (
        "ade20k",
        "ade20k",
        17,
        False,
    )
    counts = np.zeros(256, np.int64)
    for path in sorted((realdata / "ade20k" / "annotations").iterdir()):
        with Image.open(path) as image:
            counts += np.bincount(np.asarray(image).reshape(-1), minlength=256)
    assert [row.pixels for row in diagnosis.rows] == counts[1:151].tolist()
    assert diagnosis.void == counts[0]
    assert (diagnosis.rows[0].name, diagnosis.rows[0].raw) == ("wall", "1")


@pytest.mark.realdata
def test_real_sbd_files_are_read_and_all_background(realdata):
    [place] = (realdata / "sbd").iterdir()
    diagnosis = doctor.examine(place)
    assert (diagnosis.layout, diagnosis.kind, len(diagnosis.items)) == ("sbd", "indices", 6)
    assert [finding.kind for finding in diagnosis.findings] == ["one_class", "class_absent"]


@pytest.mark.realdata
def test_real_pairs_pass_the_check(pascal, realdata):
    root = pascal
    pairs = [
        Pair(name, root / "JPEGImages" / f"{name}.jpg", root / "SegmentationClass" / f"{name}.png")
        for name in (root / "ImageSets/Segmentation/val.txt").read_text().split()[:20]
    ]
    assert [doctor.check(pair, 21) for pair in pairs] == [[]] * 20
    ade = realdata / "ade20k"
    for image in sorted((ade / "images").iterdir()):
        assert (
            doctor.check(
                Pair(image.stem, image, ade / "annotations" / f"{image.stem}.png", "ade20k"), 150
            )
            == []
        )
        assert images.read(image).ndim == 3


def test_the_lines_of_the_folders_are_the_colours_of_the_pairs():
    assert [tuple(bytes.fromhex(line.split("#")[1])) for line in OWN_LINES] == list(COLOURS)
