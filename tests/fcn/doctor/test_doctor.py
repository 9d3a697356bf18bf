"""What labels are: folders of known truth, and what the doctor says of them and makes of them."""

import json

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
    mask_255,
    paletted,
    photograph,
    smoothed,
    truth,
    voc,
    voc_rgb,
    write_folder,
)
from PIL import Image

from fcn import doctor
from fcn.datasets import DatasetSpec, folder
from fcn.doctor.case import Row
from fcn.doctor.findings import KINDS
from fcn.errors import UserError
from fcn.pixels import labels
from fcn.spec.colours import palette

PIXELS = 4 * HEIGHT * WIDTH


def kinds(diagnosis, stops=True):
    return [
        kind
        for kind in dict.fromkeys(f.kind for f in diagnosis.findings)
        if KINDS[kind].stops is stops
    ]


def counts(void):
    """Pixels by value of the four truths, by hand."""
    return np.sum(
        [np.bincount(truth(number, void).reshape(-1), minlength=256) for number in range(4)], axis=0
    )


def spread(label):
    return grey(label.astype(int) * 85)


def shifted(label):
    return grey(label + 1)


def few(label):
    """Class 3 as VOC's class 7, whose grey is nobody else's."""
    return np.where(label == 3, 7, label).astype(np.uint8)


def lit(number, void):
    return truth(number, void=False) > 0


# mask, what write_folder is told, kind, what stops, proposal, the truth that converting gives
# (None: refused)
SAME = truth
FOLDERS = {
    "indices of VOC's files": (voc, {}, "indices", ["classes_missing"], ("background", "class1",
    "class2", "class3"), SAME),
    "indices with names": (voc, {"classes": NAMES}, "indices", [], (), SAME),
    "grey indices": (grey, {"classes": NAMES}, "indices", [], (), SAME),
    "indices with another palette": (paletted, {"classes": NAMES}, "indices", [], (), SAME),
    "colours of VOC": (
        voc_rgb, {}, "voc_colours", ["voc_colours"],
        ("background #000000", "class1 #800000", "class2 #008000", "class3 #808000"), SAME,
    ),
    "colours of classes.txt": (coloured, {"classes": OWN_LINES}, "class_colours", [], (), SAME),
    "palettes with the colours of "
    "classes.txt": (paletted, {"classes": OWN_LINES}, "class_colours", [], (), SAME),
    "masks of 0 and 255": (
        mask_255, {"void": False}, "mask_255", ["mask_255"], ("background #000000",
        "class1 #ffffff"), lit,
    ),
    "masks of 0 and 128": (
        lambda label: grey((label > 0) * 128), {"void": False}, "two_values", ["two_values"],
        ("background #000000", "class1 #808080"), lit,
    ),
    "masks of one bit": (
        lambda label: Image.fromarray(label > 0), {"void": False}, "indices", ["classes_missing"],
        ("background", "class1"), lit,
    ),
    "greys spread over 0..255": (
        spread, {"void": False}, "scaled", ["scaled"],
        ("background #000000", "class1 #555555", "class2 #aaaaaa", "class3 #ffffff"), SAME,
    ),
    "greys spread, and void": (
        lambda label: grey(np.where(label == 255, 255, label.astype(int) * 40)), {}, "scaled",
        ["scaled"],
        ("background", "class1", "class2", "class3"), SAME,
    ),
    "VOC's colours as greys": (
        lambda label: voc_rgb(few(label)).convert("L"), {}, "voc_greys", ["classes_missing",
        "voc_greys"], (), None,
    ),
    "indices from 1": (
        shifted, {"void": False}, "shifted", ["classes_missing", "shifted"], ("class0", "class1",
        "class2", "class3"), SAME,
    ),
    "indices from 1 with "
    "names": (shifted, {"void": False, "classes": NAMES}, "shifted", ["shifted"], (), SAME),
    "an unnamed background": (
        voc, {"classes": NAMES[1:]}, "one_more", ["one_more"], (),
        lambda n, v: np.where(truth(n, v) % 255 == 0, 255, truth(n, v) - 1),
    ),
    "values beyond the classes": (
        lambda label: voc(np.where(label == 3, 37, label)), {"classes": NAMES}, "out_of_range",
        ["out_of_range"], (), None,
    ),
    "colours beyond classes.txt": (
        coloured, {"classes": OWN_LINES[:3]}, "unknown_colours", ["unknown_colours"], (), None,
    ),
    "indices in 16 bits": (
        lambda label: Image.fromarray(label.astype(np.uint16)), {"classes": NAMES}, "indices",
        ["storage"], (), SAME,
    ),
    "indices as RGB": (
        lambda label: grey(label).convert("RGB"), {"classes": NAMES}, "indices",
        ["greys_as_colours"], (), SAME,
    ),
    "photographs": (
        lambda label: photograph(int(label[20, 20])), {}, "photographs", ["classes_missing",
        "photographs"], (), None,
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("mask", "options", "kind", "stops", "lines", "meant"), FOLDERS.values(), ids=FOLDERS.keys()
)
def test_what_labels_are(tmp_path, mask, options, kind, stops, lines, meant):
    diagnosis = doctor.examine(write_folder(tmp_path / "own", mask, **options))
    assert diagnosis.kind == kind
    assert kinds(diagnosis) == stops
    assert diagnosis.stops is bool(stops)
    assert diagnosis.lines == lines
    assert (diagnosis.layout, diagnosis.height, diagnosis.width) == (
        "folder",
        (HEIGHT, HEIGHT),
        (WIDTH, WIDTH),
    )
    out = tmp_path / "out"
    if meant is None:
        with pytest.raises(UserError, match=r"own: cannot be converted: (the labels|label) "):
            doctor.convert(diagnosis, out)
        assert not out.exists()
        return
    assert doctor.convert(diagnosis, out) == 4
    for number in range(4):
        with Image.open(out / f"p{number:02}.png") as image:
            assert image.mode == "P"
        expected = meant(number, options.get("void", True))
        np.testing.assert_array_equal(labels.read(out / f"p{number:02}.png", 254), expected)


@pytest.mark.parametrize(
    "name", [name for name, row in FOLDERS.items() if row[3] and row[4] and "#" in row[4][0]]
)
def test_with_the_proposed_lines_nothing_is_wrong_any_more(tmp_path, name):
    mask, options, _, _, lines, _ = FOLDERS[name]
    root = write_folder(tmp_path / "own", mask, **options)
    (root / "classes.txt").write_text("\n".join(lines), encoding="utf-8")
    assert (doctor.examine(root).kind, doctor.examine(root).stops) == ("class_colours", False)


def test_own_colours_are_counted_and_named_by_frequency(tmp_path):
    diagnosis = doctor.examine(write_folder(tmp_path / "own", coloured))
    expected = counts(void=True)
    # Black first, then by pixels.
    order = [0, *sorted((1, 2, 3), key=lambda value: -expected[value])]
    code = {value: f"#{r:02x}{g:02x}{b:02x}" for value, (r, g, b) in OWN.items()}
    assert (diagnosis.kind, kinds(diagnosis)) == ("own_colours", ["own_colours"])
    assert diagnosis.lines == tuple(
        f"{name} {code[value]}"
        for name, value in zip(("background", "class1", "class2", "class3"), order, strict=True)
    )
    assert [(row.raw, row.pixels, row.files) for row in diagnosis.rows] == [
        (code[v], expected[v], 4) for v in order
    ]
    assert diagnosis.void == expected[255]


def test_own_colours_are_not_given_names_at_random(tmp_path):
    """Names without colours, or VOC's 21, do not say which colour is which."""
    lacking = doctor.examine(write_folder(tmp_path / "own", coloured, classes=NAMES))
    assert [row.name for row in lacking.rows] == ["background", "class1", "class2", "class3"]
    assert lacking.lines[1].startswith("class1 #")
    write_folder(tmp_path / "voc", coloured)
    (tmp_path / "voc" / "images").rename(tmp_path / "voc" / "JPEGImages")
    (tmp_path / "voc" / "masks").rename(tmp_path / "voc" / "SegmentationClass")
    found = doctor.examine(tmp_path / "voc")
    assert (found.layout, found.kind, found.lines) == ("voc", "own_colours", ())
    assert [row.name for row in found.rows] == ["background", "class1", "class2", "class3"]
    assert found.findings[0].advice.startswith("Put them into masks/ and the images into images/")


def test_the_most_frequent_colour_comes_first_where_there_is_no_black(tmp_path):
    diagnosis = doctor.examine(
        write_folder(tmp_path / "own", lambda label: coloured(label, {**OWN, 0: (9, 9, 9)}))
    )
    assert diagnosis.lines[0] == "class0 #090909"


def test_smeared_colours_become_classes_again_and_void_along_the_edges(tmp_path):
    """Antialiased: what is not void is right, and void is only where the truth has an edge."""
    root = write_folder(tmp_path / "own", lambda label: smoothed(coloured(label)), void=False)
    diagnosis = doctor.examine(root)
    assert (diagnosis.kind, kinds(diagnosis)) == ("own_colours", ["own_colours", "smeared"])
    assert [row.raw for row in diagnosis.rows] == ["#000000", "#1e3cff", "#00c850", "#ff0000"]
    assert diagnosis.lines == ("background", "class1", "class2", "class3"), "colours would not help"
    doctor.convert(diagnosis, tmp_path / "out")
    for number in range(4):
        found, label = (
            labels.read(tmp_path / "out" / f"p{number:02}.png", 4),
            truth(number, void=False),
        )
        class_of = np.array([0, 3, 2, 1])  # by the place in the order above
        solid = found != 255
        np.testing.assert_array_equal(class_of[found[solid]], label[solid])
        assert 0 < np.mean(~solid) < 0.12
        plain = np.ones(label.shape, bool)
        for axis, by in ((0, 1), (0, -1), (1, 1), (1, -1)):
            plain &= np.roll(label, by, axis) == label
        assert solid[plain].mean() > 0.97


def test_masks_saved_as_jpeg_are_told_by_their_areas(tmp_path):
    root = write_folder(tmp_path / "own", mask_255, void=False, ending=".jpg", quality=90)
    diagnosis = doctor.examine(root)
    assert diagnosis.kind == "mask_255"
    assert kinds(diagnosis)[:2] == ["ending", "mask_255"]
    assert kinds(diagnosis, stops=False) == ["lossy"]
    doctor.convert(diagnosis, tmp_path / "out")
    for number in range(4):
        found, label = (
            labels.read(tmp_path / "out" / f"p{number:02}.png", 2),
            truth(number, void=False),
        )
        np.testing.assert_array_equal(found[found != 255], (label > 0)[found != 255])
        assert np.mean(found == 255) < 0.02


def test_colours_of_classes_txt_in_jpeg_are_taken_for_the_nearest(tmp_path):
    options = {
        "void": False,
        "ending": ".jpg",
        "quality": 95,
        "subsampling": 0,
        "classes": OWN_LINES,
    }
    diagnosis = doctor.examine(write_folder(tmp_path / "own", coloured, **options))
    assert diagnosis.kind == "class_colours"
    assert "smeared" in kinds(diagnosis) or "lossy" in kinds(diagnosis, stops=False)
    assert diagnosis.stops
    assert [row.raw for row in diagnosis.rows] == [line.split()[1] for line in OWN_LINES]


def test_smoothed_indices_are_found_though_each_value_is_allowed(tmp_path):
    """Between 0 and 15 lie all the classes that are not there."""
    names = [f"n{value}" for value in range(21)]
    root = write_folder(
        tmp_path / "own", lambda label: smoothed(grey(label * 5)), void=False, classes=names
    )
    diagnosis = doctor.examine(root)
    assert (diagnosis.kind, kinds(diagnosis)) == ("indices", ["smeared"])
    with pytest.raises(
        UserError,
        match=r"cannot be converted: .*a mixture of two classes looks like a third one",
    ):
        doctor.convert(diagnosis, tmp_path / "out")
    clean = doctor.examine(
        write_folder(tmp_path / "clean", lambda label: grey(label * 5), void=False, classes=names)
    )
    assert kinds(clean) == []


@pytest.mark.parametrize(
    ("mask", "lines"),
    [(grey, NAMES[:3]), (lambda label: coloured(label, {1: (99, 99, 99), 2: (255,) * 3}), ())],
)
def test_a_thin_line_around_objects_is_no_mixture(tmp_path, mask, lines):
    """Cells: background 0, a wall of one pixel 1, inside 2. Nearly every edge pixel lies between
    its neighbours.
    """

    def walled(label):
        wall = np.zeros_like(label)
        for axis, by in ((0, 1), (0, -1), (1, 1), (1, -1)):
            wall |= np.roll(label, by, axis) != label
        return mask(np.where(label, 2, wall).astype(np.uint8))

    diagnosis = doctor.examine(write_folder(tmp_path / "own", walled, void=False, classes=lines))
    assert diagnosis.kind == ("indices" if lines else "own_colours")
    assert [row.name for row in diagnosis.rows if row.pixels] == list(
        lines or ("background", "class1", "class2")
    )
    assert "smeared" not in kinds(diagnosis)


def test_a_palette_for_each_file_makes_the_colours_count(tmp_path):
    """As Pillow's `quantize` and GIMP do it: the same index is another class in every file."""
    seen = []

    def adapted(label):
        seen.append(label)
        return coloured(np.where(label == 1 + len(seen) % 3, 0, label)).quantize(8)

    diagnosis = doctor.examine(write_folder(tmp_path / "own", adapted, void=False))
    assert (diagnosis.kind, kinds(diagnosis)) == ("own_colours", ["own_colours"])
    assert {row.raw for row in diagnosis.rows} == {"#000000", "#ff0000", "#00c850", "#1e3cff"}


def test_one_other_palette_among_vocs_stops(tmp_path):
    root = write_folder(tmp_path / "own", voc, classes=NAMES)
    paletted(truth(2)).save(root / "masks" / "p02.png")
    diagnosis = doctor.examine(root)
    assert (diagnosis.kind, diagnosis.stops) == ("indices", True)
    [finding] = diagnosis.findings
    assert (finding.kind, finding.what) == (
        "palettes_differ",
        "index 1 is #ff0000 here and #800000 in p00.png",
    )


def test_a_foreign_palette_is_only_mentioned(tmp_path):
    [finding] = doctor.examine(write_folder(tmp_path / "own", paletted, classes=NAMES)).findings
    assert (finding.kind, finding.what) == (
        "palette_foreign",
        "1 is #ff0000, 2 is #00c850, 3 is #1e3cff",
    )


def test_indices_that_mean_nothing_under_colours_that_do(tmp_path):
    """VOC's colours in a palette of another order."""

    def reordered(label):
        image = Image.fromarray(np.where(label == 255, 255, label + 40).astype(np.uint8))
        table = np.zeros((256, 3), np.uint8)
        table[40:44], table[255] = palette()[:4], palette()[255]
        image.putpalette(table.reshape(-1).tolist())
        return image

    diagnosis = doctor.examine(write_folder(tmp_path / "own", reordered), classes=21)
    assert diagnosis.kind == "voc_colours"
    doctor.convert(diagnosis, tmp_path / "out")
    np.testing.assert_array_equal(labels.read(tmp_path / "out" / "p01.png", 4), truth(1))


def test_vocs_greys_are_unambiguous_with_few_classes(tmp_path):
    """0.299 * 128 = 38 is the grey of class 1 and, with 0.299 * 0 + 0.587 *
    64 = 38, of class 16.
    """
    root = write_folder(tmp_path / "own", lambda label: voc_rgb(few(label)).convert("L"))
    assert doctor.examine(root).words == (
        "VOC's colours turned into grey: 0, 38, 75, 128, 220; 38 is class 1 or 16"
    )
    diagnosis = doctor.examine(root, classes=8)
    assert [(row.name, row.raw) for row in diagnosis.rows if row.pixels] == [
        ("background", "0"), ("class1", "38"), ("class2", "75"), ("class7", "128"),
    ]  # fmt: skip
    doctor.convert(diagnosis, tmp_path / "out")
    np.testing.assert_array_equal(labels.read(tmp_path / "out" / "p01.png", 8), few(truth(1)))


def test_values_and_colours_beyond_are_counted_by_file(tmp_path):
    root = write_folder(tmp_path / "own", voc, classes=NAMES)
    voc(np.where(truth(1) == 3, 37, truth(1))).save(root / "masks" / "p01.png")
    pixels = int((truth(1) == 3).sum())
    diagnosis = doctor.examine(root)
    [finding] = [each for each in diagnosis.findings if each.stops]
    assert (finding.kind, finding.file) == ("out_of_range", str(root / "masks" / "p01.png"))
    assert finding.what == f"label values 37 in {pixels} pixels"
    assert diagnosis.words == (
        f"indices, of which 37 ({pixels} pixels) lie beyond 0..3; all: 0..3, 37, 255"
    )
    assert diagnosis.rows[-1] == Row("", "37", pixels, 1, str(root / "masks" / "p01.png"))


def test_without_a_word_on_the_classes_few_high_values_are_no_verdict(tmp_path):
    diagnosis = doctor.examine(
        write_folder(tmp_path / "own", lambda label: grey(np.where(label % 255, 60, 0)), void=False)
    )
    assert diagnosis.words == (
        "only 2 values, up to 60: indices of many classes, or grey values: 0, 60"
    )
    assert kinds(diagnosis, stops=False) == ["sparse"]
    with pytest.raises(
        UserError, match=r"cannot be converted: the labels have few values for so high ones"
    ):
        doctor.convert(diagnosis, tmp_path / "out")
    assert doctor.examine(tmp_path / "own", classes=2).lines == (
        "background #000000",
        "class1 #3c3c3c",
    )


def test_numbers_that_no_label_file_can_have(tmp_path):
    for name, values in (("below", [[-5, 0], [1, 1]]), ("above", [[300, 0], [1, 1]])):
        (tmp_path / name).mkdir()
        Image.fromarray(np.array(values, np.int32)).save(tmp_path / name / "a.tif")
        diagnosis = doctor.examine(tmp_path / name)
        assert diagnosis.words == (
            f"indices, of which {values[0][0]} (1 pixels) lie beyond 8 bits; all: "
        ) + ("-5, 0..1" if name == "below" else "0..1, 300")
        assert kinds(diagnosis) == ["out_of_range", "storage"]


def test_void_and_absent_classes_are_mentioned(tmp_path):
    root = write_folder(
        tmp_path / "own",
        lambda label: grey(np.where(label == 0, 255, label)),
        classes=(*NAMES, "tree"),
        void=False,
    )
    diagnosis = doctor.examine(root)
    found = {finding.kind: finding.what for finding in diagnosis.findings}
    void = counts(void=False)[0]
    assert diagnosis.void == void
    assert found == {
        "class_absent": "2 of 5: background, tree",
        "mostly_void": f"{100 * void / PIXELS:.1f} % of all pixels",
    }
    assert not diagnosis.stops


def test_labels_of_one_class_teach_nothing(tmp_path):
    diagnosis = doctor.examine(
        write_folder(tmp_path / "own", lambda label: grey(label * 0), classes=NAMES)
    )
    assert kinds(diagnosis) == ["one_class"]


def test_indices_and_colours_in_one_folder(tmp_path):
    root = write_folder(tmp_path / "own", voc_rgb)
    voc(truth(1)).save(root / "masks" / "p01.png")
    diagnosis = doctor.examine(root)
    assert kinds(diagnosis) == ["voc_colours", "mixed"]
    doctor.convert(diagnosis, tmp_path / "out")
    for number in range(4):
        np.testing.assert_array_equal(
            labels.read(tmp_path / "out" / f"p{number:02}.png", 4), truth(number)
        )


def test_transparent_labels_have_no_colour(tmp_path):
    def mask(label):
        image = coloured(label).convert("RGBA")
        image.putalpha(Image.fromarray(np.where(label == 0, 0, 255).astype(np.uint8)))
        return image

    diagnosis = doctor.examine(write_folder(tmp_path / "own", mask, classes=OWN_LINES))
    assert kinds(diagnosis) == ["label_transparent"]
    with pytest.raises(UserError, match="pixels are transparent"):
        labels.read(
            tmp_path / "own" / "masks" / "p00.png",
            4,
            None,
            "colours",
            tuple(OWN[n] for n in range(4)),
        )


def test_ade20ks_indices(tmp_path):
    root = write_folder(tmp_path / "ade", lambda label: grey(np.where(label == 255, 0, label + 1)))
    (root / "masks").rename(root / "annotations")
    diagnosis = doctor.examine(root)
    assert (diagnosis.layout, diagnosis.kind, diagnosis.stops) == ("ade20k", "ade20k", False)
    expected = counts(void=True)
    assert [row.pixels for row in diagnosis.rows][:5] == [*expected[:4], 0]
    assert diagnosis.void == expected[255]
    doctor.convert(diagnosis, tmp_path / "out")
    np.testing.assert_array_equal(labels.read(tmp_path / "out" / "p03.png", 4), truth(3))


def test_ade20ks_indices_that_were_shifted_already(tmp_path):
    root = write_folder(tmp_path / "ade", grey)
    (root / "masks").rename(root / "annotations")
    diagnosis = doctor.examine(root)
    assert kinds(diagnosis) == ["already_indices"]


def test_a_folder_of_nothing_but_labels(tmp_path):
    root = write_folder(tmp_path / "own", voc) / "masks"
    (root.parent / "images").rename(tmp_path / "elsewhere")
    diagnosis = doctor.examine(root)
    assert (diagnosis.layout, diagnosis.kind, diagnosis.stops) == ("labels", "indices", False)
    assert doctor.examine(root, classes=3).kind == "one_more"
    assert doctor.examine(root, NAMES).rows[2].name == "green"
    codes = [int(line[-6:], 16) for line in OWN_LINES]
    assert doctor.examine(root, NAMES, codes).kind == "unknown_colours"
    coloured(truth(0)).save(root / "p00.png")
    assert doctor.examine(root / "p00.png", NAMES, codes).kind == "class_colours"
    voc(truth(0)).save(root / "p00.png")
    assert doctor.examine(root / "p00.png").rows[0].pixels == int((truth(0) == 0).sum())


def test_json_holds_all_and_is_plain(tmp_path):
    root = write_folder(tmp_path / "own", voc, classes=(*NAMES, "tree"))
    (root / "images" / "p03.jpg").unlink()
    found = json.loads(json.dumps(doctor.examine(root).to_json()))
    expected = counts(void=True)
    labelled = int(expected[:4].sum())
    assert list(found) == [
        "schema", "path", "layout", "images", "labels", "kind", "words", "height", "width",
        "classes", "void_pixels",
        "void_share", "classes_txt", "stops", "findings",
    ]  # fmt: skip
    documented = doctor.__doc__
    assert [name for name in found if f"\n    {name}" not in documented and name != "width"] == []
    assert (found["schema"], found["layout"], found["images"], found["labels"]) == (
        1,
        "folder",
        3,
        4,
    )
    assert found["classes"][1]["name"] == "red"
    assert found["classes"][1]["pixels"] == expected[1]
    assert found["classes"][1]["share"] == expected[1] / labelled
    assert found["classes"][4] == {
        "name": "tree",
        "raw": "",
        "pixels": 0,
        "share": 0.0,
        "files": 0,
        "most": "",
    }
    assert (found["void_pixels"], found["void_share"]) == (expected[255], expected[255] / PIXELS)
    assert [(each["kind"], each["stops"], each["file"]) for each in found["findings"]] == [
        ("image_missing", True, str(root / "masks" / "p03.png")),
        ("class_absent", False, ""),
    ]
    assert found["stops"] is True


def test_the_table_aligns_numbers_and_names_files_once(tmp_path):
    root = write_folder(tmp_path / "own", shifted, void=False, classes=NAMES)
    lines = doctor.table(doctor.examine(root)).splitlines()
    expected = counts(void=False)
    assert lines[0] == f"{root}: images/ and masks/, 4 images, 4 labels"
    assert lines[1] == "The labels are indices that count from 1: 1..4; 0 never occurs"
    assert lines[2] == "Sizes: 80 wide, 60 high"
    assert lines[4].split() == [
        "class",
        "in",
        "the",
        "labels",
        "pixels",
        "share",
        "labels",
        "most",
        "of",
        "it",
        "in",
    ]
    assert lines[5].split()[:4] == [
        "background",
        "1",
        str(expected[0]),
        f"{100 * expected[0] / PIXELS:.2f}",
    ]
    assert lines[4].index("pixels") + len("pixels") == lines[5].index(str(expected[0])) + len(
        str(expected[0])
    )
    assert "STOP  the labels count from 1" in lines
    assert lines[-1] == "1 thing to be put right first."


def test_converting_overwrites_nothing(tmp_path):
    root = write_folder(tmp_path / "own", voc_rgb)
    with pytest.raises(
        UserError,
        match="masks: expected a place to write a folder to, but a "
        "folder with files in it is there",
    ):
        doctor.convert(doctor.examine(root), root / "masks")
    assert labels.read(
        root / "masks" / "p00.png", 4, None, "colours", [tuple(c) for c in palette()[:4]]
    ).any()


def test_every_kind_of_finding_says_what_to_do():
    for name, kind in KINDS.items():
        assert kind.title[0].islower() or kind.title.startswith("VOC"), name
        assert kind.do.endswith((".", "?")), name


def test_the_proposal_is_read_by_the_data_set(tmp_path):
    root = write_folder(tmp_path / "own", coloured)
    (root / "classes.txt").write_text("\n".join(doctor.examine(root).lines), encoding="utf-8")
    listing = folder.load(DatasetSpec({"folder": root}, (), "75%", "25%", seed=1))
    assert len(listing.classes) == 4
    value = {colour: index for index, colour in enumerate(listing.colours)}
    for pair in (*listing.splits["train"], *listing.splits["val"]):
        found = labels.read(pair.label, 4, None, pair.encoding, listing.colours)
        label = truth(int(pair.id[1:]))
        for own in (0, 1, 2, 3):
            np.testing.assert_array_equal(found == value[OWN[own]], label == own)
