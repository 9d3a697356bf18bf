import hashlib
import os
import subprocess

import pytest

from fcn.errors import UserError
from tasks.tracking.provenance import tags

LOCK = """
schema: '2.0'
stages:
  records:
    cmd: python -m flows.records
    outs:
    - {path: data/records, hash: md5, md5: aaa.dir, size: 9, nfiles: 2}
  train@fcn32s:
    cmd: python -m flows.train
    deps:
    - {path: data/records, hash: md5, md5: old.dir, size: 9, nfiles: 2}
    - {path: fcn/net/model.py, hash: md5, md5: bbb, size: 1}
    outs:
    - {path: models/fcn32s, hash: md5, md5: ccc.dir, size: 5, nfiles: 3}
    - {path: metrics.json, hash: md5, md5: ddd, size: 5}
"""


def git(folder, *arguments):
    settings = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
    return subprocess.run(
        command, cwd=folder, env=os.environ | settings, check=True, capture_output=True, text=True
    ).stdout


TEXT = "".join(f"{line}\n" for line in range(20))


@pytest.fixture
def empty(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def repository(empty):
    git(empty, "init", "-q")
    for name, text in {"model.py": TEXT, "dvc.lock": LOCK, "metrics.json": "{}"}.items():
        (empty / name).write_text(text)
    git(empty, "add", ".")
    git(empty, "commit", "-q", "-m", "first")
    return empty


def test_commit_and_local_changes(repository):
    clean = {"git.commit": git(repository, "rev-parse", "HEAD").strip(), "git.diff.sha256": "none"}
    assert tags() == clean
    # as every stage of a repro finds it
    (repository / "dvc.lock").write_text(LOCK + "# a stage has run\n")
    (repository / "metrics.json").write_text('{"mean_iu": 0.5}')
    (repository / "notes.txt").write_text("not tracked")
    assert tags() == clean
    (repository / "model.py").write_text(TEXT.replace("10\n", "x\n"))
    changed = tags()["git.diff.sha256"]
    texts = TEXT.encode(), TEXT.replace("10\n", "x\n").encode()
    blobs = [hashlib.sha1(b"blob %d\0" % len(text) + text).hexdigest() for text in texts]
    diff = (
        f"diff --git a/model.py b/model.py\nindex {blobs[0]}..{blobs[1]} 100644\n--- "
        "a/model.py\n+++ b/model.py\n"
    )
    diff += "@@ -8,7 +8,7 @@\n 7\n 8\n 9\n-10\n+x\n 11\n 12\n 13\n"
    assert changed == hashlib.sha256(diff.encode()).hexdigest()
    git(repository, "config", "diff.noprefix", "true")
    git(repository, "config", "diff.context", "9")
    git(repository, "config", "diff.algorithm", "patience")
    assert tags()["git.diff.sha256"] == changed
    (repository / "model.py").write_text(TEXT.replace("10\n", "y\n"))
    assert tags()["git.diff.sha256"] not in (changed, "none")
    (repository / "model.py").write_text(TEXT)
    assert tags() == clean


def test_hashes_of_inputs_and_of_a_finished_stage(repository):
    inputs = tags(["data/records", "models/fcn32s", "fcn/net/layers.py"])
    assert {name: text for name, text in inputs.items() if name.startswith("dvc.")} == {
        "dvc.dep.data/records": "aaa.dir", "dvc.dep.models/fcn32s": "ccc.dir",
    }  # fmt: skip
    done = tags(finished="train@fcn32s")
    assert {name: text for name, text in done.items() if name.startswith("dvc.")} == {
        "dvc.dep.data/records": "old.dir", "dvc.dep.fcn/net/model.py": "bbb",
        "dvc.out.models/fcn32s": "ccc.dir", "dvc.out.metrics.json": "ddd",
    }  # fmt: skip
    assert tags(finished="train@other").keys() == {"git.commit", "git.diff.sha256"}


@pytest.mark.parametrize("state", ["no repository", "no commit", "no git"])
def test_without_git(empty, state, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(empty.parent))
    if state == "no commit":
        git(empty, "init", "-q")
    if state == "no git":
        monkeypatch.setenv("PATH", str(empty))
    assert tags(["data/records"], "train@fcn32s") == {
        "git.commit": "none",
        "git.diff.sha256": "none",
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "expected keys with values"),
        (b"hello", "expected keys with values"),
        (b"stages: {x: 3}", "stages.x: expected keys with values, got 3"),
        (b"stages: {x: {outs: [{path: 3}]}}", "stages.x.outs[0].path: expected a valid string, got "
                                              "3"),
        (b"stages: {x: {outs: [{md5: a}]}}", "stages.x.outs[0].path: missing"),
        (b"stages: {x: 2020-13-45}", "expected YAML, but: month must be in 1..12"),
        (b"a: \xe9", "expected YAML, but: "),
        (b"a: [", "expected YAML, but: while parsing"),
        (b"a: " + b"[" * 100_000 + b"]" * 100_000, "expected YAML, but: more than 50 levels"),
        (b"\n".join([b"a0: &a0 [x]", *(b"a%d: &a%d [%s]" % (n, n,
        b",".join([b"*a%d" % (n - 1)] * 9)) for n in range(1, 9)),
                     b"stages: {x: {outs: *a8}}"]), "stages.x.outs[0]: expected "),
    ],
    ids=["empty", "text", "number", "path", "no path", "date", "latin-1", "torn", "deep", "bomb"],
)  # fmt: skip
def test_a_lock_that_is_none_of_dvc_s_is_refused(empty, text, words):
    (empty / "dvc.lock").write_bytes(text)
    with pytest.raises(UserError) as error:
        tags()
    assert str(error.value).startswith(f"dvc.lock: {words}")
    assert str(error.value).endswith(
        "`git checkout dvc.lock` brings back the last one that was committed, `dvc repro` makes "
        "another"
    )
    assert len(str(error.value)) < 600
