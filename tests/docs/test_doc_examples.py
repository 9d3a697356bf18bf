"""Every command line in the documentation is one that the commands accept; the quick ones run."""

import importlib.util
import re
import shlex
from pathlib import Path

import pytest

from fcn.cli import main
from fcn.cli.app import build

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
OUTSIDE = {
    ".", "cd", "coverage", "docker", "dvc", "export", "git", "kubectl", "mlflow", "pip",
    "pre-commit", "prefect", "source",
}  # fmt: skip
"""Programs whose command lines are not looked at."""


def commands(text):
    """The words of each command in the text's blocks of shell."""
    for block in re.findall(r"^ *```sh\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL):
        block = re.sub(r"<<'(\w+)'\n.*?^\1$", "", block, flags=re.MULTILINE | re.DOTALL)
        for line in block.replace("\\\n", " ").splitlines():
            # `<address>` is to be filled in, `&&` and `;` part commands, `#` begins a comment.
            line = re.sub(r"<([\w ]+)>", "PLACEHOLDER", line)
            for command in re.split(r"&&|;", re.sub(r"(^|\s)#.*", "", line)):
                if words := shlex.split(command):
                    yield words


FOUND = [(page, words) for page in PAGES for words in commands(page.read_text(encoding="utf-8"))]


def named(each):
    page, words = each
    return f"{page.relative_to(ROOT)}: {' '.join(words)}"


def check(words):
    """Raises for a command line that would be refused."""
    head, *rest = [word for word in words if not re.match(r"[A-Z_]+=", word)] or ["export"]
    head = head.removeprefix(".venv/bin/")
    if head == "fcn":
        if rest[:1] not in ([], ["--help"], ["--version"], ["--install-completion"]):
            build(ROOT).parse_args(rest, exit_on_error=False, print_error=False)
    elif head == "make":
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        targets = [word for word in rest if "=" not in word]
        assert [each for each in targets if not re.search(f"^{each}:", makefile, re.M)] == []
    elif head in ("python", "pytest"):
        check_python(rest if head == "python" else ["-m", "pytest", *rest])
    else:
        assert head in OUTSIDE, f"what is {head}?"


def check_python(rest):
    files = [word for word in rest if word.startswith("tests/")]
    assert [file for file in files if not (ROOT / file.split("::")[0]).exists()] == []
    if rest[:1] == ["-m"]:
        assert importlib.util.find_spec(rest[1]), rest[1]
    elif rest[:1] != ["-"]:
        assert (ROOT / rest[0]).is_file(), rest[0]


def test_the_search_finds_commands():
    page = "a\n\n```sh\nfcn predict a.jpg && X=1 make env # no\npython - <<'E'\nbad\nE\n```\n"
    assert [*commands(page)] == [
        ["fcn", "predict", "a.jpg"],
        ["X=1", "make", "env"],
        ["python", "-"],
    ]
    assert len(FOUND) > 40


@pytest.mark.parametrize("each", FOUND, ids=map(named, FOUND))
def test_a_command_line_is_accepted(each):
    check(each[1])


@pytest.mark.parametrize(
    "line", ["fcn predikt a.jpg", "fcn predict --tiles 3 a.jpg", "make nothing"]
)
def test_a_wrong_command_line_is_found(line):
    with pytest.raises(Exception, match=r".+"):
        check(shlex.split(line))


QUICK = {
    " ".join(words)
    for _, words in FOUND
    if words[:2] in (["fcn", "show"], ["fcn", "env"]) and "cost" not in words
}


@pytest.mark.parametrize("line", sorted(QUICK))
def test_a_quick_command_runs(line, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    assert main(line.split()[1:]) == 0
    assert capsys.readouterr().out
