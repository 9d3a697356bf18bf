"""The command `fcn` itself: what it offers where, how fast, and what it says of misuse."""

import subprocess
import sys
from pathlib import Path

import pytest

from fcn.cli import app, workspace
from fcn.cli.app import main

ROOT = Path(__file__).parents[3]
LIBRARY = ("predict", "explain", "web", "serve", "export", "submit", "doctor", "env")


def described(root):
    """The first line of what each command says of itself."""
    built = app.build(root)
    return {name: built[name].help for name in built if not name.startswith("-")}


def test_a_checkout_has_all_commands_and_each_has_help_and_an_example():
    found = described(ROOT)
    assert set(found) == {*LIBRARY, *workspace.COMMANDS}
    files = {path.stem for path in (ROOT / "flows" / "commands").glob("*.py")} - {"__init__"}
    assert files == set(workspace.COMMANDS)
    for name, text in found.items():
        assert f"Example: `fcn {name}" in text, name


def test_elsewhere_there_are_those_of_the_library_and_the_rest_is_said(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert set(described(None)) == {*LIBRARY, *workspace.ANYWHERE}
    assert main([]) == 0
    assert ("In a workspace there are also repro, ui, show,") in " ".join(
        capsys.readouterr().out.split()
    )
    assert main(["repro", "--force"]) == 2
    assert capsys.readouterr().err == (
        f"fcn repro: it needs a workspace: neither {tmp_path} nor a folder above it has "
        "params.yaml and dvc.yaml; go to a clone of the project\n"
    )


def test_no_code_is_taken_from_a_workspace_that_is_not_this_commands_own(
    tmp_path, monkeypatch, capsys
):
    for mark in workspace.MARKS:
        (tmp_path / mark).touch()
    (tmp_path / "fcn").mkdir()
    (tmp_path / "flows" / "commands").mkdir(parents=True)
    (tmp_path / "flows" / "commands" / "show.py").write_text("raise SystemExit('executed')")
    (tmp_path / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "deep")
    assert main(["show"]) == 2
    assert (
        f"the workspace {tmp_path} needs its own `fcn`, and this one is that of {ROOT}"
    ) in capsys.readouterr().err


def test_a_workspace_is_found_from_below_and_paths_stay_those_of_the_user(
    tmp_path, monkeypatch, capsys
):
    for mark in workspace.MARKS:
        (tmp_path / mark).touch()
    table = "image,class,both,truth,prediction\na,sky,4,8,6\na,tree,0,2,4\n"
    for name in ("one", "two"):
        (tmp_path / "plots" / name).mkdir(parents=True)
        (tmp_path / "plots" / name / "images.csv").write_text(table)
    (tmp_path / "deep" / "er").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "deep" / "er")
    assert main(["compare", "one", "two", "--json", "here.json"]) == 0
    assert (tmp_path / "deep" / "er" / "here.json").is_file()
    assert "plots/one" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["predicts"], "predicts"), (["predict"], "IMAGE"), (["predict", "a.png", "--tile",
        "much"], "much"),
        (["predict", "a.png", "--nix"], "--nix"), (["show", "nix"], "nix"),
        (["export"], "--out"), (["compare", "fcn8s"], "requires"), (["repro", "--set"], "--set"),
    ],
)  # fmt: skip
def test_misuse_is_one_line_and_2(words, said, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    assert main(words) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1
    assert "--help`" in error


@pytest.mark.parametrize("words", [[], ["predict"], ["repro"]])
def test_help_loads_nothing_heavy_and_takes_less_than_a_second_of_the_processor(words):
    code = (
        "import sys, time\nfrom fcn.cli.app import main\nassert main(sys.argv[1:]) == 0\n"
        "heavy = {'numpy', 'tensorflow', 'keras', 'prefect', 'mlflow', 'dvc', "
        "'starlette'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
        "print(time.process_time(), file=sys.stderr)\n"
    )
    command = [sys.executable, "-c", code, *words, "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    loaded, seconds = done.stderr.splitlines()
    assert loaded == "[]"
    assert float(seconds) < 1
    assert "Usage: fcn" in done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_the_commands_and_their_options(shell):
    script = app.build(ROOT).generate_completion(shell=shell)
    assert all(
        word in script for word in ("predict", "repro", "doctor", "probabilities", "mlflow-port")
    )


def test_env_says_what_is_here(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(ROOT / "tests")
    assert main(["env"]) == 0
    rows = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert rows["workspace"] == str(ROOT)
    assert rows["tensorflow"][0].isdigit()
    monkeypatch.chdir(tmp_path)
    assert main(["env"]) == 0
    assert "none: it needs a workspace" in capsys.readouterr().out
