"""`fcn predict` and `fcn submit` as commands: what they print, write and return, with nets of known
answers.
"""

import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import clips
import keras
import numpy as np
import pytest
from keras import ops
from PIL import Image

from fcn.cli import options
from fcn.cli.app import main
from fcn.datasets import voc
from fcn.net import model, surgery
from fcn.pixels import images, labels
from fcn.predict import predictor as core
from fcn.spec.colours import palette

ROOT = Path(__file__).parents[3]
COLOURS = ("red", "green", "blue")


def by_colour(spec):
    """A net that labels a pixel by the largest of its three colours."""
    image = keras.Input((None, None, 3), dtype="float32")
    return core.Predictor(keras.Model(image, image / 100), spec)


def by_red(spec):
    """A net that labels a pixel by its red: 0..11 is class 0, and so on."""
    image = keras.Input((None, None, 3), dtype="float32")
    middles = np.arange(21, dtype=np.float32) * 12 + 5.5
    return core.Predictor(keras.Model(image, -ops.abs(image[..., :1] - middles)), spec)


@pytest.fixture
def known(monkeypatch, tmp_path, lenet):
    """A folder with `models/fcn8s` to work in, which loads as a net by colour; returns what `load`
    was called with.
    """
    calls = []

    def load(folder, tile=1024, precision="float32"):
        calls.append((folder, tile, precision))
        return by_colour(lenet(classes=COLOURS))

    monkeypatch.setattr(core, "load", load)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models/fcn8s").mkdir(parents=True)
    (tmp_path / "models/fcn8s/model.json").touch()
    return calls


PIXELS = np.array(
    [[[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[0, 9, 0], [0, 0, 9], [9, 0, 0]]], np.uint8
)
FOUND = np.array([[0, 1, 2], [1, 2, 0]], np.uint8)


def write_pictures(folder):
    """The same six pixels in many forms; returns the labels to be expected by name."""
    folder.mkdir()
    rgb = Image.fromarray(PIXELS)
    exif = Image.Exif()
    exif[0x0112] = 6
    rgb.save(folder / "rgb.png")
    rgb.save(folder / "turned.png", exif=exif)
    rgb.convert("RGBA").save(folder / "rgba.webp", lossless=True)
    rgb.quantize(6).save(folder / "palette.png")
    rgb.save(folder / "film.gif")
    Image.fromarray(np.full((3, 4), 77, np.uint8)).save(folder / "grey.bmp")
    Image.fromarray(np.full((5, 2), 50000, np.uint16)).save(folder / "deep.png")
    Image.fromarray(np.full((8, 8, 4), [255, 0, 255, 0], np.uint8), "CMYK").save(
        folder / "inks.jpg"
    )
    Image.new("RGB", (1, 1), "blue").save(folder / "one.tif")
    return {
        "rgb": FOUND, "turned": np.rot90(FOUND, -1), "rgba": FOUND, "palette": FOUND,
        "grey": np.zeros((3, 4)),
        "deep": np.zeros((5, 2)), "inks": np.ones((8, 8)), "one": np.full((1, 1), 2),
    }  # fmt: skip


def read(path):
    with Image.open(path) as image:
        assert image.mode == "P"
        return np.asarray(image)


def test_pictures_of_every_kind_with_a_bad_one_among_them(known, tmp_path, capsys):
    expected = write_pictures(tmp_path / "photos")
    (tmp_path / "photos" / "half.jpg").write_bytes(
        (tmp_path / "photos" / "inks.jpg").read_bytes()[:-200]
    )
    command = [
        "photos",
        "photos/film.gif",
        "gone.png",
        "--model",
        "fcn8s",
        "--out",
        "out",
        "--probabilities",
    ]
    assert main(["predict", *command]) == 1
    assert known == [(Path("models/fcn8s"), 1024, "float32")]
    for name, wanted in (expected | {"film": FOUND}).items():
        np.testing.assert_array_equal(read(tmp_path / f"out/labels/{name}.png"), wanted)
        assert (tmp_path / f"out/overlays/{name}.jpg").is_file()
    assert {path.stem for path in (tmp_path / "out/labels").iterdir()} == {*expected, "film"}
    with np.load("out/probabilities/turned.npz") as file:
        image = images.read(tmp_path / "photos/turned.png") / 100
        np.testing.assert_allclose(
            file["probabilities"], np.exp(image) / np.exp(image).sum(-1, keepdims=True), rtol=2e-3
        )
    assert Path("out/classes.txt").read_text().split() == list(COLOURS)
    said = capsys.readouterr()
    assert "photos/turned.png  2x3" in said.out
    assert said.out.splitlines()[-1] == "fcn4s: 9 of 10 images predicted; see out/overlays"
    bad = "photos/half.jpg: expected a picture, but it cannot be read: it is a JPEG image"
    assert said.err.count(bad) == 2  # at once, and in the end
    assert "2 failed:\ngone.png: no such file or folder" in said.err


def test_a_folder_of_22_files_is_accounted_for_one_by_one(known, tmp_path, capsys):
    folder = tmp_path / "photos"
    folder.mkdir()
    rgb = Image.fromarray(np.repeat(np.repeat(PIXELS, 32, 0), 32, 1))
    lossless = ("a.png", "b.BMP", "c.tif", "d.TIFF", "e.gif", "f.ppm")
    lossy = ("g.jpg", "h.JPEG", "i.webp", "j.avif", "k.heic", "l.HEIF", "m.jp2")
    for name in lossless + lossy:
        rgb.save(folder / name)
    rgb.save(folder / "n.jfif", "JPEG")
    rgb.convert("CMYK").save(folder / "o.jpg")
    rgb.convert("RGBA").save(folder / "p.png")
    Image.fromarray(np.full((5, 2), 50000, np.uint16)).save(folder / "q.png")
    rgb.save(folder / "r.gif", save_all=True, append_images=[Image.new("RGB", rgb.size)])
    (folder / "s.jpg").write_bytes(b"rubbish")
    for name in ("t.mp4", "u.CR2", "v.txt"):
        (folder / name).write_bytes(b"x")
    assert len(list(folder.iterdir())) == 22
    assert main(["predict", "photos", "--model", "fcn8s", "--out", "out"]) == 1
    said = capsys.readouterr()
    assert said.out.splitlines()[-1] == (
        "fcn4s: 18 of 19 images predicted, 3 other files left out; see out/overlays"
    )
    for path in folder.iterdir():
        assert str(path.relative_to(tmp_path)) in said.out + said.err
    assert "photos/s.jpg: expected a picture" in said.err
    assert (
        "left out: photos/u.CR2 is no image by its name; name it by itself if it is one"
    ) in said.err
    assert "left out: photos/t.mp4 is a video; name it by itself to predict its frames" in said.err
    wanted = np.repeat(np.repeat(FOUND, 32, 0), 32, 1)
    for label in (tmp_path / "out" / "labels").rglob("[a-np-r].png"):
        if label.stem != "q":  # lossy formats blur the borders between the squares
            assert (read(label) == wanted).mean() > 0.9, label


def test_the_same_name_twice_and_the_same_bytes_again(known, tmp_path, capsys):
    for folder, colour in (("a", "red"), ("b", "blue")):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (3, 2), colour).save(tmp_path / folder / "x.png")
    command = [
        "a/x.png",
        "b",
        "--model",
        "models/fcn8s",
        "--out",
        "out",
        "--tile",
        "640",
        "--precision",
        "bfloat16",
    ]
    assert main(["predict", *command]) == 0
    assert known == [(Path("models/fcn8s"), 640, "bfloat16")]
    assert read("out/labels/a/x.png").tolist() == [[0] * 3] * 2
    assert read("out/labels/b/x.png").tolist() == [[2] * 3] * 2
    assert "2 of 2  b/x.png  3x2" in capsys.readouterr().out
    before = {path: path.read_bytes() for path in Path("out").rglob("*") if path.is_file()}
    assert len(before) == 6
    assert main(["predict", *command]) == 0
    assert {path: path.read_bytes() for path in before} == before


def test_a_net_that_knows_no_photographs_says_so_at_once(
    known, tmp_path, capsys, monkeypatch, lenet
):
    Image.new("RGB", (3, 2), "red").save("a.png")
    assert main(["predict", "a.png", "--model", "fcn8s", "--out", "out"]) == 0
    assert capsys.readouterr().out.startswith("1 of 1  a.png")
    monkeypatch.setattr(
        core,
        "load",
        lambda *_, **__: by_colour(lenet(classes=COLOURS, knows="This net knows only digits.")),
    )
    assert main(["predict", "a.png", "--model", "fcn8s", "--out", "out"]) == 0
    first, second, _ = capsys.readouterr().out.splitlines()
    assert first == "This net knows only digits. `--model ...` names another net."
    assert second.startswith("1 of 1  a.png")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["photos", "--model", "fcn16s", "--out", "out"],
            "--model: expected voc20, fcn8s, voc-fcn32s, ",
        ),
        (
            ["photos", "--model", "fcn8s", "--out", "photos"],
            "--out: photos is the folder of the images",
        ),
        (
            ["nowhere", "--model", "fcn8s", "--out", "out"],
            "nowhere: no such file or folder, and a pattern of none",
        ),
        (["x" * 5000, "--model", "fcn8s", "--out", "out"], "...xxx"),
        (["photos", "--model", "x" * 5000, "--out", "out"], "--model: expected "),
        (["photos", "--model", "m\x1b[2J\n", "--out", "out"], "got m\\x1b[2J\\x0a"),
        (
            ["photos", "--model", "fcn8s", "--out", "/dev/null"],
            "--out: expected a folder, but /dev/null is a file",
        ),
        (
            ["photos", "--model", "fcn8s", "--out", "/dev/null/x"],
            "--out: /dev/null/x/classes.txt: expected a place to write a file",
        ),
        (
            ["photos", "--model", "fcn8s", "--out", "/proc/x"],
            "--out: /proc/x/classes.txt: expected a place to write a file",
        ),
        (["photos", "--model", "fcn8s", "--out", "x" * 300], "File name too long"),
        (
            ["photos", "--model", "fcn8s", "--out", "loop"],
            "--out: expected a folder, but loop is a file",
        ),
        (
            ["photos", "--model", "fcn8s", "--out", "mine"],
            "--out: mine/labels/rgb.png: expected a place to write a file",
        ),
        (
            ["photos", "--model", "fcn8s", "--out", "truth"],
            "--out: truth/labels/rgb.png would be overwritten, and truth is no",
        ),
    ],
)
def test_misuse_is_told_and_writes_nothing(known, arguments, words, tmp_path, capsys):
    write_pictures(tmp_path / "photos")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "mine/labels/rgb.png/sub").mkdir(parents=True)
    (tmp_path / "truth/labels").mkdir(parents=True)
    (tmp_path / "truth/labels/rgb.png").write_text("the user's own labels")
    before = sorted(tmp_path.rglob("*"))
    assert main(["predict", *arguments]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert len(said.splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "truth/labels/rgb.png").read_text() == "the user's own labels"


@pytest.mark.parametrize("option", ["--out", "--model"])
def test_an_empty_folder_s_name_is_misuse(known, option, tmp_path, capsys):
    write_pictures(tmp_path / "photos")
    rest = {"--out": "out", "--model": "fcn8s"} | {option: ""}
    assert main(["predict", "photos", *(word for pair in rest.items() for word in pair)]) == 2
    assert f"{option}: expected " in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["models", "photos"]


def test_a_loop_of_links_among_the_pictures_stops_none_of_the_others(known, tmp_path, capsys):
    Image.new("RGB", (3, 2), "red").save(tmp_path / "a.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    assert main(["predict", "loop.png", "a.png", "--model", "fcn8s", "--out", "out"]) == 1
    assert read("out/labels/a.png").tolist() == [[0] * 3] * 2
    assert "loop.png: " in capsys.readouterr().err


def test_names_of_files_and_classes_reach_the_terminal_as_escapes(
    known, tmp_path, capsys, monkeypatch, lenet
):
    classes = ("red\x1b[31m", "green\nFAKE: all well", "blue")
    monkeypatch.setattr(core, "load", lambda *_, **__: by_colour(lenet(classes=classes)))
    (tmp_path / "photos").mkdir()
    odd = "x\x1b[31mRED\x1b]0;title\a\nFAKE: all well\r"
    Image.fromarray(PIXELS).save(tmp_path / "photos" / f"{odd}.png")
    (tmp_path / "photos" / f"half{odd}.png").write_bytes(b"x")
    assert main(["predict", "photos", "--model", "fcn8s", "--out", f"out{odd}"]) == 1
    said = capsys.readouterr()
    for text in (said.out, said.err):
        assert all(line.isprintable() for line in text.splitlines())
        assert not [line for line in text.splitlines() if line.startswith("FAKE")]
    assert "red\\x1b[31m 33 %, green\\x0aFAKE: all well 33 %" in said.out


def test_what_is_no_picture_or_too_much_of_one_stops_none_of_the_others(
    known, tmp_path, capsys, monkeypatch
):
    """A FIFO hung for ever; what an EPS is ran Ghostscript and took the other pictures along."""
    write_pictures(tmp_path / "photos")
    (tmp_path / "photos" / "e.jpg").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 50 40\n%%EOF\n"
    )
    os.mkfifo(tmp_path / "photos" / "f.png")
    Image.new("1", (1, 3000)).save(tmp_path / "photos" / "thin.png")
    monkeypatch.setattr(core, "MOST", 72_000)
    assert main(["predict", "photos", "--model", "fcn8s", "--out", "out"]) == 1
    said = capsys.readouterr()
    assert said.out.splitlines()[-1] == "fcn4s: 9 of 12 images predicted; see out/overlays"
    for words in (
        "photos/e.jpg: expected a picture, but it cannot be read: it is of unknown type (starts "
        "with b'%!PS-Adobe-3.0 E')",
        "photos/f.png: expected a picture, but it cannot be read: it is not a file (no regular "
        "file)",
        "photos/thin.png: for 1x3000 pixels the net computes 84,672; 72,000 are allowed: cut it "
        "into pieces, choose",
    ):
        assert said.err.count(words) == 2


def test_a_video_comes_out_with_its_classes_painted(known, tmp_path, capsys):
    """The net labels by the largest colour; class 0 is "red", no background, and is painted."""
    clips.clip(tmp_path / "a.mp4")
    (tmp_path / "x.png").write_bytes(b"no picture")
    command = ["predict", "a.mp4", "x.png", "--model", "fcn8s", "--out", "out"]
    assert main(command) == 1
    found, rate = clips.frames(Path("out/videos/a.mp4"))
    assert (len(found), rate) == (6, clips.RATE)
    for number, frame in enumerate(found):
        for part, value in ((frame[:, 2:14], 0), (frame[:, 20:60], number % 3)):
            wanted = 0.4 * np.array(clips.COLOURS[value]) + 0.6 * palette()[value]
            assert np.abs(part.mean((0, 1)) - wanted).max() < 12
    said = capsys.readouterr()
    assert "1 of 2  a.mp4  6 frames  " in said.out
    assert "fcn4s: 1 of 2 images and videos predicted; see out/overlays" in said.out
    assert main(["predict", "a.mp4", "--model", "fcn8s", "--out", "two", "--frames", "2"]) == 0
    assert len(clips.frames(Path("two/videos/a.mp4"))[0]) == 2
    assert "1 of 1 images and videos predicted; see two/videos" in capsys.readouterr().out


def test_interrupted_between_images(known, tmp_path, capsys, monkeypatch):
    for name in "abc":
        Image.new("RGB", (3, 2), "red").save(tmp_path / f"{name}.png")
    original = images.read

    def read_or_stop(path, refusal):
        if path.name == "b.png":
            raise KeyboardInterrupt
        return original(path, refusal)

    monkeypatch.setattr(images, "read", read_or_stop)
    assert main(["predict", "a.png", "b.png", "c.png", "--model", "fcn8s", "--out", "out"]) == 130
    assert [path.name for path in sorted(Path("out/labels").iterdir())] == ["a.png"]
    assert "Interrupted. What had been predicted is in out." in capsys.readouterr().err


def test_a_real_model_by_its_variants_name(tmp_path, monkeypatch, small, capsys):
    spec = small("fcn32s", padding="same")
    folder = tmp_path / "models" / "fcn32s"
    folder.mkdir(parents=True)
    net = model.build(spec)
    weights = surgery.named_weights(net)
    weights["score_fr/bias"].assign([0.0, 2.0, 1.0])  # its kernels are zero: all is cat
    surgery.save(net, spec, folder)
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (96, 100), "red").save("x.png")
    assert main(["predict", "x.png", "--model", "fcn32s", "--out", "out", "--probabilities"]) == 0
    assert (read("out/labels/x.png") == 1).all()
    (tmp_path / "champion" / "artifacts").mkdir(parents=True)
    # as MLflow keeps it in a model of its own
    folder.rename(tmp_path / "champion" / "artifacts" / "fcn32s")
    assert options.model_folder("champion") == Path("champion/artifacts/fcn32s")
    assert "cat 100 %" in capsys.readouterr().out
    with np.load("out/probabilities/x.npz") as file:
        found = file["probabilities"][50, 48]  # at the edges upsampling fades out
    np.testing.assert_allclose(found, np.exp([0, 2, 1]) / np.exp([0, 2, 1]).sum(), rtol=2e-3)


def test_both_commands_start_without_tensorflow_and_without_prefect():
    code = "import sys, fcn.cli.predict, fcn.cli.submit, fcn.published.nets as nets; nets.names()\n"
    code += "print(*{'tensorflow', 'keras', 'prefect', 'mlflow'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


@pytest.fixture
def unlabelled(known, tmp_path, monkeypatch, lenet):
    """Three images of a test set in VOC's layout, and a net of VOC's classes by their red."""
    monkeypatch.setattr(core, "load", lambda *_, **__: by_red(lenet(classes=voc.CLASSES)))
    (tmp_path / "JPEGImages").mkdir()
    for number, size in enumerate([(50, 37), (30, 61), (44, 44)]):
        noise = np.random.default_rng(number).integers(0, 250, (*size[::-1], 3), np.uint8)
        Image.fromarray(noise).save(tmp_path / "JPEGImages" / f"2008_{number}.jpg", quality=95)
    (tmp_path / "test.txt").write_text("2008_0\n2008_1\n2008_2\n")
    return ["--images", "JPEGImages", "--ids", "test.txt"]


def test_a_submission_by_a_model_and_by_its_predictions(unlabelled, tmp_path, capsys):
    assert main(["submit", *unlabelled, "--model", "fcn8s", "--out", "one.tgz"]) == 0
    said = capsys.readouterr().out
    assert (
        "one.tgz: 3 images in results/VOC2012/Segmentation/comp6_test_cls, of the right sizes"
    ) in said
    assert "The server wants all 1456 test images of VOC2012; test.txt lists 3." in said
    with tarfile.open("one.tgz") as archive:
        assert archive.getnames() == [
            f"results/VOC2012/Segmentation/comp6_test_cls/2008_{n}.png" for n in range(3)
        ]
        for number, name in enumerate(archive.getnames()):
            with (
                Image.open(archive.extractfile(name)) as image,
                Image.open(f"JPEGImages/2008_{number}.jpg") as photo,
            ):
                np.testing.assert_array_equal(
                    np.asarray(image), np.minimum(np.asarray(photo)[..., 0] // 12, 20)
                )
    assert main(["predict", "JPEGImages", "--model", "fcn8s", "--out", "out"]) == 0
    assert main(["submit", *unlabelled, "--predictions", "out/labels", "--out", "two.tgz"]) == 0
    assert Path("one.tgz").read_bytes() == Path("two.tgz").read_bytes()
    capsys.readouterr()
    assert main(["submit", *unlabelled, "--check", "two.tgz"]) == 0
    assert main(["submit", *unlabelled, "--check", "two.tgz", "--challenge", "VOC2011"]) == 1
    assert (
        "comp6_test_cls/2008_0.png: not one of the images, which are called results/VOC2011/"
    ) in capsys.readouterr().err


def test_a_submission_that_the_server_would_not_take(unlabelled, tmp_path, capsys):
    assert main(["predict", "JPEGImages", "--model", "fcn8s", "--out", "out"]) == 0
    labels.to_image(np.full((61, 30), 255, np.uint8)).save("out/labels/2008_1.png")
    assert main(["submit", *unlabelled, "--predictions", "out/labels", "--out", "s.tgz"]) == 1
    assert (
        "2008_1.png: value 255, expected 0..20: a submission has no void"
    ) in capsys.readouterr().err
    Path("out/labels/2008_2.png").unlink()
    assert main(["submit", *unlabelled, "--predictions", "out/labels", "--out", "s.tgz"]) == 1
    assert "out/labels: 1 of 3 predictions are not there: 2008_2" in capsys.readouterr().err
    Path("JPEGImages/2008_1.jpg").unlink()
    assert main(["submit", *unlabelled, "--model", "fcn8s", "--out", "s.tgz"]) == 1
    assert (
        "test.txt lists images that are not there: JPEGImages/2008_1.jpg"
    ) in capsys.readouterr().err
    assert not Path("s.tgz").exists()


def test_a_submission_replaces_no_folder_and_no_device(unlabelled, tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "f").write_text("precious")
    for out, why in (("mine", "a folder is there"), ("/dev/full", "a device is there")):
        assert main(["submit", *unlabelled, "--model", "fcn8s", "--out", out]) == 1
        said = capsys.readouterr()
        assert said.err.startswith(
            f"--out: {out}: expected a place to write a file to, but {why}; nothing was changed"
        )
        assert "3 of 3" not in said.err, "it is said before the work begins"
    assert (tmp_path / "mine" / "f").read_text() == "precious"
    assert Path("/dev/full").is_char_device()


def test_an_archive_forges_no_verdict(unlabelled, tmp_path, capsys):
    with tarfile.open("s.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("evil\n\x1b[2JFAKE: complete"), io.BytesIO())
    assert main(["submit", *unlabelled, "--check", "s.tar"]) == 1
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "s.tar: the server would not take it:"
    assert said[1].startswith("evil\\x0a\\x1b[2JFAKE: complete: not one of the images")
    assert len(said) == 3


def test_models_and_images_that_are_not_vocs_are_refused(
    unlabelled, tmp_path, capsys, monkeypatch, lenet
):
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.new("RGB", (9, 9)).save("JPEGImages/2008_0.jpg", exif=exif)
    assert main(["submit", *unlabelled, "--model", "fcn8s", "--out", "s.tgz"]) == 1
    assert "2008_0.jpg: marked as lying on its side" in capsys.readouterr().err
    monkeypatch.setattr(core, "load", lambda *_, **__: by_colour(lenet(classes=COLOURS)))
    assert main(["submit", *unlabelled, "--model", "fcn8s", "--out", "s.tgz"]) == 1
    assert (
        "expected a model of VOC's 21 classes, which the server scores; this one has red, green, "
        "blue" in capsys.readouterr().err
    )
    capsys.readouterr()
    for source in ([], ["--model", "fcn8s", "--check", "s.tgz"]):
        assert main(["submit", *unlabelled, *source]) == 2
        said = capsys.readouterr().err
        assert "--model" in said
        assert "--check" in said
