"""The doctor as a command: what it prints, writes and returns; and a user who does just what it
says.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from label_folders import OWN, coloured, mask_255, truth, voc, write_folder
from PIL import Image

from fcn.cli.app import main
from fcn.datasets import DatasetSpec, folder
from fcn.pixels import labels
from fcn.spec.colours import palette

ROOT = Path(__file__).parents[3]


def lines_after(text, start):
    """The indented lines of the block that begins with a line that starts so."""
    lines = text.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith(start))
    block = []
    for line in lines[first + 2 :]:
        if not line.startswith("    "):
            break
        block.append(line[4:])
    return block


@pytest.fixture
def own(tmp_path):
    """20 images with RGB masks, as a drawing program leaves them; nothing says what the colours
    mean.
    """
    return write_folder(tmp_path / "mine", coloured, count=20)


def test_from_twenty_rgb_masks_to_records_by_the_doctors_words_alone(own, capsys):
    assert main(["doctor", str(own)]) == 1
    said = capsys.readouterr().out
    assert said.splitlines()[1:3] == [
        "Wrong: the labels are colours of no known table",
        f"Next: write classes.txt as proposed below, then fcn doctor {own}",
    ]
    assert "Write classes.txt as proposed below; the labels stay as they are." in said
    proposed = lines_after(
        said, f"Proposal for {own}/classes.txt; put your names in place of class1, class2, ...:"
    )
    assert sorted(proposed) == [
        "background #000000", "class1 #1e3cff", "class2 #00c850", "class3 #ff0000",
    ]  # fmt: skip
    # The user looks at the label that "most of it in" names for each colour, and knows its name.
    names = {
        "#1e3cff": "blue box",
        "#00c850": "green box",
        "#ff0000": "red box",
        "#000000": "background",
    }
    (own / "classes.txt").write_text(
        "".join(f"{names[line.split()[1]]} {line.split()[1]}\n" for line in proposed)
    )
    assert main(["doctor", str(own)]) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[:3] == [
        f"{own}: images/ and masks/, 20 images, 20 labels",
        "Nothing wrong",
        'Next: make repro ARGS="--set profile=folder", with these files in data/own',
    ]
    assert said.splitlines()[4].startswith("The labels are colours of classes.txt: ")
    assert said.splitlines()[-1] == "Nothing here would stop `records`."
    # `records` reads the classes that the user meant.
    listing = folder.load(DatasetSpec({"folder": own}, (), "80%", "20%", seed=1))
    assert listing.classes == ("background", "blue box", "green box", "red box")
    assert [len(listing.splits[split]) for split in ("train", "val")] == [16, 4]
    meant = {0: "background", 1: "red box", 2: "green box", 3: "blue box"}
    for pair in (*listing.splits["train"], *listing.splits["val"]):
        found = labels.read(pair.label, 4, (80, 60), pair.encoding, listing.colours)
        label = truth(int(pair.id[1:]))
        for value, name in meant.items():
            np.testing.assert_array_equal(found == listing.classes.index(name), label == value)
        np.testing.assert_array_equal(found == 255, label == 255)


def test_the_same_by_converting(own, tmp_path, capsys):
    """The other way that it names: indices, and names without colours."""
    out = tmp_path / "indices"
    assert main(["doctor", str(own), "--convert", str(out)]) == 0
    said = capsys.readouterr().out
    assert (
        f"Wrote 20 labels as class indices to {out}: 0 background, 1 class1, 2 class2, 3 class3."
    ) in said
    assert "In classes.txt their names stand in this order, one per line, without colours." in said
    (own / "masks").rename(tmp_path / "before")
    out.rename(own / "masks")
    (own / "classes.txt").write_text("background\nblue box\ngreen box\nred box\n")
    assert main(["doctor", str(own)]) == 0
    listing = folder.load(DatasetSpec({"folder": own}, (), "80%", "20%", seed=1))
    found = labels.read(own / "masks" / "p07.png", 4, None, listing.splits["train"][0].encoding)
    expected = np.array([0, 3, 2, 1, *[0] * 251, 255], np.uint8)[truth(7)]
    np.testing.assert_array_equal(found, expected)


def test_findings_are_written_as_json(own, tmp_path, capsys):
    assert main(["doctor", str(own), "--json", str(tmp_path / "found.json")]) == 1
    found = json.loads((tmp_path / "found.json").read_text())
    assert (found["schema"], found["kind"], found["labels"], found["stops"]) == (
        1,
        "own_colours",
        20,
        True,
    )
    assert found["classes_txt"] == lines_after(capsys.readouterr().out, "Proposal for")
    assert [(each["kind"], each["stops"]) for each in found["findings"]] == [("own_colours", True)]


def test_classes_by_number_or_by_file(tmp_path, capsys):
    masks = write_folder(tmp_path / "mine", voc) / "masks"
    (masks.parent / "images").rename(tmp_path / "elsewhere")
    assert main(["doctor", str(masks), "--classes", "4"]) == 0
    assert main(["doctor", str(masks), "--classes", "2"]) == 1
    assert "indices, of which 2..3 " in capsys.readouterr().out
    (tmp_path / "names.txt").write_text("sky\nsea\nsand\nship\n")
    assert main(["doctor", str(masks), "--classes", str(tmp_path / "names.txt")]) == 0
    assert ["sand", "2"] in [line.split()[:2] for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "nowhere: no such file or folder"),
        (["{own}", "--classes", "1"], "--classes: expected 2 to 255 classes, got 1"),
        (
            ["{own}", "--classes", "many"],
            "--classes: expected a number or a file of names, got many",
        ),
        (
            ["{own}", "--convert", "{own}"],
            "--convert: {own}: expected a place to write a folder to, but a folder with files",
        ),
        (
            ["{own}", "--json", "{own}"],
            "--json: {own}: expected a place to write a file to, but a folder is there",
        ),
        (
            ["{own}", "--json", "."],
            "--json: .: expected a place to write a file to, but a folder is there",
        ),
    ],
)
def test_misuse_is_said_on_stderr(own, arguments, words, capsys):
    before = {path: path.read_bytes() for path in own.rglob("*") if path.is_file()}
    assert main(["doctor", *(argument.format(own=own) for argument in arguments)]) == 2
    said = capsys.readouterr()
    assert words.format(own=own) in said.err
    assert said.out == "", "it is said before the work begins"
    assert {path: path.read_bytes() for path in own.rglob("*") if path.is_file()} == before


def test_names_reach_the_terminal_as_escapes(own, capsys):
    odd = "i\x1b[31m\nFAKE: all well"
    (own / "images" / f"{odd}.png").write_bytes(b"x")
    main(["doctor", str(own)])
    said = capsys.readouterr()
    assert all(line.isprintable() for line in (said.out + said.err).splitlines())
    assert "i\\x1b[31m\\x0aFAKE: all well" in said.out


def test_an_unknown_option_is_misuse_too(own, capsys):
    assert main(["doctor", str(own), "--fix"]) == 2
    assert "--fix" in capsys.readouterr().err


def test_labels_that_cannot_be_converted_are_left_alone(tmp_path, capsys):
    root = write_folder(tmp_path / "mine", voc, classes=("sky", "sea"))
    assert main(["doctor", str(root), "--convert", str(tmp_path / "out")]) == 2
    assert "cannot be converted: label values beyond the classes" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_as_a_process_it_says_the_same_and_loads_no_framework(tmp_path):
    root = write_folder(tmp_path / "mine", mask_255, void=False)
    done = subprocess.run(
        [sys.executable, "-m", "fcn", "doctor", str(root)], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert lines_after(done.stdout, "Proposal for") == ["background #000000", "class1 #ffffff"]
    code = (
        "import sys, fcn.cli.doctor\n"
        "print([name for name in ('tensorflow', 'keras', 'prefect', 'mlflow', 'dvc') if name in "
        "sys.modules])"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
        ).stdout
        == "[]\n"
    )


def test_the_colours_of_these_tests_are_not_vocs():
    assert not {OWN[value] for value in (1, 2, 3)} & {
        tuple(colour) for colour in palette().tolist()
    }
    assert Image.new("RGB", (1, 1), OWN[255]).getpixel((0, 0)) == (224, 224, 192)
