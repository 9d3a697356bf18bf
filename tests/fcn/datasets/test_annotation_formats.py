"""What annotation tools export, through doctor and records, against readings that owe nothing to
ours.
"""

import base64
import io
import json

import cv2
import numpy as np
import pytest
import yaml
from label_folders import HEIGHT, WIDTH, coloured, grey, photograph, truth
from PIL import Image, ImageDraw
from pycocotools import mask as runs
from pycocotools.coco import COCO

from fcn import doctor
from fcn.datasets import DatasetSpec, folder
from fcn.datasets.annotations import formats, streets
from fcn.datasets.sets import camvid
from fcn.errors import UserError
from fcn.input import records
from fcn.records import writing

# Of pycocotools' own `decode`, with a numpy newer than it.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

STAR = [10.3, 5.2, 30.6, 40.1, 52.7, 8.8, 20.2, 20.9]
HOUSE = [25.5, 15.5, 70.2, 18.4, 66.6, 50.5, 30.1, 55.9]


def photographs(place, count=4, first=0):
    place.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        photograph(number).save(place / f"p{number}.jpg")


def check(root, out, name, classes, truths):
    """Doctor and records say the same as `truths`, labels by the id of their image."""
    diagnosis = doctor.examine(root)
    assert not diagnosis.stops, doctor.table(diagnosis)
    assert doctor.table(diagnosis).startswith(
        f"{root}: {name}, {len(truths)} images, {len(truths)} labels"
    )
    listing = folder.load(DatasetSpec({"folder": root}, (), "50%", "50%", 0))
    assert listing.classes == tuple(classes)
    index = writing.write(
        listing, {"train": "50%", "val": "50%"}, out, 1, 0, "stop", lambda *_: None
    )
    assert index["classes"] == list(classes), (
        "which model.json, legend, report and export take over"
    )
    found = {id: label for split in ("train", "val") for id, _, label in records.read(out, split)}
    assert found.keys() == truths.keys()
    for id, expected in truths.items():
        np.testing.assert_array_equal(found[id], expected, id)
    doctor.convert(diagnosis, out.with_name("converted"))
    for id, expected in truths.items():
        np.testing.assert_array_equal(
            np.asarray(Image.open(out.with_name("converted") / f"{id}.png")), expected
        )
    return listing


def coco_json():
    """Four images: outlines over each other, two parts of one object, run lengths of both kinds, a
    crowd, and nothing.
    """
    spot = np.zeros((HEIGHT, WIDTH), np.uint8, order="F")
    spot[20:40, 30:60] = 1
    spot[25:30, 40:50] = 0  # a hole
    packed = runs.encode(spot)
    packed = {"size": packed["size"], "counts": packed["counts"].decode()}
    flat = spot.reshape(-1, order="F")
    ends = [0, *(np.flatnonzero(np.diff(flat)) + 1).tolist(), flat.size]
    plain = {"size": [HEIGHT, WIDTH], "counts": np.diff(ends).tolist()}
    square = [2.0, 2.0, 12.0, 2.0, 12.0, 12.0, 2.0, 12.0]
    shapes = [
        (0, 3, [STAR], 0), (0, 18, [HOUSE], 0), (0, 3, [square], 0),
        (1, 18, [HOUSE, square], 0), (1, 3, packed, 0),
        (2, 3, [HOUSE], 0), (2, 18, plain, 1),
    ]  # fmt: skip
    annotations = [
        {"id": n + 1, "image_id": image, "category_id": kind, "segmentation": what,
        "iscrowd": crowd,
         "area": 1.0, "bbox": [0.0, 0.0, 9.0, 9.0]}
        for n, (image, kind, what, crowd) in enumerate(shapes)
    ]  # fmt: skip
    return {
        "info": {},
        "images": [
            {"id": n, "file_name": f"p{n}.jpg", "width": WIDTH, "height": HEIGHT} for n in range(4)
        ],
        "annotations": annotations,
        "categories": [
            {"id": 18, "name": "dog"},
            {"id": 3, "name": "car", "supercategory": "vehicle"},
        ],
    }


def test_coco(tmp_path, capsys):
    photographs(tmp_path / "own" / "images")
    path = tmp_path / "own" / "annotations" / "instances_default.json"
    path.parent.mkdir()
    path.write_text(json.dumps(coco_json()))
    peer, truths = COCO(str(path)), {}
    capsys.readouterr()
    for number in range(4):
        label = np.zeros((HEIGHT, WIDTH), np.uint8)
        for each in peer.loadAnns(peer.getAnnIds(number)):
            label[peer.annToMask(each) > 0] = (
                255 if each["iscrowd"] else {3: 1, 18: 2}[each["category_id"]]
            )
        truths[f"p{number}"] = label
    assert {*np.unique(truths["p2"])} == {0, 1, 255}
    listing = check(
        tmp_path / "own", tmp_path / "out", "COCO JSON", ("background", "car", "dog"), truths
    )
    assert listing.notes == ("1 crowds are void",)


def test_coco_of_roboflow_keeps_its_splits(tmp_path):
    """A file in each of train/ and valid/, and a category 0 that is the name of the data set."""
    told = coco_json()
    told["categories"] = [{"id": 0, "name": "things", "supercategory": "none"}] + [
        {**each, "supercategory": "things"} for each in told["categories"]
    ]
    for split, numbers in (("train", (0, 1)), ("valid", (2, 3))):
        photographs(tmp_path / split, 2, numbers[0])
        images = [image for image in told["images"] if image["id"] in numbers]
        shapes = [each for each in told["annotations"] if each["image_id"] in numbers]
        (tmp_path / split / "_annotations.coco.json").write_text(
            json.dumps(told | {"images": images, "annotations": shapes})
        )
    listing = folder.load(DatasetSpec({"folder": tmp_path}, (), "80%", "20%", 0))
    assert listing.classes == ("background", "car", "dog")
    assert [[pair.id for pair in listing.splits[split]] for split in ("train", "val")] == [
        ["p0", "p1"],
        ["p2", "p3"],
    ]
    expected = (
        "records.train: 80%, records.val: 20%: no share is drawn, since the folders keep "
        "apart train (2 images), val (2"
    )
    assert listing.notes[-1].startswith(expected)


def test_labelme(tmp_path):
    place = tmp_path / "own"
    photographs(place)
    patch = np.zeros((11, 21), bool)
    patch[2:9, 3:18] = True
    patch[4:6, 8:10] = False
    packed = io.BytesIO()
    Image.fromarray(patch).save(packed, "PNG")
    points = [[x, y] for x, y in zip(STAR[::2], STAR[1::2], strict=True)]
    truths = {}
    for number in range(4):
        shapes = [
            {"label": "star", "points": points, "shape_type": "polygon"},
            {"label": "__ignore__", "points": [[60, 40], [60, 48]], "shape_type": "circle"},
            {"label": "box", "points": [[12.4, 20], [2 + number, 4]], "shape_type": "rectangle"},
            {"label": "star", "points": [[40, 10], [60, 20]], "shape_type": "mask",
             "mask": base64.b64encode(packed.getvalue()).decode()},
        ]  # fmt: skip
        told = {"version": "5.4.1", "flags": {}, "shapes": shapes, "imagePath": f"p{number}.jpg",
        "imageData": None,
                "imageHeight": HEIGHT, "imageWidth": WIDTH}  # fmt: skip
        (place / f"p{number}.json").write_text(json.dumps(told))
        image = Image.new("L", (WIDTH, HEIGHT))  # as labelme.utils.shape_to_mask draws
        pen = ImageDraw.Draw(image)
        pen.polygon([tuple(point) for point in points], outline=2, fill=2)
        pen.ellipse([52, 32, 68, 48], outline=255, fill=255)
        pen.rectangle([2 + number, 4, 12.4, 20], outline=1, fill=1)
        label = np.array(image)
        label[10:21, 40:61][patch] = 2
        truths[f"p{number}"] = label
    check(place, tmp_path / "out", "labelme JSON", ("background", "box", "star"), truths)


def test_yolo_with_outlines(tmp_path):
    place, truths = tmp_path / "own", {}
    photographs(place / "train" / "images")
    (place / "train" / "labels").mkdir()
    (place / "data.yaml").write_text(
        yaml.safe_dump({"train": "../train/images", "names": {0: "sky", 1: "sea"}})
    )
    for number in range(3):  # the last image has no text: all background
        corners = (
            [(8 + number, 6), (40, 6), (40, 30), (8 + number, 30)],
            [(20, 20), (60, 20), (60, 50), (20, 50)],
        )
        lines = [
            " ".join([str(kind), *(f"{x / WIDTH:.9f} {y / HEIGHT:.9f}" for x, y in corners[kind])])
            for kind in (0, 1)
        ]
        (place / "train" / "labels" / f"p{number}.txt").write_text("\n".join(lines) + "\n")
        label = np.zeros((HEIGHT, WIDTH), np.uint8)  # whole pixels, by hand: [left, right)
        label[6:30, 8 + number : 40] = 1
        label[20:50, 20:60] = 2
        truths[f"p{number}"] = label
    truths["p3"] = np.zeros((HEIGHT, WIDTH), np.uint8)
    listing = check(place, tmp_path / "out", "YOLO-seg", ("background", "sky", "sea"), truths)
    assert listing.notes == ("1 images without a text are all background",)


def test_yolo_outlines_are_opencvs_but_for_the_rim(tmp_path):
    photographs(tmp_path / "images" / "train", 1)
    (tmp_path / "labels" / "train").mkdir(parents=True)
    (tmp_path / "data.yaml").write_text("names: [star, house]\n")
    points = np.array(STAR).reshape(-1, 2)
    text = " ".join(str(number) for number in (points / (WIDTH, HEIGHT)).reshape(-1))
    (tmp_path / "labels" / "train" / "p0.txt").write_text(f"1 {text}\n")
    found = formats.recognise(tmp_path)
    assert found
    [pair] = found.splits["train"]
    assert pair.draw
    peer = cv2.fillPoly(
        np.zeros((HEIGHT, WIDTH), np.uint8), [np.round(points * 16).astype(int)], 2, shift=4
    )
    rim = cv2.polylines(
        np.zeros((HEIGHT, WIDTH), np.uint8), [np.round(points).astype(int)], True, 1, 3
    )
    np.testing.assert_array_equal(pair.draw()[rim == 0], peer[rim == 0])
    assert (peer[rim == 0] == 2).sum() > 100


COLOURS = {0: (0, 0, 0), 1: (128, 64, 0), 2: (0, 128, 192), 3: (224, 224, 128), 255: (9, 9, 9)}


def masks(place, name="{}.png", make=lambda label: coloured(label, COLOURS), void=True):
    """Masks of p0 to p3, and their truths."""
    place.mkdir(parents=True, exist_ok=True)
    for number in range(4):
        make(truth(number, void)).save(place / name.format(f"p{number}"))
    return {f"p{number}": truth(number, void) for number in range(4)}


def test_cvat_masks(tmp_path):
    place = tmp_path / "own"
    photographs(place / "JPEGImages")
    truths = masks(place / "SegmentationClass")
    masks(place / "SegmentationObject")
    lines = ["# label:color_rgb:parts:actions", "ring:128,64,0::", "background:0,0,0::",
    "void:9,9,9::", "sea:0,128,192::",
             "sand:224,224,128::"]  # fmt: skip
    (place / "labelmap.txt").write_text("\n".join(lines) + "\n")
    check(place, tmp_path / "out", "CVAT masks", ("background", "ring", "sea", "sand"), truths)


def test_roboflow_masks(tmp_path):
    place = tmp_path / "own"
    photographs(place / "train")
    truths = masks(place / "train", "{}_mask.png", grey, void=False)
    (place / "train" / "_classes.csv").write_text(
        "Pixel Value, Class\r\n0, background\r\n1, a\r\n2, b\r\n3, c\r\n"
    )
    check(place, tmp_path / "out", "Roboflow masks", ("background", "a", "b", "c"), truths)


@pytest.mark.parametrize(("images", "labels"), [("train", "train_labels"), ("images", "masks")])
def test_class_dict_beside_colours(tmp_path, images, labels):
    place = tmp_path / "own"
    photographs(place / images)
    truths = masks(place / labels, "{}_L.png")
    lines = [
        "name,r,g,b",
        "ground,0,0,0",
        "a,128,64,0",
        "b,0,128,192",
        "c,224,224,128",
        "Void,9,9,9",
    ]
    (place / "class_dict.csv").write_text("\n".join(lines))
    check(place, tmp_path / "out", "class_dict.csv", ("ground", "a", "b", "c"), truths)


def test_camvid(tmp_path):
    place = tmp_path / "own"
    photographs(place / "701_StillsRaw_full")
    truths = masks(place / "LabeledApproved_full", "{}_L.png")
    lines = [
        "0 0 0\t\tSky",
        "128 64 0\tBuilding",
        "0 128 192\tRoad Shoulder",
        "224 224 128\tTree",
        "9 9 9\t\tVoid",
    ]
    (place / "label_colors.txt").write_text("\n".join(lines))
    check(place, tmp_path / "out", "CamVid", ("Sky", "Building", "Road Shoulder", "Tree"), truths)


def test_camvid_of_segnet(tmp_path):
    place = tmp_path / "own"
    photographs(place / "train")

    def stored(label):
        return grey(np.where(label == 255, 11, label))

    truths = masks(place / "trainannot", make=stored)
    diagnosis = doctor.examine(place)
    assert [row.name for row in diagnosis.rows if row.pixels] == ["sky", "building", "pole", "road"]
    check(place, tmp_path / "out", "CamVid", camvid.DATASET.classes, truths)


def test_cityscapes(tmp_path):
    place = tmp_path / "own"
    ids = np.full(256, 3, np.uint8)  # "out of roi"
    ids[:4] = 7, 11, 26, 33

    def stored(label):
        return grey(ids[label])

    for split, town in (("train", "aachen"), ("test", "berlin")):
        photographs(place / "leftImg8bit" / split / town)
        for path in (place / "leftImg8bit" / split / town).glob("p?.jpg"):
            Image.open(path).save(path.with_name(f"{town}_{path.stem[1]}_leftImg8bit.png"))
            path.unlink()
        masks(place / "gtFine" / split / town, f"{town}_{{}}_gtFine_labelIds.png", stored)
        masks(place / "gtFine" / split / town, f"{town}_{{}}_gtFine_instanceIds.png", stored)
        for path in (place / "gtFine" / split / town).glob("*"):
            path.rename(path.with_name(path.name.replace("_p", "_")))
    own = {0: 0, 1: 2, 2: 13, 3: 18, 255: 255}
    truths = {
        f"aachen_{n}_leftImg8bit": np.vectorize(own.get, otypes=[np.uint8])(truth(n))
        for n in range(4)
    }
    check(place, tmp_path / "out", "Cityscapes", streets.CITYSCAPES.values(), truths)


def boxes_of_voc(root):
    (root / "Annotations").mkdir()
    (root / "Annotations" / "p0.xml").write_text(
        "<annotation><object><bndbox></bndbox></object></annotation>"
    )


def boxes_of_yolo(root):
    (root / "labels").mkdir()
    (root / "labels" / "p0.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    (root / "data.yaml").write_text("names: [cat]\n")


def boxes_of_coco(root):
    told = coco_json()
    told["annotations"] = [{**each, "segmentation": []} for each in told["annotations"]]
    (root / "boxes.json").write_text(json.dumps(told))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (boxes_of_voc, "VOC XML with boxes alone (1 files)"),
        (boxes_of_yolo, "YOLO with boxes alone (1)"),
        (boxes_of_coco, "COCO with boxes alone (7)"),
    ],
)
def test_boxes_alone_are_refused(tmp_path, make, words):
    photographs(tmp_path / "images")
    make(tmp_path)
    advice = (
        "a net that labels pixels needs the area of each object: export polygons or masks, "
        "or draw them"
    )
    for attempt in (
        lambda: doctor.examine(tmp_path),
        lambda: folder.load(DatasetSpec({"folder": tmp_path}, (), "80%", "20%", 0)),
    ):
        with pytest.raises(UserError) as error:
            attempt()
        assert str(error.value).endswith(f"{words}: {advice}")


def spoilt(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            '"p1.jpg"',
            '"q1.jpg"',
            "1 images that are not there, or there twice: q1.jpg. Put them beside it",
        ),
        (
            '"category_id": 3',
            '"category_id": 4',
            "an annotation of category 4, which is none of 3, 18; export it again",
        ),
        ('"width": 80', '"width": "wide"', "expected a valid integer, got 'wide'; export it again"),
        ('"name": "dog"', '"name": "car"', "the same name for more than one class: car"),
        ("{", "", "expected JSON, but"),
    ],
)
def test_a_damaged_coco_file(tmp_path, old, new, words):
    photographs(tmp_path / "images")
    (tmp_path / "all.json").write_text(json.dumps(coco_json()))
    spoilt(tmp_path / "all.json", old, new)
    with pytest.raises(UserError) as error:
        folder.load(DatasetSpec({"folder": tmp_path}, (), "50%", "50%", 0))
    assert str(error.value).startswith(str(tmp_path / "all.json"))
    assert words in str(error.value)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ([[1, 2, 3]], "all.json#p0: expected polygons or run lengths, but:"),
        ("rubbish", "all.json#p0: expected polygons or run lengths, but:"),
        (
            {"size": [5, 5], "counts": [25]},
            "all.json#p0: run lengths of 5x5 pixels, the image has 80x60",
        ),
    ],
)
def test_a_region_that_is_none_is_told_with_its_image(tmp_path, what, words):
    photographs(tmp_path / "images")
    told = coco_json()
    told["annotations"][0]["segmentation"] = what
    (tmp_path / "all.json").write_text(json.dumps(told))
    listing = folder.load(DatasetSpec({"folder": tmp_path}, (), "50%", "50%", 0))
    with pytest.raises(UserError) as error:
        writing.write(
            listing, {"train": "50%", "val": "50%"}, tmp_path / "out", 1, 0, "stop", lambda *_: None
        )
    assert words in str(error.value)
    assert "1 of 4 pairs" in str(error.value)
