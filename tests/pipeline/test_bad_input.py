"""What a user gets to see when something is wrong: one message, exit code 1, and nothing
half-written.
"""

import io
import tarfile

import numpy as np
import pytest
from PIL import Image

STAGES = {
    "download": ["--raw", "raw"],
    "convert_vgg": [
        "--raw",
        "raw",
        "--out",
        "models/vgg.npz",
        "--report",
        "reports/convert_vgg.json",
    ],
    "records": ["--raw", "raw", "--out", "data/records", "--plots", "plots/data", "--images", "4"],
}


def run(project, stage):
    """Runs a stage's command without Prefect, which has no say in this, and returns its error
    lines.
    """
    done = project.run("python", "-m", "fcn", "stage", stage, *STAGES[stage], FCN_PARENT_RUN="")
    errors = [line for line in done.stdout.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in done.stdout, done.stdout
    return done.returncode, errors


@pytest.fixture
def change(project):
    """Writes values by their keys into params.yaml; it is as before afterwards."""
    before = project.params()
    yield project.change
    project.write_params(before)


def write_set(folder, change):
    """A data set of one image per split in VOC's layout, with `change` applied to its files by
    name.
    """
    image, label = io.BytesIO(), io.BytesIO()
    Image.new("RGB", (40, 30), (90, 120, 30)).save(image, "JPEG")
    Image.fromarray(np.ones((30, 40), np.uint8)).save(label, "PNG")
    files = {
        f"ImageSets/Segmentation/{split}.txt": f"{split}_1\n".encode() for split in ("train", "val")
    }
    for split in ("train", "val"):
        files[f"JPEGImages/{split}_1.jpg"], files[f"SegmentationClass/{split}_1.png"] = (
            image.getvalue(),
            label.getvalue(),
        )
    change(files)
    with tarfile.open(folder / "set.tar", "w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"VOCdevkit/World/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def png(array):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


ARCHIVE = "profiles.sample.download.archives.voc"
LABEL = "SegmentationClass/val_1.png"
BAD_SETS = {
    "label value": (
        lambda f: f.update({LABEL: png(np.full((30, 40), 37, np.uint8))}),
        "label values 37 in 1200 pixels. Name all classes, or correct",  # the doctor's words
    ),
    "label size": (
        lambda f: f.update({LABEL: png(np.ones((20, 40), np.uint8))}),
        "the label is 40x20 pixels, its image 40x30",
    ),
    "image missing": (lambda f: f.pop("JPEGImages/val_1.jpg"), "lists images that are not there: "),
    "split missing": (lambda f: f.pop("ImageSets/Segmentation/val.txt"), "no such split"),
    "leak": (
        lambda f: f.update({"ImageSets/Segmentation/val.txt": b"train_1\n"}),
        "share 1: train_1",
    ),
}


@pytest.mark.parametrize("problem", BAD_SETS)
def test_a_bad_data_set_leaves_no_records(project, change, problem):
    spoil, message = BAD_SETS[problem]
    write_set(project.folder, spoil)
    change({f"{ARCHIVE}.urls": ["file:set.tar"], f"{ARCHIVE}.checksums": []})
    assert run(project, "download") == (0, [])
    code, errors = run(project, "records")
    assert code == 1
    assert len(errors) == 1
    assert message in errors[0]
    assert [path.name for path in (project.folder / "data").iterdir()] == ["own"], (
        "half-written records"
    )


def test_a_truncated_tar_is_named_and_not_unpacked(project, change):
    write_set(project.folder, lambda files: None)
    whole = (project.folder / "set.tar").read_bytes()
    (project.folder / "cut.tar").write_bytes(whole[:4000])
    change({f"{ARCHIVE}.urls": ["file:cut.tar"], f"{ARCHIVE}.checksums": []})
    (project.folder / "raw/images").mkdir(parents=True, exist_ok=True)
    code, errors = run(project, "download")
    assert code == 1
    assert len(errors) == 1
    assert "raw/archives/cut.tar" in errors[0]
    assert "complete tar archive" in errors[0]


def test_a_wrong_checksum_says_what_came(project, change):
    change({"profiles.sample.download.weights.checksums": ["md5:" + "0" * 32]})
    (project.folder / "raw/weights/vgg16_small.caffemodel").unlink(missing_ok=True)
    code, errors = run(project, "download")
    assert code == 1
    assert len(errors) == 1
    assert "wanted md5:" + "0" * 32 in errors[0]
    assert not (project.folder / "raw/weights/vgg16_small.caffemodel").exists()


def test_an_html_page_is_no_weight_file(project, change):
    weights = project.folder / "raw/weights"
    weights.mkdir(parents=True, exist_ok=True)
    (weights / "vgg16_small.caffemodel").write_text("<!DOCTYPE html><html><body>404</body></html>")
    code, errors = run(project, "convert_vgg")
    assert code == 1
    assert len(errors) == 1
    assert "an HTML page" in errors[0]
    assert not (project.folder / "models").exists()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (
            "profile",
            "smaple",
            "params.yaml: profile: expected one of sample, sample_modern, toy, voc2011, ",
        ),
        (
            "profiles.sample.train.fcn32s.learning_rate",
            "fast",
            "params.yaml: profiles.sample.train.fcn32s.learning_rate: expected a number, above 0 "
            "and at most 1000; got 'fast'",
        ),
    ],
)
def test_wrong_parameters_are_named_by_their_key(project, change, key, value, message):
    change({key: value})
    code, errors = run(project, "download")
    assert code == 1
    assert len(errors) == 1
    assert message in errors[0]
