"""The comparison as a command: what it prints, writes, returns and refuses."""

import contextlib
import json

import pytest

from fcn.cli.app import main
from tasks import tracking

# Two images. IU of sky: 4/10 and 6/8; of tree: 5/11 and 7/9. pixels right: 9 and 13 of 15.
A = "image,class,both,truth,prediction\na,sky,4,8,6\na,tree,0,2,4\nb,tree,5,5,5\n"
B = "image,class,both,truth,prediction\nb,tree,5,5,5\na,tree,2,2,4\na,sky,6,8,6\n"
MEAN = {"a": (4 / 10 + 5 / 11) / 2, "b": (6 / 8 + 7 / 9) / 2}


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(variant, table, mean_iu=None, **provenance):
        folder = tmp_path / "plots" / variant
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "images.csv").write_text(table)
        if mean_iu is not None:
            known = {
                "split": "val",
                "dataset": "d1",
                "protocol": "fcn",
                "padding": "same",
                **provenance,
            }
            (tmp_path / "metrics").mkdir(exist_ok=True)
            scores = {
                "pixel_accuracy": 0.9,
                "mean_accuracy": 0.5,
                "mean_iu": mean_iu,
                "frequency_weighted_iu": 0.8,
            }
            (tmp_path / "metrics" / f"{variant}.json").write_text(
                json.dumps({**scores, "provenance": known})
            )

    return write


def test_the_numbers_of_two_variants(write, capsys, tmp_path):
    write("fcn16s", A, round(MEAN["a"], 6))
    write("fcn8s", B, round(MEAN["b"], 6))
    assert main(["compare", "fcn16s", "fcn8s", "--json", "out/c.json"]) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[:2] == [
        "A  fcn16s, plots/fcn16s: padding same", "B  fcn8s, plots/fcn8s: padding same",
    ]  # fmt: skip
    assert (
        "2 images of val, data set d1, protocol fcn. B - A with its 95% interval, from 2000 "
        "resamples"
    ) in said
    lines = {
        line[:14].strip(): line[14:].split() for line in said.splitlines() if line[:1] in "mpst"
    }
    assert lines["mean IU"][:4] == ["2", "0.4273", "0.7639", "+0.3366"]
    # In a quarter of the resamples im b is drawn twice: there both models are right, and sky is
    # nowhere.
    assert lines["mean IU"][4:] == ["+0.0000", "to", "+0.4250"]
    assert lines["pixel accuracy"][:4] == ["2", "0.6000", "0.8667", "+0.2667"]
    assert lines["sky"] == ["1", "0.4000", "0.7500", "+0.3500", "+0.3500", "to", "+0.3500", "*"]
    assert lines["tree"][:4] == ["2", "0.4545", "0.7778", "+0.3232"]
    assert said.index("sky ") < said.index("tree ")  # the larger gain first
    written = json.loads((tmp_path / "out" / "c.json").read_text())
    assert written["a"] == {
        "name": "fcn16s", "where": "plots/fcn16s", "split": "val", "dataset": "d1",
        "protocol": "fcn", "padding": "same",
    }  # fmt: skip
    assert written["mean_iu"] == {
        "a": 0.427273, "b": 0.763889, "difference": 0.336616, "low": 0.0, "high": 0.425,
        "excludes_0": False,
    }  # fmt: skip
    assert list(written["classes"]) == ["sky", "tree"]
    assert written["classes"]["sky"]["excludes_0"] is True


def test_a_list_of_images_compares_on_these_alone(write, capsys, tmp_path):
    write("fcn16s", A, round(MEAN["a"], 6))
    write("fcn8s", B, round(MEAN["b"], 6))
    (tmp_path / "part.txt").write_text("a\nnot_evaluated\n")
    assert main(["compare", "fcn16s", "fcn8s", "--images", "part.txt", "--json", "c.json"]) == 0
    assert "\n1 images of val" in capsys.readouterr().out
    found = json.loads((tmp_path / "c.json").read_text())
    # Image a alone: sky 4/10 and 6/8; tree 0/6 and 2/4.
    assert found["images"] == 1
    assert (found["mean_iu"]["a"], found["mean_iu"]["b"]) == (0.2, 0.625)
    (tmp_path / "none.txt").write_text("c\n")
    for name, words in (
        ("none.txt", "none of these images is in it"),
        ("missing.txt", "there is no such list"),
    ):
        assert main(["compare", "fcn16s", "fcn8s", "--images", name]) == 2
        assert (f"--images {name}: expected a list of images that were evaluated") in (
            said := capsys.readouterr().err
        )
        assert words in said


def test_nothing_is_deleted_and_nothing_forged(write, capsys, tmp_path):
    odd = A.replace("sky", "\x1b[31msky").replace("tree", '"tree\nFAKE"')
    write("a", odd)
    write("b", odd)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "f").write_text("precious")
    for place in ("mine", ".", "/dev/null"):
        assert main(["compare", "a", "b", "--json", place]) == 2
        said = capsys.readouterr()
        assert (said.out, len(said.err.splitlines())) == ("", 1)
        assert said.err.startswith(f"--json: {place}: expected a place to write a file to, but a ")
    assert (tmp_path / "mine" / "f").read_text() == "precious"
    if main(["compare", "a", "b"]) == 0:  # else such names are refused
        said = capsys.readouterr().out
        assert all(line.isprintable() for line in said.splitlines())
        assert [line for line in said.splitlines() if line.startswith("FAKE")] == []
        assert "\\x1b[31msky" in said


def test_a_class_that_one_model_never_says_has_a_dash(write, capsys):
    write("a", "image,class,both,truth,prediction\nx,sky,4,4,4\n")
    write("b", "image,class,both,truth,prediction\nx,sky,3,4,3\nx,tree,0,0,1\n")
    assert main(["compare", "a", "b", "--json", "c.json"]) == 0
    said = capsys.readouterr().out
    assert "no metrics file beside it: split and data set unknown" in said
    (tree,) = [line.split() for line in said.splitlines() if line.startswith("tree")]
    assert tree == ["tree", "0", "-", "0.0000", "-", "-"]
    with open("c.json") as file:
        assert json.load(file)["classes"]["tree"] == {
            "a": None, "b": 0.0, "difference": None, "low": None, "high": None, "excludes_0": False,
        }  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (
            {"split": "test"},
            "plots/a was scored with split val, plots/b with split test: such "
            "scores cannot be compared",
        ),
        ({"dataset": "d2"}, "with dataset d1, plots/b with dataset d2"),
        ({"protocol": "resize520"}, "with protocol fcn, plots/b with protocol resize520"),
    ],
)
def test_other_data_or_another_protocol_are_refused(write, capsys, changed, words):
    write("a", A, MEAN["a"])
    write("b", B, MEAN["b"], **changed)
    assert main(["compare", "a", "b"]) == 2
    output = capsys.readouterr()
    assert words in output.err
    assert output.out == ""


@pytest.mark.parametrize(
    ("table", "mean_iu", "words"),
    [
        (
            B.replace("b,tree", "c,tree"),
            None,
            "plots/a and plots/b: image b is in one of them only",
        ),
        (B.replace("a,sky,6,8,6", "a,sky,6,9,6"), None, "image a has another truth in each"),
        (B, 0.5, "plots/b: images.csv gives a mean IU of 0.763889, the metrics file says 0.500000"),
    ],
)
def test_tables_that_do_not_belong_together_are_refused(write, capsys, table, mean_iu, words):
    write("a", A)
    write("b", table, mean_iu)
    assert main(["compare", "a", "b"]) == 2
    assert words in capsys.readouterr().err


def test_a_missing_run_and_a_wrong_command_line(write, capsys):
    write("a", A)
    assert main(["compare", "a", "b"]) == 2
    assert "b: there is no plots/b/images.csv, no b/images.csv." in capsys.readouterr().err
    assert main(["compare", "a"]) == 2


def test_a_workspace_has_the_page_of_a_comparison_and_mlflow_too(
    write, tmp_path, monkeypatch, capsys
):
    write("fcn16s", A, round(MEAN["a"], 6))
    write("fcn8s", B, round(MEAN["b"], 6))
    kept = {}

    class Run:
        def metrics(self, values):
            kept["metrics"] = values

        def facts(self, name, values):
            kept[name] = values

        def artifact(self, path):
            kept["page"] = path.read_text()

    @contextlib.contextmanager
    def training(experiment, variant, key, *, params, tags):
        kept["run"] = (experiment, variant, params["a"], params["b"])
        yield Run()

    monkeypatch.setattr(tracking, "training", training)
    assert main(["compare", "fcn16s", "fcn8s"]) == 0
    assert not [*tmp_path.glob("**/*.html")]  # no workspace
    assert main(["compare", "fcn16s", "fcn8s", "--page", "d.html"]) == 0
    assert "</html>" in (tmp_path / "d.html").read_text()
    assert kept == {}  # no workspace, no store
    for mark in ("params.yaml", "dvc.yaml"):
        (tmp_path / mark).touch()
    assert main(["compare", "fcn16s", "fcn8s", "--table-only"]) == 0
    assert kept == {}  # no page, no run
    capsys.readouterr()
    assert main(["compare", "fcn16s", "fcn8s"]) == 0
    assert capsys.readouterr().out.endswith("\nPage: compared/fcn16s-fcn8s.html\n")
    assert "</html>" in (tmp_path / "compared/fcn16s-fcn8s.html").read_text()
    assert main(["compare", "fcn16s", "fcn8s", "--page", "c.html"]) == 0
    assert kept["run"] == ("fcn-comparisons", "fcn16s and fcn8s", "plots/fcn16s", "plots/fcn8s")
    assert kept["page"] == (tmp_path / "c.html").read_text()
    assert kept["metrics"]["mean_iu.difference"] == 0.336616
    assert kept["comparison"]["mean_iu"]["excludes_0"] is False
